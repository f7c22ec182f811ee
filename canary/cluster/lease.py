"""A Lease: one holder at a time, agreed on by compare-and-swap.

Clocks of two machines are never compared. A Lease counts as abandoned when this process has
watched it stay the same for as long as its holder promised to renew it within. The holder
in turn stops believing in its Lease earlier than that, counted from before it asked to renew.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from types import TracebackType
from typing import Any, Self

from canary.cluster.clock import Clock, SystemClock
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.errors import AlreadyExists, ClusterError, Conflict, NotFound

log = logging.getLogger(__name__)

LEASE = Kind("coordination.k8s.io/v1", "Lease")


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a Lease lasts, in seconds; `renew_within` < `duration`, or two could hold it."""

    duration: int = 60
    """Others may take the Lease when they saw no sign of its holder for this long."""
    renew_within: float = 15.0
    """The holder gives up when it couldn't renew for this long."""
    retry: float = 5.0
    """Between two attempts to acquire or renew."""

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_within < self.duration:
            raise ValueError(f"retry < renew_within < duration does not hold: {self}")


class Lease:
    """Held within `async with`, which waits for it, keeps it renewed and releases it.

    Look at `held` before every deed that only the holder may do; wait for `lost` to stop early.
    `identity` has to be another one in every process.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.lost = asyncio.Event()
        self._cluster, self._identity = cluster, identity
        self._ref = Ref(LEASE, namespace, name)
        self._terms, self._clock = terms or Terms(), clock or SystemClock()
        self._until = self._clock.monotonic()
        self._seen: tuple[Manifest, float] = ({}, 0.0)
        self._keeper: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """True only while nobody else can hold it, whatever the network is doing."""
        return self._left() > 0

    def _left(self) -> float:
        return self._until - self._clock.monotonic()

    async def attempt(self) -> bool:
        """Acquire or renew once; whether it is held now. Raises `ClusterError`."""
        started = self._clock.monotonic()
        try:
            taken = await self._take()
        except (AlreadyExists, Conflict, NotFound):
            return self.held  # somebody wrote at the same moment: the next attempt sees who
        self._until = started + self._terms.renew_within if taken else started
        return self.held

    async def _take(self) -> bool:
        try:
            found = await self._cluster.get(self._ref)
        except NotFound:
            await self._cluster.create(self._ref.manifest(spec=self._spec({})))
            return True
        spec = found.get("spec", {})
        if not self._free(spec):
            return False
        await self._write(self._spec(spec), found["metadata"]["resourceVersion"])
        return True

    def _free(self, spec: Manifest) -> bool:
        now = self._clock.monotonic()
        if spec != self._seen[0]:
            self._seen = (spec, now)
        promised = spec.get("leaseDurationSeconds") or self._terms.duration
        holder = spec.get("holderIdentity")
        return holder in (None, "", self._identity) or now >= self._seen[1] + promised

    def _spec(self, before: Manifest) -> Manifest:
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._terms.duration,
            "renewTime": now,
        }
        if before.get("holderIdentity") == self._identity:
            return spec
        transitions = before.get("leaseTransitions", -1) + 1
        return spec | {"acquireTime": now, "leaseTransitions": transitions}

    async def _write(self, spec: Manifest, resource_version: str) -> None:
        await self._cluster.patch(
            self._ref, {"spec": spec}, manager=self._identity, resource_version=resource_version
        )

    async def release(self) -> None:
        """Let others have it at once, if it is ours. Raises `ClusterError`."""
        self._until = self._clock.monotonic()
        with suppress(NotFound, Conflict):
            found = await self._cluster.get(self._ref)
            if found.get("spec", {}).get("holderIdentity") == self._identity:
                version = found["metadata"]["resourceVersion"]
                await self._write({"holderIdentity": None, "leaseDurationSeconds": 1}, version)

    async def __aenter__(self) -> Self:
        while not await self._attempt_within(self._terms.renew_within):
            await self._clock.sleep(self._terms.retry)
        self.lost.clear()
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeper:
            await _end(self._keeper)
        with suppress(ClusterError):  # it runs out by itself
            await self._race(self.release(), self._terms.renew_within)

    async def _keep(self) -> None:
        while self.held:
            await self._clock.sleep(min(self._terms.retry, self._left()))
            await self._attempt_within(self._left())
        self.lost.set()

    async def _attempt_within(self, seconds: float) -> bool:
        try:
            await self._race(self.attempt(), seconds)
        except ClusterError as error:
            # If held, it is until it runs out; either way there is a next attempt.
            log.warning("%s could not be acquired or renewed: %s", self._ref, error)
        return self.held

    async def _race(self, work: Coroutine[Any, Any, object], seconds: float) -> None:
        """Do the work, or stop when the time is over by our own clock."""
        task = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            await _end(task)
            await _end(limit)


async def _end(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains that it wasn't
