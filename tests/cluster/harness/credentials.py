"""Who may speak to the API server: a key for service accounts, tokens for people and programs."""

import secrets
import subprocess
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.harness.errors import HarnessError

ADMIN = "system:masters"
USERS = {"admin": ADMIN, "controllers": ADMIN, "node": ADMIN, "nobody": "harness:nobody"}
"""Each with its group. `nobody` is known and may do nothing, for tests of missing permissions."""


@dataclass(frozen=True)
class Credentials:
    folder: Path
    tokens: dict[str, str] = field(
        default_factory=lambda: {user: secrets.token_hex(16) for user in USERS}, repr=False
    )

    def write(self) -> None:
        """The files that the API server and the controllers are started with."""
        rows = (f'{self.tokens[user]},{user},{user},"{group}"' for user, group in USERS.items())
        self.token_file.write_text("\n".join(rows) + "\n")
        self.token_file.chmod(0o600)
        _openssl("genrsa", "-out", str(self.key), "2048")

    @property
    def token_file(self) -> Path:
        return self.folder / "tokens.csv"

    @property
    def key(self) -> Path:
        """Signs service-account tokens."""
        return self.folder / "service-accounts.key"

    @property
    def certificates(self) -> Path:
        """The folder in which the API server puts a certificate that it makes for itself."""
        return self.folder / "certificates"

    @property
    def authority(self) -> Path:
        """What clients check that certificate against; there from the server's first start on."""
        return self.certificates / "apiserver.crt"

    def certificate(self, name: str) -> tuple[Path, Path]:
        """A certificate that nobody has to trust, and its key."""
        certificate, key = (self.folder / f"{name}.{end}" for end in ("crt", "key"))
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", str(key), "-out", str(certificate))
        _openssl("req", "-x509", *curve, *files, "-subj", f"/CN={name}", "-days", "30")
        return certificate, key

    def kubeconfig(self, user: str, server: str, path: Path | None = None) -> Path:
        """A kubeconfig file for one of `USERS` that needs no other file."""
        path = path or self.folder / f"{user}.kubeconfig"
        config = _kubeconfig(user, server, self.tokens[user], self.authority.read_bytes())
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        path.chmod(0o600)
        return path


def _kubeconfig(user: str, server: str, token: str, authority: bytes) -> dict[str, Any]:
    cluster = {"server": server, "certificate-authority-data": b64encode(authority).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "harness", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "harness", "context": {"cluster": "harness", "user": user}}],
        "current-context": "harness",
    }


def _openssl(*arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise HarnessError("`openssl` is missing. On Debian: apt-get install openssl") from None
    except subprocess.CalledProcessError as error:
        raise HarnessError(f"openssl {arguments[0]}: {error.stderr.strip()}") from error
