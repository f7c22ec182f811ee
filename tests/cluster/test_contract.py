"""What the program relies on in an API server, real or embedded.

Only behaviour that Kubernetes has, on kinds that it knows, each test in a namespace of its own.
An implementation joins by a line in `IMPLEMENTATIONS`: something that opens it, given a folder and
the fixtures. It has the CRDs installed and a garbage collector running.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from canary.cluster.embedded import Embedded
from canary.cluster.ownership import writer
from canary.cluster.port import Change, Cluster, Kind, Manifest, Ref
from canary.errors import AlreadyExists, ClusterError, Conflict, NotFound

Open = Callable[[Path, pytest.FixtureRequest], AbstractAsyncContextManager[Cluster]]


@asynccontextmanager
async def embedded(path: Path | None) -> AsyncIterator[Cluster]:
    cluster = await Embedded.open(path)
    yield cluster
    await cluster.close()


def kubernetes(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Cluster]:
    """A client of the harness's API server."""
    # What only a cluster needs is loaded, built and started for those who run these tests.
    from tests.cluster.connected import connected

    real = request.getfixturevalue("bare_cluster")
    if real.control_plane.controllers is None:
        pytest.skip("KUBEBUILDER_ASSETS has no controller manager, which collects garbage")
    return connected(real, agent="contract")


IMPLEMENTATIONS: dict[str, Open] = {
    "embedded-memory": lambda _, __: embedded(None),
    "embedded-file": lambda folder, _: embedded(folder / "state.db"),
    "kubernetes": lambda _, request: kubernetes(request),
}

CANARY = Kind("flagger.app/v1beta1", "Canary")
CONFIG_MAP = Kind("v1", "ConfigMap")
DEPLOYMENT = Kind("apps/v1", "Deployment")
EVENT = Kind("v1", "Event")
LEASE = Kind("coordination.k8s.io/v1", "Lease")


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with IMPLEMENTATIONS[request.param](tmp_path, request) as opened:
        yield opened


async def new_namespace(cluster: Cluster) -> str:
    name = f"contract-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    if not isinstance(cluster, Embedded):
        await appears(cluster, Ref(CONFIG_MAP, name, "kube-root-ca.crt"))
    return name


async def appears(cluster: Cluster, ref: Ref) -> None:
    """Wait for what a real cluster puts into each namespace, so that no watch sees it coming."""
    async with asyncio.timeout(20):
        while True:
            with suppress(NotFound):
                await cluster.get(ref)
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    name = await new_namespace(cluster)
    yield name
    # A real cluster is used by other tests, too: no controller of theirs should find our Canaries.
    with suppress(ClusterError):
        for item in (await cluster.list(CANARY, name)).items:
            await cluster.delete(Ref.of(item))


@pytest.fixture
def config(namespace: str) -> Ref:
    return Ref(CONFIG_MAP, namespace, "config")


@pytest.fixture
def app(namespace: str) -> Ref:
    return Ref(CANARY, namespace, "app")


def canary(ref: Ref, *, weight: int = 5, **meta: Any) -> Manifest:
    analysis = {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": weight}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": ref.name}
    spec = {"targetRef": target, "service": {"port": 80}, "analysis": analysis}
    return ref.manifest(metadata=meta, spec=spec)


def step_weight(weight: int) -> Manifest:
    return {"spec": {"analysis": {"stepWeight": weight}}}


def phase(name: str) -> Manifest:
    return {"status": {"phase": name}}


def version(manifest: Manifest) -> str:
    found: str = manifest["metadata"]["resourceVersion"]
    return found


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    """The next changes of a watch; a bookmark may come at any time and means nothing here."""
    taken: list[Change] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            change = await anext(changes)
            if change.type != "BOOKMARK":
                taken.append(change)
    return taken


async def exists(cluster: Cluster, ref: Ref) -> bool:
    listing = await cluster.list(ref.kind, ref.namespace)
    return ref in [Ref.of(item) for item in listing.items]


