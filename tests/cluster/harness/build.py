"""The control plane's programs: built once from Go modules, or taken from KUBEBUILDER_ASSETS."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness import cache
from tests.cluster.harness.errors import HarnessError

SOURCE = Path(__file__).parent.parent / "controlplane"
NO_GO = """\
the control plane isn't built, and `go` isn't here to build it (Go 1.26 or newer; 1.21 and later
fetch the version they need themselves). Install Go, or point KUBEBUILDER_ASSETS to a folder with
`etcd` and `kube-apiserver`, with which the tests that need controllers are skipped."""


@dataclass(frozen=True)
class Programs:
    """How each part is called. Only a complete build has controllers and a scheduler."""

    etcd: tuple[str, ...]
    apiserver: tuple[str, ...]
    controllers: tuple[str, ...] | None = None
    scheduler: tuple[str, ...] | None = None
    plain_etcd: bool = False
    """Whether `etcd` is the original, which asks for more flags than our few."""


def programs() -> Programs:
    """Builds what is not built; minutes the first time. Raises `HarnessError`."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return _ready_made(Path(assets))
    binary = str(cache.once(f"controlplane-{fingerprint()}", _build))
    return Programs(
        (binary, "etcd"),
        (binary, "kube-apiserver"),
        (binary, "kube-controller-manager"),
        (binary, "kube-scheduler"),
    )


def _ready_made(assets: Path) -> Programs:
    etcd, apiserver = assets / "etcd", assets / "kube-apiserver"
    for program in (etcd, apiserver):
        if not os.access(program, os.X_OK):
            raise HarnessError(f"KUBEBUILDER_ASSETS: {program} isn't a program")
    return Programs((str(etcd),), (str(apiserver),), plain_etcd=True)


def fingerprint() -> str:
    """What the binary is made of, in twelve hex digits."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update(name.encode() + b"\0" + (SOURCE / name).read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _build(target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise HarnessError(NO_GO)
    _check_space(go)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    command = [go, "build", "-trimpath", "-ldflags", _ldflags(), "-o", str(target), "."]
    log = cache.folder() / "build.log"
    with log.open("w") as output:
        builder = subprocess.Popen(
            command, cwd=SOURCE, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _show_progress(builder)
        finally:
            builder.kill()
            builder.wait()
    if builder.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise HarnessError(f"the control plane doesn't build. The end of {log}:\n{tail}")


def _check_space(go: str) -> None:
    names = ("GOCACHE", "GOMODCACHE")
    found = subprocess.run([go, "env", "-json", *names], check=True, capture_output=True)
    for path in json.loads(found.stdout).values():
        cache.need_space(Path(path), 4, "building the control plane")


def _ldflags() -> str:
    """Clients reject a server that doesn't know its version."""
    package = "k8s.io/component-base/version"
    version = _kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in values.items())])


def _kubernetes_version() -> str:
    for line in (SOURCE / "go.mod").read_text().splitlines():
        if line.split()[:1] == ["k8s.io/kubernetes"]:
            return line.split()[1]
    raise HarnessError(f"{SOURCE / 'go.mod'} doesn't require k8s.io/kubernetes")


def _show_progress(builder: "subprocess.Popen[bytes]") -> None:
    """A line that counts on a terminal, one a minute in a log."""
    start, terminal = time.monotonic(), sys.stderr.isatty()
    end, pause = ("", 1) if terminal else ("\n", 60)
    while True:
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        text = f"\rbuilding the control plane, once: {minutes}:{seconds:02} (6 min on two cores)"
        print(text if terminal else text.strip(), end=end, file=sys.stderr, flush=True)
        try:
            builder.wait(pause)
        except subprocess.TimeoutExpired:
            continue
        if terminal:
            print(file=sys.stderr)
        return
