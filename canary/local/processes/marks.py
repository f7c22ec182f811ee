"""The mark that each process carries in its environment, to be found by when its record is lost."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

STATE = "CANARY_STATE"
"""The state folder of the canary that started it; those of other canaries are let alone."""
INSTANCE = "CANARY_INSTANCE"
"""The uid of its `Instance` record."""


@dataclass(frozen=True, slots=True)
class Marked:
    process: psutil.Process
    """It knows its start time, and signals nobody else if its pid was given away."""
    instance: str
    leader: bool
    """It was started by canary itself, and not by such a process."""

    def kill(self) -> None:
        with contextlib.suppress(psutil.Error):
            self.process.kill()


def marked(state: str) -> list[Marked]:
    """The processes of this state folder, helpers that they started included."""
    return [found for pid in psutil.pids() for found in _marked(pid, state)]


def _marked(pid: int, state: str) -> Iterator[Marked]:
    # Processes of other users can't be read, and processes end while they are looked at.
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        env = process.environ()
        if env.get(STATE) == state and (instance := env.get(INSTANCE)):
            yield Marked(process, instance, os.getsid(pid) == pid)
