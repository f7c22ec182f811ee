"""The watches of one controller: each kind is listed once, and its changes are told after that."""

import asyncio

from canary.cluster.cache import Cache, Subscriber
from canary.cluster.port import Kind, Manifest
from canary.cluster.store import ChangeType


class Watches:
    def __init__(self, cache: Cache, changed: Subscriber) -> None:
        self._cache, self._changed = cache, changed
        self._starting: dict[Kind, asyncio.Task[None]] = {}

    async def follow(self, kind: Kind) -> None:
        """Watch a kind, unless that is done already, and wait until it has been listed."""
        if kind not in self._starting:
            self._starting[kind] = asyncio.create_task(self._start(kind), name=f"list {kind.name}")
        # Shielded: who gives up waiting must not take the watch from those who come later.
        await asyncio.shield(self._starting[kind])

    def unlisted(self) -> list[Kind]:
        """Kinds that nothing is known of yet."""
        return sorted(kind for kind in self._starting if not self._cache.synced(kind))

    async def close(self) -> None:
        """Give up on what has not been listed; the watches themselves belong to the cache."""
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)

    async def _start(self, kind: Kind) -> None:
        await self._cache.start(kind)
        await self._cache.wait_synced(kind)
        listed = False

        def told(change: ChangeType, old: Manifest | None, new: Manifest) -> None:
            # What was there before is looked at by whoever waits for the list.
            if listed:
                self._changed(change, old, new)

        self._cache.subscribe(kind, told)
        listed = True
