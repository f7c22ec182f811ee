"""Logs of processes: files that the processes write themselves, kept short from outside.

A file is copied and then cut while its process goes on appending to it, for nobody is there to
tell the process to open another one. What it writes between the copy's last look and the cut,
microseconds apart, is lost.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path

LOOK = 0.2
"""Seconds between two looks of a reader that follows."""
BLOCK = 64 * 1024


def folder(state_dir: Path, namespace: str) -> Path:
    return state_dir / "logs" / namespace


def log_file(state_dir: Path, namespace: str, instance: str) -> Path:
    return folder(state_dir, namespace) / f"{instance}.log"


def files_of(state_dir: Path, namespace: str, process: str) -> list[Path]:
    """The current log file of each instance, of ended ones too; the one last written is last."""
    named = re.compile(rf"{re.escape(process)}-[a-z0-9]{{5}}\.log")
    try:
        found = [
            path for path in folder(state_dir, namespace).iterdir() if named.fullmatch(path.name)
        ]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
    except FileNotFoundError:  # nothing has run yet, or a file went while we looked
        return []


def rotate(path: Path, max_bytes: int, keep: int) -> bool:
    """Put the file's content aside as `.1` if it has grown too large; the older ones move on."""
    if size(path) <= max_bytes:
        return False
    for number in range(keep, 1, -1):
        older = _aside(path, number - 1)
        if older.exists():
            older.replace(_aside(path, number))
    with path.open("r+b") as source:
        if keep:
            with _aside(path, 1).open("wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
        os.ftruncate(source.fileno(), 0)
    return True


def forget(path: Path) -> None:
    """Remove a log file with everything that was put aside of it."""
    for each in (path, *path.parent.glob(f"{path.name}.*")):
        each.unlink(missing_ok=True)


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(path: Path, count: int, since: int = 0, end: int | None = None) -> list[str]:
    """The last lines of a file, without those put aside; none if there is no such file.

    `since` and `end` are offsets in bytes; if the file was cut since then, all of it counts.
    """
    if count <= 0:
        return []
    try:
        with path.open("rb") as file:
            whole = file.seek(0, os.SEEK_END)
            data = _tail_of(file.fileno(), since if since <= whole else 0, end or whole, count)
    except FileNotFoundError:
        return []
    return data.decode(errors="replace").splitlines()[-count:]


def _tail_of(fd: int, begin: int, end: int, lines: int) -> bytes:
    data, start = b"", end
    while start > begin and data.count(b"\n") <= lines:
        step = min(BLOCK, start - begin)
        start -= step
        data = os.pread(fd, step, start) + data
    return data


@dataclass(slots=True)
class _Reader:
    """Reads on where it stopped, whole lines only."""

    path: Path
    offset: int = 0
    rest: bytes = b""

    def lines(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:  # it was cut
                    self.offset, self.rest = 0, b""
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return
        self.offset += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


async def tail(
    state_dir: Path, namespace: str, process: str, lines: int = 100, *, follow: bool = False
) -> AsyncGenerator[str, None]:
    """The last lines of each instance's log, each line as `instance | line`.

    With `follow` it goes on with what is written from then on, by new instances too, until it
    is closed.
    """
    readers: dict[Path, _Reader] = {}
    for path in files_of(state_dir, namespace, process):
        # Up to here it is history; what is written while this runs is left to the reader.
        readers[path] = _Reader(path, size(path))
        for line in last_lines(path, lines, end=readers[path].offset):
            yield f"{path.stem} | {line}"
    while follow:
        await asyncio.sleep(LOOK)
        for path in files_of(state_dir, namespace, process):
            for line in readers.setdefault(path, _Reader(path)).lines():
                yield f"{path.stem} | {line}"
