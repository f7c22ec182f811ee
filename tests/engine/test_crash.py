"""Killed before or after any write of a release, the engine ends where the undisturbed one does.

A release is made once to count its writes. Then it is made again for every one of them, with a
process that dies at it, and another one over the same store that goes on.
"""

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.place import Place, a_place, eventually
from tests.engine.receiver import Receiver, receiving
from tests.engine.world import RECORD, ROUTE

HOOKS = ("confirm-rollout", "pre-rollout", "rollout", "confirm-promotion", "post-rollout", "event")


def hooks(receiver: Receiver) -> list[dict[str, Any]]:
    return [
        {"name": kind, "type": kind, "url": f"{receiver.url}{kind}", "timeout": "2s"}
        for kind in HOOKS
    ]


async def outcome(place: Place) -> dict[str, Any]:
    """Everything that a release leaves behind, without what is another every time."""
    found = await place.canary()
    run = found.status.run
    assert run is not None
    assert run.verdict is not None
    [route] = (await place.cluster.list(ROUTE)).items
    primary, target = await place.process("app-primary"), await place.process()
    return {
        "phase": found.status.phase,
        "weights": (found.status.canary_weight, run.split, route["spec"]["split"]),
        "verdict": (run.verdict.outcome, run.verdict.reason),
        "promoted": (found.status.last_promoted_spec, found.status.last_applied_spec),
        "known good": run.known_good,
        "counters": (found.status.failed_checks, found.status.iterations),
        "primary": (primary["spec"], primary["metadata"]["annotations"]),
        "target": target["spec"],
        "records": len((await place.cluster.list(RECORD)).items),
        "conditions": [(each.type, each.status) for each in found.status.conditions],
        "said": sorted(Counter(await place.said()).items()),
    }


async def release(place: Place, bad: bool) -> tuple[str, dict[str, Any]]:
    """Go on with the release of version 2 until it is over, and all is told; its id and outcome."""
    place.requests.bad = {"2"} if bad else set()
    run = (await place.ended("2")).status.run
    assert run is not None
    await place.rests()
    await eventually(lambda: not place.parts.recorder._calls)
    return run.id, await outcome(place)


async def prepared(folder: Path, receiver: Receiver) -> Path:
    """A state file with a Canary at rest, and a new version that nobody has looked at."""
    path = folder / "before.db"
    async with a_place(path) as place:
        await place.ready(webhooks=hooks(receiver))
        await place.end()
        await place.release("2")
        place.build()
    return path


def copied(path: Path, name: str) -> Path:
    return Path(shutil.copy(path, path.with_name(f"{name}.db")))


async def disturbed(path: Path, bad: bool, **dies: int) -> tuple[str, dict[str, Any]]:
    async with a_place(path, begin=False) as place:
        place.requests.bad = {"2"} if bad else set()
        place.port.dies = dies
        await place.start()
        await eventually(lambda: place.port.dead, f"for {dies}")
        await place.restart()
        return await release(place, bad)


@pytest.mark.parametrize("bad", [False, True], ids=["a good release", "a bad release"])
async def test_a_crash_at_any_write_changes_nothing(tmp_path: Path, bad: bool) -> None:
    async with receiving() as receiver:
        before = await prepared(tmp_path, receiver)
        receiver.arrived.clear()
        async with a_place(copied(before, "undisturbed"), begin=False) as place:
            place.requests.bad = {"2"} if bad else set()
            await place.start()
            run, expected = await release(place, bad)
            writes = place.port.writes
        assert writes > 15
        calls = [key.replace(run, "RUN") for key in receiver.called()]
        assert len(calls) == len(set(calls)), "undisturbed, nobody is called twice"
        for number, when in itertools.product(range(writes), ("before", "after")):
            receiver.arrived.clear()
            path = copied(before, f"{when}-{number}")
            run, found = await disturbed(path, bad, **{when: number})
            assert found == expected, f"{when} write {number} of {writes}"
            # Called again, perhaps, but never under another key, by which it would be new. What
            # only told something may be lost with the process that was about to.
            again = {key.replace(run, "RUN") for key in receiver.called()}
            missed = {key for key in set(calls) - again if "/event/" not in key}
            assert (again - set(calls), missed) == (set(), set()), f"{when} {number} of {writes}"
            path.unlink()
