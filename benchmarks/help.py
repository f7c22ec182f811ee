"""How long `canary --help` takes, from the key press to the prompt: `python -m benchmarks.help`."""

import argparse
import statistics
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

REACH = 0.4
"""Seconds."""


def once() -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "canary", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    once()  # the first one may still compile
    times = [once() for _ in range(asked.rounds)]
    table = Table("figure", "measured", "reach", title=f"Help, median of {asked.rounds}")
    found = statistics.median(times)
    table.add_row("canary --help", f"{found:.2f} s", f"{REACH} s")
    Console().print(table)
    return 0 if found <= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
