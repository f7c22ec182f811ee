"""Killed without warning at random moments, a release ends as the undisturbed one does.

The rounds of one run of the suite are few, with a seed that is printed; CANARY_ROUNDS asks for
more of the same.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from tests.local.controller import Controller

ROUNDS = int(os.environ.get("CANARY_ROUNDS", "4"))
SEED = int(os.environ.get("CANARY_SEED", str(random.randrange(10**6))))
RELEASE = 5.0
"""Seconds a release takes about; the moment of the kill is drawn from them."""


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Controller]:
    made = Controller(tmp_path)
    made.release("0")
    await made.start()
    yield made
    if made.process and made.process.returncode is not None:
        await made.start()
        await made.until(lambda _: True)
    assert await made.stop() == 0


def settled(revision_before: str) -> Any:
    def check(seen: dict[str, Any]) -> bool:
        return seen["revision"] != revision_before and seen["phase"] in {"Succeeded", "Failed"}

    return check


async def test_ends_as_the_undisturbed_release_does(controller: Controller) -> None:
    print(f"CANARY_SEED={SEED}")
    chance = random.Random(SEED)
    await controller.until(lambda seen: seen["phase"] == "Initialized")
    load = Load(Plan(controller.url, rate=100, duration=60.0 * ROUNDS, capture=("x-version",)))
    running = asyncio.create_task(load.run())
    bad = {str(number) for number in range(1, ROUNDS + 1) if chance.random() < 0.4}
    try:
        for number in range(1, ROUNDS + 1):
            await release_and_kill(controller, str(number), chance, bad=str(number) in bad)
    finally:
        load.stop()
        report = await running
    assert_only_bad_versions_failed(report, bad)


async def release_and_kill(
    controller: Controller, version: str, chance: random.Random, *, bad: bool
) -> None:
    before = (await controller.until(lambda _: True))["revision"]
    controller.release(version, **({"ERROR_RATE": "0.3"} if bad else {}))
    await asyncio.sleep(chance.uniform(0, RELEASE))
    await controller.kill()
    await controller.start()
    seen = await controller.until(settled(before))
    assert seen["phase"] == ("Failed" if bad else "Succeeded"), f"version {version}: {seen}"
    assert seen["weight"] == 0


def assert_only_bad_versions_failed(report: Report, bad: set[str]) -> None:
    tallies = report.captured["x-version"]
    failures = {name: tally.failures for name, tally in tallies.items() if tally.failures}
    assert set(failures) <= bad, f"requests failed that no release is to blame for: {failures}"
    assert not report.errors, report.errors
    assert report.dropped == 0
