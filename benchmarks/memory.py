"""The memory of `canary local`, without its services and Envoy: `python -m benchmarks.memory`.

The folder is a small one: one Canary, one Process.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from tests.local.controller import Controller

REACH = 120.0
"""MB."""


def resident(controller: Controller) -> float:
    """MB of the controller alone."""
    assert controller.process is not None
    return float(psutil.Process(controller.process.pid).memory_info().rss) / 1e6


async def measure(home: Path) -> dict[str, float]:
    controller, found = Controller(home), dict[str, float]()
    controller.release("0")
    await controller.start()
    try:
        await controller.until(lambda seen: seen["phase"] == "Initialized")
        found["after the start"] = resident(controller)
        load = Load(Plan(controller.url, rate=50, duration=120))
        running = asyncio.create_task(load.run())
        controller.release("1")
        await controller.until(lambda seen: seen["phase"] == "Succeeded")
        load.stop()
        await running
        found["after a release"] = resident(controller)
    finally:
        await controller.stop()
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as home:
        found = asyncio.run(measure(Path(home) / "home"))
    table = Table("figure", "measured", "reach", title="Memory of canary local, controller only")
    for when, size in found.items():
        table.add_row(when, f"{size:.0f} MB", f"{REACH:.0f} MB")
    Console().print(table)
    return 0 if max(found.values()) <= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
