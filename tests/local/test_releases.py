"""What people do with releases, done to a real `canary local` under load.

One controller has all of these services, and a few of them are played at a time: most of a
release is waiting. What is asserted of each is that its users were served, whatever happened.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from canary.local.envoy.ports import obstacle
from tests.local.controller import Place, Shop, unharmed, until

AT_ONCE = 6
"""Services played at a time; more of them would wait for the machine, not for canary."""
SCENE = 60.0
"""Seconds that a scene may take on a machine that is busy with others."""

Scene = Callable[[Place], Awaitable[None]]


async def opened(shop: Shop, **process: Any) -> Shop:
    """Version 1 is there and serves."""
    shop.release("1", **process)
    await shop.phase("Initialized")
    return shop


async def answer(shop: Shop, **headers: str) -> str:
    """The version that answers."""
    async with aiohttp.ClientSession() as session, session.get(shop.url, headers=headers) as reply:
        return reply.headers["x-version"]


async def good(place: Place) -> None:
    shop = await opened(Shop(place, "good"), spec={"replicas": 2})
    async with shop.loaded(100) as reports:
        shop.release("2", spec={"replicas": 2})
        await shop.weight(30)
        assert "gets 30% of the traffic while it is analysed" in await shop.explained()
        await shop.weight(60)
        seen = await shop.phase("Succeeded")
        assert await answer(shop) == "2"
    unharmed(reports)
    assert reports[0].captured["x-version"].keys() == {"1", "2"}
    assert (seen["weight"], seen["verdict"]["outcome"]) == (0, "promoted")
    assert await shop.events() == [
        "Process good is set up; its primary serves",
        "a new revision of good in default: scaling it up",
        "the analysis of good begins",
        "default/good: the canary gets 30%",
        "default/good: the canary gets 60%",
        "copying good to good-primary in default: every check passed",
        "all traffic of good goes to the primary",
        "good is promoted; its canary sleeps",
    ]
    assert "nothing, until Process good changes" in await shop.explained()


async def bad(place: Place) -> None:
    shop = await opened(Shop(place, "bad", metrics=[_metric("request-success-rate", min=99)]))
    async with shop.loaded(100) as reports:
        shop.release("2", {"ERROR_RATE": "0.1"})
        seen = await shop.phase("Failed")
        assert await answer(shop) == "1"
        await shop.intend("retry", "the database was down")
        await shop.until(lambda seen: seen["phase"] == "Progressing" and seen["weight"])
        again = await shop.phase("Failed")
    unharmed(reports, "2")
    assert "requests is below 99% (failed check 1 of 1)" in seen["verdict"]["reason"]
    assert seen["weight"] == 0
    assert again["revision"] == seen["revision"]
    assert again["startedAt"] > seen["startedAt"]
    explained = await shop.explained()
    assert "was taken back; the primary has all traffic" in explained
    assert "nothing, until Process bad changes or the release is retried" in explained


async def slow(place: Place) -> None:
    bounds = [_metric("request-success-rate", min=99), _metric("request-duration", max=100)]
    shop = await opened(Shop(place, "slow", metrics=bounds))
    async with shop.loaded() as reports:
        shop.release("2", {"LATENCY": "200"})
        seen = await shop.phase("Failed")
    unharmed(reports)
    assert "p99 latency" in seen["verdict"]["reason"]
    assert "is above 100ms" in seen["verdict"]["reason"]


async def hopeless(shop: Shop, **process: Any) -> str:
    """Release what can't work, and return in which words it was taken back."""
    await opened(shop)
    async with shop.loaded() as reports:
        shop.release("2", spec={"progressDeadlineSeconds": 2}, **process)
        seen = await shop.phase("Failed")
    unharmed(reports)
    assert reports[0].captured["x-version"].keys() == {"1"}, "nothing was to reach it"
    return str(seen["verdict"]["reason"])


async def crashing(place: Place) -> None:
    command = ("$(PYTHON)", "-c", "raise SystemExit('there is no database')")
    reason = await hopeless(Shop(place, "crashing"), command=command)
    assert "exited with code 1" in reason
    assert "there is no database" in reason


async def misspelled(place: Place) -> None:
    reason = await hopeless(Shop(place, "misspelled"), command=("no-such-program", "--port"))
    assert "no-such-program" in reason
    assert "no such program" in reason.lower() or "not found" in reason.lower()


async def never_ready(place: Place) -> None:
    reason = await hopeless(Shop(place, "sleepy"), env={"READY_AFTER": "3600"})
    assert "no progress for 2 s" in reason
    assert "503" in reason


