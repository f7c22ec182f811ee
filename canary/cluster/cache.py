"""A read cache fed by watches: what exists, without asking, and a call for each change.

One watch feeds all readers of a kind. A watch that breaks is taken up where it ended; if the
changes since then are no longer kept, everything is listed again and only differences are told.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from canary.cluster.port import Cluster, Kind, Listing, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.errors import ClusterError, Expired

log = logging.getLogger(__name__)

GONE_KEPT = 1000
LASTING = 30.0
"""Seconds after which a watch counts as one that worked, even if nothing happened."""
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the whole object, of a Secret's content as well, in an annotation."""

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


class Keep(Enum):
    """What of each object is worth its memory."""

    ALL = "all"
    CONTENT = "content"
    """Without who wrote which field, which is often half of an object."""
    METADATA = "metadata"
    """That it changed, and nothing that may be secret or large; the server sends no more."""

    def slim(self, manifest: Manifest) -> Manifest:
        if self is Keep.ALL:
            return manifest
        meta = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
        if APPLIED in meta.get("annotations", ()):
            meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != APPLIED}
        if self is Keep.METADATA:
            manifest = {k: manifest[k] for k in ("apiVersion", "kind")}
        return {**manifest, "metadata": meta}


class Cache:
    """Objects by reference, for each kind that was started.

    What it hands out is shared by everybody, and must be treated as read-only. `keep` says what
    is kept of objects of a kind, and `others` of those that it doesn't name.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        backoff: Backoff | None = None,
        keep: Mapping[Kind, Keep] | None = None,
        others: Keep = Keep.ALL,
    ) -> None:
        self._cluster, self._backoff = cluster, backoff or Backoff()
        self._keep, self._others = keep or {}, others
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
        keep = self._keep.get(kind, self._others)
        scope = _Scope(kind, namespace, keep)
        feed = _Feed(self._cluster, self._backoff, scope, objects, self._tell)
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

    def trouble(self, kind: Kind) -> str:
        """Why a kind could not be listed or watched, until it is heard of again; or nothing."""
        return next((feed.trouble for feed in self._of(kind) if feed.trouble), "")

    async def close(self) -> None:
        """End the watches. What is known stays readable."""
        for feed in self._feeds.values():
            await feed.stop()

    def _of(self, kind: Kind) -> list["_Feed"]:
        return [feed for (fed, _), feed in self._feeds.items() if fed == kind]

    def _tell(self, kind: Kind, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        for subscriber in tuple(self._subscribers.get(kind, ())):
            _call(subscriber, change, old, new)


@dataclass(frozen=True, slots=True)
class _Scope:
    kind: Kind
    namespace: str
    keep: Keep

    def has(self, ref: Ref) -> bool:
        return self.namespace in ("", ref.namespace)

    def __str__(self) -> str:
        return f"{self.kind.name} in {self.namespace or 'all namespaces'}"


class _Feed:
    """One watch, and the part of the cache that it keeps true."""

    def __init__(
        self,
        cluster: Cluster,
        backoff: Backoff,
        scope: _Scope,
        objects: dict[Ref, Manifest],
        tell: Callable[[Kind, ChangeType, Manifest | None, Manifest], None],
    ) -> None:
        self.synced = asyncio.Event()
        self.trouble = ""
        self._cluster, self._backoff, self._tell = cluster, backoff, tell
        self._scope, self._kind, self._objects = scope, scope.kind, objects
        self._since = ""
        self._newest = 0
        """The last resourceVersion that the server told us of."""
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
        if self._scope.has(ref) and manifest["metadata"]["uid"] not in self._gone:
            self._take("MODIFIED", self._scope.keep.slim(manifest))

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                await self._follow()
            except Expired:
                self._since = ""
            except ClusterError as error:
                self._complain(str(error))
            except Exception:
                # One odd object must not leave everybody with a cache that silently grows old.
                log.exception("the watch of %s failed", self._scope)
                self._since = ""
            if now() - began > LASTING:
                self._failures = 0
            # Also after a watch that simply ended: servers end them every few minutes.
            await asyncio.sleep(self._backoff.delay(self._failures))
            self._failures += 1

    def _complain(self, trouble: str) -> None:
        """Log a trouble once, and not each time it is met again."""
        level = logging.DEBUG if trouble == self.trouble else logging.WARNING
        log.log(level, "the watch of %s broke: %s", self._scope, trouble)
        self.trouble = trouble

    async def _follow(self) -> None:
        if not self._since:
            await self._list()
        slight = self._scope.keep is Keep.METADATA
        async for change in self._cluster.watch(
            self._kind, self._scope.namespace, self._since, metadata_only=slight
        ):
            self._failures, self.trouble = 0, ""
            if change.type != "BOOKMARK":
                self._take(change.type, self._scope.keep.slim(change.object))
            self._heard(change.object["metadata"]["resourceVersion"])

    async def _list(self) -> None:
        # Apart from the watch, which lasts: what isn't kept has to go when this is over.
        slight = self._scope.keep is Keep.METADATA
        kind, namespace = self._kind, self._scope.namespace
        self._relist(await self._cluster.list(kind, namespace, metadata_only=slight))
        self.trouble = ""
        self.synced.set()

    def _heard(self, version: str) -> None:
        self._since, self._newest = version, int(version)

    def _relist(self, listing: Listing) -> None:
        # A store that was brought back from a copy counts from where it was then: what we have
        # seems newer than what it lists, and is not true any more.
        went_back = int(listing.resource_version) < self._newest
        if went_back:
            self._gone.clear()
        listed = {Ref.of(manifest): manifest for manifest in listing.items}
        unlisted = [ref for ref in self._objects if self._scope.has(ref) and ref not in listed]
        for ref in unlisted:
            # What was written after the list was made can't be in it.
            if went_back or not _newer(self._objects[ref], listing.resource_version):
                self._take("DELETED", self._objects[ref])
        for manifest in listed.values():
            self._take("MODIFIED", self._scope.keep.slim(manifest), went_back=went_back)
        self._heard(listing.resource_version)

    def _take(self, change: ChangeType, new: Manifest, *, went_back: bool = False) -> None:
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
        if old is not None and _known(old, new, went_back=went_back):
            return
        if old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
            # Deleted and made anew while nobody watched: two events, as they happened.
            self._take("DELETED", old)
            old = None
        self._objects[ref] = new
        self._tell(self._kind, "MODIFIED" if old is not None else "ADDED", old, new)


def _newer(manifest: Manifest, version: str) -> bool:
    return int(manifest["metadata"]["resourceVersion"]) > int(version)


def _known(old: Manifest, new: Manifest, *, went_back: bool) -> bool:
    """Whether `new` is what is there already, or older; where time went back, only the former."""
    before, after = old["metadata"], new["metadata"]
    if before["uid"] != after["uid"]:
        return False
    had, got = int(before["resourceVersion"]), int(after["resourceVersion"])
    return got == had or (got < had and not went_back)


def _call(subscriber: Subscriber, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
    try:
        subscriber(change, old, new)
    except Exception:
        # The others, and the cache itself, still have to hear of it.
        log.exception("a subscriber failed at %s %s", change, Ref.of(new))
