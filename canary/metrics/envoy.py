"""Built-in metrics from Envoy's own counters, as differences between two looks at them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from canary.cluster.port import Kind, Ref
from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.errors import NoValues, ProviderError, UnknownName
from canary.http import Http
from canary.judge.threshold import LATENCY, QUANTILE, SUCCESS_RATE, Measurement, bounds
from canary.metrics.admin import GAUGES, Admin, Counts
from canary.metrics.base import Cache, Side, asking
from canary.metrics.changes import Changes, changes
from canary.metrics.histogram import quantile, slower

ROUTE = Kind("local.canary/v1", "Route")

MOMENT = 0.25
"""Seconds over which "just now" is measured."""
STALE = 2.0
"""Seconds after which an earlier look says nothing about "just now" any more."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was counted when an interval began."""

    run: str
    at: datetime
    counts: Mapping[str, Counts]
    late: bool = False
    """Taken in the middle of an interval, since there was none from its beginning."""


class Envoy:
    """Counts of the upstream clusters `<namespace>/<apex>/primary` and `/canary`."""

    def __init__(self, http: Http, cache: Cache) -> None:
        self._http = http
        self._cache = cache
        self._admins: dict[str, Admin] = {}
        self._baselines: dict[str, Baseline] = {}
        self._looks: dict[str, Counts] = {}

    async def begin(self, canary: Canary, now: datetime) -> None:
        # Forgotten first: if Envoy doesn't answer, the old one would be the wrong one.
        self._baselines.pop(canary.uid, None)
        await self._start(canary, now)

    def watched_from(self, canary: Canary) -> datetime | None:
        """When counting began for the interval that is being watched; None if it has not."""
        base = self._baselines.get(canary.uid)
        return base.at if base and base.run == _run(canary) else None

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        cluster = cluster_of(canary, side)
        if not metric.builtin:
            raise UnknownName(
                f"Canary {canary.key}", "metrics[].name", metric.name, (SUCCESS_RATE, LATENCY)
            )
        with asking(_query(metric, cluster)):
            base = self._baselines.get(canary.uid)
            if base is None or base.run != _run(canary) or base.at < since:
                base = await self._start(canary, now, late=True)
            if base.late and base.at >= now:
                raise NoValues(_again(base.at))
            found = await self._admin(canary).read([cluster])
            return _measured(metric, base, cluster, found[cluster], now)

    async def traffic(self, canary: Canary) -> float | None:
        cluster = cluster_of(canary, "canary")
        try:
            admin = self._admin(canary)
            before = self._looks.pop(canary.uid, Counts())
            if not MOMENT <= time.monotonic() - before.at <= STALE:
                before = (await admin.read([cluster]))[cluster]
                await asyncio.sleep(MOMENT)
            now = (await admin.read([cluster]))[cluster]
        except ProviderError:
            return None
        if not now.known:
            return 0.0
        self._looks[canary.uid] = now
        rate = changes(before, now).answered / (now.at - before.at) if before.known else 0.0
        return rate + sum(now[gauge] for gauge in GAUGES)

    async def close(self) -> None:
        """Nothing of its own to close; the client belongs to whoever made it."""

    async def _start(self, canary: Canary, now: datetime, *, late: bool = False) -> Baseline:
        sides = [cluster_of(canary, "canary"), cluster_of(canary, "primary")]
        counts = await self._admin(canary).read(sides)
        self._baselines[canary.uid] = base = Baseline(_run(canary), now, counts, late)
        return base

    def _admin(self, canary: Canary) -> Admin:
        ref = Ref(ROUTE, canary.namespace, canary.apex)
        route = self._cache.get(ref) or {}
        address = (route.get("status") or {}).get("admin", "")
        if not address:
            raise ProviderError(f"{ref} does not say yet which Envoy carries it")
        return self._admins.setdefault(address, Admin(self._http, address))


def cluster_of(canary: Canary, side: Side) -> str:
    """The name of Envoy's upstream cluster.

    Named after the apex, as the routing objects are; the target may go by another name.
    """
    return f"{canary.namespace}/{canary.apex}/{side}"


def _measured(
    metric: Metric, base: Baseline, cluster: str, counts: Counts, now: datetime
) -> Measurement:
    if not counts.known:
        raise NoValues(f"Envoy has no upstream cluster {cluster}")
    elapsed = (now - base.at).total_seconds()
    seen = changes(base.counts[cluster], counts)
    window = min(elapsed, counts.uptime) if seen.restarted else elapsed
    partial = "Envoy has begun to count again" if seen.restarted else ""
    if base.late:
        partial = _again(base.at)
    rated = _success_rate if metric.name == SUCCESS_RATE else _latency
    value, samples, failures = rated(metric, seen)
    unit = "%" if metric.name == SUCCESS_RATE else "ms"
    return Measurement(value, samples, failures, window, unit, _query(metric, cluster), partial)


Rated = tuple[float | None, int, int | None]
"""Value, samples, failures."""


def _success_rate(_: Metric, seen: Changes) -> Rated:
    good = seen.answered - seen.failed
    value = 100 * good / seen.answered if seen.answered else None
    return value, seen.answered, seen.failed


def _latency(metric: Metric, seen: Changes) -> Rated:
    timed = sum(seen.bins.values())
    if not timed:
        if seen.answered:
            raise NoValues(f"none of the {seen.answered:,} answers came from the service in time")
        return None, 0, None
    _, high = bounds(metric)
    value = quantile(QUANTILE, seen.bins)
    return value, timed, slower(high, seen.bins) if high is not None else None


def _query(metric: Metric, cluster: str) -> str:
    if metric.name == SUCCESS_RATE:
        return f"share of answers that did not fail, Envoy cluster {cluster}"
    return f"0.99 quantile of upstream_rq_time, Envoy cluster {cluster}"


def _again(at: datetime) -> str:
    return f"watching began again at {at:%H:%M:%S} after a restart or an outage"


def _run(canary: Canary) -> str:
    return canary.status.run.id if canary.status.run else ""
