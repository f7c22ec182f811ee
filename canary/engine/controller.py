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
from canary.core.actions import Wait
from canary.crd import Canary
from canary.engine.manifests import reading, show
from canary.engine.numbers import Numbers
from canary.engine.parts import Parts
from canary.engine.subjects import Subjects
from canary.engine.tick import tick
from canary.engine.watches import Watches
from canary.errors import CanaryError, Conflict, NotFound, SpecError
from canary.hooks.retries import PATIENCE
from canary.targets.records import RECORDS

log = structlog.get_logger(__name__)

CANARY = Kind("flagger.app/v1beta1", "Canary")
FIRST_RETRY = 0.5
LONGEST_RETRY = 60.0
"""Seconds between tries after errors: doubled each time, with jitter."""
QUICK_RETRY = 0.1
"""The same, where somebody else wrote first: nothing is wrong, so the first one comes soon."""
TICK_LIMIT = 120.0
"""Seconds after which a tick is ended; whatever hangs must not hold a Canary for ever. What the
timeouts of its hooks allow comes on top."""


class Controller:
    """Looks after every Canary in the cache until it is closed."""

    def __init__(self, parts: Parts, numbers: Numbers, *, ticks_at_once: int = 16) -> None:
        self._parts, self._numbers = parts, numbers
        self._limit = asyncio.Semaphore(ticks_at_once)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._subjects = Subjects()
        self._watches = Watches(parts.cache, self._object_changed)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._started = False
        self._closing = False

    async def start(self) -> None:
        """Watch, and look at every Canary once: the last process may have died halfway."""
        self._scheduler.start()
        await self._watches.follow(RECORDS)
        await self._parts.cache.start(CANARY)
        await self._parts.cache.wait_synced(CANARY)
        # Who was first is known before any of them is looked at.
        for manifest in self._parts.cache.items(CANARY):
            self._parts.claims.take(_key(manifest), manifest)
        self._parts.cache.subscribe(CANARY, self._canary_changed)
        self._started = True

    async def close(self) -> None:
        """Let ticks under way come to an end; what they leave undone is done after a restart."""
        self._closing = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await self._watches.close()
        if running := list(self._running.values()):
            _, late = await asyncio.wait(running, timeout=10)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._parts.recorder.close()

    def unready(self) -> list[str]:
        """Why this process can't be relied on yet; empty when it can."""
        if not self._started:
            return ["the controller has not started yet"]
        return [
            f"{kind.name} objects have not been listed yet" for kind in self._watches.unlisted()
        ]

    def waits(self, key: str) -> datetime | None:
        """When a Canary is looked at next even if nothing changes."""
        job = self._scheduler.get_job(key)
        return job.next_run_time if job else None

    @property
    def resting(self) -> bool:
        """Whether no Canary is being looked at just now."""
        return not (self._running or self._again)

    def wake(self, key: str) -> None:
        """Look at a Canary now, or once more if that is being done already."""
        if self._closing or key not in self._subjects:
            return
        if running := self._running.get(key):
            # What a tick writes itself it also decides from before it ends.
            if running is not asyncio.current_task():
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
            if key not in self._subjects:
                return
            canary = self._subjects[key].canary
            limit, began = _limit(canary), asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(limit):
                    waiting = await self._tick(key)
            except (Conflict, NotFound) as error:
                # Somebody wrote first: the watch brings what they wrote, and with it a new tick.
                log.debug("decided from what is no longer so", canary=key, error=str(error))
                self._back_off(key, QUICK_RETRY)
            except CanaryError as error:
                await self._complain(canary, key, str(error))
                self._back_off(key)
            except TimeoutError:
                await self._complain(canary, key, f"a tick took more than {limit:g} s")
                self._back_off(key)
            except Exception:
                log.exception("a tick failed; this is a bug", canary=key)
                self._back_off(key)
            else:
                self._failures.pop(key, None)
                self._schedule(key, waiting.until if waiting else None)
            if canary and key in self._subjects:
                self._numbers.ticked(canary, asyncio.get_running_loop().time() - began)

    async def _tick(self, key: str) -> Wait | None:
        """Look, then say of the manifest what is wrong with it, which only an edit can change."""
        subject, waiting = self._subjects[key], None
        problem = subject.problem
        if subject.canary:
            try:
                await self._follow(key, subject.canary)
                waiting = await tick(self._parts, subject.canary)
            except SpecError as error:
                log.warning(str(error), canary=key)
                problem = problem or str(error)
        if key in self._subjects:
            await show(self._parts, subject.ref, self._subjects[key].canary, problem)
        return waiting

    async def _follow(self, key: str, canary: Canary) -> None:
        """Watch what concerns a Canary, which depends on what its target names by now."""
        for kind in self._parts.workloads.kinds(canary):
            await self._watches.follow(kind)
        refs, known = frozenset(self._refs(canary)), frozenset[Ref]()
        while refs != known:
            for ref in refs - known:
                await self._watches.follow(ref.kind)
            # Only a target that has been listed can name anything.
            refs, known = frozenset(self._refs(canary)) | refs, refs
        self._subjects.follow(key, frozenset(self._refs(canary)))

    async def _complain(self, canary: Canary | None, key: str, text: str) -> None:
        log.warning(text, canary=key)
        if canary is None:
            return
        try:
            await self._parts.recorder.complain(canary, text)
        except CanaryError as error:
            log.warning("an event could not be written", canary=key, error=str(error))

    def _back_off(self, key: str, first: float = FIRST_RETRY) -> None:
        if key not in self._subjects:
            return
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        most = min(LONGEST_RETRY, first * 2.0 ** min(failures, 16))
        seconds = most * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
        self._schedule(key, datetime.now(UTC) + timedelta(seconds=seconds))

    def _schedule(self, key: str, until: datetime | None) -> None:
        if self._closing:
            return
        if until is None or key not in self._subjects:
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
        key = _key(manifest)
        if change == "DELETED":
            self._forget(key)
            return
        known = self._subjects.get(key)
        read = reading(manifest, known.canary if known else None, known.problem if known else "")
        if read.problem and read.problem != (known.problem if known else ""):
            # What is running goes on with the spec that it was started with.
            log.warning("the manifest is not valid", canary=key, error=read.problem)
        refs = self._refs(read.canary) if read.canary else ()
        self._subjects.take(key, Ref.of(manifest), read, refs)
        self._count(manifest["metadata"].get("namespace", ""))
        if read.canary:
            self._numbers.show(read.canary)
        for each in (key, *self._parts.claims.take(key, manifest)):
            self.wake(each)

    def _forget(self, key: str) -> None:
        canary = self._subjects.drop(key)
        self._failures.pop(key, None)
        self._schedule(key, None)
        self._count(key.split("/", maxsplit=1)[0])
        if canary:
            self._parts.recorder.forget(canary)
        for each in self._parts.claims.drop(key):
            self.wake(each)

    def _count(self, namespace: str) -> None:
        self._numbers.count({namespace: self._subjects.count(namespace)})

    def _refs(self, canary: Canary) -> Iterable[Ref]:
        try:
            yield from self._parts.workloads.refs(canary)
            yield from self._parts.routing.refs(canary)
        except SpecError as error:
            log.debug(str(error), canary=canary.key)

    def _object_changed(self, _change: str, _old: Manifest | None, manifest: Manifest) -> None:
        for key in self._subjects.concerned(Ref.of(manifest)):
            self.wake(key)


def _key(manifest: Manifest) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


def _limit(canary: Canary | None) -> float:
    """Seconds that a tick may take, with hooks that use all the time they were given."""
    hooks = canary.spec.analysis.webhooks if canary else ()
    return TICK_LIMIT + sum(
        (each.timeout_seconds + PATIENCE) * (1 + each.retries) - PATIENCE for each in hooks
    )
