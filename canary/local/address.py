"""Where the local controllers of this user answer, so that commands find them unasked.

Each running controller keeps one small file. It is believed only while the process that wrote it
lives: pids are used again, so the start time has to be the same one, too.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from canary.errors import LocalError
from canary.local.processes.os_process import started


@dataclass(frozen=True, slots=True)
class Running:
    """A local controller that is running now."""

    url: str
    """Of its status API."""
    pid: int
    started: str
    folder: str
    """What it was told to run."""
    state_dir: str = ""
    """Where it keeps objects and logs; empty means the default."""

    def __str__(self) -> str:
        return f"{self.url} ({self.folder}, pid {self.pid})"


def publish(state_dir: Path | None, url: str, pid: int, folder: Path) -> None:
    """Make a controller findable. Raises `LocalError` when the note can't be written."""
    note = Running(
        url,
        pid,
        started(pid) or "",
        str(folder.resolve()),
        str(state_dir.resolve()) if state_dir else "",
    )
    path = _note(pid)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(note)))
        draft.replace(path)
    except OSError as error:
        raise LocalError(f"{error.filename or path}: {error.strerror}") from error


def withdraw(pid: int) -> None:
    """Take the note away; nothing happens if there is none."""
    with suppress(OSError):
        _note(pid).unlink()


def find() -> str | None:
    """The address of the one local controller that runs, or None.

    Raises `LocalError` that lists them when there are several.
    """
    found = running()
    if len(found) > 1:
        listed = "\n".join(f"  {each}" for each in found)
        raise LocalError(f"several controllers are running; choose one with --server:\n{listed}")
    return found[0].url if found else None


def running() -> list[Running]:
    """All local controllers of this user that run now. What is left of others is removed."""
    return [each for path in sorted(_folder().glob("*.json")) for each in _alive(path)]


def _alive(path: Path) -> Iterator[Running]:
    try:
        note = Running(**json.loads(path.read_text()))
        alive = started(int(note.pid)) == note.started
    except FileNotFoundError:  # withdrawn this very moment
        return
    except (OSError, ValueError, TypeError):
        alive = False
    if alive:
        yield note
        return
    with suppress(OSError):
        path.unlink()


def _note(pid: int) -> Path:
    return _folder() / f"{pid}.json"


def _folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "canary" / "running"
