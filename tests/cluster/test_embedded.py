"""What only the embedded cluster promises: the order of its writes, its bounds, its cost."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from canary.cluster.embedded import Embedded
from canary.cluster.port import Change, Kind, Manifest, Ref
from canary.errors import ClusterError, Conflict, Expired, NotFound

CONFIG_MAP = Kind("v1", "ConfigMap")
EVENT = Kind("v1", "Event")
CONFIG = Ref(CONFIG_MAP, "default", "config")
CANARY = Ref(Kind("flagger.app/v1beta1", "Canary"), "default", "app")


def config(number: int, **meta: Any) -> Manifest:
    ref = Ref(CONFIG_MAP, "default", f"config-{number}")
    return ref.manifest(metadata=meta, data={"number": str(number)})


def event(number: int, about: str = "app") -> Manifest:
    involved = {"kind": "Canary", "namespace": "default", "name": about}
    ref = Ref(EVENT, "default", f"{about}.{number}")
    return ref.manifest(involvedObject=involved, message=str(number))


async def messages(cluster: Embedded) -> list[int]:
    return sorted(int(item["message"]) for item in (await cluster.list(EVENT)).items)


async def until(watch: AsyncIterator[Change], enough: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, looking again at each change."""
    async with asyncio.timeout(10):
        while not await enough():
            await anext(watch)


# Order among writes that are under way


async def test_nothing_is_seen_before_it_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    cluster = await Embedded.open(path)
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")  # a writer of ours has to wait for this one
    changes = cluster.watch(CONFIG_MAP)
    seen = asyncio.ensure_future(anext(changes))
    writing = asyncio.create_task(cluster.create(CONFIG.manifest()))
    too_late = asyncio.create_task(cluster.create(CONFIG.manifest()))
    await asyncio.wait({writing, seen, too_late}, timeout=0.1)
    assert not writing.done()
    assert not seen.done()
    assert not too_late.done(), "a refusal doesn't rest on what may still fail"
    with pytest.raises(NotFound):
        await cluster.get(CONFIG)
    locked.execute("ROLLBACK")
    locked.close()
    assert (await seen).object == await writing == await cluster.get(CONFIG)
    with pytest.raises(ClusterError, match="exists already"):
        await too_late
    await cluster.close()


