"""Metrics about the controller and its Canaries, under the names existing dashboards use."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from canary import __version__
from canary.crd import Canary
from canary.crd.status import Ending, Phase

_STATUS = {Phase.PROGRESSING: 0, Phase.FAILED: 2}
"""As existing alerts have it; every other phase is 1."""


class Numbers:
    """The series of one controller, in a registry of their own."""

    def __init__(self, provider: str) -> None:
        self.registry = CollectorRegistry()
        made = self.registry
        info = Gauge(
            "flagger_info", "Version and provider.", ["version", "mesh_provider"], registry=made
        )
        info.labels(__version__, provider).set(1)
        self._total = Gauge(
            "flagger_canary_total", "Canaries that are looked after.", ["namespace"], registry=made
        )
        self._status = Gauge(
            "flagger_canary_status",
            "0 progressing, 1 fine, 2 failed.",
            ["name", "namespace"],
            registry=made,
        )
        self._weight = Gauge(
            "flagger_canary_weight",
            "Share of traffic in percent.",
            ["workload", "namespace"],
            registry=made,
        )
        self._duration = Histogram(
            "flagger_canary_duration_seconds",
            "Length of ticks.",
            ["name", "namespace"],
            registry=made,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._analysis = Gauge(
            "flagger_canary_metric_analysis",
            "Last value of each metric (durations in seconds).",
            ["name", "namespace", "metric"],
            registry=made,
        )
        ended = ["name", "namespace", "deployment_strategy", "analysis_status"]
        self._successes = Counter("flagger_canary_successes", "Promotions.", ended, registry=made)
        self._failures = Counter(
            "flagger_canary_failures", "Releases taken back.", ended, registry=made
        )

    def count(self, namespaces: dict[str, int]) -> None:
        """How many Canaries each namespace has; a namespace that has none any more says 0."""
        for namespace, number in namespaces.items():
            self._total.labels(namespace).set(number)

    def ticked(self, canary: Canary, seconds: float) -> None:
        self._duration.labels(canary.target_name, canary.namespace).observe(seconds)

    def status_changed(self, before: Canary, after: Canary) -> None:
        """Show a Canary as it is now, and count a run that ended."""
        self.show(after)
        if after.status.run and after.status.phase != before.status.phase:
            self._ended(after)

    def show(self, canary: Canary) -> None:
        """Bring the gauges of a Canary up to date; also of one that rests since before us."""
        name, namespace, status = canary.target_name, canary.namespace, canary.status
        self._status.labels(name, namespace).set(_STATUS.get(status.phase, 1))
        self._weight.labels(canary.primary_workload, namespace).set(100 - status.canary_weight)
        self._weight.labels(name, namespace).set(status.canary_weight)
        for check in status.run.checks if status.run else ():
            if check.value is not None:
                value = check.value / 1000 if check.unit == "ms" else check.value
                self._analysis.labels(name, namespace, check.name).set(value)

    def _ended(self, canary: Canary) -> None:
        status, strategy = canary.status, canary.spec.analysis.strategy
        verdict = status.run.verdict if status.run else None
        labels = canary.target_name, canary.namespace, strategy
        if status.phase == Phase.SUCCEEDED and verdict and verdict.outcome == Ending.PROMOTED:
            how = "skipped" if canary.spec.skip_analysis else "completed"
            self._successes.labels(*labels, how).inc()
        if status.phase == Phase.FAILED:
            self._failures.labels(*labels, "completed").inc()

    def forget(self, canary: Canary) -> None:
        """Remove the series of a Canary that is gone."""
        name, namespace = canary.target_name, canary.namespace
        for gauge, labels in (
            (self._status, (name, namespace)),
            (self._weight, (name, namespace)),
            (self._weight, (canary.primary_workload, namespace)),
            (self._duration, (name, namespace)),
        ):
            gauge.remove(*labels)
        run = canary.status.run
        measured = {check.name for check in run.checks} if run else set()
        for metric in measured | {metric.name for metric in canary.spec.analysis.metrics}:
            self._analysis.remove(name, namespace, metric)
