"""One OS process, held by a pidfd so that its pid can't come to mean another one."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from canary.errors import LocalError


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, where, and the file that takes its output."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    output: Path = Path(os.devnull)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. Only its parent is told; both are None when nobody can tell."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"was ended by {signal_name(self.signal)}"
        return "ended" if self.code is None else f"exited with code {self.code}"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"


class OsProcess:
    """A running process. `exited` is done when it has ended, whoever's child it is."""

    def __init__(self, pid: int, pidfd: int, started: str, child: Any = None) -> None:
        self.pid = pid
        self.started = started
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pidfd, self._child = pidfd, child
        asyncio.get_running_loop().add_reader(pidfd, self._reap)

    @classmethod
    def spawn(cls, launch: Launch) -> Self:
        """Start it in a session of its own. Raises `LocalError` that says why it can't be."""
        child = _popen(launch)
        # Nobody has waited for it, so even if it is over its pid is still its own.
        return cls(child.pid, os.pidfd_open(child.pid), started(child.pid) or "", child)

    @classmethod
    def adopt(cls, pid: int, since: str) -> Self | None:
        """Take up a process of before, or None if that pid is free or another process by now."""
        try:
            pidfd = os.pidfd_open(pid)
        except (OSError, OverflowError):
            return None
        # Compared only once the descriptor is held: from here on it can't become another.
        if started(pid) != since or select.select([pidfd], [], [], 0)[0]:
            os.close(pidfd)
            return None
        return cls(pid, pidfd, since)

    def signal(self, number: int) -> None:
        """Send a signal to the process and all of its group."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def end(self, grace: float) -> Exit:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.exited), grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await asyncio.shield(self.exited)

    def release(self) -> None:
        """Let go of it; it runs on."""
        if self._pidfd < 0:
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._child is not None and self._child.returncode is None:
            # A Popen warns when it goes before its process, which here is the point.
            self._child.returncode = 0

    def _reap(self) -> None:
        result = _waited(self._pidfd)
        if self._child is not None:
            self._child.returncode = result.code or 0
        self.release()
        if not self.exited.done():
            self.exited.set_result(result)


def _waited(pidfd: int) -> Exit:
    try:
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return Exit()
    if info is None or info.si_code == os.CLD_EXITED:
        return Exit(code=info.si_status if info else None)
    return Exit(signal=info.si_status)


def _popen(launch: Launch) -> "subprocess.Popen[bytes]":
    program = launch.command[0]
    if not launch.folder.is_dir():
        raise LocalError(f"command {program!r}: its working directory {launch.folder} is missing")
    launch.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with launch.output.open("ab") as output:  # append: rotation cuts the file under it
            return subprocess.Popen(
                launch.command,
                cwd=launch.folder,
                env=dict(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except FileNotFoundError:
        raise LocalError(f"command {program!r} was not found") from None
    except PermissionError:
        raise LocalError(f"command {program!r} is not executable") from None
    except (OSError, ValueError) as error:
        raise LocalError(f"command {program!r} could not be started: {error}") from None


def started(pid: int) -> str | None:
    """When a process began, as a text that no other process of that pid ever has.

    Clock ticks since the boot and the boot's id, and not the time of day, which would be
    another one after the clock was set. None if there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    ticks = stat.rpartition(")")[2].split()[19]  # the name before may hold blanks and brackets
    return f"{_boot()}/{ticks}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
