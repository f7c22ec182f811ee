"""What is told: Kubernetes Events, event hooks and metrics.

Everything here follows from what is recorded in the status, and has a name made from it, so that
telling it twice after a crash changes nothing.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog

from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.core.facts import HookType
from canary.crd import Canary
from canary.crd.status import Announcement
from canary.engine.numbers import Numbers
from canary.errors import AlreadyExists
from canary.hooks.call import Hooks

log = structlog.get_logger(__name__)

EVENT = Kind("v1", "Event")
COMPONENT = "flagger"
"""The event source that existing dashboards and scripts look for."""


TOLD_AGAIN = timedelta(minutes=30)
"""How old something may be that a new process tells once more, as the last one may have died
before it had. Events are kept for an hour, and until then a second one of the same is refused."""

GRACE = 5.0
"""Seconds that calls under way get at the end."""


class About(NamedTuple):
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str

    @classmethod
    def of(cls, canary: Canary) -> "About":
        version = canary.resource_version
        return cls(
            canary.api_version, canary.kind, canary.namespace, canary.name, canary.uid, version
        )


class Recorder:
    """Tells what happened. Raises `ClusterError` when an Event can't be written."""

    def __init__(
        self,
        cluster: Cluster,
        hooks: Hooks,
        numbers: Numbers,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster, self._hooks, self._numbers, self._now = cluster, hooks, numbers, now
        self._told: dict[str, int] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        """The last call of each Canary; it waits for the one before it."""
        self._under_way: set[asyncio.Task[None]] = set()

    async def tell(self, canary: Canary) -> None:
        """Tell what the last transition has to tell, unless this process has done so."""
        status = canary.status
        if self._told.get(canary.uid, 0) >= status.transition or self._long_told(canary):
            return
        for announcement in status.announcements:
            await self._event(About.of(canary), announcement)
        self._told[canary.uid] = status.transition
        self._call_in_order(canary, status.announcements)

    def _long_told(self, canary: Canary) -> bool:
        """Whether a process before this one has had all the time it needed to tell it."""
        at = canary.status.last_transition_time
        return canary.uid not in self._told and at is not None and self._now() > at + TOLD_AGAIN

    def status_changed(self, before: Canary, after: Canary) -> None:
        self._numbers.status_changed(before, after)

    def forget(self, canary: Canary) -> None:
        """The Canary is gone, and so are its series."""
        self._told.pop(canary.uid, None)
        self._numbers.forget(canary)

    async def complain(self, canary: Canary, text: str) -> None:
        """An Event about something that went wrong outside any transition, once per text."""
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        key = f"{canary.uid[:8]}-{canary.status.transition}-error-{digest}"
        await self._event(About.of(canary), Announcement(key=key, text=text, type="Warning"))

    async def refuse(self, manifest: Manifest, text: str) -> None:
        """An Event about a Canary that can't be acted on as it is written, once per text."""
        meta, ref = manifest["metadata"], Ref.of(manifest)
        digest = hashlib.sha256(f"{meta.get('generation', 0)} {text}".encode()).hexdigest()[:8]
        about = About(
            ref.kind.api_version,
            ref.kind.name,
            ref.namespace,
            ref.name,
            meta["uid"],
            meta["resourceVersion"],
        )
        key = f"{meta['uid'][:8]}-invalid-{digest}"
        await self._event(about, Announcement(key=key, text=text, type="Warning"))

    async def close(self) -> None:
        """Give calls under way a moment to end."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=GRACE)
        for call in late:
            call.cancel()
        if late:
            await asyncio.wait(late)

    async def _event(self, about: About, announcement: Announcement) -> None:
        """Write one Event, under a name that makes a second one of the same impossible."""
        if not announcement.text:
            return
        with suppress(AlreadyExists):
            await self._cluster.create(_event(about, announcement, self._now()))
            key = f"{about.namespace}/{about.name}"
            log.info(announcement.text, canary=key, type=announcement.type)

    def _call_in_order(self, canary: Canary, announcements: tuple[Announcement, ...]) -> None:
        """Hooks that can't change anything are called beside the tick, in order per Canary."""
        wanted = [each for each in announcements if each.hooks or _has_event_hooks(canary)]
        if not wanted:
            return
        before = self._calls.get(canary.uid)
        task = asyncio.create_task(self._call(canary, wanted, before))
        self._calls[canary.uid] = task
        self._under_way.add(task)
        task.add_done_callback(lambda done: self._ended(canary.uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._calls.get(uid) is task:
            del self._calls[uid]
        if not task.cancelled() and (error := task.exception()):
            log.error("hooks could not be called", error=str(error))

    async def _call(
        self,
        canary: Canary,
        announcements: list[Announcement],
        before: asyncio.Task[None] | None,
    ) -> None:
        if before:
            await asyncio.wait({before})
        for announcement in announcements:
            if announcement.text:
                await self._hooks.event(canary, announcement)
            if announcement.hooks:
                await self._hook(canary, announcement)

    async def _hook(self, canary: Canary, announcement: Announcement) -> None:
        kind = HookType(announcement.hooks)
        phase = str(announcement.phase)
        for answer in await self._hooks.ask(canary, kind, phase, announcement.key):
            words = "passed" if answer.passed else f"failed: {answer.detail}"
            await self._event(
                About.of(canary),
                Announcement(
                    key=f"{announcement.key}-{answer.name.lower()}",
                    text=f"{kind} hook {answer.name} {words}",
                    type="Normal" if answer.passed else "Warning",
                    phase=announcement.phase,
                ),
            )


def _has_event_hooks(canary: Canary) -> bool:
    return any(each.type == "event" for each in canary.spec.analysis.webhooks or ())


def _event(about: About, announcement: Announcement, now: datetime) -> dict[str, Any]:
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    suffix = hashlib.sha256(announcement.key.encode()).hexdigest()[:16]
    ref = Ref(EVENT, about.namespace, f"{about.name}.{suffix}")
    return ref.manifest(
        involvedObject={
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
            "resourceVersion": about.resource_version,
        },
        reason="Synced",
        message=announcement.text,
        type=announcement.type,
        source={"component": COMPONENT},
        firstTimestamp=time,
        lastTimestamp=time,
        eventTime=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        reportingComponent=COMPONENT,
        reportingInstance=COMPONENT,
        action="Rollout",
        count=1,
    )
