"""A read cache fed by watches: what exists, without asking, and a call for each change.

One watch feeds all readers of a kind. A watch that breaks is taken up where it ended; if the
changes since then are no longer kept, everything is listed again and only differences are told.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.errors import ClusterError, Expired

log = logging.getLogger(__name__)

GONE_KEPT = 1000

Subscriber = Callable[[ChangeType, Manifest | None, Manifest], None]
"""Called with what happened, the object before (`None` for `ADDED`) and the object now.

For `DELETED` the last one is the last known state. It runs inside the watch, so it must not
take long, and it can't wait: it notes what is to be done.
"""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a failure, in seconds: twice as long each time, with jitter."""

    first: float = 0.2
    longest: float = 30.0

    def delay(self, failures: int) -> float:
        """Between half and all of the delay, so that many clients don't come back together."""
        most = min(self.longest, self.first * 2.0 ** min(failures, 32))
        return most * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class Cache:
    """Objects by reference, for each kind that was started.

    What it hands out is shared by everybody, and must be treated as read-only.
    """

    def __init__(self, cluster: Cluster, *, backoff: Backoff | None = None) -> None:
        self._cluster, self._backoff = cluster, backoff or Backoff()
        self._objects: dict[Kind, dict[Ref, Manifest]] = {}
        self._feeds: dict[tuple[Kind, str], _Feed] = {}
        self._subscribers: dict[Kind, list[Subscriber]] = {}

    async def start(self, kind: Kind, namespace: str = "") -> None:
        """List and watch a kind from now on, in one namespace or (empty) in all of them.

        Returns at once; `wait_synced` waits for the list. What is watched already, by itself or
        as part of all namespaces, is not watched twice.
        """
        if (kind, "") in self._feeds or (kind, namespace) in self._feeds:
            return
        objects = self._objects.setdefault(kind, {})
        feed = _Feed(self._cluster, self._backoff, kind, namespace, objects, self._tell)
        narrower = [key for key in self._feeds if key[0] == kind and not namespace]
        self._feeds[kind, namespace] = feed
        for key in narrower:
            await self._feeds.pop(key).stop()
        feed.start()

    def subscribe(self, kind: Kind, subscriber: Subscriber) -> Callable[[], None]:
        """Tell about each change from now on, beginning with an `ADDED` for all that is known.

        Returns the function that ends it.
        """
        self._subscribers.setdefault(kind, []).append(subscriber)
        for manifest in self.items(kind):
            _call(subscriber, "ADDED", None, manifest)
        return lambda: self._subscribers[kind].remove(subscriber)

    def note(self, manifest: Manifest) -> None:
        """Take over what a write returned, so that its writer reads it before the watch brings it.

        What is not watched is not kept, and nothing is replaced by something older.
        """
        ref = Ref.of(manifest)
        for feed in self._of(ref.kind):
            feed.note(ref, manifest)

    def get(self, ref: Ref) -> Manifest | None:
        return self._objects.get(ref.kind, {}).get(ref)

    def items(self, kind: Kind, namespace: str = "") -> list[Manifest]:
        known = self._objects.get(kind, {})
        return [known[ref] for ref in known if namespace in ("", ref.namespace)]

    def synced(self, kind: Kind) -> bool:
        """Whether all that was started for this kind has been listed once."""
        feeds = self._of(kind)
        return bool(feeds) and all(feed.synced.is_set() for feed in feeds)

    async def wait_synced(self, *kinds: Kind) -> None:
        """Wait for these kinds, or for all that were started. Bound it with `asyncio.timeout`."""
        for kind in kinds or {kind for kind, _ in self._feeds}:
            feeds = self._of(kind)
            if not feeds:
                raise LookupError(f"{kind.name} was not started, so it never gets in sync")
            for feed in feeds:
                await feed.synced.wait()

    async def close(self) -> None:
        """End the watches. What is known stays readable."""
        for feed in self._feeds.values():
            await feed.stop()

    def _of(self, kind: Kind) -> list["_Feed"]:
        return [feed for (fed, _), feed in self._feeds.items() if fed == kind]

    def _tell(self, kind: Kind, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        for subscriber in tuple(self._subscribers.get(kind, ())):
            _call(subscriber, change, old, new)


class _Feed:
    """One watch, and the part of the cache that it keeps true."""

    def __init__(
        self,
        cluster: Cluster,
        backoff: Backoff,
        kind: Kind,
        namespace: str,
        objects: dict[Ref, Manifest],
        tell: Callable[[Kind, ChangeType, Manifest | None, Manifest], None],
    ) -> None:
        self.synced = asyncio.Event()
        self._cluster, self._backoff, self._tell = cluster, backoff, tell
        self._kind, self._namespace, self._objects = kind, namespace, objects
        self._since = ""
        self._gone: dict[str, None] = {}
        """The last uids that were deleted, oldest first."""
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"watch {self._kind.name}")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def note(self, ref: Ref, manifest: Manifest) -> None:
        if self._namespace in ("", ref.namespace) and manifest["metadata"]["uid"] not in self._gone:
            self._take("MODIFIED", manifest)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Expired:
                self._since = ""
            except ClusterError as error:
                log.warning("the watch of %s broke: %s", self._kind.name, error)
            except Exception:
                # One odd object must not leave everybody with a cache that silently grows old.
                log.exception("the watch of %s failed", self._kind.name)
                self._since = ""
            # Also after a watch that simply ended: servers end them every few minutes.
            await asyncio.sleep(self._backoff.delay(self._failures))
            self._failures += 1

    async def _follow(self) -> None:
        if not self._since:
            listing = await self._cluster.list(self._kind, self._namespace)
            self._relist(listing.items)
            self._since = listing.resource_version
            self.synced.set()
        async for change in self._cluster.watch(self._kind, self._namespace, self._since):
            self._failures = 0
            if change.type != "BOOKMARK":
                self._take(change.type, change.object)
            self._since = change.object["metadata"]["resourceVersion"]

    def _relist(self, items: Iterable[Manifest]) -> None:
        listed = {Ref.of(manifest): manifest for manifest in items}
        mine = [ref for ref in self._objects if self._namespace in ("", ref.namespace)]
        for ref in mine:
            if ref not in listed:
                self._take("DELETED", self._objects[ref])
        for manifest in listed.values():
            self._take("MODIFIED", manifest)

    def _take(self, change: ChangeType, new: Manifest) -> None:
        """Bring one object up to date; tell what that meant, which is nothing if it was known."""
        ref = Ref.of(new)
        old = self._objects.get(ref)
        if change == "DELETED":
            if old is not None:
                # A write's answer may come after the news that the object is gone.
                self._gone[old["metadata"]["uid"]] = None
                while len(self._gone) > GONE_KEPT:
                    del self._gone[next(iter(self._gone))]
                del self._objects[ref]
                self._tell(self._kind, "DELETED", old, new)
            return
        if old is not None and _known(old, new):
            return
        if old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
            # Deleted and made anew while nobody watched: two events, as they happened.
            self._take("DELETED", old)
            old = None
        self._objects[ref] = new
        self._tell(self._kind, "MODIFIED" if old is not None else "ADDED", old, new)


def _known(old: Manifest, new: Manifest) -> bool:
    """Whether `new` is what is there already, or older."""
    before, after = old["metadata"], new["metadata"]
    if before["uid"] != after["uid"]:
        return False
    return int(after["resourceVersion"]) <= int(before["resourceVersion"])


def _call(subscriber: Subscriber, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
    try:
        subscriber(change, old, new)
    except Exception:
        # The others, and the cache itself, still have to hear of it.
        log.exception("a subscriber failed at %s %s", change, Ref.of(new))
