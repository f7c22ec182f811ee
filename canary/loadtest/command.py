"""Runs a load for a person: progress while it runs, the summary at its end or at Ctrl-C."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from canary.loadtest.show import progress, summary, to_dict

EVERY = 0.5
"""Seconds between two looks at the load; drawing takes time from sending."""
PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal to redraw."""


async def loadtest(
    plan: Plan, *, as_json: bool = False, out: Console | None = None, err: Console | None = None
) -> int:
    """Carry out a plan; the summary goes to `out`, the progress to `err`.

    Answers 0, or 1 when not one request was answered. The first Ctrl-C ends the load early
    and still gives the summary; the second one gives up waiting for what is in flight.
    """
    out, err = out or Console(), err or Console(stderr=True)
    load = Load(plan)
    running = asyncio.create_task(load.run())
    with _interrupts(load, running):
        try:
            await _follow(load, running, err)
        finally:
            running.cancel()
            await asyncio.wait({running})
    report = load.snapshot() if running.cancelled() else running.result()
    if as_json:
        out.print_json(json.dumps(to_dict(report)))
    else:
        out.print(summary(report))
    return 0 if report.completed else 1


async def _follow(load: Load, running: "asyncio.Task[Report]", err: Console) -> None:
    if not err.is_terminal:
        while not await _over(running, PLAIN_EVERY):
            err.print(progress(load.plan, load.snapshot()))
        return
    with Live(console=err, auto_refresh=False, transient=True) as live:
        while not await _over(running, EVERY):
            live.update(progress(load.plan, load.snapshot()), refresh=True)


async def _over(running: "asyncio.Task[Report]", patience: float) -> bool:
    done, _ = await asyncio.wait({running}, timeout=patience)
    return bool(done)


@contextmanager
def _interrupts(load: Load, running: "asyncio.Task[Report]") -> Iterator[None]:
    """Ctrl-C stops the load the first time and cancels it the second."""
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
    reactions = iter([load.stop])

    def pressed() -> None:
        next(reactions, running.cancel)()

    loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