async def vanishes(cluster: Cluster, ref: Ref) -> bool:
    """Wait until an object is gone; a real collector learns of a new kind every 30 s only."""
    listing = await cluster.list(ref.kind, ref.namespace)
    if ref not in [Ref.of(item) for item in listing.items]:
        return True
    async with asyncio.timeout(90):
        async for change in cluster.watch(ref.kind, ref.namespace, listing.resource_version):
            if change.type == "DELETED" and Ref.of(change.object) == ref:
                return True
    return False


# Objects


async def test_the_server_gives_a_new_object_its_identity(cluster: Cluster, app: Ref) -> None:
    made = await cluster.create(canary(app, labels={"team": "a"}))
    meta = made["metadata"]
    assert str(uuid.UUID(meta["uid"])) == meta["uid"]
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["generation"] == 1
    assert meta["labels"] == {"team": "a"}
    assert await cluster.get(app) == made


async def test_a_name_is_taken_once_per_kind_and_namespace(cluster: Cluster, config: Ref) -> None:
    await cluster.create(config.manifest(data={"a": "1"}))
    with pytest.raises(AlreadyExists, match="config"):
        await cluster.create(config.manifest(data={"a": "2"}))
    elsewhere = Ref(CONFIG_MAP, await new_namespace(cluster), "config")
    await cluster.create(elsewhere.manifest())
    await cluster.create(canary(Ref(CANARY, config.namespace, "config")))
    assert (await cluster.get(config))["data"] == {"a": "1"}


async def test_the_server_finds_a_name_where_only_its_beginning_is_given(
    cluster: Cluster, namespace: str
) -> None:
    nameless: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "log-", "namespace": namespace},
    }
    names = {(await cluster.create(nameless))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("log-") and len(name) > len("log-") for name in names)


async def test_what_does_not_exist_is_not_found(cluster: Cluster, config: Ref) -> None:
    with pytest.raises(NotFound, match="config"):
        await cluster.get(config)
    with pytest.raises(NotFound, match="config"):
        await cluster.patch(config, {"data": {"a": "1"}}, manager="test")
    with pytest.raises(NotFound, match="config"):
        await cluster.delete(config)


async def test_a_name_can_be_used_again_by_another_object(cluster: Cluster, config: Ref) -> None:
    first = await cluster.create(config.manifest())
    await cluster.delete(config)
    second = await cluster.create(config.manifest())
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert int(version(first)) < int(version(second))


async def test_what_a_caller_does_to_its_objects_does_not_reach_the_server(
    cluster: Cluster, config: Ref
) -> None:
    given = config.manifest(data={"a": "1"})
    made = await cluster.create(given)
    listed = (await cluster.list(CONFIG_MAP, config.namespace)).items
    [seen] = await take(cluster.watch(CONFIG_MAP, config.namespace, str(int(version(made)) - 1)), 1)
    for mine in (given, made, await cluster.get(config), seen.object, *listed):
        mine.setdefault("data", {})["a"] = "mine"
        mine["metadata"]["labels"] = {"also": "mine"}
    found = await cluster.get(config)
    assert found["data"] == {"a": "1"}
    assert "labels" not in found["metadata"]


async def test_an_event_and_a_lease_are_kept_as_written(cluster: Cluster, namespace: str) -> None:
    about = {"apiVersion": CANARY.api_version, "kind": "Canary", "name": "app"}
    event = Ref(EVENT, namespace, "app.1").manifest(
        involvedObject={**about, "namespace": namespace}, reason="Synced", message="x", count=1
    )
    spec = {"holderIdentity": "me", "renewTime": "2026-01-02T03:04:05.123456Z"}
    made = await cluster.create(event)
    lease = await cluster.create(Ref(LEASE, namespace, "lock").manifest(spec=spec))
    assert {k: made[k] for k in ("reason", "message", "count")} == {
        "reason": "Synced",
        "message": "x",
        "count": 1,
    }
    assert lease["spec"] == spec


# Lists


async def test_a_list_is_of_one_namespace_or_of_all(cluster: Cluster, app: Ref) -> None:
    other = Ref(CANARY, await new_namespace(cluster), "app")
    for ref in (app, other):
        await cluster.create(canary(ref))
    here = [Ref.of(item) for item in (await cluster.list(CANARY, app.namespace)).items]
    everywhere = [Ref.of(item) for item in (await cluster.list(CANARY)).items]
    assert here == [app]
    assert {app, other} <= set(everywhere)


