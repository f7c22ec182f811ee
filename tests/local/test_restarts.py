"""Stopped, killed, started again: who goes on serving, and what becomes of edits meanwhile."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from canary.local.envoy.ports import obstacle
from tests.local.controller import Place, Shop, unharmed, until


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A service at version 1, under a controller that ends in peace at last."""
    place = Place(tmp_path)
    made = Shop(place)
    made.release("1")
    await place.start()
    await made.phase("Initialized")
    yield made
    if place.process and place.process.returncode is not None:
        await place.start()
        await place.ready()
    assert await place.stop() == 0
    assert left(place) == []
    assert "Traceback" not in place.said()


def services(place: Place) -> set[int]:
    """The processes of a place that serve, by pid."""
    return {each.pid for each in psutil.process_iter() if _belongs(each, place)}


def envoy(place: Place) -> int:
    return int(json.loads((place.state / "envoy.json").read_text())["pid"])


def left(place: Place) -> list[str]:
    """Every process that has this place on its command line or in its environment."""
    found = []
    for each in psutil.process_iter():
        try:
            words, mark = each.cmdline(), each.environ().get("CANARY_STATE", "")
        except psutil.Error:
            continue
        if str(place.state) in (*words, mark) or str(place.folder) in words:
            found.append(f"{each.pid} {' '.join(words)}")
    return found


def _belongs(process: psutil.Process, place: Place) -> bool:
    try:
        here = str(place.state) in process.environ().values()
        return here and "canary.local.sample" in process.cmdline()
    except psutil.Error:
        return False


async def asleep(shop: Shop) -> set[int]:
    """Wait until only the primary runs."""

    def one() -> set[int]:
        found = services(shop.place)
        return found if len(found) == 1 else set()

    found: set[int] = await until("only the primary to run", one)
    return found


async def test_an_edit_while_nobody_was_there_becomes_a_release(shop: Shop) -> None:
    await asleep(shop)
    async with shop.loaded() as reports:
        await shop.place.kill()
        shop.release("2")
        await shop.place.start()
        await shop.weight(30)
        seen = await shop.phase("Succeeded")
    unharmed(reports)
    assert reports[0].captured["x-version"].keys() == {"1", "2"}
    assert seen["verdict"]["outcome"] == "promoted"


async def test_an_envoy_that_is_killed_comes_back_and_the_release_goes_on(shop: Shop) -> None:
    shop.analysis["interval"] = "2s"
    shop.write_canary()
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        before = envoy(shop.place)
        os.kill(before, signal.SIGKILL)
        await shop.place.says("Envoy ended", "starting it again")
        seen = await shop.phase("Succeeded")
    assert envoy(shop.place) != before
    assert seen["failedChecks"] == 0
    # While there was no Envoy nobody could be served, but nothing else went wrong.
    assert reports[0].captured["x-version"].keys() == {"", "1", "2"}
    assert not any(int(status) >= 500 and status != 503 for status in reports[0].statuses)


async def test_a_reboot_brings_everything_up_again_and_starts_no_release(shop: Shop) -> None:
    async with shop.loaded():
        shop.release("2")
        before = await shop.phase("Succeeded")
    await asleep(shop)
    pids = {envoy(shop.place), *services(shop.place)}
    await shop.place.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await until("everything to be dead", lambda: not any(map(psutil.pid_exists, pids)))
    await shop.place.start()
    await until("the service to be up", lambda: served(shop))
    async with shop.loaded() as reports:
        # Nothing is under way to be paused, as whoever looks now can tell.
        body = {"verb": "pause"}
        _, said = await shop.place.post(f"{shop.path}/intents?wait=10", body)
        assert said["state"] == "ignored"
    unharmed(reports)
    assert reports[0].captured["x-version"].keys() == {"2"}, (
        "the promoted version is what users get"
    )
    after = await shop.ask()
    assert (after["phase"], after["startedAt"]) == ("Succeeded", before["startedAt"])
    assert len((await shop.ask("/runs"))["items"]) == 1, "no other release has begun"


async def served(shop: Shop) -> bool:
    """Whether users get an answer."""
    try:
        async with aiohttp.ClientSession() as session, session.get(shop.url) as reply:
            return reply.ok
    except aiohttp.ClientError:
        return False


async def test_a_graceful_stop_leaves_nothing_and_a_start_brings_it_back(shop: Shop) -> None:
    await asleep(shop)
    assert await shop.place.stop() == 0
    assert left(shop.place) == []
    assert obstacle("127.0.0.1", shop.port) == ""
    await shop.place.start()
    await until("the service to be up", lambda: served(shop))
    assert (await shop.ask())["phase"] == "Initialized"
    await asleep(shop)
    assert len((await shop.ask("/runs"))["items"]) == 0


async def test_kept_services_serve_on_and_are_adopted_by_the_next_start(shop: Shop) -> None:
    await shop.place.stop()
    await shop.place.start("--keep")
    await until("the service to be up", lambda: served(shop))
    serving = await asleep(shop)
    before = envoy(shop.place)
    async with shop.loaded() as reports:
        assert await shop.place.stop() == 0
        assert services(shop.place) == serving
        await shop.place.start()
        await shop.phase("Initialized")
        await shop.place.says(f"adopted Envoy, pid {before}")
        assert (services(shop.place), envoy(shop.place)) == (serving, before)
    unharmed(reports)


@pytest.mark.parametrize("file", ["objects.db", "envoy.json", "config/lds.json", "logs"])
async def test_ctrl_c_while_it_starts_leaves_nothing(file: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    shop = Shop(place)
    shop.release("1")
    await place.start()
    assert place.process is not None

    def there() -> bool:
        assert place.process, "it was started above"
        assert place.process.returncode is None, place.said()
        return (place.state / file).exists()

    try:
        await until(f"{file} to be there", there)
        place.process.send_signal(signal.SIGINT)
        assert await place.process.wait() == 0, place.said()
    finally:
        await place.stop()
    assert left(place) == []
    assert obstacle("127.0.0.1", shop.port) == ""
    assert "Traceback" not in place.said()


async def test_a_release_that_is_stopped_in_the_middle_goes_on_with_the_next_start(
    shop: Shop,
) -> None:
    async with shop.loaded():
        shop.release("2")
        before = await shop.weight(30)
        assert await shop.place.stop() == 0
        assert left(shop.place) == []
        await shop.place.start()
        seen = await shop.phase("Succeeded")
    assert seen["startedAt"] == before["startedAt"]
    assert seen["failedChecks"] == 0
