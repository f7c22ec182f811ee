"""How the embedded cluster's writes become durable, then visible, then acknowledged.

A write is decided at once, against all that was decided before it, and joins a queue. One
thread makes the queue durable, as many writes at a time as have gathered. Only then do readers
and watches see them and their callers hear of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from canary.cluster.disk import Disk
from canary.cluster.history import History
from canary.cluster.port import Manifest, Ref
from canary.cluster.store import ChangeType, Objects, Stored, Write
from canary.errors import ClusterError


@dataclass(frozen=True, slots=True)
class _Pending:
    """A write that is decided and not yet durable."""

    write: Write
    done: asyncio.Future[None]


class Commits:
    """The only way to `objects` and `history`. Without a disk, nothing outlives the process."""

    def __init__(
        self,
        disk: Disk | None,
        objects: Objects,
        history: History,
        published: Callable[[Sequence[Write]], None],
    ) -> None:
        """`published` is called with each group of writes once they are visible."""
        self._disk, self._objects, self._history = disk, objects, history
        self._published = published
        self._thread = ThreadPoolExecutor(1, "canary-state") if disk else None
        self._decided = history.version
        self._head: dict[Ref, _Pending] = {}
        self._queue: list[_Pending] = []
        self._running: asyncio.Task[None] | None = None

    def latest(self, ref: Ref) -> Stored | None:
        """The newest version, durable or not: what the next write has to be decided against."""
        if pending := self._head.get(ref):
            return None if pending.write.type == "DELETED" else pending.write.stored
        return self._objects.get(ref)

    async def settled(self, ref: Ref) -> None:
        """Wait until what `latest` says is durable."""
        if pending := self._head.get(ref):
            await asyncio.shield(pending.done)

    async def write(self, change: ChangeType, manifest: Manifest) -> Manifest:
        """Store the manifest under the next resourceVersion; a copy of what was stored."""
        if self._history.closed:
            raise ClusterError("the embedded cluster is closed")
        meta = {**manifest["metadata"], "resourceVersion": str(self._decided + 1)}
        stored = Stored.of({**manifest, "metadata": meta})
        self._decided += 1
        pending = _Pending(Write(change, stored), asyncio.get_running_loop().create_future())
        self._head[stored.ref] = pending
        self._queue.append(pending)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        # A caller that goes away takes only its own waiting along: the write is decided.
        await asyncio.shield(pending.done)
        return stored.load()

    async def close(self) -> None:
        """Finish what was decided, and let go of the file."""
        while self._running and not self._running.done():
            await asyncio.wait({self._running})
        if self._disk and self._thread:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disk.close)
            self._thread.shutdown()

    async def _run(self) -> None:
        while self._queue:
            group, self._queue = self._queue, []
            try:
                await self._make_durable([pending.write for pending in group])
            except ClusterError as error:
                self._abandon(group + self._queue, error)
            else:
                self._publish(group)

    async def _make_durable(self, writes: list[Write]) -> None:
        if self._disk and self._thread:
            version = writes[-1].stored.version
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._disk.commit, writes, version)

    def _publish(self, group: list[_Pending]) -> None:
        for pending in group:
            stored = pending.write.stored
            self._objects.take(pending.write)
            self._history.append(pending.write)
            if self._head[stored.ref] is pending:
                del self._head[stored.ref]
            pending.done.set_result(None)
        self._published([pending.write for pending in group])

    def _abandon(self, lost: list[_Pending], error: ClusterError) -> None:
        """Forget what could not be made durable, and all that was decided on top of it."""
        self._queue = []
        self._head.clear()
        for pending in lost:
            pending.done.set_exception(error)
