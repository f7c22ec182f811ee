"""The life of one instance: started, probed, restarted when it crashes, drained and ended."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from canary.cluster.port import Cluster, Manifest
from canary.crd.process import Logs, ProcessTemplate
from canary.errors import CanaryError, NotFound
from canary.local.ports import free_port
from canary.local.processes import drain, logs
from canary.local.processes.command import launch, marks
from canary.local.processes.os_process import Exit, Launch, OsProcess
from canary.local.processes.probes import Place, Threshold, ask, pause
from canary.local.processes.records import Limits, Record, now_text
from canary.local.processes.restarts import Restarts

log = logging.getLogger(__name__)

LONG_AGO = float("-inf")
LINES = 3
"""Of a crashed process's log, to be told with its crash."""
WIDTH = 200
PATIENCE = 1.0
"""Seconds after which a start is told to be unready; until then it is only a start."""


@dataclass(frozen=True)
class Tools:
    """What every instance of a supervisor works with."""

    cluster: Cluster
    state_dir: Path
    base_dir: Path
    limits: Limits
    drained: drain.Drained | None = None
    ports: set[int] = field(default_factory=set)
    """Ports of all instances, started or not."""


class Instance:
    """One instance. Its owner calls `run` in a task, and `leave` and then `end` to be rid of it."""

    def __init__(
        self, tools: Tools, record: Record, logs_kept: Logs, changed: Callable[[], None]
    ) -> None:
        self.record, self.logs_kept = record, logs_kept
        self.name = record.ref.name
        self.revision = str(record.spec["revision"])
        self.address = str(record.spec["address"])
        self.template = ProcessTemplate.model_validate(record.spec["template"])
        self.born = asyncio.get_running_loop().time()
        self.leaving = record.status.get("phase") == "Draining"
        self.ready_since: float | None = None
        self._tools, self._changed = tools, changed
        self._process: OsProcess | None = None
        self._start_time = str(record.status.get("startTime", ""))
        self._restarts = Restarts(tools.limits, int(record.status.get("restarts", 0)))
        self._begin = 0
        self._served = False
        self._unready = ""
        tools.ports.add(self.port)

    @property
    def port(self) -> int:
        return int(self.record.spec["port"])

    @property
    def ready(self) -> bool:
        return self.ready_since is not None and not self.leaving

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def trouble(self) -> str:
        """Why it isn't ready, in words; empty while there is nothing to say."""
        return "" if self.ready else self._restarts.text or self._unready

    @property
    def log_file(self) -> Path:
        ref = self.record.ref
        return logs.log_file(self._tools.state_dir, ref.namespace, ref.name)

    def adopt(self, process: OsProcess) -> None:
        """Go on with a process of before; it keeps the readiness it was last seen with."""
        self._process = process
        self._start_time = self._start_time or now_text()
        if self.record.status.get("ready"):
            self.ready_since, self._served = LONG_AGO, True

    async def run(self) -> None:
        """Keep a process running until the instance leaves."""
        while not self.leaving:
            try:
                await self._once()
            except CanaryError as error:
                self._restarts.not_started(str(error))
            except Exception as error:  # a bug must not end the care for it
                log.exception("%s failed", self.name)
                self._restarts.not_started(f"{type(error).__name__}: {error}")
            if not self.leaving:
                self._changed()
                await asyncio.sleep(self._restarts.pause)

    async def _once(self) -> None:
        """One process, from its start (or from where it was) to its end."""
        process, clock = self._process or await self._start(), asyncio.get_running_loop().time
        begun = clock()
        await self.note()
        result = await self._watch(process)
        self._process, self.ready_since, self._served = None, None, False
        if self.leaving:
            return
        self._restarts.ran(clock() - begun)
        command = " ".join(self.template.command)[:WIDTH]
        self._restarts.ended(f"command {command!r} {result}", self._last_words())
        self._changed()  # before anything that takes time: it takes no more requests
        log.warning("%s %s", self.name, result)
        await drain.clear(self._tools.state_dir, self.record.uid, 0)
        await self.note(str(result))

    async def _start(self) -> OsProcess:
        if self._start_time:
            await self._move()
        if self.leaving:
            raise asyncio.CancelledError
        self._begin = logs.size(self.log_file)
        # No await between the two: what is started is held.
        self._process = OsProcess.spawn(self._launch(marks(self._tools.state_dir, self.record.uid)))
        self._start_time = now_text()
        log.info("%s runs as %d on port %d", self.name, self._process.pid, self.port)
        return self._process

    async def _move(self) -> None:
        """Another port for each start: the last one may be taken, or full of dying connections."""
        old, port = self.port, free_port(self.address, frozenset(self._tools.ports))
        # Its Process may have been deleted just now, and this record with it.
        with contextlib.suppress(NotFound):
            await self.record.move(port)
        self._tools.ports.discard(old)
        self._tools.ports.add(self.port)

    def _launch(self, extra: dict[str, str]) -> Launch:
        own = {"HOST": self.address, "PORT": str(self.port), "NAME": self.name, **extra}
        return launch(self.template, own, self._tools.base_dir, self.log_file)

    async def _watch(self, process: OsProcess) -> Exit:
        """Probe it until it ends."""
        probing = asyncio.create_task(self._probe())
        try:
            await asyncio.wait((process.exited, probing), return_when=asyncio.FIRST_COMPLETED)
            return process.exited.result() if process.exited.done() else probing.result()
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _probe(self) -> Exit:
        probe, clock = self.template.readiness_probe, asyncio.get_running_loop().time
        place = Place(self.address, self.port, self._launch({}))
        threshold = Threshold(probe.failure_threshold, probe.success_threshold, self.ready)
        unready_since = clock()
        if not self.ready:
            await asyncio.sleep(probe.initial_delay_seconds)
        while True:
            why = await ask(probe, place)
            if threshold.note(passed=not why) != self.ready and not self.leaving:
                unready_since = clock()
                self._turned(ready=threshold.ready)
            self._hear(why, clock() - unready_since)
            await self.note()
            if logs.size(self.log_file) > self.logs_kept.max_bytes:
                limits = self.logs_kept.max_bytes, self.logs_kept.keep
                await asyncio.to_thread(logs.rotate, self.log_file, *limits)
            await asyncio.sleep(pause(probe, None if self.ready else clock() - unready_since))

    def _turned(self, *, ready: bool) -> None:
        self.ready_since = asyncio.get_running_loop().time() if ready else None
        self._served = self._served or ready
        if ready:
            self._restarts.worked()
        self._changed()

    def _hear(self, why: str, unready_for: float) -> None:
        text = f"not ready: {why}" if why and unready_for > PATIENCE else ""
        if text != self._unready:
            self._unready = text
            self._changed()

    def _last_words(self) -> list[str]:
        return [line[:WIDTH] for line in logs.last_lines(self.log_file, LINES, self._begin)]

    async def note(self, ended: str = "") -> None:
        """Write down what is known; what can't be written now is found by its mark later."""
        status: Manifest = {
            "pid": self.pid,
            "started": self._process.started if self._process else None,
            "startTime": self._start_time,
            "phase": self._phase,
            "ready": self.ready,
            "restarts": self._restarts.count,
            "exit": ended or None,
        }
        try:
            await self.record.note(status)
        except CanaryError as error:
            log.warning("%s was not recorded: %s", self.name, error)

    @property
    def _phase(self) -> str:
        if self.leaving:
            return "Draining"
        return "Running" if self._process else "Waiting"

    def leave(self) -> None:
        """It takes no new requests from now on: it is no endpoint any more."""
        self.leaving = True

    async def end(self, task: "asyncio.Task[None]", *, wait: bool = True) -> None:
        """Wait for its requests if asked to, then end its process, `run`'s task and its record."""
        self.leave()
        await self.note()
        if wait and self._served:
            tools = self._tools
            await drain.quiet(tools.drained, self.address, self.port, tools.limits)
        clock = asyncio.get_running_loop().time
        grace = self.template.termination_grace_period_seconds
        deadline = clock() + grace
        if self._process is not None:
            result = await self._process.end(grace)
            log.info("%s %s", self.name, result)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await drain.clear(self._tools.state_dir, self.record.uid, deadline - clock())
        self._tools.ports.discard(self.port)
        await self.record.delete()

    def release(self) -> None:
        """Let the process run on without us."""
        if self._process is not None:
            self._process.release()
