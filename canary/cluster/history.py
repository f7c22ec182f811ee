"""The changes of late, and watches that read them.

All watches read the same bounded history, each from its own position. So a slow one costs
neither memory nor a writer's time: what it hasn't read in time is gone, and it is told so.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Self

from canary.cluster.port import Change, Kind, Manifest
from canary.cluster.store import Stored, Write
from canary.errors import ClusterError, Expired


class Log:
    """The changes of one kind. Positions count up from the first change ever."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        """The newest resourceVersion that a watch of this kind can't start before."""
        self.first = 0
        self._changes: deque[Write] = deque()
        self.grown = asyncio.Event()
        """Set, and replaced by a new one, when there is more to read."""

    @property
    def end(self) -> int:
        return self.first + len(self._changes)

    def append(self, write: Write) -> None:
        self._changes.append(write)
        self.wake()

    def wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def drop_first(self) -> Write:
        dropped = self._changes.popleft()
        self.first += 1
        self.floor = dropped.stored.version
        return dropped

    def at(self, position: int) -> Write:
        return self._changes[position - self.first]

    def after(self, version: int) -> int:
        """The position of the first change newer than a resourceVersion."""
        found = bisect_right(self._changes, version, key=lambda write: write.stored.version)
        return self.first + found


class History:
    """The newest changes, at most `limit` of them and `limit_bytes` of JSON in all."""

    def __init__(self, version: int, limit: int, limit_bytes: int) -> None:
        self.closed = False
        self.version = version
        """The resourceVersion of the newest change."""
        self._start = version
        self._limit, self._limit_bytes = limit, limit_bytes
        self._logs: dict[Kind, Log] = {}
        self._order: deque[Log] = deque()
        self._bytes = 0

    def log(self, kind: Kind) -> Log:
        if kind not in self._logs:
            self._logs[kind] = Log(self._start)
        return self._logs[kind]

    def append(self, write: Write) -> None:
        log = self.log(write.stored.ref.kind)
        log.append(write)
        self._order.append(log)
        self._bytes += len(write.stored.body)
        self.version = write.stored.version
        while len(self._order) > self._limit or self._bytes > self._limit_bytes:
            # The oldest change of all is the oldest of its own kind.
            self._bytes -= len(self._order.popleft().drop_first().stored.body)

    def close(self) -> None:
        self.closed = True
        for log in self._logs.values():
            log.wake()


class Watch:
    """An iterator over changes: first what was there at the start, if asked for, then the log."""

    def __init__(
        self,
        history: History,
        kind: Kind,
        namespace: str,
        existing: list[Stored],
        since: int,
        load: Callable[[Stored], Manifest] = Stored.load,
    ) -> None:
        self._history, self._log = history, history.log(kind)
        self._namespace, self._load = namespace, load
        self._existing = iter(existing)
        self._position = self._log.after(since)
        self._hopeless: ClusterError | None = None
        if history.closed:
            self._hopeless = ClusterError("the embedded cluster is closed")
        elif not self._log.floor <= since <= history.version:
            self._hopeless = _expired(since)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        if self._hopeless:
            raise self._hopeless
        while not self._history.closed:
            if stored := next(self._existing, None):
                return Change("ADDED", self._load(stored))
            if self._position < self._log.first:
                raise _expired(self._log.floor)
            if self._position == self._log.end:
                await self._log.grown.wait()
                continue
            write = self._log.at(self._position)
            self._position += 1
            if self._namespace in ("", write.stored.ref.namespace):
                return Change(write.type, self._load(write.stored))
        raise StopAsyncIteration


def _expired(version: int) -> Expired:
    return Expired(f"the changes since resourceVersion {version} are not kept here: list again")
