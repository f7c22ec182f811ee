"""What 1,000 Canaries cost while nothing happens: `python -m benchmarks.idle`.

The controller sets all of them up in the embedded cluster, which is timed as well. Then nothing
is done for a while, and the CPU time of the whole process is read.
"""

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog
from rich.console import Console
from rich.table import Table

from canary.app.engine import Engine
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.engine.journal import Journal
from canary.settings import Settings
from tests.engine.world import CANARY, World, canary, process

REACH = 0.005
"""Of a core."""
LONGEST = 300.0
"""Seconds that setting them up may take."""


@dataclass(frozen=True)
class Found:
    share: float
    setting_up: float
    """Seconds of CPU."""
    starting: float
    """Seconds of CPU until a controller that finds all of them at rest has looked at each."""
    memory: float
    """MB."""


async def settled(engine: Engine, cluster: Embedded, count: int) -> None:
    """Wait until all are set up and nobody is looking any more."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        items = (await cluster.list(CANARY)).items
        done = [each for each in items if each.get("status", {}).get("phase") == "Initialized"]
        waiting = any(engine.controller.waits(f"test/app-{i}") for i in range(count))
        if len(done) == count and engine.controller.resting and not waiting:
            return
    await engine.close()
    raise TimeoutError(f"{count} Canaries were not set up within {LONGEST:g} s")


async def measure(home: Path, count: int, seconds: float) -> Found:
    cluster = await Embedded.open(home / "objects.db")
    world = World(cluster)
    await world.start()
    cache, journal = Cache(cluster), Journal(home / "journal.db")
    engine = Engine.build(cluster, cache, journal, Settings(), provider="envoy")
    began = time.process_time()
    await engine.start()
    for i in range(count):
        await cluster.apply(process(f"app-{i}"), manager="user")
        await cluster.apply(canary(f"app-{i}", interval="1m"), manager="user")
    await settled(engine, cluster, count)
    setting_up = time.process_time() - began
    await engine.close()
    await cache.close()

    cache = Cache(cluster)
    engine = Engine.build(cluster, cache, journal, Settings(), provider="envoy")
    began = time.process_time()
    await engine.start()
    await settled(engine, cluster, count)
    starting = time.process_time() - began

    before, at = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - before) / (time.monotonic() - at)
    memory = psutil.Process().memory_info().rss / 1e6
    await engine.close()
    await cache.close()
    await world.stop()
    await cluster.close()
    journal.close()
    return Found(share, setting_up, starting, memory)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--canaries", type=int, default=1000)
    asked = parser.parse_args()
    # Each Canary says that it is set up, and a thousand lines would hide the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as home:
        found = asyncio.run(measure(Path(home), asked.canaries, asked.seconds))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    table = Table("figure", "measured", "reach", title=f"{asked.canaries:,} idle Canaries")
    table.add_row(f"CPU, over {asked.seconds:g} s", f"{found.share:.2%} of a core", f"{REACH:.1%}")
    table.add_row("memory (at most)", f"{found.memory:.0f} MB ({peak:.0f} MB)", "")
    table.add_row("CPU to set them up", f"{found.setting_up:.1f} s", "")
    table.add_row("CPU to start again", f"{found.starting:.1f} s", "")
    Console().print(table)
    return 0 if found.share <= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
