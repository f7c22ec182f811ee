"""All checks of a Canary, side by side: each gets its own outcome, and none hides another."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from canary.crd.analysis import BUILTIN_METRICS, Metric
from canary.crd.canary import Canary
from canary.crd.status import CheckRecord, Outcome
from canary.errors import CanaryError, NoValues, UnknownName
from canary.http import Http
from canary.judge.threshold import bounds, judge
from canary.metrics.base import Cache, Counting, Read, Source, asked
from canary.metrics.envoy import Envoy
from canary.metrics.prometheus import Prometheus
from canary.metrics.promql import Builtin, Inline, Template

AT_ONCE = 16
"""Measurements on their way at the same time, over all Canaries."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The ways to a number. Which one a metric takes depends on how it is written."""

    envoy: Counting
    builtin: Source
    inline: Source
    template: Source

    def all(self) -> tuple[Source, ...]:
        return (self.envoy, self.builtin, self.inline, self.template)


def sources(
    http: Http, cache: Cache, read: Read, *, metrics_server: str = "", provider: str = "envoy"
) -> Sources:
    """The real ones. `provider` is what a Canary without one gets."""
    prometheus = Prometheus()
    return Sources(
        Envoy(http, cache),
        Builtin(prometheus, metrics_server, provider),
        Inline(prometheus, metrics_server),
        Template(prometheus, cache, read),
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """One number to get. A metric can ask for several: built in, inline and by template."""

    index: int
    metric: Metric
    source: Source | None
    """None: nothing goes by this metric's name."""
    builtin: bool = False


class Checks:
    """Asks the sources and has the answers judged."""

    def __init__(
        self,
        sources: Sources,
        *,
        provider: str = "envoy",
        minimum_interval: float = 10.0,
        at_once: int = AT_ONCE,
    ) -> None:
        self._sources = sources
        self._provider = provider
        self._minimum = minimum_interval
        self._turns = asyncio.Semaphore(at_once)

    async def begin(self, canary: Canary, now: datetime) -> None:
        """An interval starts. Never raises: a source that is down says so when it is measured."""
        chosen = {id(p.source): p.source for p in self._probes(canary) if p.source}
        results = await asyncio.gather(
            *(source.begin(canary, now) for source in chosen.values()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, CanaryError):
                raise result

    def watched_from(self, canary: Canary) -> datetime | None:
        """Since when the current interval is counted here; None where the past is kept."""
        return self._sources.envoy.watched_from(canary) if self._counts(canary) else None

    async def resume(self, canary: Canary, now: datetime) -> None:
        """After a restart in the middle of an interval: count from now on, if that is needed."""
        if self._counts(canary) and self._sources.envoy.watched_from(canary) is None:
            await self.begin(canary, now)

    def _counts(self, canary: Canary) -> bool:
        """Whether any check is made from counters that have to be remembered here."""
        return self._on_envoy(canary) and any(
            metric.builtin for metric in canary.spec.analysis.metrics
        )

    async def check(
        self, canary: Canary, since: datetime, now: datetime
    ) -> tuple[CheckRecord, ...]:
        """The outcome of every metric, in the order of the spec, for the interval from `since`.

        Never raises because of a source or of what the user wrote: that is an outcome, too.
        """
        probes = list(self._probes(canary))
        records = (self._record(canary, probe, since, now) for probe in probes)
        return tuple(await asyncio.gather(*records))

    async def traffic(self, canary: Canary) -> float | None:
        """Requests a second that reach the canary just now, and those under way; None: unknown."""
        # Also where a Prometheus is asked for the metrics: it can't tell what arrives just now.
        source = self._sources.envoy if self._on_envoy(canary) else self._sources.builtin
        return await source.traffic(canary)

    async def close(self) -> None:
        for source in self._sources.all():
            await source.close()

    async def _record(
        self, canary: Canary, probe: Probe, since: datetime, now: datetime
    ) -> CheckRecord:
        metric = probe.metric
        low, high = bounds(metric, builtin=probe.builtin)
        try:
            async with self._turns:
                source = probe.source or _unknown(canary, probe)
                measured = await source.measure(canary, metric, "canary", since, now)
        except CanaryError as error:
            outcome = Outcome.INCONCLUSIVE if isinstance(error, NoValues) else Outcome.ERROR
            return CheckRecord(
                name=metric.name,
                outcome=outcome,
                reason=str(error),
                query=asked(error),
                low=low,
                high=high,
            )
        return judge(
            metric.name,
            measured,
            (low, high),
            elapsed=(now - since).total_seconds(),
            interval=canary.spec.analysis.interval_seconds(self._minimum),
        )

    def _probes(self, canary: Canary) -> Iterable[Probe]:
        sources = self._sources
        counted = self._on_envoy(canary) and not canary.spec.metrics_server
        builtin = sources.envoy if counted else sources.builtin
        for index, metric in enumerate(canary.spec.analysis.metrics):
            if metric.builtin:
                yield Probe(index, metric, builtin, builtin=True)
            if metric.query:
                yield Probe(index, metric, sources.inline)
            if metric.template_ref:
                yield Probe(index, metric, sources.template)
            if not (metric.builtin or metric.query or metric.template_ref):
                yield Probe(index, metric, None)

    def _on_envoy(self, canary: Canary) -> bool:
        """Whether an Envoy of ours carries the traffic."""
        return (canary.spec.provider or self._provider) == "envoy"


def _unknown(canary: Canary, probe: Probe) -> Source:
    raise UnknownName(
        f"Canary {canary.key}",
        f"spec.analysis.metrics[{probe.index}].name (without query or templateRef)",
        probe.metric.name,
        BUILTIN_METRICS,
    )