async def test_a_list_by_labels_wants_all_of_them_equal(cluster: Cluster, namespace: str) -> None:
    rows = {"both": {"app": "x", "tier": "web"}, "one": {"app": "x"}, "none": {}}
    for name, labels in rows.items():
        await cluster.create(canary(Ref(CANARY, namespace, name), labels=labels))

    async def chosen(**labels: str) -> set[str]:
        listing = await cluster.list(CANARY, namespace, labels)
        return {item["metadata"]["name"] for item in listing.items}

    assert await chosen() == {"both", "one", "none"}
    assert await chosen(app="x") == {"both", "one"}
    assert await chosen(app="x", tier="web") == {"both"}
    assert await chosen(app="y") == set()


async def test_a_watch_from_a_list_on_misses_nothing(cluster: Cluster, app: Ref) -> None:
    await cluster.create(canary(app))
    listing = await cluster.list(CANARY, app.namespace)
    later = await cluster.patch(app, step_weight(6), manager="test")
    [change] = await take(cluster.watch(CANARY, app.namespace, listing.resource_version), 1)
    assert change == Change("MODIFIED", later)


async def test_metadata_can_be_all_that_is_sent(cluster: Cluster, config: Ref) -> None:
    made = await cluster.create(config.manifest(metadata={"labels": {"a": "b"}}, data={"a": "1"}))
    listing = await cluster.list(CONFIG_MAP, config.namespace, {"a": "b"}, metadata_only=True)
    start = listing.resource_version
    changes = cluster.watch(CONFIG_MAP, config.namespace, start, metadata_only=True)
    later = await cluster.patch(config, {"data": {"a": "2"}}, manager="test")
    [change] = await take(changes, 1)
    assert [*listing.items, change.object] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": each["metadata"]}
        for each in (made, later)
    ]


# Patches


async def test_a_merge_patch_merges_maps_replaces_lists_and_removes_nulls(
    cluster: Cluster, app: Ref
) -> None:
    manifest = canary(app, annotations={"a": "1", "b": "2"})
    manifest["spec"]["service"] |= {"gateways": ["one", "two"], "timeout": "5s"}
    await cluster.create(manifest)
    patch: Manifest = {
        "metadata": {"annotations": {"a": None, "c": "3"}},
        "spec": {"service": {"gateways": ["three"], "timeout": None}},
    }
    patched = await cluster.patch(app, patch, manager="test")
    assert patched["metadata"]["annotations"] == {"b": "2", "c": "3"}
    assert patched["spec"]["service"] == {"port": 80, "gateways": ["three"]}
    assert patched == await cluster.get(app)


async def test_a_write_without_effect_is_no_write(cluster: Cluster, app: Ref) -> None:
    await cluster.create(canary(app))
    made = await cluster.patch(app, phase("Progressing"), manager="test", status=True)
    changes = cluster.watch(CANARY, app.namespace, version(made))
    again = await cluster.patch(app, step_weight(5), manager="test")
    status = await cluster.patch(app, phase("Progressing"), manager="test", status=True)
    absent = await cluster.patch(app, {"spec": {"suspend": None}}, manager="test")
    assert version(made) == version(again) == version(status) == version(absent)
    last = await cluster.patch(app, step_weight(6), manager="test")
    assert await take(changes, 1) == [Change("MODIFIED", last)]


async def test_a_patch_with_a_resource_version_is_compare_and_swap(
    cluster: Cluster, app: Ref
) -> None:
    first = version(await cluster.create(canary(app)))
    second = await cluster.patch(app, step_weight(6), manager="a", resource_version=first)
    for status in (False, True):
        with pytest.raises(Conflict, match="app"):
            await cluster.patch(app, phase("x"), manager="b", resource_version=first, status=status)
    assert await cluster.get(app) == second


async def test_a_resource_version_in_the_patch_compares_too(cluster: Cluster, config: Ref) -> None:
    first = version(await cluster.create(config.manifest(data={"a": "1"})))
    await cluster.patch(config, {"data": {"a": "2"}}, manager="a")
    stale = {"metadata": {"resourceVersion": first}, "data": {"a": "3"}}
    with pytest.raises(Conflict, match="config"):
        await cluster.patch(config, stale, manager="b")


