"""What Envoy's admin interface counts, read with one call for everybody who asks at the moment."""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from canary.errors import ProviderError
from canary.http import MEBIBYTE, Http, Request
from canary.metrics.histogram import Bins

COUNTERS = (
    "upstream_rq_completed",
    "upstream_rq_101",
    "upstream_rq_5xx",
    "upstream_rq_503",
    "upstream_rq_504",
    "upstream_rq_timeout",
    "upstream_rq_retry",
    "upstream_rq_rx_reset",
    "upstream_cx_destroy_remote_with_active_rq",
)
GAUGES = ("upstream_rq_active", "upstream_rq_pending_active")
DURATIONS = "upstream_rq_time"
UPTIME = "server.uptime"

TIMEOUT = 5.0
LIMIT = 16 * MEBIBYTE
MERGE = 0.01
"""Seconds that Envoy gets to add up the histograms of its threads after it was asked to."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What Envoy has counted for one upstream cluster since it started."""

    counters: Mapping[str, int] = field(default_factory=dict)
    bins: Bins = field(default_factory=dict)
    uptime: float = 0.0
    """Seconds since Envoy started."""
    at: float = 0.0
    """When it was read, on a clock that nobody sets."""
    known: bool = True
    """False: Envoy has no such cluster."""

    def __getitem__(self, counter: str) -> int:
        return self.counters.get(counter, 0)


class Admin:
    """One Envoy. Calls that wait to be sent are merged; an answer is never older than its question.

    Asking costs Envoy a walk over all of its counters, so a hundred Canaries that are looked at
    together should cost one. Nothing is remembered between calls.
    """

    def __init__(self, http: Http, address: str) -> None:
        self._http = http
        self._address = address.rstrip("/")
        self._wanted: set[str] = set()
        self._next: asyncio.Task[dict[str, Counts]] | None = None

    async def read(self, clusters: Iterable[str]) -> Mapping[str, Counts]:
        """The counts of at least these clusters. Raises `ProviderError`."""
        wanted = frozenset(clusters)
        self._wanted |= wanted
        if self._next is None:
            self._next = asyncio.create_task(self._call())
        # Shielded: somebody who gives up must not take the answer from all others.
        found = await asyncio.shield(self._next)
        return {name: found.get(name, Counts(known=False)) for name in wanted}

    async def _call(self) -> dict[str, Counts]:
        # Envoys of ours add up their histograms when they are asked something, and answer with
        # the sums from before it. So the first call is only there to make the second one true.
        try:
            await self._get(filter=f"^{UPTIME}$")
            await asyncio.sleep(MERGE)
        finally:
            wanted, self._wanted, self._next = self._wanted, set(), None
        answer = await self._get(histogram_buckets="detailed", filter=pattern(wanted))
        return parsed(answer, time.monotonic())

    async def _get(self, **params: str) -> Any:
        url = f"{self._address}/stats"
        request = Request("GET", url, {"format": "json", **params}, timeout=TIMEOUT, limit=LIMIT)
        return (await self._http.send(request)).require().json()


def pattern(clusters: Iterable[str]) -> str:
    """The filter, in the syntax of RE2, that matches what is read of these clusters."""
    names = "|".join(re.escape(name) for name in sorted(clusters))
    fields = "|".join((*COUNTERS, *GAUGES, DURATIONS))
    return f"^({UPTIME}|cluster[.]({names})[.]({fields}))$"


def parsed(answer: Any, at: float) -> dict[str, Counts]:
    """The counts by cluster. Raises `ProviderError` for an answer that isn't Envoy's."""
    try:
        return _parsed(answer["stats"], at)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProviderError(f"not an answer of Envoy's admin interface: {error!r}") from error


def _parsed(stats: list[dict[str, Any]], at: float) -> dict[str, Counts]:
    values = {stat["name"]: stat["value"] for stat in stats if "value" in stat}
    details = [each for stat in stats if "histograms" in stat for each in _details(stat)]
    uptime = float(values.pop(UPTIME, 0))
    counters: dict[str, dict[str, int]] = {}
    for name, value in values.items():
        cluster, _, counter = name.removeprefix("cluster.").rpartition(".")
        counters.setdefault(cluster, {})[counter] = int(value)
    bins = {each["name"][len("cluster.") : -len(f".{DURATIONS}")]: _bins(each) for each in details}
    return {
        cluster: Counts(found, bins.get(cluster, {}), uptime, at)
        for cluster, found in counters.items()
    }


def _details(stat: Mapping[str, Any]) -> list[dict[str, Any]]:
    # Without a single histogram Envoy leaves out the key, or sends an empty list instead.
    histograms = stat["histograms"]
    found: list[dict[str, Any]] = histograms.get("details", []) if histograms else []
    return found


def _bins(detail: Mapping[str, Any]) -> Bins:
    return {
        (float(bin_["lower_bound"]), float(bin_["width"])): int(bin_["count"])
        for bin_ in detail["totals"]
        if isfinite(bin_["lower_bound"])
    }
