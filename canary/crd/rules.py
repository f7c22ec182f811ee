"""What has to hold between fields; what a single field may hold is said by its type."""

from collections.abc import Iterator
from itertools import pairwise

from canary.crd.analysis import (
    BUILTIN_METRICS,
    Analysis,
    Metric,
    Range,
    SessionAffinity,
    Webhook,
)
from canary.crd.base import Model
from canary.crd.canary import ScalerReplicas
from canary.crd.finding import Finding, Rule
from canary.crd.service import BackendRef, Service
from canary.crd.templates import MetricProvider
from canary.errors import nearest


def _weights(analysis: Analysis) -> Iterator[Finding]:
    weights = analysis.step_weights
    if "step_weights" not in analysis.model_fields_set:
        return
    if not weights:
        yield Finding(("stepWeights",), "an empty list", "at least one weight")
    for i, (low, high) in enumerate(pairwise(weights), 1):
        if high <= low:
            more = f"more than {low}: a run walks through the weights and can't go on from there"
            yield Finding(("stepWeights", i), str(high), more)
    for i, weight in enumerate(weights[:-1]):
        if weight > 100:
            yield Finding(("stepWeights", i), str(weight), "a weight from 1 to 100")
    # Compatible: a last weight above 100 has always meant 100.
    if weights and weights[-1] > 100:
        yield Finding(("stepWeights", len(weights) - 1), str(weights[-1]), "100", warning=True)
    if "max_weight" in analysis.model_fields_set:
        yield Finding(
            ("maxWeight",),
            f"{analysis.max_weight} beside stepWeights",
            "only one of them: maxWeight is ignored, the last of stepWeights is what counts",
            warning=True,
        )


def _match(analysis: Analysis) -> Iterator[Finding]:
    if analysis.strategy == "ab-testing" and analysis.session_affinity:
        yield Finding(
            ("sessionAffinity",),
            "session affinity in an A/B test",
            "one of them: match already says whose requests see the canary",
        )
    if analysis.match and analysis.strategy == "canary":
        yield Finding(
            ("match",),
            "match without iterations",
            "iterations above 0, or match is ignored",
            warning=True,
            absent=True,
        )


def _range(bounds: Range) -> Iterator[Finding]:
    if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
        yield Finding(("min",), str(bounds.min), f"at most max, which is {bounds.max}")
    if bounds.min is None and bounds.max is None:
        yield Finding(
            (), "neither min nor max", "a bound, or every value passes", warning=True, absent=True
        )


def _source(metric: Metric) -> Iterator[Finding]:
    """A check needs something to ask; one that has nothing would fail on every tick."""
    if not (metric.builtin or metric.query or metric.template_ref):
        yield Finding(
            ("name",),
            repr(metric.name),
            f"one of {', '.join(BUILTIN_METRICS)}, or a templateRef or a query",
            nearest(metric.name, BUILTIN_METRICS),
            absent=True,
        )


def _cookies(affinity: SessionAffinity) -> Iterator[Finding]:
    if affinity.cookie_name == affinity.primary_cookie_name:
        yield Finding(
            ("primaryCookieName",), repr(affinity.cookie_name), "another name than cookieName"
        )


def _timeout(hook: Webhook) -> Iterator[Finding]:
    if hook.on_timeout != "wait" and not hook.deadline:
        yield Finding(
            ("onTimeout",),
            f"{hook.on_timeout} without deadline",
            "a deadline, or it never comes to that",
            warning=True,
            absent=True,
        )


def _backend(ref: BackendRef) -> Iterator[Finding]:
    if not ref.group and ref.kind == "Service" and ref.port is None:
        yield Finding(("port",), "nothing", "the port of the Service", absent=True)


def _delegation(service: Service) -> Iterator[Finding]:
    for field, values in (("hosts", service.hosts), ("gateways", service.gateways)):
        if service.delegation and values:
            yield Finding(
                (field,), f"{field} with delegation", "none: the delegating object has them"
            )


def _replicas(replicas: ScalerReplicas) -> Iterator[Finding]:
    low, high = replicas.min_replicas, replicas.max_replicas
    if low is not None and high is not None and low > high:
        yield Finding(("minReplicas",), str(low), f"at most maxReplicas, which is {high}")


NEEDED = {
    "prometheus": ("address",),
    "graphite": ("address",),
    "influxdb": ("address",),
    "dynatrace": ("address", "secretRef"),
    "splunk": ("address", "secretRef"),
    "datadog": ("secretRef",),
    "newrelic": ("secretRef",),
    "cloudwatch": ("region",),
}
"""What a metric provider can't do without."""


def _provider(provider: MetricProvider) -> Iterator[Finding]:
    given = {
        "address": provider.address,
        "region": provider.region,
        "secretRef": provider.secret_ref,
    }
    for field in NEEDED.get(provider.type, ()):
        if not given[field]:
            yield Finding((field,), "nothing", f"one: {provider.type} needs it", absent=True)


RULES: dict[type[Model], tuple[Rule, ...]] = {
    Analysis: (_weights, _match),
    Range: (_range,),
    Metric: (_source,),
    SessionAffinity: (_cookies,),
    Webhook: (_timeout,),
    BackendRef: (_backend,),
    Service: (_delegation,),
    ScalerReplicas: (_replicas,),
    MetricProvider: (_provider,),
}
