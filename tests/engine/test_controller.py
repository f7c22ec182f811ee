"""Which Canary is looked at when, and what may go wrong without anybody else noticing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from canary.cluster.port import Ref
from canary.core.actions import Wait
from canary.crd import Canary
from canary.crd.status import Phase
from canary.engine import controller as module
from canary.engine.manifests import reading
from canary.engine.parts import Parts
from canary.engine.tick import tick as whole_tick
from canary.errors import ClusterError, Conflict
from tests.engine.place import Place, a_place, eventually
from tests.engine.world import CANARY, PROCESS, canary, process

Tick = Callable[[Parts, Canary], Awaitable[Wait | None]]
AGES = 60.0


def ticking(monkeypatch: pytest.MonkeyPatch, tick: Tick) -> None:
    monkeypatch.setattr(module, "tick", tick)


async def make(place: Place, *names: str) -> None:
    for name in names:
        await place.apply(canary(name))


def failing(error: Exception, counts: list[float]) -> Tick:
    async def tick(_parts: Parts, _canary: Canary) -> Wait | None:
        counts.append(asyncio.get_running_loop().time())
        raise error

    return tick


async def test_a_good_version_is_promoted_and_a_bad_one_taken_back(place: Place) -> None:
    await place.ready()
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
    place.requests.bad = {"3"}
    await place.release("3")
    assert (await place.ended("3")).status.phase == Phase.FAILED
    primary = await place.process("app-primary")
    assert primary["spec"]["template"]["env"]["VERSION"] == "2"
    assert (await place.process())["spec"]["suspend"] is True


async def test_an_idle_canary_costs_nothing(place: Place) -> None:
    await place.ready("a", "b", "c")
    place.port.calls.clear()
    writes, entries = place.port.writes, len(place.journal.entries("test/a"))
    await asyncio.sleep(0.3)  # long enough for fifteen analysis intervals
    assert place.controller._scheduler.get_jobs() == []
    assert place.port.calls == []
    assert (place.port.writes, place.requests.asked) == (writes, 0)
    assert len(place.journal.entries("test/a")) == entries


async def test_a_change_is_seen_at_once(place: Place) -> None:
    await place.ready()
    began = asyncio.get_running_loop().time()
    await place.release("2")
    await place.until("app", lambda each: each.status.phase == Phase.PROGRESSING)
    assert asyncio.get_running_loop().time() - began < 0.3


async def test_a_wait_is_a_job_and_ends_with_the_run(place: Place) -> None:
    await place.ready(interval="10s")
    place.parts.checks._minimum = 10.0
    await place.release("2")
    await eventually(lambda: place.controller.waits("test/app") is not None)
    due = place.controller.waits("test/app")
    assert due is not None
    assert 0 < (due - datetime.now(UTC)).total_seconds() <= 10.1
    await place.release("1")
    await place.until("app", lambda each: each.status.phase == Phase.SUCCEEDED)
    await place.rests()
    assert place.controller.waits("test/app") is None


async def test_one_tick_of_a_canary_at_a_time_and_none_is_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, ticks = 0, 0, 0

    async def tick(_parts: Parts, _canary: Canary) -> Wait | None:
        nonlocal under_way, most, ticks
        under_way, ticks = under_way + 1, ticks + 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return None

    ticking(monkeypatch, tick)
    await make(place, "app")
    await eventually(lambda: ticks == 1)
    for _ in range(20):
        place.controller.wake("test/app")
    await place.rests()
    assert (most, ticks) == (1, 2), "however often it was woken, one more look is enough"


async def test_ticks_of_different_canaries_go_side_by_side_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way, go = set[str](), asyncio.Event()

    async def tick(_parts: Parts, canary: Canary) -> Wait | None:
        under_way.add(canary.name)
        await go.wait()
        under_way.discard(canary.name)
        return None

    ticking(monkeypatch, tick)
    async with a_place(at_once=3) as place:
        await make(place, "a", "b", "c", "d", "e")
        await eventually(lambda: len(place.controller._running) == 5)
        await eventually(lambda: len(under_way) == 3)
        go.set()
        await place.rests()
        assert under_way == set()


DISTURBED: dict[str, Callable[[], Awaitable[Any]]] = {
    "one that hangs": lambda: asyncio.sleep(AGES),
    "one with a bug": lambda: _raise(KeyError("a bug")),
    "one whose cluster says no": lambda: _raise(ClusterError("no")),
}


async def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("trouble", DISTURBED.values(), ids=DISTURBED)
async def test_does_not_disturb_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[], Awaitable[Any]]
) -> None:
    real = whole_tick

    async def tick(parts: Parts, canary: Canary) -> Wait | None:
        if canary.name == "sick":
            await trouble()
        return await real(parts, canary)

    await place.ready("well")
    ticking(monkeypatch, tick)
    monkeypatch.setattr(module, "TICK_LIMIT", 0.1)
    await make(place, "sick")
    await eventually(lambda: place.controller.waits("test/sick") is not None)
    await place.release("2", "well")
    assert (await place.ended("2", "well")).status.phase == Phase.SUCCEEDED
    assert place.controller.waits("test/sick") is not None


async def test_a_tick_that_hangs_is_ended_and_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_LIMIT", 0.05)

    async def tick(_parts: Parts, _canary: Canary) -> Wait | None:
        await asyncio.sleep(AGES)
        return None

    ticking(monkeypatch, tick)
    await make(place, "app")
    await eventually(lambda: place.controller.waits("test/app") is not None)
    assert await place.said() == ["a tick took more than 0.05 s"]


def test_hooks_may_take_the_time_they_were_given() -> None:
    hook = {"name": "tests", "type": "pre-rollout", "url": "http://localhost/", "timeout": "10m"}
    manifest = canary(webhooks=[hook])
    manifest["metadata"]["uid"] = "u"
    found = reading(manifest, None).canary
    assert module._limit(found) == module.TICK_LIMIT + 600


async def test_tries_again_ever_more_rarely_and_soon_again_once_it_went_well(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(module, "LONGEST_RETRY", 0.1)
    times: list[float] = []
    ticking(monkeypatch, failing(ClusterError("no"), times))
    await make(place, "app")
    await eventually(lambda: len(times) == 8)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[0] >= 0.01
    assert max(gaps[4:]) >= 0.05, "half of the longest at least"
    assert len(set(gaps)) == len(gaps), "with jitter"

    async def well(_parts: Parts, _canary: Canary) -> Wait | None:
        return None

    ticking(monkeypatch, well)
    await eventually(lambda: place.controller.waits("test/app") is None)
    await eventually(lambda: place.controller._failures == {})


@pytest.mark.parametrize("what", ["patch status of Canary", "apply ControllerRevision"])
async def test_a_conflict_is_tried_again_soon_and_is_no_news(place: Place, what: str) -> None:
    await place.ready()
    left = [1]

    def meanwhile(call: str) -> BaseException | None:
        if call.startswith(what) and left[0]:
            left[0] -= 1
            return Conflict("somebody was faster")
        return None

    place.port.meanwhile = meanwhile
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
    assert left == [0]
    assert not any("faster" in text for text in await place.said())


async def test_a_canary_that_is_deleted_leaves_nothing_in_the_controller(place: Place) -> None:
    await place.ready()
    await place.release("2")
    await place.ended("2")
    assert place.series("flagger_canary_status", name="app", namespace="test") == 1
    await place.cluster.delete(Ref(CANARY, "test", "app"))
    await eventually(lambda: "test/app" not in place.controller._subjects)
    await place.rests()
    assert place.controller._scheduler.get_jobs() == []
    assert place.controller._subjects._interested == {}
    named = [
        sample
        for metric in place.numbers.registry.collect()
        for sample in metric.samples
        if "app" in (sample.labels.get("name", ""), sample.labels.get("workload", ""))
        and not sample.name.startswith(("flagger_canary_successes", "flagger_canary_failures"))
    ]
    assert named == []
    assert place.series("flagger_canary_total", namespace="test") == 0
    assert (await place.process())["spec"]["suspend"] is False, "the target took over"
    refs = [Ref.of(each) for each in (await place.cluster.list(PROCESS)).items]
    assert refs == [Ref(PROCESS, "test", "app")]


async def test_a_restart_goes_on_with_a_run_that_is_half_done(place: Place) -> None:
    await place.ready(stepWeights=[10, 20, 30, 40, 50])
    await place.release("2")
    seen = await place.until("app", lambda each: each.status.canary_weight >= 20)
    await place.restart()
    done = await place.ended("2")
    assert done.status.phase == Phase.SUCCEEDED
    assert seen.status.run
    assert done.status.run
    assert done.status.run.id == seen.status.run.id


async def test_a_restart_writes_nothing_about_those_at_rest(place: Place) -> None:
    await place.ready("a", "b")
    before = [await place.canary(name) for name in ("a", "b")]
    await place.restart()
    await place.rests()
    assert [await place.canary(name) for name in ("a", "b")] == before


async def test_is_not_ready_before_everything_is_listed() -> None:
    async with a_place(begin=False) as place:
        assert place.controller.unready() == ["the controller has not started yet"]
        await place.start()
        assert place.controller.unready() == []


async def test_a_kind_that_can_never_be_listed_holds_up_only_its_own_canaries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TICK_LIMIT", 0.1)
    async with a_place(at_once=1) as place:
        real = place.port.list

        async def listed(kind: Any, *args: Any, **options: Any) -> Any:
            if kind == PROCESS:
                raise ClusterError("the server could not find the requested resource")
            return await real(kind, *args, **options)

        monkeypatch.setattr(place.port, "list", listed)
        await make(place, "app")
        await eventually(lambda: place.controller.waits("test/app") is not None)
        assert place.controller.unready() == ["Process objects have not been listed yet"]
        monkeypatch.setattr(place.port, "list", real)
        await place.apply(process())
        await place.until("app", lambda each: each.status.phase == Phase.INITIALIZED)
