"""The client of a real API server: what the contract can't say, and what the cache makes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from canary.cluster import kubernetes
from canary.cluster.cache import Backoff, Cache, Keep
from canary.cluster.kubernetes import Kubernetes
from canary.cluster.lease import LEASE, Lease, Terms
from canary.cluster.limiter import Limiter
from canary.cluster.port import Change, Kind, Manifest, Ref
from canary.errors import ClusterError, Expired, Forbidden, NoSuchKind
from tests.cluster.connected import NAMESPACE, agent, client, connected, place, until
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.network import Network
from tests.cluster.harness.process import Component

CANARY = Kind("flagger.app/v1beta1", "Canary")
CONFIG_MAP = Kind("v1", "ConfigMap")
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
DEPLOYMENT = Kind("apps/v1", "Deployment")
SECRET = Kind("v1", "Secret")

__all__ = ["agent", "client", "place"]  # fixtures, which are used by name


def canary(name: str, namespace: str, **extra: Any) -> Manifest:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    analysis = {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 5}
    spec = {"targetRef": target, "service": {"port": 80}, "analysis": analysis, **extra}
    return Ref(CANARY, namespace, name).manifest(spec=spec)


# Lists and watches


async def test_a_long_list_comes_in_pages(
    bare_cluster: Cluster,
    client: Kubernetes,
    place: str,
    agent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kubernetes, "PAGE", 3)
    names = {f"config-{number}" for number in range(8)}
    for name in names:
        await client.create(Ref(CONFIG_MAP, place, name).manifest(metadata={"labels": {"a": "b"}}))
    start = bare_cluster.audit.mark()
    listing = await client.list(CONFIG_MAP, place, {"a": "b"})
    assert {item["metadata"]["name"] for item in listing.items} == names
    assert bare_cluster.audit.count(start, agent) == {("list", "configmaps"): 3}
    changes = client.watch(CONFIG_MAP, place, listing.resource_version)
    later = await client.patch(
        Ref(CONFIG_MAP, place, "config-1"), {"data": {"a": "1"}}, manager="test"
    )
    assert await anext(changes) == Change("MODIFIED", later)


async def test_a_bookmark_carries_a_newer_version(
    bare_cluster: Cluster,
    client: Kubernetes,
    place: str,
    agent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The server sends one shortly before it ends a watch, and it tells what we missed: nothing.
    monkeypatch.setattr(kubernetes, "WATCH", 4)
    since = (await client.list(SECRET, place)).resource_version
    changes = client.watch(SECRET, place, since)
    first = asyncio.ensure_future(anext(changes))
    await until(lambda: ("watch", "secrets") in bare_cluster.audit.count(agent=agent))
    later = await client.create(Ref(SECRET, "default", f"other-{place}").manifest())
    async with asyncio.timeout(30):
        bookmark = await first
        assert bookmark.type == "BOOKMARK"
        told, made = (each["metadata"]["resourceVersion"] for each in (bookmark.object, later))
        assert int(told) >= int(made)
        assert {change.type async for change in changes} <= {"BOOKMARK"}


async def test_a_name_does_not_lead_elsewhere(client: Kubernetes, place: str) -> None:
    for name in ("..", ".", "a/b", "%2e%2e"):
        with pytest.raises(ClusterError, match="can't be a name"):
            await client.delete(Ref(CONFIG_MAP, place, name))
    with pytest.raises(ClusterError, match="a namespace is needed"):
        await client.get(Ref(CONFIG_MAP, "", "config"))
    await client.get(Ref(NAMESPACE, "", place))


async def test_what_was_read_can_be_applied_again(client: Kubernetes, place: str) -> None:
    once = await client.apply(canary("app", place), manager="me")
    assert await client.apply(once, manager="me") == once


async def test_a_warning_of_the_server_is_passed_on_once(
    client: Kubernetes, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        await client.create(canary(name, place, wieght=5))
    assert [r.getMessage().count("wieght") for r in caplog.records] == [1]


async def test_a_lease_is_held_by_one_and_handed_over(client: Kubernetes, place: str) -> None:
    terms = Terms(duration=15, renew_within=10, retry=0.1)

    def lease(identity: str) -> Lease:
        return Lease(client, namespace=place, name="lock", identity=identity, terms=terms)

    async with lease("one") as one:
        assert one.held
        assert not await lease("two").attempt()
    async with asyncio.timeout(5):
        async with lease("two") as two:
            assert two.held


async def test_a_lease_does_not_wait_for_its_turn(bare_cluster: Cluster, place: str) -> None:
    async with connected(bare_cluster, limiter=Limiter(rate=0.001, burst=1)) as busy:
        lock = Ref(LEASE, place, "lock")
        await busy.create(lock.manifest(spec={"holderIdentity": "me"}))
        waiting = asyncio.ensure_future(busy.list(NAMESPACE))
        async with asyncio.timeout(10):
            assert (await busy.get(lock))["spec"] == {"holderIdentity": "me"}
        assert not waiting.done()
        waiting.cancel()


# Permissions and kinds

Ask = Callable[[Kubernetes], Awaitable[object]]

RULES: dict[str, tuple[Ask, str, str, str]] = {
    "a list of all namespaces": (
        lambda client: client.list(CANARY),
        "list Canary in all namespaces: ",
        "a ClusterRole",
        '{apiGroups: ["flagger.app"], resources: ["canaries"], verbs: ["list"]}',
    ),
    "a watch": (
        lambda client: anext(client.watch(DEPLOYMENT, "default")),
        "watch Deployment in default: ",
        "a Role in namespace default",
        '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["watch"]}',
    ),
    "a patch of a status": (
        lambda client: client.patch(
            Ref(CANARY, "default", "app"), {"status": {}}, manager="test", status=True
        ),
        "patch Canary default/app: ",
        "a Role in namespace default",
        '{apiGroups: ["flagger.app"], resources: ["canaries/status"], verbs: ["patch"]}',
    ),
    "a Secret": (
        lambda client: client.get(Ref(SECRET, "default", "key")),
        "get Secret default/key: ",
        "a Role in namespace default",
        '{apiGroups: [""], resources: ["secrets"], verbs: ["get"]}',
    ),
}


@pytest.mark.parametrize(("ask", "wanted", "role", "rule"), RULES.values(), ids=RULES)
async def test_a_missing_permission_names_the_rule_to_add(
    bare_cluster: Cluster, ask: Ask, wanted: str, role: str, rule: str
) -> None:
    async with connected(bare_cluster, "nobody") as client:
        with pytest.raises(Forbidden) as raised:
            await ask(client)
    assert str(raised.value).startswith(wanted)
    assert str(raised.value).endswith(f". Missing in {role} bound to nobody: {rule}")


def definition(group: str) -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    return Ref(CRD, "", f"widgets.{group}").manifest(spec=spec)


async def is_missing(client: Kubernetes, kind: Kind) -> bool:
    try:
        await client.list(kind)
    except NoSuchKind:
        return True
    return False


async def test_a_kind_that_is_not_installed_is_noticed_when_it_is_and_when_it_goes(
    client: Kubernetes, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    group = f"{place}.example.com"
    widget = Ref(Kind(f"{group}/v1", "Widget"), place, "one")
    cache = Cache(client, backoff=Backoff(first=0.05, longest=0.5))
    with pytest.raises(NoSuchKind, match=f"no kind Widget in {group}/v1: install its CRD"):
        await client.get(widget)
    await cache.start(widget.kind)
    await until(lambda: "no kind Widget" in cache.trouble(widget.kind))
    made = definition(group)
    await client.create(made)
    async with asyncio.timeout(30):
        await cache.wait_synced(widget.kind)
        await client.create(widget.manifest())
    await until(lambda: cache.get(widget))
    assert cache.trouble(widget.kind) == ""
    assert len([r for r in caplog.records if "no kind Widget" in r.getMessage()]) == 1, "told once"
    await client.delete(Ref.of(made))
    async with asyncio.timeout(30):
        while not await is_missing(client, widget.kind):
            pass
    await cache.close()


# Under the cache


async def test_an_idle_cache_asks_for_nothing(
    bare_cluster: Cluster, client: Kubernetes, place: str, agent: str
) -> None:
    start = bare_cluster.audit.mark()
    cache = Cache(client, keep={CONFIG_MAP: Keep.METADATA})
    kinds = (CANARY, CONFIG_MAP, DEPLOYMENT)
    for kind in (*kinds, *kinds):
        await cache.start(kind)
    await cache.wait_synced()
    made = await client.create(canary("app", place))
    await until(lambda: cache.get(Ref.of(made)))
    resources = ("canaries", "configmaps", "deployments")
    once = {(verb, resource): 1 for verb in ("list", "watch") for resource in resources}
    asked = bare_cluster.audit.count(start, agent)
    assert {each: asked[each] for each in asked if each[0] in {"list", "watch"}} == once
    idle = bare_cluster.audit.mark()
    await asyncio.sleep(3)
    assert bare_cluster.audit.count(idle, agent) == {}
    await cache.close()


async def test_the_content_of_a_secret_stays_where_it_is(client: Kubernetes, place: str) -> None:
    cache = Cache(client, keep={SECRET: Keep.METADATA})
    key = Ref(SECRET, place, "key")
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"a":"hidden"}}'}
    await cache.start(SECRET)
    await cache.wait_synced()
    meta = {"annotations": applied}
    cache.note(await client.create(key.manifest(metadata=meta, stringData={"a": "hidden"})))
    assert "hidden" not in json.dumps(cache.get(key)), "nor what a write returned"
    later = await client.patch(key, {"stringData": {"a": "hidden still"}}, manager="test")
    known = {k: v for k, v in later["metadata"].items() if k != "managedFields"}
    known["annotations"] = {}
    await until(lambda: cache.get(key) == {"apiVersion": "v1", "kind": "Secret", "metadata": known})
    await cache.close()


class Told:
    """What a subscriber was told of each object: versions, in order."""

    def __init__(self) -> None:
        self.versions: dict[str, list[int]] = {}
        self.counts: dict[str, int] = {}

    def __call__(self, change: str, _: Manifest | None, new: Manifest) -> None:
        meta = new["metadata"]
        if change != "DELETED":
            self.versions.setdefault(meta["name"], []).append(int(meta["resourceVersion"]))
            self.counts[meta["name"]] = int(new["data"]["count"])


async def test_a_killed_api_server_is_survived_without_a_change_lost_or_told_twice(
    bare_cluster: Cluster, client: Kubernetes, place: str
) -> None:
    refs = [Ref(CONFIG_MAP, place, f"counter-{number}") for number in range(4)]
    cache, told = Cache(client), Told()
    for ref in refs:
        await client.create(ref.manifest(data={"count": "0"}))
    cache.subscribe(CONFIG_MAP, told)
    await cache.start(CONFIG_MAP, place)
    await cache.wait_synced()
    stop = asyncio.Event()
    acknowledged = {ref.name: 0 for ref in refs}
    failures: list[str] = []

    async def count(ref: Ref) -> None:
        """Write ever higher numbers; a write whose answer got lost may have been made or not."""
        number = 0
        while not stop.is_set():
            number += 1
            try:
                await client.patch(ref, {"data": {"count": str(number)}}, manager="test")
                acknowledged[ref.name] = number
            except ClusterError as error:
                failures.append(str(error))
                await asyncio.sleep(0.05)

    writing = [asyncio.create_task(count(ref)) for ref in refs]
    apiserver = bare_cluster.control_plane.apiserver
    for _ in range(2):
        reached = min(acknowledged.values()) + 20
        await until(lambda: min(acknowledged.values()) >= reached)  # noqa: B023 - awaited here
        apiserver.kill()
        await until(lambda: len(failures) >= 4)
        apiserver.spawn()
        await asyncio.to_thread(ready_again, apiserver, bare_cluster.network)
        failures.clear()
    reached = min(acknowledged.values()) + 20
    await until(lambda: min(acknowledged.values()) >= reached)
    stop.set()
    await asyncio.gather(*writing)
    listing = await client.list(CONFIG_MAP, place)
    final = {
        item["metadata"]["name"]: int(item["data"]["count"])
        for item in listing.items
        if item["metadata"]["name"] in acknowledged
    }
    assert all(final[name] >= acknowledged[name] for name in final)
    await until(lambda: told.counts.items() >= final.items())
    with pytest.raises(Expired, match="too old resource version"):
        await anext(client.watch(CONFIG_MAP, place, "1"))
    for name in final:
        versions = told.versions[name]
        assert versions == sorted(set(versions)), f"{name} was told twice or out of order"
    await cache.close()


def ready_again(component: Component, network: Network) -> None:
    """In a thread, while others go on asking in vain."""
    with network.inside():
        component.wait(60)
