"""One container: a process that is started, probed, and started again when it ends."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from canary.cluster.port import Manifest
from tests.cluster.harness.api import TROUBLE
from tests.cluster.harness.node import probes, status
from tests.cluster.harness.node.environment import Missing
from tests.cluster.harness.node.settings import Program
from tests.cluster.harness.process import DIES_WITH_PARENT

PULL_AGAIN = 0.5
"""Seconds until an image that nobody knew is looked for again."""
LONGEST = 30.0
"""Seconds that a crashing container waits at most."""
BAD_START = 128
"""The exit code of what can't be started, as container engines have it."""


@dataclass(frozen=True)
class Launch:
    """What is needed to start a container, asked for anew each time."""

    argv: list[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Surroundings:
    """What a container has from its pod and its node."""

    find: Callable[[str], Program | None]
    launch: Callable[[Manifest, Program], Awaitable[Launch]]
    """Raises `Missing` or one of `TROUBLE`."""
    target: Callable[[Mapping[str, str]], probes.Target]
    changed: Callable[[], None]
    """To be called after each change of what the status tells."""
    folder: Path
    log: Path
    back_off: float
    grace: float


class Container:
    def __init__(self, spec: Manifest, around: Surroundings) -> None:
        self.spec, self._around = spec, around
        self.seen = status.Container(spec["name"], spec["image"])
        self._process: Process | None = None
        self._stopping = False

    async def run(self, restart_policy: str) -> None:
        """Return when it has ended for good."""
        delay = 0.0
        while not self._stopping:
            program = await self._pull()
            launch = await self._prepare(program)
            if launch is None:
                return
            began = time.monotonic()
            code = await self._run_once(launch)
            if not _again(restart_policy, code):
                return
            if time.monotonic() - began > 2 * LONGEST:
                delay = 0.0
            await self._back_off(delay)
            delay = min(max(2 * delay, self._around.back_off), LONGEST)

    async def stop(self, grace: float) -> None:
        """For good: SIGTERM, and SIGKILL to all of its processes after `grace` seconds."""
        self._stopping = True
        await self._terminate(grace)

    async def _terminate(self, grace: float) -> None:
        if (process := self._process) is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            _kill(process)
            await process.wait()

    async def _pull(self) -> Program:
        """The program that is meant; an image that nobody knows stays a pull that fails."""
        image, reason = self.spec["image"], "ErrImagePull"
        while (program := self._around.find(image)) is None:
            self._wait_for(reason, f'failed to pull image "{image}": no program stands for it')
            reason = "ImagePullBackOff"
            await asyncio.sleep(PULL_AGAIN)
        return program

    async def _prepare(self, program: Program) -> Launch | None:
        while not self._stopping:
            try:
                return await self._around.launch(self.spec, program)
            except Missing as error:
                self._wait_for("CreateContainerConfigError", str(error))
            except TROUBLE:
                pass  # the API server is away; it has the environment, so there is no way around
            await asyncio.sleep(PULL_AGAIN)
        return None

    async def _run_once(self, launch: Launch) -> int:
        began = now()
        try:
            self._process = await self._start(launch)
        except OSError as error:
            self._ended(BAD_START, began, reason="StartError", message=str(error))
            return BAD_START
        process = self._process
        self.seen.process = process.pid
        self.seen.state = {"running": {"startedAt": began}}
        probing = asyncio.create_task(self._probe(launch.env))
        try:
            code = await process.wait()
        finally:
            probing.cancel()
            _kill(process)  # and what it left behind
        await asyncio.gather(probing, return_exceptions=True)
        self._ended(code if code >= 0 else 128 - code, began)
        return code

    async def _start(self, launch: Launch) -> Process:
        with self._around.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *DIES_WITH_PARENT,
                *launch.argv,
                env=launch.env,
                cwd=self._around.folder,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )

    async def _probe(self, env: Mapping[str, str]) -> None:
        target = self._around.target(env)
        startup = self.spec.get("startupProbe")
        if startup and not await probes.starts_up(startup, probes.check(startup, target)):
            await self._terminate(self._around.grace)
            return
        self.seen.started = True
        self.seen.ready = "readinessProbe" not in self.spec
        self._around.changed()
        async with asyncio.TaskGroup() as group:
            if probe := self.spec.get("readinessProbe"):
                group.create_task(self._readiness(probe, target))
            if probe := self.spec.get("livenessProbe"):
                group.create_task(self._liveness(probe, target))

    async def _readiness(self, probe: Manifest, target: probes.Target) -> None:
        async for good in probes.verdicts(probe, probes.check(probe, target), eager=True):
            if good != self.seen.ready:
                self.seen.ready = good
                self._around.changed()

    async def _liveness(self, probe: Manifest, target: probes.Target) -> None:
        async for good in probes.verdicts(probe, probes.check(probe, target), eager=False):
            if not good:
                # Its end ends this probe as well, and `run` starts the next process.
                await self._terminate(self._around.grace)

    async def _back_off(self, delay: float) -> None:
        self.seen.last = self.seen.state
        if delay:
            text = f"back-off {delay:g}s restarting failed container={self.spec['name']}"
            self._wait_for("CrashLoopBackOff", text)
            await asyncio.sleep(delay)
        self.seen.restarts += 1

    def _wait_for(self, reason: str, message: str) -> None:
        self.seen.state = {"waiting": {"reason": reason, "message": message}}
        self._around.changed()

    def _ended(self, code: int, began: str, reason: str = "", message: str = "") -> None:
        reason = reason or ("Completed" if code == 0 else "Error")
        facts = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now()}
        if message:
            facts["message"] = message
        self.seen.state = {"terminated": facts}
        self.seen.started = self.seen.ready = False
        self._process = None
        self._around.changed()


def _again(restart_policy: str, code: int) -> bool:
    return restart_policy == "Always" or (restart_policy == "OnFailure" and code != 0)


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def now() -> str:
    """The time as the API has it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
