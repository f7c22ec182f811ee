"""The CPU time of a whole tick in local mode: `python -m benchmarks.tick`.

A real `canary local` releases the sample service, one percent more each second, and reads a real
Envoy for two checks each time. What the process uses at rest, under the same requests, is taken
off. All that an interval takes is counted as one tick: looking, checking, writing and telling it,
moving the traffic, and the look that follows.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from tests.local.controller import Controller

REACH = 10.0
"""Milliseconds of CPU."""
RATE = 50.0
LOOKS = "flagger_canary_duration_seconds_count"


@dataclass(frozen=True)
class Mark:
    """Where the controller stands; the difference of two says what went on between them."""

    cpu: float
    at: float
    weight: int
    looks: float


async def mark(controller: Controller) -> Mark:
    seen, looks = await controller.until(lambda _: True), await counted(controller)
    assert controller.process is not None
    times = psutil.Process(controller.process.pid).cpu_times()
    now = asyncio.get_running_loop().time()
    return Mark(times.user + times.system, now, int(seen["weight"]), looks)


async def counted(controller: Controller) -> float:
    url = f"http://127.0.0.1:{controller.api_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        families = text_string_to_metric_families(await answer.text())
        samples = [each for family in families for each in family.samples if each.name == LOOKS]
    return sum(each.value for each in samples)


async def measure(home: Path, seconds: float) -> tuple[Mark, Mark, Mark, Mark]:
    """At rest from and to, under way from and to."""
    metrics = [
        {"name": "request-success-rate", "thresholdRange": {"min": 90}},
        {"name": "request-duration", "thresholdRange": {"max": 5000}},
    ]
    steps = list(range(1, 100))
    controller = Controller(home, stepWeights=steps, metrics=metrics, threshold=5)
    controller.release("0")
    await controller.start()
    load = Load(Plan(controller.url, rate=RATE, duration=4 * seconds + 60))
    try:
        await controller.until(lambda seen: seen["phase"] == "Initialized")
        running = asyncio.create_task(load.run())
        rest = await mark(controller)
        await asyncio.sleep(seconds / 2)
        rested = await mark(controller)
        controller.release("1")
        await controller.until(lambda seen: seen["weight"] >= 2)
        began = await mark(controller)
        await asyncio.sleep(seconds)
        ended = await mark(controller)
        load.stop()
        await running
    finally:
        await controller.stop()
    return rest, rested, began, ended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rest, rested, began, ended = asyncio.run(measure(Path(home) / "home", asked.seconds))
    idle = (rested.cpu - rest.cpu) / (rested.at - rest.at)
    spent = 1000 * (ended.cpu - began.cpu - idle * (ended.at - began.at))
    ticks, looks = ended.weight - began.weight, ended.looks - began.looks
    table = Table("figure", "measured", "reach", title=f"CPU of a tick, mean of {ticks}")
    table.add_row("a whole tick", f"{spent / max(ticks, 1):.1f} ms", f"{REACH:g} ms")
    table.add_row(f"each of its {looks / max(ticks, 1):.1f} looks", f"{spent / looks:.1f} ms", "")
    table.add_row("the controller at rest", f"{idle:.1%} of a core", "")
    Console().print(table)
    return 0 if ticks > 0 and spent / ticks <= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
