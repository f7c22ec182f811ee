"""The Envoy process: started detached, found again by its pid and start time, ended in peace."""

import asyncio
import contextlib
import json
import logging
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from canary.errors import LocalError, ProviderError
from canary.local.envoy.admin import Admin
from canary.local.envoy.binary import envoy_binary
from canary.local.envoy.bootstrap import bootstrap
from canary.local.envoy.log import Log
from canary.local.envoy.names import Paths
from canary.local.envoy.ports import obstacle
from canary.local.ports import free_port
from canary.local.processes.os_process import OsProcess, started

log = logging.getLogger(__name__)

ADOPT = 5.0
"""Seconds that one of an earlier run has to answer before it counts as deaf."""
START = 15.0
"""Seconds in which it has to answer; it takes a third of one on an idle machine."""
ATTEMPTS = 3
DRAIN = 1
"""Seconds that connections of a changed listener may go on."""

# Envoy asks the kernel to end it when its parent ends, and we are not to be its parent: a killed
# controller must not stop the traffic. So a middle process starts it, ends, and only then does
# it become Envoy, with a parent that stays. In a session of its own: Ctrl-C in a terminal goes
# to a whole group, and is ours to handle.
DETACH = """
import os, sys, time
middle = os.getpid()
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
while os.getppid() == middle:
    time.sleep(0.001)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What tells our Envoy from any other process that may have its pid one day."""

    pid: int
    started: str
    admin: int


class EnvoyProcess:
    """One Envoy for one folder. `start` first; `admin` and `known` are there after it."""

    def __init__(self, state_dir: Path, *, workers: int = 2) -> None:
        self.paths = Paths(state_dir / "config")
        self.log = Log(state_dir / "envoy.log")
        self.access_log = Log(self.paths.access_log)
        self.workers = workers
        self._state = state_dir / "envoy.json"
        self._bootstrap = state_dir / "bootstrap.json"
        self._process: OsProcess | None = None
        self._spawning: asyncio.Task[Known] | None = None
        self._admin: Admin | None = None
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def admin(self) -> Admin:
        if self._admin is None:
            raise LocalError("Envoy has not been started")
        return self._admin

    @property
    def url(self) -> str:
        """Where its admin interface is; empty before the first start."""
        return self._admin.url if self._admin else ""

    @property
    def running(self) -> bool:
        return self._process is not None and not self._process.exited.done()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> bool:
        """Adopt the Envoy that an earlier run has left, or start one; True if it was adopted.

        Raises `LocalError` if there is no program, or it does not come up.
        """
        await self.close()
        left = self._recorded()
        if left and await self._take(left, ADOPT):
            log.info("adopted Envoy, pid %d", left.pid)
            return True
        port = left.admin if left else 0
        for _ in range(ATTEMPTS):
            if await self._launch(port):
                return False
            # Somebody may have taken the port since we looked; there are others.
            port = 0
        raise LocalError(f"Envoy did not start: {self.log.last() or 'it says nothing'}")

    async def died(self) -> None:
        """Wait until it is gone, however it went."""
        if self._process:
            await asyncio.shield(self._process.exited)

    async def stop(self, deadline: float = 10.0) -> None:
        """Let requests under way finish, then end it; after `deadline` seconds without mercy."""
        if self._spawning:
            await asyncio.wait({self._spawning})
        if self._process is None and (left := self._recorded()):
            # Started, and nobody waited until it served.
            self._process = OsProcess.adopt(left.pid, left.started)
        if self._process is None:
            return
        if self._admin:
            with contextlib.suppress(TimeoutError, ProviderError):
                async with asyncio.timeout(deadline):
                    await self._quit()
                    await self.died()
        await self._process.end(grace=0)
        self._state.unlink(missing_ok=True)
        await self.close()

    async def close(self) -> None:
        """Let go of it without ending it."""
        if self._admin:
            await self._admin.close()
        self._admin = None
        if self._process:
            self._process.release()
        self._process = None

    async def _quit(self) -> None:
        # Answers from now on close their connection, and nobody new is let in.
        await self.admin.order("/healthcheck/fail")
        await self.admin.order("/drain_listeners?graceful")
        # One is always under way: the question itself.
        while await self._requests() > 1:  # noqa: ASYNC110 - only Envoy knows, and must be asked
            await asyncio.sleep(0.02)
        await self.admin.order("/quitquitquit")

    async def _requests(self) -> int:
        return sum((await self.admin.stats(r"http\..*\.downstream_rq_active")).values())

    async def _launch(self, port: int) -> bool:
        """Start it with its admin interface on this port, if that can be; True if it came up."""
        if not port or obstacle("127.0.0.1", port):
            port = free_port()
        self._bootstrap.write_text(json.dumps(bootstrap(self.paths, port)))
        self._initial_files()
        self.log.rotate()
        command = [
            str(envoy_binary()),
            *("-c", str(self._bootstrap)),
            # Shared memory is for a successor that takes over; our successor is a new start.
            "--disable-hot-restart",
            *("--log-level", "warning"),
            *("--concurrency", str(self.workers)),
            *("--drain-time-s", str(DRAIN)),
            *("--file-flush-interval-msec", "1000"),
        ]
        # Once begun it is seen through, or a cancelled start would leave one that nobody knows.
        self._spawning = asyncio.create_task(self._spawn(command, port))
        known = await asyncio.shield(self._spawning)
        if not await self._take(known, START):
            return False
        log.info("started Envoy, pid %d", known.pid)
        return True

    async def _take(self, known: Known, within: float) -> bool:
        """Hold this one if it serves. If not it is ended: nobody else would ever do that."""
        self._process = OsProcess.adopt(known.pid, known.started)
        if self._process is None:
            return False
        if await self._answers(self._process, known.admin, within):
            return True
        await self._process.end(grace=0)
        self._process = None
        return False

    async def _spawn(self, command: list[str], port: int) -> Known:
        pid = await self._detached(command)
        known = Known(pid, started(pid) or "", port)
        # At once: whoever comes after a crash now must find it.
        self._state.write_text(json.dumps(asdict(known)))
        return known

    def _initial_files(self) -> None:
        """Envoy waits for the lists of listeners and clusters, so both exist from the start."""
        self.paths.root.mkdir(parents=True, exist_ok=True)
        for kind in ("lds", "cds"):
            path = self.paths.file(kind)
            if not path.exists():
                path.write_text('{"version_info": "", "resources": []}')

    async def _detached(self, command: list[str]) -> int:
        with self.log.open() as stderr:
            middle = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", DETACH),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        assert middle.stdout is not None  # noqa: S101 - asked for above
        pid = int(await middle.stdout.readline())
        await middle.wait()
        return pid

    async def _answers(self, process: OsProcess, port: int, within: float) -> bool:
        """Take it as ours if it serves, and does so from our bootstrap file."""
        admin = Admin(f"http://127.0.0.1:{port}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not process.exited.done():
                    if await self._serves(admin):
                        self._admin = admin
                        return True
                    await asyncio.sleep(0.02)
        await admin.close()
        return False

    async def _serves(self, admin: Admin) -> bool:
        try:
            info = await admin.server_info()
        except ProviderError:
            return False
        ours: bool = info["command_line_options"].get("config_path") == str(self._bootstrap)
        return ours and bool(info["state"] == "LIVE")

    def _recorded(self) -> Known | None:
        try:
            return Known(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None