async def test_of_many_who_count_with_compare_and_swap_none_is_lost(
    cluster: Cluster, config: Ref
) -> None:
    await cluster.create(config.manifest(data={"count": "0"}))

    async def increment() -> None:
        while True:
            found = await cluster.get(config)
            data = {"count": str(int(found["data"]["count"]) + 1)}
            with suppress(Conflict):
                await cluster.patch(
                    config, {"data": data}, manager="test", resource_version=version(found)
                )
                return

    async with asyncio.timeout(30):
        await asyncio.gather(*(increment() for _ in range(10)))
    assert (await cluster.get(config))["data"] == {"count": "10"}


async def test_every_write_raises_the_resource_version(cluster: Cluster, app: Ref) -> None:
    seen = [version(await cluster.create(canary(app)))]
    phases = ("Initializing", "Initialized", "Progressing", "Promoting")
    for weight, name in enumerate(phases, start=6):
        seen.append(version(await cluster.patch(app, step_weight(weight), manager="test")))
        seen.append(version(await cluster.patch(app, phase(name), manager="test", status=True)))
    assert seen == sorted(set(seen), key=int)


# Spec and status


async def test_a_status_has_its_own_way_in(cluster: Cluster, app: Ref) -> None:
    made = await cluster.create({**canary(app), **phase("Failed")})
    assert "phase" not in made.get("status", {})
    patched = await cluster.patch(app, {**step_weight(6), **phase("Failed")}, manager="test")
    assert "phase" not in patched.get("status", {})
    both = {**step_weight(7), **phase("Progressing"), "metadata": {"labels": {"a": "b"}}}
    after = await cluster.patch(app, both, manager="test", status=True)
    assert after["status"]["phase"] == "Progressing"
    assert after["spec"] == patched["spec"]
    assert "labels" not in after["metadata"]


async def test_only_a_change_of_the_spec_raises_the_generation(cluster: Cluster, app: Ref) -> None:
    await cluster.create(canary(app))
    label = {"metadata": {"labels": {"a": "b"}}}
    labelled = await cluster.patch(app, label, manager="test")
    status = await cluster.patch(app, phase("Progressing"), manager="test", status=True)
    changed = await cluster.patch(app, step_weight(6), manager="test")
    applied = await cluster.apply(canary(app, weight=7), manager="test")
    generations = [m["metadata"]["generation"] for m in (labelled, status, changed, applied)]
    assert generations == [1, 1, 2, 3]


async def test_nobody_can_write_the_generation(cluster: Cluster, app: Ref) -> None:
    await cluster.create(canary(app))
    patched = await cluster.patch(app, {"metadata": {"generation": 99}}, manager="test")
    assert patched["metadata"]["generation"] == 1


# Watches


async def test_a_watch_without_a_start_begins_with_what_exists(
    cluster: Cluster, namespace: str
) -> None:
    refs = [Ref(CANARY, namespace, name) for name in ("a", "b")]
    made = [await cluster.create(canary(ref)) for ref in refs]
    changes = cluster.watch(CANARY, namespace)
    existing = await take(changes, 2)
    assert {change.type for change in existing} == {"ADDED"}
    assert sorted(map(version, (change.object for change in existing))) == [*map(version, made)]
    later = await cluster.patch(refs[0], step_weight(6), manager="test")
    assert await take(changes, 1) == [Change("MODIFIED", later)]


async def test_a_watch_tells_the_life_of_an_object_in_order(cluster: Cluster, app: Ref) -> None:
    since = (await cluster.list(CANARY, app.namespace)).resource_version
    changes = cluster.watch(CANARY, app.namespace, since)
    added = await cluster.create(canary(app))
    modified = await cluster.patch(app, phase("Progressing"), manager="test", status=True)
    await cluster.delete(app)
    seen = await take(changes, 3)
    assert seen[:2] == [Change("ADDED", added), Change("MODIFIED", modified)]
    assert seen[2].type == "DELETED"
    assert seen[2].object["status"]["phase"] == "Progressing"
    assert int(version(seen[2].object)) > int(version(modified))


