"""One watch of a cache: begun, taken up again, and compared with a list where it can't be.

What a re-list finds is told only as far as it differs from what was known.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from canary.cluster.keep import Keep
from canary.cluster.port import Cluster, Kind, Listing, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.errors import ClusterError, Expired

log = logging.getLogger(__name__)

GONE_KEPT = 1000
LASTING = 30.0
"""Seconds after which a watch counts as one that worked, even if nothing happened."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a failure, in seconds: twice as long each time, with jitter."""

    first: float = 0.2
    longest: float = 30.0

    def delay(self, failures: int) -> float:
        """Between half and all of the delay, so that many clients don't come back together."""
        most = min(self.longest, self.first * 2.0 ** min(failures, 32))
        return most * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


@dataclass(frozen=True, slots=True)
class Scope:
    kind: Kind
    namespace: str
    keep: Keep

    def has(self, ref: Ref) -> bool:
        return self.namespace in ("", ref.namespace)

    def __str__(self) -> str:
        return f"{self.kind.name} in {self.namespace or 'all namespaces'}"


class Feed:
    """One watch, and the part of the cache that it keeps true."""

    def __init__(
        self,
        cluster: Cluster,
        backoff: Backoff,
        scope: Scope,
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
