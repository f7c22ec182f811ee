"""The journal: what was seen, what was decided, what was done.

A tick's inputs and outputs are values, so they are written down as they are; `canary explain`
shows them and a replay can decide them again. It is a convenience beside the status, which alone
is what a run needs: a journal that is lost costs history, never a release.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

from canary.cluster.disk import BROKEN, move_aside
from canary.core.actions import Action, SetStatus, Wait
from canary.core.facts import Seen
from canary.crd import Canary
from canary.crd.status import Run
from canary.errors import LocalError

log = structlog.get_logger(__name__)

KEPT = 2000
"""Entries kept per Canary."""
KEPT_IN_ALL = 100_000
RUNS_KEPT = 100
_PRUNE_EVERY = 200
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ticks (
  id INTEGER PRIMARY KEY, canary TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL,
  phase TEXT NOT NULL, seen TEXT NOT NULL, actions TEXT NOT NULL, done INTEGER NOT NULL,
  error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ticks_by_canary ON ticks (canary, id);
CREATE TABLE IF NOT EXISTS runs (
  canary TEXT NOT NULL, run TEXT NOT NULL, started TEXT NOT NULL, phase TEXT NOT NULL,
  record TEXT NOT NULL, PRIMARY KEY (canary, run));
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tick, as it was written down; `seen` and `actions` are plain JSON."""

    id: int
    canary: str
    run: str
    at: str
    phase: str
    seen: dict[str, Any]
    actions: list[dict[str, Any]]
    done: int
    error: str


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of the past or present, as its record last was."""

    canary: str
    phase: str
    run: Run


class Journal:
    """Kept in SQLite; without a path only in memory."""

    set_aside: Path | None = None
    """Where a broken file was kept, if there was one; the journal then begins afresh."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises `LocalError` if the file can't be opened."""
        try:
            self._db = _opened(path)
        except sqlite3.Error as error:
            if path is None or error.sqlite_errorcode & 0xFF not in BROKEN:
                raise LocalError(f"the journal {path} can't be opened: {error}") from error
            self.set_aside = move_aside(path)
            self._db = _opened(path)
        self._last: dict[str, str] = {}
        self._written = Counter[str]()
        self._failed = ""

    def note(
        self,
        canary: Canary,
        seen: Seen,
        actions: Sequence[Action],
        *,
        done: int = 0,
        error: str = "",
    ) -> None:
        """Write a tick down, unless it says again what the last one said: wait, and for what.

        Never raises for what the disk does: what can't be written is only told, once.
        """
        waits = [each.why for each in actions if isinstance(each, Wait)]
        if len(waits) == len(actions) and not error:
            said = "|".join(waits)
            if self._last.get(canary.key) == said:
                return
            self._last[canary.key] = said
        else:
            self._last.pop(canary.key, None)
        run = canary.status.run
        row = (
            canary.key,
            run.id if run else "",
            seen.now.isoformat(),
            str(canary.status.phase),
            json.dumps(plain(seen)),
            json.dumps([_action(each) for each in actions]),
            done,
            error,
        )
        try:
            self._write(row)
            for each in actions:
                if isinstance(each, SetStatus) and each.status.run:
                    self._keep(canary.key, str(each.status.phase), each.status.run)
            self._prune(canary.key)
        except sqlite3.Error as problem:
            if str(problem) != self._failed:
                log.warning("the journal can't be written; history is missing", error=str(problem))
            self._failed = str(problem)
        else:
            self._failed = ""

    def _write(self, row: Sequence[object]) -> None:
        self._db.execute(
            "INSERT INTO ticks (canary, run, at, phase, seen, actions, done, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def entries(self, canary: str, *, limit: int = 50, run: str = "") -> list[Entry]:
        """The newest entries of a Canary (`namespace/name`), oldest first."""
        rows = self._db.execute(
            "SELECT id, canary, run, at, phase, seen, actions, done, error FROM ticks"
            " WHERE canary = ? AND (? = '' OR run = ?) ORDER BY id DESC LIMIT ?",
            (canary, run, run, limit),
        ).fetchall()
        return [
            Entry(number, key, named, at, phase, json.loads(seen), json.loads(actions), done, error)
            for number, key, named, at, phase, seen, actions, done, error in reversed(rows)
        ]

    def runs(self, canary: str, *, limit: int = RUNS_KEPT) -> list[PastRun]:
        """The runs of a Canary, newest first."""
        rows = self._db.execute(
            "SELECT canary, phase, record FROM runs WHERE canary = ? ORDER BY started DESC LIMIT ?",
            (canary, limit),
        ).fetchall()
        return [PastRun(row[0], row[1], Run.model_validate_json(row[2])) for row in rows]

    def close(self) -> None:
        self._db.close()

    def _keep(self, canary: str, phase: str, run: Run) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO runs (canary, run, started, phase, record)"
            " VALUES (?, ?, ?, ?, ?)",
            (canary, run.id, run.started_at.isoformat(), phase, run.model_dump_json(by_alias=True)),
        )

    def _prune(self, canary: str) -> None:
        self._written[canary] += 1
        if self._written.total() % _PRUNE_EVERY == 0:
            # By number, so that what Canaries leave behind that are gone leaves in the end.
            self._db.execute(
                "DELETE FROM ticks WHERE id <= (SELECT max(id) - ? FROM ticks)", (KEPT_IN_ALL,)
            )
        if self._written[canary] % _PRUNE_EVERY:
            return
        self._db.execute(
            "DELETE FROM ticks WHERE canary = ? AND id NOT IN"
            " (SELECT id FROM ticks WHERE canary = ? ORDER BY id DESC LIMIT ?)",
            (canary, canary, KEPT),
        )
        self._db.execute(
            "DELETE FROM runs WHERE canary = ? AND run NOT IN"
            " (SELECT run FROM runs WHERE canary = ? ORDER BY started DESC LIMIT ?)",
            (canary, canary, RUNS_KEPT),
        )


def _opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(str(path) if path else ":memory:", isolation_level=None)
    try:
        # Losing the last entries in a power cut is fine here; waiting for the disk is not.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _action(action: Action) -> dict[str, Any]:
    """An action with its name; a status is long and stands in the Canary, so it is left out."""
    if isinstance(action, SetStatus):
        said = [each.text for each in action.status.announcements if each.text]
        return {"do": "SetStatus", "phase": str(action.status.phase), "say": said}
    if isinstance(action, Enum):
        return {"do": "Ask", "what": action.name}
    return {"do": type(action).__name__, **plain(action)}


def plain(value: Any) -> Any:  # noqa: PLR0911  # one line for each shape of value
    """Facts and actions as plain JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _fields(type(value))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        each_plain = [plain(each) for each in value]
        return sorted(each_plain) if isinstance(value, set | frozenset) else each_plain
    return value


def _fields(kind: type) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # checked by the caller