async def test_a_watch_is_of_one_kind_and_of_one_namespace_if_named(
    cluster: Cluster, app: Ref
) -> None:
    since = (await cluster.list(CANARY)).resource_version
    here, everywhere = cluster.watch(CANARY, app.namespace, since), cluster.watch(CANARY, "", since)
    other = Ref(CANARY, await new_namespace(cluster), "app")
    await cluster.create(canary(other))
    await cluster.create(Ref(CONFIG_MAP, app.namespace, "app").manifest())
    await cluster.create(canary(app))
    assert [Ref.of(change.object) for change in await take(here, 1)] == [app]
    ours = (c async for c in everywhere if Ref.of(c.object) in {other, app})
    assert [Ref.of(change.object) for change in await take(ours, 2)] == [other, app]


async def test_watches_miss_nothing_and_tell_nothing_twice_among_many_writers(
    cluster: Cluster, namespace: str
) -> None:
    refs = [Ref(CANARY, namespace, f"app-{number}") for number in range(5)]
    since = (await cluster.list(CANARY, namespace)).resource_version
    watches = [cluster.watch(CANARY, namespace, since) for _ in range(3)]
    written: list[str] = []

    async def write(ref: Ref) -> None:
        states = [await cluster.create(canary(ref))]
        states += [
            await cluster.patch(ref, step_weight(weight), manager="test")
            for weight in range(10, 19)
        ]
        written.extend(map(version, states))

    readers = [asyncio.create_task(take(watch, 50)) for watch in watches]
    await asyncio.gather(*map(write, refs))
    for reader in readers:
        seen = [version(change.object) for change in await reader]
        assert seen == sorted(written, key=int)