async def test_an_orphan_that_was_just_adopted_is_not_collected(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    cluster = await Embedded.open(path)
    owners = [await cluster.create(config(number)) for number in (1, 2)]
    references = [{"name": "owner", "uid": owner["metadata"]["uid"]} for owner in owners]
    await cluster.create(CONFIG.manifest(metadata={"ownerReferences": references[:1]}))
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")  # holds up the deletion, so that the adoption comes after it
    deleting = asyncio.create_task(cluster.delete(Ref.of(owners[0])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    adoption = {"metadata": {"ownerReferences": references[1:]}}
    adopting = asyncio.create_task(cluster.patch(CONFIG, adoption, manager="test"))
    await asyncio.sleep(0)
    locked.execute("ROLLBACK")
    locked.close()
    await asyncio.gather(deleting, adopting)
    await cluster.create(config(3))  # the collector had its turn before this is done
    assert await cluster.get(CONFIG) == adopting.result()
    await cluster.close()


async def test_a_writer_that_gives_up_waiting_has_written_all_the_same(tmp_path: Path) -> None:
    cluster = await Embedded.open(tmp_path / "state.db")
    writing = asyncio.create_task(cluster.create(CONFIG.manifest()))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    [change] = [await anext(cluster.watch(CONFIG_MAP))]
    assert change.object == await cluster.get(CONFIG)
    await cluster.close()


async def test_closing_finishes_the_writes_under_way(tmp_path: Path) -> None:
    cluster = await Embedded.open(tmp_path / "state.db")
    writing = [asyncio.create_task(cluster.create(config(number))) for number in range(50)]
    await asyncio.sleep(0)
    await cluster.close()
    await asyncio.gather(*writing)
    with pytest.raises(ClusterError, match="closed"):
        await cluster.create(config(51))
    with pytest.raises(ClusterError, match="closed"):
        await anext(cluster.watch(CONFIG_MAP))
    again = await Embedded.open(tmp_path / "state.db")
    assert len((await again.list(CONFIG_MAP)).items) == 50
    await again.close()


async def test_a_conflict_leaves_time_for_the_write_it_lost_to() -> None:
    cluster = await Embedded.open(None)
    old = await cluster.create(CONFIG.manifest())
    winner = asyncio.create_task(cluster.patch(CONFIG, {"data": {"a": "1"}}, manager="a"))
    await asyncio.sleep(0)
    version = old["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await cluster.patch(CONFIG, {"data": {}}, manager="b", resource_version=version)
    assert await cluster.get(CONFIG) == await winner
    await cluster.close()


# Bounds


async def test_a_watch_from_before_the_kept_history_expires() -> None:
    cluster = await Embedded.open(None, history=10)
    made = await cluster.create(CONFIG.manifest())
    since = made["metadata"]["resourceVersion"]
    slow, quick = cluster.watch(CONFIG_MAP, since=since), cluster.watch(CONFIG_MAP, since=since)
    for number in range(25):
        await cluster.patch(CONFIG, {"data": {"n": str(number)}}, manager="test")
        assert (await anext(quick)).object["data"] == {"n": str(number)}
    with pytest.raises(Expired):
        await anext(slow)
    with pytest.raises(Expired):
        await anext(cluster.watch(CONFIG_MAP, since=since))
    recent = cluster.watch(CONFIG_MAP, since=str(int(since) + 15))
    assert [(await anext(recent)).object["data"]["n"] for _ in range(10)] == [
        str(number) for number in range(15, 25)
    ]
    await cluster.close()


async def test_a_quiet_kind_is_not_crowded_out_by_a_busy_one() -> None:
    cluster = await Embedded.open(None, history=10)
    await cluster.create(CANARY.manifest())
    quiet = cluster.watch(CANARY.kind, since=(await cluster.list(CANARY.kind)).resource_version)
    for number in range(25):
        await cluster.create(config(number))
    deleted = await cluster.patch(CANARY, {"spec": {"a": 1}}, manager="test")
    assert (await anext(quiet)).object == deleted
    await cluster.close()


async def test_the_kept_history_is_bounded_in_bytes_as_well() -> None:
    cluster = await Embedded.open(None, history_bytes=100_000)
    made = await cluster.create(CONFIG.manifest())
    changes = cluster.watch(CONFIG_MAP, since=made["metadata"]["resourceVersion"])
    for number in range(20):
        await cluster.patch(CONFIG, {"data": {"n": str(number) * 10_000}}, manager="test")
    with pytest.raises(Expired):
        await anext(changes)
    await cluster.close()


async def test_of_the_events_about_one_object_the_newest_are_kept(tmp_path: Path) -> None:
    cluster = await Embedded.open(tmp_path / "state.db", events=5)
    changes = cluster.watch(EVENT)
    await cluster.create(event(100, about="other"))
    for number in range(12):
        await cluster.create(event(number))

    async def pruned() -> bool:
        return await messages(cluster) == [7, 8, 9, 10, 11, 100]

    await until(changes, pruned)
    repeated = Ref(EVENT, "default", "app.7")
    await cluster.patch(repeated, {"count": 2}, manager="test")
    await cluster.create(event(12))

    async def oldest_gone() -> bool:
        return await messages(cluster) == [7, 9, 10, 11, 12, 100]

    await until(changes, oldest_gone)  # one that was seen again is a new one
    await cluster.close()

    stricter = await Embedded.open(tmp_path / "state.db", events=2)
    changes = stricter.watch(EVENT)

    async def fewer() -> bool:
        return await messages(stricter) == [7, 12, 100]

    await until(changes, fewer)
    await stricter.close()


# Manners of an API server that tests of the real one can't ask for politely


async def test_what_belongs_to_the_server_is_ignored_in_manifests_and_patches() -> None:
    cluster = await Embedded.open(None, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    mine = {
        "creationTimestamp": "1999-01-01T00:00:00Z",
        "deletionTimestamp": "1999-01-01T00:00:00Z",
        "generation": 7,
        "managedFields": [],
    }
    made = await cluster.create(CONFIG.manifest(metadata={**mine, "uid": "mine"}))
    meta = made["metadata"]
    assert meta["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert "deletionTimestamp" not in meta
    assert meta["uid"] != "mine"
    assert await cluster.patch(CONFIG, {"metadata": mine}, manager="test") == made
    with pytest.raises(Conflict, match="another object now"):
        await cluster.patch(CONFIG, {"metadata": {"uid": "mine"}, "data": {}}, manager="test")
    await cluster.close()


REFUSED: dict[str, Manifest] = {
    "another name": {"metadata": {"name": "other"}},
    "another namespace": {"metadata": {"namespace": "other"}},
    "another kind": {"kind": "Secret"},
    "another group": {"apiVersion": "v2"},
}


@pytest.mark.parametrize("patch", REFUSED.values(), ids=REFUSED)
async def test_a_patch_cannot_give_an_object(patch: Manifest) -> None:
    cluster = await Embedded.open(None)
    await cluster.create(CONFIG.manifest())
    with pytest.raises(ClusterError, match="can't be renamed"):
        await cluster.patch(CONFIG, patch, manager="test")
    await cluster.close()


async def test_a_dying_object_takes_no_new_finalizer() -> None:
    cluster = await Embedded.open(None)
    await cluster.create(CONFIG.manifest(metadata={"finalizers": ["a.example/one"]}))
    await cluster.delete(CONFIG)
    late = {"metadata": {"finalizers": ["a.example/one", "a.example/two"]}}
    with pytest.raises(ClusterError, match=r"a\.example/two"):
        await cluster.patch(CONFIG, late, manager="test")
    await cluster.close()


async def test_an_object_without_a_name_is_refused() -> None:
    cluster = await Embedded.open(None)
    nameless = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
    with pytest.raises(ClusterError, match="needs a name"):
        await cluster.create(nameless)
    await cluster.close()


async def test_what_is_not_json_is_refused_and_nothing_is_written() -> None:
    cluster = await Embedded.open(None)
    made = await cluster.create(CONFIG.manifest(data={"a": "1"}))
    for odd in (float("nan"), object()):
        with pytest.raises((TypeError, ValueError), match="JSON"):
            await cluster.patch(CONFIG, {"data": {"a": odd}}, manager="test")
    assert await cluster.get(CONFIG) == made
    changed = await cluster.patch(CONFIG, {"data": {"a": "2"}}, manager="test")
    since = made["metadata"]["resourceVersion"]
    assert int(changed["metadata"]["resourceVersion"]) == int(since) + 1
    await cluster.close()


async def test_a_tuple_is_the_list_it_is_stored_as() -> None:
    cluster = await Embedded.open(None)
    made = await cluster.create(CANARY.manifest(spec={"hosts": ("a", "b")}))
    assert made["spec"]["hosts"] == ["a", "b"]
    again = await cluster.patch(CANARY, {"spec": {"hosts": ("a", "b")}}, manager="test")
    assert again == made
    await cluster.close()


# What it costs


async def test_a_thousand_idle_objects_leave_nothing_to_do(tmp_path: Path) -> None:
    cluster = await Embedded.open(tmp_path / "state.db")
    await asyncio.gather(*(cluster.create(config(number)) for number in range(1000)))
    waiting = asyncio.ensure_future(anext(cluster.watch(CONFIG_MAP, since="1000")))
    await asyncio.sleep(0)
    before = time.process_time()
    await asyncio.wait({waiting}, timeout=0.5)
    assert time.process_time() - before < 0.005
    await cluster.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_durable_status_patch_and_its_watch_cost_less_than_a_millisecond(
    tmp_path: Path,
) -> None:
    cluster = await Embedded.open(tmp_path / "state.db")
    metrics = [{"name": f"metric-{n}", "interval": "1m", "query": "x" * 100} for n in range(5)]
    made = await cluster.create(CANARY.manifest(spec={"analysis": {"metrics": metrics}}))
    changes = cluster.watch(CANARY.kind, since=made["metadata"]["resourceVersion"])
    before = time.process_time()
    for step in range(500):
        status = {"canaryWeight": step, "run": {"step": step, "checks": [{"value": step}]}}
        await cluster.patch(CANARY, {"status": status}, manager="test", status=True)
        assert (await anext(changes)).object["status"]["canaryWeight"] == step
    assert (time.process_time() - before) / 500 < 0.001
    await cluster.close()
