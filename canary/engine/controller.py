"""Which Canary is looked at when: at once after a change, and when a wait is over.

A Canary that waits for nothing has no job and no timer; it is looked at when something of its
own changes, and that is told by the watches.
"""

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary, parse
from canary.engine.numbers import Numbers
from canary.engine.parts import Parts
from canary.engine.tick import tick
from canary.errors import CanaryError, Conflict, NotFound, SpecError
from canary.targets.workloads import RECORDS

log = structlog.get_logger(__name__)

CANARY = Kind("flagger.app/v1beta1", "Canary")
FIRST_RETRY = 0.5
LONGEST_RETRY = 60.0
"""Seconds between tries after errors: doubled each time, with jitter."""
TICK_LIMIT = 120.0
"""Seconds after which a tick is ended; whatever hangs must not hold a Canary for ever."""


class Controller:
    """Looks after every Canary in the cache until it is closed."""

    def __init__(self, parts: Parts, numbers: Numbers, *, ticks_at_once: int = 16) -> None:
        self._parts, self._numbers = parts, numbers
        self._limit = asyncio.Semaphore(ticks_at_once)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._canaries: dict[str, Canary] = {}
        self._interested: dict[Ref, set[str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._kinds: set[Kind] = set()
        self._closing = False

    async def start(self) -> None:
        """Watch, and look at every Canary once: the last process may have died halfway."""
        self._scheduler.start()
        await self._watch(RECORDS)
        await self._parts.cache.start(CANARY)
        await self._parts.cache.wait_synced(CANARY, RECORDS)
        self._parts.cache.subscribe(CANARY, self._canary_changed)

    async def close(self) -> None:
        """Let ticks under way come to an end; what they leave undone is done after a restart."""
        self._closing = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if running := list(self._running.values()):
            _, late = await asyncio.wait(running, timeout=10)
            for task in late:
                task.cancel()
        await self._parts.recorder.close()

    @property
    def canaries(self) -> dict[str, Canary]:
        """All that are looked after, by `namespace/name`."""
        return self._canaries

    def unready(self) -> list[str]:
        """Why this process can't be relied on yet; empty when it can."""
        missing = [kind.name for kind in self._kinds if not self._parts.cache.synced(kind)]
        return [f"{name} objects have not been listed yet" for name in sorted(missing)]

    def waits(self, key: str) -> datetime | None:
        """When a Canary is looked at next even if nothing changes."""
        job = self._scheduler.get_job(key)
        return job.next_run_time if job else None

    def wake(self, key: str) -> None:
        """Look at a Canary now, or once more if that is being done already."""
        if self._closing or key not in self._canaries:
            return
        if key in self._running:
            self._again.add(key)
            return
        task = asyncio.create_task(self._look(key), name=f"tick {key}")
        self._running[key] = task
        task.add_done_callback(lambda _: self._looked(key))

    async def _woken(self, key: str) -> None:
        """A wait is over. A coroutine, since the scheduler would run a function in a thread."""
        self.wake(key)

    def _looked(self, key: str) -> None:
        self._running.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.wake(key)

    async def _look(self, key: str) -> None:
        """One tick, with everything that can go wrong in it kept away from other Canaries."""
        async with self._limit:
            canary = self._canaries.get(key)
            if canary is None:
                return
            began = asyncio.get_running_loop().time()
            try:
                await self._watch_kinds_of(canary)
                async with asyncio.timeout(TICK_LIMIT):
                    waiting = await tick(self._parts, canary)
            except (Conflict, NotFound):
                # Somebody wrote first: the watch brings what they wrote, and with it a new tick.
                self._retry(key, 0.2)
            except CanaryError as error:
                await self._complain(canary, str(error))
                self._back_off(key)
            except TimeoutError:
                await self._complain(canary, f"a tick took more than {TICK_LIMIT:g} s")
                self._back_off(key)
            except Exception:
                log.exception("a tick failed; this is a bug", canary=key)
                self._back_off(key)
            else:
                self._failures.pop(key, None)
                self._schedule(key, waiting.until if waiting else None)
            finally:
                self._numbers.ticked(canary, asyncio.get_running_loop().time() - began)

    async def _complain(self, canary: Canary, text: str) -> None:
        log.warning(text, canary=canary.key)
        try:
            await self._parts.recorder.complain(canary, text)
        except CanaryError as error:
            log.warning("an event could not be written", canary=canary.key, error=str(error))

    def _back_off(self, key: str) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        most = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 16))
        self._retry(key, most * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret

    def _retry(self, key: str, seconds: float) -> None:
        self._schedule(key, datetime.now(UTC) + timedelta(seconds=seconds))

    def _schedule(self, key: str, until: datetime | None) -> None:
        if self._closing:
            return
        if until is None:
            if self._scheduler.get_job(key):
                self._scheduler.remove_job(key)
            return
        # A job that is late still has to run: there is nothing it would be too late for.
        self._scheduler.add_job(
            self._woken,
            "date",
            run_date=until,
            args=[key],
            id=key,
            replace_existing=True,
            misfire_grace_time=None,
        )

    def _canary_changed(self, change: str, _old: Manifest | None, manifest: Manifest) -> None:
        key = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        if change == "DELETED":
            self._forget(key)
            return
        try:
            canary = parse(manifest)
        except SpecError as error:
            # What is running goes on with the spec that it was started with.
            log.warning("the manifest is not valid", canary=key, error=str(error))
            return
        if isinstance(canary, Canary):
            self._canaries[key] = canary
            self._count()
            self._index(key, canary)
            self.wake(key)

    def _forget(self, key: str) -> None:
        canary = self._canaries.pop(key, None)
        self._schedule(key, None)
        self._count(gone=key.split("/", maxsplit=1)[0])
        for keys in self._interested.values():
            keys.discard(key)
        if canary:
            self._parts.recorder.forget(canary)

    def _count(self, gone: str = "") -> None:
        counts = {gone: 0} if gone else {}
        for canary in self._canaries.values():
            counts[canary.namespace] = counts.get(canary.namespace, 0) + 1
        self._numbers.count(counts)

    def _index(self, key: str, canary: Canary) -> None:
        """Remember which objects' changes concern this Canary."""
        for keys in self._interested.values():
            keys.discard(key)
        for ref in self._refs(canary):
            self._interested.setdefault(ref, set()).add(key)

    def _refs(self, canary: Canary) -> Iterable[Ref]:
        yield from self._parts.workloads.refs(canary)
        try:
            yield from self._parts.routing.refs(canary)
        except SpecError as error:
            log.warning(str(error), canary=canary.key)

    async def _watch_kinds_of(self, canary: Canary) -> None:
        """Start the watches this Canary needs; the first of its kind waits for the list."""
        for ref in self._refs(canary):
            await self._watch(ref.kind)

    async def _watch(self, kind: Kind) -> None:
        if kind in self._kinds:
            await self._parts.cache.wait_synced(kind)
            return
        self._kinds.add(kind)
        await self._parts.cache.start(kind)
        await self._parts.cache.wait_synced(kind)
        self._parts.cache.subscribe(kind, self._object_changed)

    def _object_changed(self, _change: str, _old: Manifest | None, manifest: Manifest) -> None:
        for key in tuple(self._interested.get(Ref.of(manifest), ())):
            self.wake(key)
