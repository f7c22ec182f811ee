"""The cluster that people start for themselves, and one with a scheduler."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml

from canary.cluster.port import Kind, Ref
from tests.cluster.harness.api import Api
from tests.cluster.harness.background import Facts, end, running, start
from tests.cluster.harness.cluster import Cluster
from tests.harness.manifests import POD, pod, ready

NODE = Ref(Kind("v1", "Node"), "", "node-1")


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    """What a cluster tells of itself that was started like that of `make cluster`."""
    facts = start(tmp_path)
    assert running(tmp_path) == facts
    yield facts
    end(facts)
    assert running(tmp_path) is None
    assert not any(psutil.pid_exists(pid) for pid in facts["components"].values())


@pytest.fixture
def config(facts: Facts) -> Any:
    return yaml.safe_load(Path(facts["kubeconfig"]).read_text())


async def test_people_reach_their_cluster_from_outside(
    facts: Facts, config: Any, tmp_path: Path
) -> None:
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    authority = tmp_path / "control-plane" / "certificates" / "apiserver.crt"
    async with Api(server, token, authority) as api:
        await api.until(NODE, ready)
    async with aiohttp.ClientSession() as session:
        async with session.get(facts["traefik"]) as reply:
            assert reply.status == 404  # its word for a host that nobody has a route for
        async with session.get(f"{facts['prometheus']}/-/ready") as reply:
            assert reply.status == 200


async def test_with_a_scheduler_the_node_waits_for_its_word(tmp_path: Path) -> None:
    with (
        Cluster.prepare(tmp_path, scheduler=True).running() as cluster,
        cluster.network.inside(),
    ):
        async with cluster.api() as api:
            account = Ref(Kind("v1", "ServiceAccount"), "default", "default")
            await api.until(account, bool)
            here, lost = (Ref(POD, "default", name) for name in ("here", "lost"))
            await asyncio.gather(
                api.create(pod("default", name="here")),
                api.create(pod("default", name="lost", nodeSelector={"disk": "ssd"})),
            )
            await api.until(here, ready)
            await api.until(lost, lambda found: "Unschedulable" in str(found["status"]))
        assert ("create", "pods/binding") not in cluster.audit.count(0, "harness-node")
