"""A program that is started, waited for, killed and started again."""

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.cluster.harness.errors import HarnessError

DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
"""The kernel ends the program when the thread that started it ends, however that came about."""
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
"""The variables that a program gets: with all of them, someone's KUBECONFIG would be obeyed."""
POLL = 0.05
"""Seconds between two looks whether something is ready."""


@dataclass(eq=False)
class Component:
    """`ready` is asked until it says yes; `OSError` is a no."""

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    cwd: Path | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self, timeout: float = 30) -> None:
        """Return when it is ready; raise `HarnessError` with the end of its log if it never is."""
        self.spawn()
        self.wait(timeout)

    def spawn(self) -> None:
        if self.alive:
            raise HarnessError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIES_WITH_PARENT, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=inherited(),
                cwd=self.cwd,
                start_new_session=True,  # an interrupt is for the tests, which then end this
            )

    def wait(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if not self.alive:
                raise HarnessError(f"{self.name} ended at once. {self._told()}")
            if time.monotonic() > deadline:
                raise HarnessError(f"{self.name} isn't ready after {timeout:g} s. {self._told()}")
            time.sleep(POLL)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise HarnessError(f"{self.name} was never started")
        return self._process.pid

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss) if self.alive else 0

    @property
    def cpu(self) -> float:
        """Seconds of processor time since it started."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def kill(self) -> None:
        """`kill -9`, which is also how it is stopped: nothing here outlives a test run."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def restart(self, timeout: float = 30) -> None:
        self.kill()
        self.start(timeout)

    def _is_ready(self) -> bool:
        try:
            return self.ready()
        except OSError:
            return False

    def _told(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"The end of {self.log}:", *lines])


def inherited() -> dict[str, str]:
    return {key: os.environ[key] for key in INHERITED if key in os.environ}


def free_port(address: str = "127.0.0.1") -> int:
    """A port nobody listens on, in the network of the calling thread."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.create_connection((address, port), timeout=1):
        return True


def says_ok(url: str, authority: Path | None = None) -> bool:
    """Whether it answers 200; any trouble is an `OSError`."""
    context = ssl.create_default_context(cafile=authority) if authority else None
    with urllib.request.urlopen(url, timeout=2, context=context) as reply:
        return bool(reply.status == 200)
