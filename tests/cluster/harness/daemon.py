"""The cluster of `make cluster`: it runs in the background until it is told to stop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from socket import socket

from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.errors import HarnessError
from tests.cluster.harness.forward import door, lead
from tests.cluster.harness.traefik import PROVIDERS


async def serve(folder: Path) -> None:
    """Start everything, write `ready.json` for people, and end everything on SIGTERM."""
    doors = {name: door() for name in ("server", "traefik", "prometheus")}
    cluster = Cluster.prepare(folder)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    with cluster.running():
        cluster.network.enter()
        await _open(cluster, doors)
        await told.wait()


async def _open(cluster: Cluster, doors: Mapping[str, socket]) -> None:
    traefik = await cluster.traefik(*PROVIDERS)
    prometheus = cluster.prometheus({"traefik": traefik.metrics})
    inside = {
        "server": cluster.control_plane.server,
        "traefik": traefik.address,
        "prometheus": prometheus.url,
    }
    for name, address in inside.items():
        await lead(doors[name], address.rpartition("/")[2])
    ports = {name: each.getsockname()[1] for name, each in doors.items()}
    tell(cluster, ports)


def tell(cluster: Cluster, ports: Mapping[str, int]) -> None:
    """Say in `ready.json` how the cluster is reached from outside."""
    server = f"https://127.0.0.1:{ports['server']}"
    path = cluster.folder / "kubeconfig"
    parts = [*cluster.control_plane.components, cluster.node, *cluster.beside]
    facts = {
        "pid": os.getpid(),
        "kubeconfig": str(cluster.control_plane.credentials.kubeconfig("admin", server, path)),
        "traefik": f"http://127.0.0.1:{ports['traefik']}",
        "prometheus": f"http://127.0.0.1:{ports['prometheus']}",
        "components": {part.name: part.pid for part in parts},
    }
    beside = cluster.folder / "ready.new"
    beside.write_text(json.dumps(facts, indent=1))
    beside.replace(cluster.folder / "ready.json")


if __name__ == "__main__":
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except HarnessError as error:
        sys.exit(str(error))
