"""The parts are killed, and the cluster goes on."""

import asyncio
import os
import signal

import pytest

from canary.cluster.port import Manifest, Ref
from tests.cluster.harness.api import TROUBLE, Api, ApiError
from tests.cluster.harness.cluster import Cluster
from tests.harness.eventually import eventually
from tests.harness.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    container,
    deployment,
    endpoints,
    rolled,
    service,
)

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "node")


@pytest.mark.parametrize("name", PARTS)
async def test_goes_on_after_a_part_was_killed(
    cluster: Cluster, api: Api, namespace: str, name: str
) -> None:
    ref = Ref(DEPLOYMENT, namespace, "podinfo")
    await api.apply(service(namespace))
    await api.apply(deployment(namespace))
    await api.until(ref, rolled)
    parts = (*cluster.control_plane.components, cluster.node)
    (part,) = [each for each in parts if each.name == name]
    part.restart()
    await eventually(lambda: changed(api, namespace))
    await api.until(ref, rolled, timeout=60)
    # What was written before is known, and pods that nobody changed were left alone.
    pods = await eventually(lambda: api.list(POD, namespace), lambda found: len(found) == 2)
    addresses = {each["status"]["podIP"] for each in pods}
    await eventually(
        lambda: endpoints(api, namespace),
        lambda found: {address for address, ready in found.items() if ready} == addresses,
    )


async def changed(api: Api, namespace: str) -> bool:
    """Whether a new version could be asked for; a server that just started may refuse."""
    try:
        await api.apply(deployment(namespace, container("podinfo:2")))
    except TROUBLE:
        return False
    return True


async def test_pods_live_on_without_an_api_server(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    ref = Ref(DEPLOYMENT, namespace, "podinfo")
    await api.apply(deployment(namespace))
    await api.until(ref, rolled)
    before = await api.list(POD, namespace)
    server = cluster.control_plane.apiserver
    server.kill()
    assert not server.alive
    server.start()
    after = await eventually(lambda: listed(api, namespace))
    assert names(after) == names(before)
    assert all(each["status"]["containerStatuses"][0]["restartCount"] == 0 for each in after)


async def listed(api: Api, namespace: str) -> list[Manifest]:
    try:
        return await api.list(POD, namespace)
    except TROUBLE:
        return []


def names(pods: list[Manifest]) -> set[str]:
    return {each["metadata"]["name"] for each in pods}


async def test_an_api_server_that_hangs_answers_when_it_goes_on(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    server, ref = cluster.control_plane.apiserver, Ref(CONFIG_MAP, namespace, "it")
    server.signal(signal.SIGSTOP)
    try:
        creation = asyncio.create_task(api.create(ref.manifest()))
        done, _ = await asyncio.wait([creation], timeout=0.5)
        assert not done
    finally:
        server.signal(signal.SIGCONT)
    assert await creation == await api.get(ref)


async def test_rbac_refuses_who_was_granted_nothing(cluster: Cluster, namespace: str) -> None:
    async with cluster.api("nobody") as nobody:
        with pytest.raises(ApiError, match='User "nobody" cannot list') as refused:
            await nobody.list(POD, namespace)
    assert refused.value.reason == "Forbidden"


async def test_counts_what_a_client_asked_for(cluster: Cluster, namespace: str) -> None:
    ref = Ref(CONFIG_MAP, namespace, "it")
    agent = f"counted-{os.getpid()}"
    async with cluster.api(agent=agent) as counted, cluster.api(agent="other") as other:
        await other.create(ref.manifest())
        before = cluster.audit.mark()
        for _ in range(3):
            await counted.get(ref)
            await other.get(ref)
        await counted.patch(ref, {"data": {"x": "y"}})
        with pytest.raises(ApiError, match="NotFound"):
            await counted.get(Ref(CONFIG_MAP, namespace, "none"))
    asked = cluster.audit.count(before, agent)
    assert asked == {("get", "configmaps"): 4, ("patch", "configmaps"): 1, ("get", ""): 1}
    writes = [each for each in cluster.audit.since(before, agent) if each.is_write]
    assert [(each.name, each.code) for each in writes] == [("it", 200)]


async def test_counts_a_watch_when_it_begins(cluster: Cluster, namespace: str) -> None:
    before = cluster.audit.mark()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with cluster.api(agent="watcher") as watcher:
        async for event in watcher.watch(path):
            assert event["object"]["metadata"]["name"] == "kube-root-ca.crt"
            break
        assert cluster.audit.count(before, "watcher") == {("watch", "configmaps"): 1}
    assert cluster.audit.count(before, "watcher") == {("watch", "configmaps"): 1}
