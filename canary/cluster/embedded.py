"""The embedded cluster: objects in memory, SQLite underneath, manners of an API server.

`rules` says what becomes of an object, `commits` makes it durable and visible, `history` tells
those who watch. Nothing here runs while nothing happens.
"""

import asyncio
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from canary.cluster import rules
from canary.cluster.commits import Commits
from canary.cluster.disk import Disk
from canary.cluster.history import History, Watch
from canary.cluster.ownership import Writer
from canary.cluster.port import Change, Kind, Listing, Manifest, Ref
from canary.cluster.store import ChangeType, Objects, Stored, Write
from canary.errors import AlreadyExists, ClusterError, NotFound

CREATOR = "canary"
"""Who owns the fields of an object that is created, when the caller doesn't say."""

# As API servers do: no vowels, so that no words come out, and nothing easily misread.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Embedded:
    """`port.Cluster` within this process. Belongs to the event loop it was opened in."""

    set_aside: Path | None
    """Where a broken state file was kept, if there was one; everything then begins afresh."""

    def __init__(
        self, disk: Disk | None, history: History, events: int, now: Callable[[], datetime]
    ) -> None:
        """Not for callers: they `open` one."""
        self.set_aside = disk.set_aside if disk else None
        self._history, self._now = history, now
        self._objects = Objects(events)
        self._commits = Commits(disk, self._objects, history, self._collect_after)
        self._collecting: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        path: Path | None,
        *,
        history: int = 10_000,
        history_bytes: int = 16 * 2**20,
        events: int = 200,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        """Open a state file, made if need be; `None` keeps everything in memory only.

        Watches can look back on `history` changes, `history_bytes` of JSON at most. Of the Events
        about one object the newest `events` are kept. Raises `LocalError` if the file can't be
        used; a broken one is moved aside, see `set_aside`.
        """
        disk = await asyncio.to_thread(Disk.open, path) if path else None
        version = disk.version if disk else 0
        cluster = cls(disk, History(version, history, history_bytes), events, now)
        if disk:
            cluster._restore(disk.take_objects())
        return cluster

    def _restore(self, found: Sequence[Stored]) -> None:
        oldest_first = sorted(found, key=lambda stored: stored.version)
        writes = [Write("ADDED", stored) for stored in oldest_first]
        for write in writes:
            self._objects.take(write)
        # The last process may have died before it had collected everything.
        self._collect_after(writes)

    async def get(self, ref: Ref) -> Manifest:
        stored = self._objects.get(ref)
        return _found(ref, stored.load() if stored else None)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        wanted = (labels or {}).items()
        found = self._objects.all(kind, namespace)
        load = Stored.load_metadata if metadata_only else Stored.load
        items = [load(stored) for stored in found if wanted <= stored.labels.items()]
        return Listing(items, str(self._history.version))

    def watch(
        self, kind: Kind, namespace: str = "", since: str = "", *, metadata_only: bool = False
    ) -> AsyncIterator[Change]:
        existing: list[Stored] = []
        # What is no number can't come from here, and is treated as what is from long ago.
        start = int(since) if since.isdecimal() else -1
        if since in {"", "0"}:
            existing, start = self._objects.all(kind, namespace), self._history.version
        load = Stored.load_metadata if metadata_only else Stored.load
        return Watch(self._history, kind, namespace, existing, start, load)

    async def create(self, manifest: Manifest, *, manager: str = CREATOR) -> Manifest:
        manifest = _named(_plain(manifest))
        ref = Ref.of(manifest)

        def decide(old: Manifest | None) -> Manifest:
            if old is not None:
                raise AlreadyExists(f"{ref} exists already")
            return rules.created(manifest, manager, str(uuid.uuid4()), self._time())

        return await self._write(ref, decide)

    async def apply(self, manifest: Manifest, *, manager: str) -> Manifest:
        manifest = _plain(manifest)

        def decide(old: Manifest | None) -> Manifest:
            if old is None:
                uid = str(uuid.uuid4())
                return rules.created_by_apply(manifest, manager, uid, self._time())
            return rules.reapplied(old, manifest, manager, self._time())

        return await self._write(Ref.of(manifest), decide)

    async def patch(
        self,
        ref: Ref,
        patch: Manifest,
        *,
        manager: str,
        resource_version: str = "",
        status: bool = False,
    ) -> Manifest:
        who = Writer(manager, "Update", "status" if status else "")

        def decide(old: Manifest | None) -> Manifest:
            found = _found(ref, old)
            rules.check(found, uid="", resource_version=resource_version)
            return rules.patched(found, _plain(patch), who, self._time())

        return await self._write(ref, decide)

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        def decide(old: Manifest | None) -> Manifest:
            found = _found(ref, old)
            rules.check(found, uid=uid, resource_version=resource_version)
            return rules.condemned(found, self._time())

        await self._write(ref, decide)

    async def close(self) -> None:
        """End watches, finish the writes under way, and let go of the file."""
        if self._history.closed:
            return
        self._history.close()
        await self._commits.close()
        if self._collecting:
            await asyncio.wait(self._collecting)

    async def _write(self, ref: Ref, decide: Callable[[Manifest | None], Manifest]) -> Manifest:
        """Store what `decide` makes of the newest state; its very argument means no write."""
        stored = self._commits.latest(ref)
        old = stored.load() if stored else None
        try:
            new = decide(old)
        except ClusterError:
            # A refusal must not rest on what nobody can see yet: whoever reads and tries again
            # would be refused for ever, and would not let the commit happen in between.
            await self._commits.settled(ref)
            raise
        if new is old:
            await self._commits.settled(ref)
            return new
        change: ChangeType = "MODIFIED" if old is not None else "ADDED"
        return await self._commits.write("DELETED" if rules.finished(new) else change, new)

    def _time(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _collect_after(self, writes: Sequence[Write]) -> None:
        doomed = {s.ref: s for write in writes for s in self._objects.doomed_by(write)}
        for stored in doomed.values():
            task = asyncio.create_task(self._collect(stored))
            self._collecting.add(task)
            task.add_done_callback(self._collecting.discard)

    async def _collect(self, stored: Stored) -> None:
        # Whoever changed it meanwhile caused another look at it. And if the write fails, the
        # next opening finds it again.
        with suppress(ClusterError):
            await self.delete(stored.ref, resource_version=str(stored.version))


def _found(ref: Ref, manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise NotFound(f"there is no {ref}")
    return manifest


def _plain(manifest: Manifest) -> Manifest:
    """A copy as JSON knows it, so that a tuple equals the list it was stored as."""
    plain: Manifest = json.loads(json.dumps(manifest))
    return plain


def _named(manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    if meta.get("name"):
        return manifest
    if not meta.get("generateName"):
        raise ClusterError(f"a {manifest['kind']} needs a name or a generateName")
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
    return {**manifest, "metadata": {**meta, "name": meta["generateName"] + suffix}}
