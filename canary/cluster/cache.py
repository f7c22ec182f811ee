"""A read cache fed by watches: what exists, without asking, and a call for each change.

One watch feeds all readers of a kind. A watch that breaks is taken up where it ended; if the
changes since then are no longer kept, everything is listed again and only differences are told.
"""

import logging
from collections.abc import Callable, Mapping

from canary.cluster.feed import Backoff, Feed, Scope
from canary.cluster.keep import Keep
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.cluster.store import ChangeType

__all__ = ["Backoff", "Cache", "Keep", "Subscriber"]

log = logging.getLogger(__name__)

Subscriber = Callable[[ChangeType, Manifest | None, Manifest], None]
"""Called with what happened, the object before (`None` for `ADDED`) and the object now.

For `DELETED` the last one is the last known state. It runs inside the watch, so it must not
take long, and it can't wait: it notes what is to be done.
"""


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
        self._feeds: dict[tuple[Kind, str], Feed] = {}
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
        scope = Scope(kind, namespace, keep)
        feed = Feed(self._cluster, self._backoff, scope, objects, self._tell)
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

    def _of(self, kind: Kind) -> list[Feed]:
        return [feed for (fed, _), feed in self._feeds.items() if fed == kind]

    def _tell(self, kind: Kind, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        for subscriber in tuple(self._subscribers.get(kind, ())):
            _call(subscriber, change, old, new)


def _call(subscriber: Subscriber, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
    try:
        subscriber(change, old, new)
    except Exception:
        # The others, and the cache itself, still have to hear of it.
        log.exception("a subscriber failed at %s %s", change, Ref.of(new))