async def aborted(place: Place) -> None:
    shop = await opened(Shop(place, "aborted", interval="1h"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        await shop.intend("abort", "errors in the logs")
        await shop.phase("Failed")
    unharmed(reports)
    explained = await shop.explained()
    assert "was stopped and taken back" in explained
    assert "abort by ann: errors in the logs" in explained


async def paused(place: Place) -> None:
    shop = await opened(Shop(place, "paused"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        await shop.intend("pause", "looking at the logs")
        before = (await shop.ask())["manifest"]["status"]["run"]["interval"]
        held = await shop.until(lambda seen: _interval(seen) >= before + 3)
        assert (held["weight"], held["paused"]) == (30, True)
        assert "paused by ann" in await shop.explained()
        await shop.intend("resume")
        await shop.phase("Succeeded")
    unharmed(reports)


async def breached_while_paused(place: Place) -> None:
    shop = await opened(Shop(place, "breached", interval="2s"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        await shop.intend("pause")
        shop.analysis["metrics"] = [_metric("request-duration", max=0.5)]
        shop.write_canary()
        seen = await shop.phase("Failed")
    unharmed(reports)
    assert "is above 0.5ms" in seen["verdict"]["reason"]


async def hurried(place: Place) -> None:
    shop = await opened(Shop(place, "hurried", interval="1h"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        await shop.intend("skip-step")
        await shop.weight(60)
        await shop.intend("promote", "it is urgent")
        seen = await shop.phase("Succeeded")
    unharmed(reports)
    assert seen["verdict"]["reason"] == "promote by ann: it is urgent"


async def edited(place: Place) -> None:
    shop = await opened(Shop(place, "edited", interval="1h"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        first = (await shop.ask())["revision"]
        shop.release("3")
        await shop.until(lambda seen: seen["revision"] != first and seen["weight"] == 30)
        shop.analysis["interval"] = "1s"
        shop.write_canary()
        await shop.phase("Succeeded")
        assert await answer(shop) == "3"
    unharmed(reports)
    assert "a newer revision of edited in default: scaling it up" in await shop.events()


async def set_back(place: Place) -> None:
    shop = await opened(Shop(place, "set-back", interval="1h"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        shop.release("1")
        seen = await shop.phase("Succeeded")
    unharmed(reports)
    assert seen["verdict"] | {"at": ""} == {
        "outcome": "cancelled",
        "reason": "the target was set back",
        "at": "",
    }
    assert "was cancelled; the primary serves" in await shop.explained()


async def suspended(place: Place) -> None:
    shop = await opened(Shop(place, "suspended"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        shop.write_canary(suspend=True)
        await shop.until(lambda seen: seen["suspended"])
        shop.release("3")
        explained = await shop.explained()
        shop.write_canary(suspend=False)
        await shop.phase("Succeeded")
        assert await answer(shop) == "3"
    unharmed(reports)
    assert "is suspended in phase Progressing" in explained
    assert "nothing, until spec.suspend is taken back" in explained


async def scaled(place: Place) -> None:
    shop = await opened(Shop(place, "scaled"))
    async with shop.loaded() as reports:
        shop.release("1", spec={"replicas": 2})
        await shop.weight(30)
        await shop.phase("Succeeded")
    unharmed(reports)


async def let_go(place: Place) -> None:
    shop = await opened(Shop(place, "let-go"))
    async with shop.loaded() as reports:
        place.remove(shop.canary_file)
        await _gone(shop)
        shop.release("2")
        await _answers(shop, "2")
        shop.write_canary()
        await shop.phase("Initialized")
        shop.release("3")
        await shop.phase("Succeeded")
    unharmed(reports)


async def let_go_under_way(place: Place) -> None:
    shop = await opened(Shop(place, "left", interval="1h"))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        place.remove(shop.canary_file)
        await _gone(shop)
        await _answers(shop, "2")
    unharmed(reports)


async def removed(place: Place) -> None:
    shop = await opened(Shop(place, "removed"))
    place.remove(shop.canary_file)
    place.remove(shop.process_file)
    await _gone(shop)
    await until("its port to be free", lambda: not obstacle("127.0.0.1", shop.port))


async def ab_tested(place: Place) -> None:
    match = [{"headers": {"x-tester": {"exact": "yes"}}}]
    shop = await opened(Shop(place, "ab", iterations=2, match=match, threshold=5))
    async with shop.loaded() as reports, _asking(shop, "x-tester", "yes") as seen:
        shop.release("2")
        await until("testers to see version 2", lambda: "2" in seen)
        assert await answer(shop) == "1"
        await shop.phase("Succeeded")
    unharmed(reports)
    assert "default/ab: iteration 2 of 2" in await shop.events()


async def mirrored(place: Place) -> None:
    shop = await opened(Shop(place, "mirrored", iterations=2, mirror=True))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.until(lambda seen: seen["iterations"] == 1)
        assert "gets a copy of the traffic" in await shop.explained()
        assert await answer(shop) == "1"
        await shop.weight(100)
        await shop.phase("Succeeded")
    unharmed(reports)


async def faithful(place: Place) -> None:
    shop = await opened(
        Shop(place, "faithful", interval="1h", sessionAffinity={"cookieName": "seen"})
    )
    shop.release("2")
    await shop.weight(30)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:

        async def sees_it() -> bool:
            return await _version(visitor, shop.url) == "2"

        await until("a visitor to see version 2", sees_it)
        assert {await _version(visitor, shop.url) for _ in range(50)} == {"2"}
        await shop.intend("abort")
        await shop.phase("Failed")
        assert {await _version(visitor, shop.url) for _ in range(10)} == {"1"}


async def shifted_back_in_steps(place: Place) -> None:
    shop = await opened(Shop(place, "stepwise", stepWeights=[100], stepWeightPromotion=40))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.phase("Succeeded")
    unharmed(reports)
    events = await shop.events()
    copied = "copying stepwise to stepwise-primary in default: every check passed"
    assert events[events.index(copied) + 1 :] == [
        "the primary gets 40%",
        "the primary gets 80%",
        "all traffic of stepwise goes to the primary",
        "stepwise is promoted; its canary sleeps",
    ]


async def unanalysed(place: Place) -> None:
    shop = await opened(Shop(place, "unanalysed", spec={"skipAnalysis": True}))
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.phase("Succeeded")
    unharmed(reports)
    assert "unanalysed is promoted without analysis; its canary sleeps" in await shop.events()


async def approved(place: Place) -> None:
    async with _gate() as gate:
        hook = {"name": "sign-off", "type": "confirm-promotion", "url": gate.url}
        shop = await opened(Shop(place, "approved", webhooks=[hook]))
        async with shop.loaded() as reports:
            shop.release("2")
            await shop.phase("WaitingPromotion")
            explained = await shop.explained()
            asked = len(gate.asked)
            await until("the gate to be asked again", lambda: len(gate.asked) > asked)
            assert (await shop.ask())["phase"] == "WaitingPromotion"
            gate.open = True
            await shop.phase("Succeeded")
    unharmed(reports)
    assert "waits for approval to be promoted" in explained
    assert "sign-off has not approved promotion" in explained
    assert "403" in explained
    assert "sign-off approved" in await shop.events()
    assert gate.asked[0]["name"] == "approved"


async def unprepared(place: Place) -> None:
    async with _gate() as gate:
        hook = {"name": "smoke", "type": "pre-rollout", "url": gate.url}
        shop = await opened(Shop(place, "unprepared", webhooks=[hook], threshold=2))
        async with shop.loaded() as reports:
            shop.release("2")
            seen = await shop.phase("Failed")
    unharmed(reports)
    assert reports[0].captured["x-version"].keys() == {"1"}, "nothing was to reach it"
    assert len(gate.asked) == 2
    assert "pre-rollout hook failed: smoke: " in seen["verdict"]["reason"]
    assert "403" in seen["verdict"]["reason"]


async def self_loaded(place: Place) -> None:
    command = "hey -z 1m -q 20 -c 2 http://self-canary.default:{port}/"
    shop = Shop(place, "self")
    shop.analysis["webhooks"] = [
        {
            "name": "load-test",
            "url": "http://loadtester.test/",
            "metadata": {"cmd": command.format(port=shop.port)},
        }
    ]
    shop.write_canary()
    await opened(shop)
    shop.release("2")
    seen = await shop.phase("Succeeded")
    assert seen["checks"][0]["samples"] > 20


async def unvisited(place: Place) -> None:
    shop = await opened(Shop(place, "unvisited"))
    shop.release("2")
    await shop.weight(30)
    await shop.until(lambda seen: _interval(seen) >= 3)
    seen = await shop.ask()
    assert (seen["phase"], seen["weight"], seen["failedChecks"]) == ("Progressing", 30, 0)
    explained = await shop.explained()
    assert "the checks say neither yes nor no" in explained
    assert "no requests" in explained
    assert any(each.startswith("held at 30%: ") for each in await shop.events())
    async with shop.loaded():
        await shop.phase("Succeeded")


async def unmeasured(place: Place) -> None:
    shop = Shop(place, "unmeasured", spec={"metricsServer": "http://127.0.0.1:1"})
    await opened(shop)
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        seen = await shop.until(lambda seen: _interval(seen) >= 3 and seen["checks"])
        explained = await shop.explained()
        await shop.intend("abort")
        await shop.phase("Failed")
    unharmed(reports)
    assert (seen["phase"], seen["weight"], seen["failedChecks"]) == ("Progressing", 30, 0)
    assert [each["outcome"] for each in seen["checks"]] == ["error"]
    assert "127.0.0.1:1" in explained
    assert "that counts against nobody" in explained


SCENES: dict[str, Scene] = {
    "a good version is promoted, and its users notice nothing": good,
    "a version with 10% errors is taken back, and again when it is retried": bad,
    "a version that is too slow is taken back": slow,
    "a version that crashes at once gets no traffic, and its last words are told": crashing,
    "a command that does not exist gets no traffic, and is named": misspelled,
    "a version that never becomes ready gets no traffic": never_ready,
    "an aborted release goes back": aborted,
    "a paused release stays where it is until it is resumed": paused,
    "a breach takes a paused release back, by bounds that were edited meanwhile": (
        breached_while_paused
    ),
    "a step is skipped, and the rest of them by promoting": hurried,
    "an edit in the middle of a release begins a new one": edited,
    "setting the Process back in the middle of a release cancels it": set_back,
    "a suspended Canary does nothing, and then goes on with the newest version": suspended,
    "another number of replicas is a new version": scaled,
    "a Canary that is deleted leaves the service reachable, and may come back": let_go,
    "a Canary may be deleted in the middle of a release": let_go_under_way,
    "a service whose files are both deleted is gone, with its port": removed,
    "an A/B test shows the new version to those who match": ab_tested,
    "blue/green mirrors the traffic before it moves it": mirrored,
    "who has seen the new version keeps seeing it, until it is taken back": faithful,
    "traffic goes back to the new primary in steps": shifted_back_in_steps,
    "without an analysis a version is promoted as soon as it is ready": unanalysed,
    "promotion waits for the approval of a gate": approved,
    "failing pre-rollout hooks keep users away from a version": unprepared,
    "a load test named by the manifest brings the traffic to judge by": self_loaded,
    "no traffic is no verdict: the release is held, and says so": unvisited,
    "a metrics server that is out of reach is no verdict either": unmeasured,
}


def _metric(name: str, **bounds: float) -> dict[str, Any]:
    return {"name": name, "thresholdRange": bounds}


def _interval(seen: dict[str, Any]) -> int:
    """Counts the intervals of a run."""
    return int(seen["manifest"]["status"]["run"]["interval"])


async def _version(session: aiohttp.ClientSession, url: str, **headers: str) -> str:
    async with session.get(url, headers=headers) as reply:
        return reply.headers["x-version"]


async def _answers(shop: Shop, version: str) -> None:
    """Wait until only this version answers."""

    async def alone() -> bool:
        async with aiohttp.ClientSession() as session:
            return {await _version(session, shop.url) for _ in range(10)} == {version}

    await until(f"version {version} to answer", alone)


async def _gone(shop: Shop) -> None:
    """Wait until there is no such Canary any more."""

    async def absent() -> bool:
        return await shop.ask() is None

    await until(f"{shop.name} to be gone", absent)


@asynccontextmanager
async def _asking(shop: Shop, header: str, value: str) -> AsyncIterator[set[str]]:
    """Somebody who sends a header, all the time; and which versions have answered so far."""
    seen: set[str] = set()

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                seen.add(await _version(session, shop.url, **{header: value}))
                await asyncio.sleep(0.05)

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Gate:
    """A webhook that says no until it is opened."""

    def __init__(self) -> None:
        self.open, self.url = False, ""
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.Response(status=200 if self.open else 403)


@asynccontextmanager
async def _gate() -> AsyncIterator[Gate]:
    gate, application = Gate(), web.Application()
    application.router.add_post("/", gate.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        gate.url = f"http://{host}:{port}/"
        yield gate
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, BaseException | None]:
    """How each of the scenes that were asked for went."""
    names = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    return asyncio.run(_play(tmp_path_factory.mktemp("place"), names))


async def _play(home: Path, names: list[str]) -> dict[str, BaseException | None]:
    place, limit = Place(home), asyncio.Semaphore(AT_ONCE)

    async def one(scene: Scene) -> None:
        async with limit, asyncio.timeout(SCENE):
            await scene(place)

    await place.start()
    try:
        await place.ready()
        results = await asyncio.gather(
            *(one(SCENES[name]) for name in names), return_exceptions=True
        )
    finally:
        code = await place.stop()
    assert code == 0, place.said()
    assert "Traceback" not in place.said()
    return dict(zip(names, results, strict=True))


@pytest.mark.parametrize("name", SCENES)
def test_a_release(name: str, played: dict[str, BaseException | None]) -> None:
    if error := played[name]:
        raise error
