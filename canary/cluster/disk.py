"""The state file: SQLite in WAL mode, one process at a time.

With `synchronous=NORMAL` a committed write is in the hands of the operating system, so it
survives `kill -9`; a power failure may take the last few, but never half of one.
"""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from canary.cluster.filelock import FileLock
from canary.cluster.store import Stored, Write
from canary.errors import ClusterError, LocalError

SCHEMA = 1
_APPLICATION = 0x43414E59  # "CANY": tells our files from other programs'
BROKEN = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Error codes that blame the file's content; `SQLITE_ERROR` means that a table is missing."""

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE objects (
    api_version TEXT, kind TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (api_version, kind, namespace, name)
);
CREATE TABLE counter (resource_version INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
PRAGMA application_id = {application};
PRAGMA user_version = {schema};
COMMIT;
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM objects WHERE (api_version, kind, namespace, name) = (?, ?, ?, ?)"


class BrokenFileError(Exception):
    """The file's content makes no sense. Never leaves this module."""


@dataclass(slots=True)
class Disk:
    """An open state file, for one thread at a time."""

    path: Path
    _found: list[Stored]
    version: int
    """The newest resourceVersion ever given out."""
    set_aside: Path | None
    """Where the previous file was moved to, if it was broken."""
    _connection: sqlite3.Connection
    _lock: FileLock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `LocalError` if the file is in use, not ours, or can't be read or written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock.take(path)
        except OSError as error:
            raise LocalError(f"the state file {path} can't be opened: {error}") from error
        try:
            return cls._open_locked(path, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_locked(cls, path: Path, lock: FileLock) -> Self:
        set_aside = None
        try:
            connection, objects, version = _read(path)
        except BrokenFileError:
            set_aside = move_aside(path)
            connection, objects, version = _read(path)
        return cls(path, objects, version, set_aside, connection, lock)

    def take_objects(self) -> list[Stored]:
        """What the file held when it was opened; only asked once, and then forgotten."""
        found, self._found = self._found, []
        return found

    def commit(self, writes: Iterable[Write], version: int) -> None:
        """Make all of the writes durable, or none of them. Raises `ClusterError`."""
        last = {write.stored.ref: write for write in writes}
        gone = [_key(w.stored) for w in last.values() if w.type == "DELETED"]
        kept = [(*_key(w.stored), w.stored.body) for w in last.values() if w.type != "DELETED"]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_REMOVE, gone)
            self._connection.executemany(_PUT, kept)
            self._connection.execute("UPDATE counter SET resource_version = ?", (version,))
            self._connection.execute("COMMIT")
        except (sqlite3.Error, ValueError) as error:  # ValueError: a name that isn't Unicode
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise ClusterError(f"the state file {self.path} can't be written: {error}") from error

    def close(self) -> None:
        try:
            self._connection.close()
        finally:
            self._lock.release()


def _key(stored: Stored) -> tuple[str, str, str, str]:
    ref = stored.ref
    return ref.kind.api_version, ref.kind.name, ref.namespace, ref.name


def _read(path: Path) -> tuple[sqlite3.Connection, list[Stored], int]:
    connection: sqlite3.Connection | None = None
    try:
        # Opened in a thread of its own, used in another one, never in two at a time.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        _prepare(path, connection)
        return connection, *_content(connection)
    except BaseException as error:
        if connection:
            connection.close()
        if not isinstance(error, sqlite3.Error):
            raise
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
        if code in BROKEN:
            raise BrokenFileError(str(error)) from error
        raise LocalError(f"the state file {path} can't be opened: {error}") from error


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION and (application or tables):
        raise LocalError(f"{path} is the database of another program: choose another state file")
    if schema > SCHEMA:
        raise LocalError(
            f"the state file {path} was written by a newer version of canary "
            f"(format {schema}, this one knows up to {SCHEMA}): use that version, or another file"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 8388608")
    if not tables:
        connection.executescript(_TABLES.format(application=_APPLICATION, schema=SCHEMA))


def _content(connection: sqlite3.Connection) -> tuple[list[Stored], int]:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise BrokenFileError(verdict)
    try:
        (version,) = connection.execute("SELECT resource_version FROM counter").fetchone()
        rows = connection.execute("SELECT body FROM objects")
        return [Stored.of(json.loads(body)) for (body,) in rows], int(version)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenFileError(f"not an object: {error}") from error


def move_aside(path: Path) -> Path:
    """Keep a broken database under another name, which is returned."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = path.with_name(f"{path.name}.broken-{stamp}")
    # The write-ahead log goes along under the name SQLite expects: it may hold what can be saved.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{kept}{suffix}")
    return kept
