"""Requests lost while a version is released and promoted: `python -m benchmarks.promotion`.

A real `canary local` releases the sample service through two weights while requests arrive at a
constant rate. Lost is every request that got no answer, or another one than 2xx.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from tests.local.controller import Controller

REACH = 0
LONGEST = 120.0
"""Seconds that the load may take."""
AROUND = 1.0
"""Seconds of load before the release, and after it."""


@dataclass(frozen=True)
class Found:
    report: Report
    seconds: float

    @property
    def lost(self) -> int:
        good = sum(number for status, number in self.report.statuses.items() if status // 100 == 2)
        return self.report.completed - good + sum(self.report.errors.values())


async def measure(home: Path, rate: float) -> Found:
    controller, loop = Controller(home), asyncio.get_running_loop()
    controller.release("0")
    await controller.start()
    try:
        await controller.until(lambda seen: seen["phase"] == "Initialized")
        load = Load(Plan(controller.url, rate=rate, duration=LONGEST, capture=("x-version",)))
        running = asyncio.create_task(load.run())
        await asyncio.sleep(AROUND)
        began = loop.time()
        controller.release("1")
        await controller.until(lambda seen: seen["phase"] == "Succeeded")
        took = loop.time() - began
        await asyncio.sleep(AROUND)
        load.stop()
        return Found(await running, took)
    finally:
        await controller.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = asyncio.run(measure(Path(home) / "home", asked.rate))
    report = found.report
    versions = ", ".join(
        f"{tally.requests:,} by version {name}"
        for name, tally in sorted(report.captured.get("x-version", {}).items())
    )
    table = Table("figure", "measured", "reach", title="A promotion under load")
    table.add_row("lost requests", f"{found.lost:,} of {report.requests:,}", str(REACH))
    table.add_row("rate", f"{report.achieved:,.0f}/s", f"{asked.rate:,.0f}/s")
    table.add_row("p99", f"{report.latency.quantile(0.99) * 1000:.1f} ms", "")
    table.add_row("release", f"{found.seconds:.1f} s", "")
    Console().print(table, f"answered: {versions}", *filter(None, [report.shortfall]), sep="\n")
    kept = report.achieved >= 0.95 * asked.rate
    return 0 if found.lost == REACH and kept else 1


if __name__ == "__main__":
    sys.exit(main())
