"""Carries out the commands of `load-test` webhooks in the background, within limits."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import structlog

from canary.errors import LocalError
from canary.loadtest.hey import parse
from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.words import UnsupportedError, split

log = structlog.get_logger(__name__)

MOST = 16
LIMIT = 3600.0
PATIENCE = 5.0
"""Seconds that a program gets between being asked to end and being killed."""

Work = Callable[[], Coroutine[Any, Any, None]]
"""Not the coroutine itself: one that is cancelled before its first step would never be awaited."""

Locate = Callable[[str, int], tuple[str, int] | None]
"""Where a host and port that a manifest names really are on this machine; None as it says."""


def _as_named(_host: str, _port: int) -> None:
    return None


class Loads:
    """Load tests in the background. A load ends by itself, by `stop`, or after `limit` seconds.

    A key says whom a load belongs to, as in `default/podinfo`.
    """

    def __init__(
        self, *, limit: float = LIMIT, most: int = MOST, locate: Locate = _as_named
    ) -> None:
        self._limit, self._most, self._locate = limit, most, locate
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, key: str, command: str) -> str:
        """Start a command unless it already runs under this key; says in a line what was done.

        Raises `SpecError` when the command can't be carried out, `LocalError` when too many
        run already.
        """
        if (key, command) in self._tasks:
            return "already running"
        if len(self._tasks) >= self._most:
            raise LocalError(f"{len(self._tasks)} load tests run already, and no more may")
        work, said = self._prepare(key, command)
        task = asyncio.get_running_loop().create_task(self._bounded(work, key, command))
        self._tasks[key, command] = task
        # Not in the task's own `finally`: one cancelled before its first step has none.
        task.add_done_callback(lambda _: self._tasks.pop((key, command), None))
        log.info("load test started", key=key, command=command, how=said)
        return said

    async def stop(self, key: str) -> None:
        """End the loads of a key and wait until they have."""
        await _cancel([task for (owner, _), task in self._tasks.items() if owner == key])

    async def close(self) -> None:
        """End all loads and wait until they have, subprocesses included."""
        await _cancel(list(self._tasks.values()))

    def _prepare(self, key: str, command: str) -> tuple[Work, str]:
        program, *arguments = split(command)
        # Always the one on PATH: which program runs is not for a manifest to say.
        hey = shutil.which("hey") if Path(program).name == "hey" else None
        try:
            plan, address = self._planned(command)
        except UnsupportedError:
            if hey is None:
                raise
            address = None
        # hey can't be told to connect elsewhere than the URL says.
        if hey is not None and address is None:
            return partial(_program, [hey, *arguments], key), f"started {hey}"
        said = f"started {plan.summary}, by canary's own generator"
        return partial(_generate, replace(plan, address=address), key), said

    def _planned(self, command: str) -> tuple[Plan, tuple[str, int] | None]:
        plan = parse(command)
        return plan, self._locate(plan.target.hostname or "", plan.port)

    async def _bounded(self, work: Work, key: str, command: str) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await work()
        except TimeoutError:
            log.warning("load test ended at the limit", key=key, command=command, limit=self._limit)
        except OSError as error:
            log.warning("load test failed", key=key, command=command, error=str(error))


async def _generate(plan: Plan, key: str) -> None:
    report = await Load(plan).run()
    log.info(
        "load test finished",
        key=key,
        requests=report.requests,
        failures=report.failures,
        rate=round(report.achieved, 1),
        p99_ms=round(report.latency.quantile(0.99) * 1000, 1),
        shortfall=report.shortfall,
    )


async def _program(words: list[str], key: str) -> None:
    """Run a program in a process group of its own, and leave nothing of the group behind."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = await process.wait()
        log.info("load test finished", key=key, exit_code=code)
    finally:
        await _end_group(process)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGKILL)
    await process.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
