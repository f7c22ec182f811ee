"""Runs the benchmarks, one after the other, each in a process of its own, and sums up.

`python -m benchmarks [NAME ...]`; without a name it is all of them. A file in this folder is a
benchmark: it prints its table, and exits with 1 if a figure was not reached.
"""

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from canary.errors import nearest

FOLDER = Path(__file__).parent
LIMIT = 600
"""Seconds that one benchmark may take."""
REACHED, MISSED, SLOW = "reached", "not reached", f"not done in {LIMIT} s"


def known() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def run(name: str, console: Console) -> tuple[str, float]:
    """One benchmark, which prints for itself; how it went, and the seconds it took."""
    console.rule(name)
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"],
            cwd=FOLDER.parent,
            timeout=LIMIT,
            check=False,
        )
        outcome = MISSED if done.returncode else REACHED
    except subprocess.TimeoutExpired:
        outcome = SLOW
    return outcome, time.monotonic() - began


def main(names: list[str]) -> int:
    console = Console()
    for name in names:
        if name not in known():
            near = nearest(name, known())
            hint = f"; did you mean {near!r}?" if near else f"; known are {', '.join(known())}"
            console.print(f"there is no benchmark {name!r}{hint}")
            return 2
    table = Table(title="Benchmarks")
    for head in ("benchmark", "figures", "took"):
        table.add_column(head)
    outcomes = []
    for name in names or known():
        outcome, took = run(name, console)
        outcomes.append(outcome)
        table.add_row(name, outcome, f"{took:.0f} s")
    console.rule()
    console.print(table)
    return 0 if all(outcome == REACHED for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