async def test_a_watch_can_be_given_up_and_taken_up_again(cluster: Cluster, app: Ref) -> None:
    since = version(await cluster.create(canary(app)))
    waiting = asyncio.create_task(take(cluster.watch(CANARY, app.namespace, since), 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    later = await cluster.patch(app, step_weight(6), manager="test")
    again = cluster.watch(CANARY, app.namespace, since)
    assert await take(again, 1) == [Change("MODIFIED", later)]


async def test_closing_ends_the_watches(cluster: Cluster, app: Ref) -> None:
    since = version(await cluster.create(canary(app)))

    async def follow() -> int:
        return len([c async for c in cluster.watch(CANARY, app.namespace, since)])

    following = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.sleep(0)
    await cluster.close()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*following) == [0, 0, 0]


# Deletion


async def test_a_deletion_can_insist_on_the_object_that_was_meant(
    cluster: Cluster, config: Ref
) -> None:
    made = await cluster.create(config.manifest(data={"a": "1"}))
    changed = await cluster.patch(config, {"data": {"a": "2"}}, manager="test")
    with pytest.raises(Conflict, match="config"):
        await cluster.delete(config, uid=str(uuid.uuid4()))
    with pytest.raises(Conflict, match="config"):
        await cluster.delete(config, resource_version=version(made))
    assert await cluster.get(config) == changed
    uid = changed["metadata"]["uid"]
    await cluster.delete(config, uid=uid, resource_version=version(changed))
    assert not await exists(cluster, config)


async def test_a_finalizer_keeps_a_deleted_object_until_it_is_removed(
    cluster: Cluster, app: Ref
) -> None:
    finalizers = ["example.com/first", "example.com/second"]
    made = await cluster.create(canary(app, finalizers=finalizers))
    changes = cluster.watch(CANARY, app.namespace, version(made))
    await cluster.delete(app)
    dying = await cluster.get(app)
    assert dying["metadata"]["deletionTimestamp"].endswith("Z")
    assert dying["metadata"]["generation"] == 2
    await cluster.delete(app)  # asked again, and nothing changes
    for left in (["example.com/second"], None):
        await cluster.patch(app, {"metadata": {"finalizers": left}}, manager="test")
    assert not await exists(cluster, app)
    assert [change.type for change in await take(changes, 3)] == ["MODIFIED", "MODIFIED", "DELETED"]


async def test_what_an_object_owns_is_collected_after_it(cluster: Cluster, app: Ref) -> None:
    owner = await cluster.create(canary(app))
    reference = {
        "apiVersion": app.kind.api_version,
        "kind": app.kind.name,
        "name": app.name,
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    child, grandchild, stranger = (
        Ref(CONFIG_MAP, app.namespace, name) for name in ("child", "grandchild", "stranger")
    )
    made = await cluster.create(child.manifest(metadata={"ownerReferences": [reference]}))
    by_child = {"apiVersion": "v1", "kind": "ConfigMap", "name": "child"}
    by_child["uid"] = made["metadata"]["uid"]
    await cluster.create(grandchild.manifest(metadata={"ownerReferences": [by_child]}))
    await cluster.create(stranger.manifest())
    await cluster.delete(app)
    assert await vanishes(cluster, child)
    assert await vanishes(cluster, grandchild)
    await cluster.get(stranger)


async def test_an_object_lives_as_long_as_one_of_its_owners(
    cluster: Cluster, namespace: str
) -> None:
    owners = [Ref(CONFIG_MAP, namespace, name) for name in ("one", "two")]
    references = []
    for ref in owners:
        uid = (await cluster.create(ref.manifest()))["metadata"]["uid"]
        references.append({"apiVersion": "v1", "kind": "ConfigMap", "name": ref.name, "uid": uid})
    shared, single = (Ref(CONFIG_MAP, namespace, name) for name in ("shared", "single"))
    await cluster.create(shared.manifest(metadata={"ownerReferences": references}))
    await cluster.create(single.manifest(metadata={"ownerReferences": references[:1]}))
    await cluster.delete(owners[0])
    assert await vanishes(cluster, single)
    await cluster.get(shared)
    await cluster.delete(owners[1])
    assert await vanishes(cluster, shared)


async def test_an_owner_in_another_namespace_is_no_owner(cluster: Cluster, config: Ref) -> None:
    owner = await cluster.create(Ref(CONFIG_MAP, await new_namespace(cluster), "far").manifest())
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "far"}
    reference["uid"] = owner["metadata"]["uid"]
    await cluster.create(config.manifest(metadata={"ownerReferences": [reference]}))
    assert await vanishes(cluster, config)


# Server-side apply


async def test_apply_creates_what_does_not_exist(cluster: Cluster, app: Ref) -> None:
    made = await cluster.apply({**canary(app), **phase("Failed")}, manager="me")
    assert made["spec"] == canary(app)["spec"]
    assert "phase" not in made.get("status", {})
    assert made == await cluster.get(app)


async def test_apply_twice_is_apply_once(cluster: Cluster, config: Ref) -> None:
    once = await cluster.apply(config.manifest(data={"a": "1"}), manager="me")
    changes = cluster.watch(CONFIG_MAP, config.namespace, version(once))
    twice = await cluster.apply(config.manifest(data={"a": "1"}), manager="me")
    assert twice == once
    last = await cluster.apply(config.manifest(data={"a": "2"}), manager="me")
    assert await take(changes, 1) == [Change("MODIFIED", last)]


async def test_apply_leaves_the_fields_of_others_alone(cluster: Cluster, config: Ref) -> None:
    await cluster.apply(config.manifest(data={"mine": "1"}), manager="me")
    await cluster.apply(config.manifest(data={"theirs": "1"}), manager="them")
    await cluster.patch(config, {"metadata": {"labels": {"a": "b"}}}, manager="kubectl")
    found = await cluster.apply(config.manifest(data={"mine": "2"}), manager="me")
    assert found["data"] == {"mine": "2", "theirs": "1"}
    assert found["metadata"]["labels"] == {"a": "b"}


async def test_apply_removes_what_only_this_manager_named_before(
    cluster: Cluster, config: Ref
) -> None:
    await cluster.apply(config.manifest(data={"a": "1", "b": "1", "shared": "1"}), manager="me")
    await cluster.apply(config.manifest(data={"shared": "1"}), manager="them")
    found = await cluster.apply(config.manifest(data={"b": "1"}), manager="me")
    assert found["data"] == {"b": "1", "shared": "1"}
    found = await cluster.apply(config.manifest(data={}), manager="them")
    assert found["data"] == {"b": "1"}


async def test_apply_removes_a_map_that_it_made_and_emptied(cluster: Cluster, config: Ref) -> None:
    await cluster.apply(config.manifest(metadata={"labels": {"a": "b"}}), manager="me")
    found = await cluster.apply(config.manifest(), manager="me")
    assert "labels" not in found["metadata"]


async def test_apply_takes_a_field_over_and_the_loser_can_no_longer_remove_it(
    cluster: Cluster, config: Ref
) -> None:
    await cluster.apply(config.manifest(data={"a": "1", "b": "1"}), manager="me")
    await cluster.apply(config.manifest(data={"a": "2"}), manager="them")
    found = await cluster.apply(config.manifest(data={"b": "1"}), manager="me")
    assert found["data"] == {"a": "2", "b": "1"}


async def test_apply_replaces_lists_as_a_whole(cluster: Cluster, app: Ref) -> None:
    manifest = canary(app)
    manifest["spec"]["service"]["gateways"] = ["one", "two"]
    await cluster.apply(manifest, manager="me")
    manifest["spec"]["service"]["gateways"] = ["three"]
    found = await cluster.apply(manifest, manager="them")
    assert found["spec"]["service"]["gateways"] == ["three"]


async def test_apply_does_not_touch_the_status(cluster: Cluster, app: Ref) -> None:
    await cluster.apply(canary(app), manager="me")
    await cluster.patch(app, phase("Progressing"), manager="me", status=True)
    found = await cluster.apply({**canary(app, weight=6), **phase("Failed")}, manager="me")
    assert found["status"]["phase"] == "Progressing"


async def test_apply_with_a_resource_version_is_compare_and_swap(
    cluster: Cluster, config: Ref
) -> None:
    first = await cluster.apply(config.manifest(data={"a": "1"}), manager="me")
    await cluster.apply(config.manifest(data={"a": "2"}), manager="me")
    stale = {"resourceVersion": version(first)}
    with pytest.raises(Conflict, match="config"):
        await cluster.apply(config.manifest(metadata=stale, data={"a": "3"}), manager="me")


async def test_apply_with_a_uid_does_not_make_another_object(cluster: Cluster, config: Ref) -> None:
    first = await cluster.apply(config.manifest(data={"a": "1"}), manager="me")
    meant = {"uid": first["metadata"]["uid"]}
    await cluster.delete(config)
    with pytest.raises(Conflict, match="config"):
        await cluster.apply(config.manifest(metadata=meant, data={"a": "2"}), manager="me")


# Who wrote a field


async def test_the_writer_of_each_field_can_be_told(cluster: Cluster, app: Ref) -> None:
    await cluster.apply(canary(app, labels={"team": "a"}), manager="us")
    await cluster.patch(app, step_weight(20), manager="kubectl-edit")
    found = await cluster.patch(app, phase("Progressing"), manager="reporter", status=True)
    rows = {
        ("spec", "analysis", "stepWeight"): "kubectl-edit",
        ("spec", "analysis", "maxWeight"): "us",
        ("metadata", "labels", "team"): "us",
        ("status", "phase"): "reporter",
        ("spec", "suspend"): "",
    }
    assert {path: writer(found, path) for path in rows} == rows
    taken_back = await cluster.apply(canary(app, weight=5), manager="us")
    assert writer(taken_back, ("spec", "analysis", "stepWeight")) == "us"


async def test_the_writer_inside_a_pod_template_can_be_told(
    cluster: Cluster, namespace: str
) -> None:
    ref = Ref(DEPLOYMENT, namespace, "app")
    labels = {"app": "app"}
    pod = {"containers": [{"name": "web", "image": "web:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    await cluster.apply(ref.manifest(spec=spec), manager="helm")
    found = await cluster.patch(ref, {"spec": {"replicas": 1}}, manager="scaler")
    image = ("spec", "template", "spec", "containers", "0", "image")
    assert writer(found, image) == "helm"
    assert writer(found, ("spec", "replicas")) == "scaler"
