"""What a Canary's target and provider ask of the rest of its spec."""

import re
from collections.abc import Iterator

from canary.crd.base import DNS_LABEL
from canary.crd.canary import KNATIVE, PROCESS, CanarySpec, Provider
from canary.crd.finding import Finding, Rule

MATCHING = ("appmesh", "consul", "contour", "envoy", "gatewayapi:v1", "gloo", "istio", "nginx")
"""Some providers that can send matching requests to the canary, to name them in a message."""
NOT_MATCHING: tuple[Provider, ...] = (
    "apisix",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
)
"""An A/B test there would send everybody to the canary from its first iteration."""

LONGEST_APEX = 63 - len("-primary")


def _knative(spec: CanarySpec) -> Iterator[Finding]:
    target, provider = spec.target_ref, spec.provider
    if target.knative and provider != "knative":
        found = repr(provider) if provider else "nothing"
        because = "knative, because the target is a Knative Service"
        yield Finding(("provider",), found, because, absent=provider is None)
    if provider == "knative" and not target.knative:
        found = f"{target.kind} of {target.api_version}"
        yield Finding(("targetRef",), found, f"Service of {KNATIVE}, as the provider is knative")
    if target.knative and spec.autoscaler_ref:
        yield Finding(("autoscalerRef",), "an autoscaler", "none: Knative scales by itself")


def _process(spec: CanarySpec) -> Iterator[Finding]:
    target = spec.target_ref
    if target.kind == "Process" and target.api_version != PROCESS:
        yield Finding(("targetRef", "apiVersion"), repr(target.api_version), f"{PROCESS!r}")
    if target.kind != "Process" and target.api_version == PROCESS:
        yield Finding(("targetRef", "kind"), repr(target.kind), f"'Process', as it is {PROCESS}")


def _service(spec: CanarySpec) -> Iterator[Finding]:
    """Three Services are named after the apex, which the API server would refuse halfway."""
    service, target = spec.service, spec.target_ref
    if target.knative:
        return
    if service is None:
        yield Finding(("service",), "nothing", "an object with port", absent=True)
    named = bool(service and service.name)
    apex = service.name if service and named else target.name
    if len(apex) > LONGEST_APEX or not re.match(DNS_LABEL, apex):
        found = f"{apex!r} ({len(apex)} characters)"
        without = "without dots" if named else "without dots, or a service.name"
        yield Finding(
            ("service", "name") if named else ("targetRef", "name"),
            found,
            f"at most {LONGEST_APEX} characters {without}: Services are named after it",
        )


def _movement(spec: CanarySpec) -> Iterator[Finding]:
    """A run whose weight never grows would never end."""
    analysis, kubernetes = spec.analysis, spec.provider == "kubernetes"
    if analysis.strategy != "canary" or spec.skip_analysis:
        return
    if kubernetes:
        yield Finding(
            ("provider",),
            "weights on the provider kubernetes",
            "iterations: it can't split traffic, so this runs as blue/green with 10 iterations",
            warning=True,
        )
        return
    if analysis.step_weights:
        return
    for name, field in (("step_weight", "stepWeight"), ("iterations", "iterations")):
        if name in analysis.model_fields_set and getattr(analysis, name) == 0:
            yield Finding(("analysis", field), "0", "at least 1, or no run ever moves on")


def _match(spec: CanarySpec) -> Iterator[Finding]:
    if spec.analysis.strategy != "ab-testing":
        return
    tcp = spec.service is not None and (spec.service.app_protocol or "").lower() == "tcp"
    if spec.provider in NOT_MATCHING:
        found = f"an A/B test with the provider {spec.provider}"
        wanted = f"a provider that can match requests, such as {', '.join(MATCHING)}"
        yield Finding(("analysis", "match"), found, wanted)
    elif spec.provider == "istio" and tcp:
        wanted = "none: TCP has no headers to match"
        yield Finding(("analysis", "match"), "an A/B test of a TCP service", wanted)


def _references(spec: CanarySpec) -> Iterator[Finding]:
    """What the provider starts from; without it there is nothing to route with."""
    service, provider = spec.service, spec.provider or ""
    gateways = bool(service and service.gateway_refs)
    needed = {
        ("service", "gatewayRefs"): (provider.startswith("gatewayapi"), gateways),
        ("service", "meshName"): (provider == "appmesh", bool(service and service.mesh_name)),
        ("ingressRef",): (provider in ("nginx", "skipper"), spec.ingress_ref is not None),
        ("routeRef",): (provider == "apisix", spec.route_ref is not None),
    }
    for field, (wanted, given) in needed.items():
        if wanted and not given:
            yield Finding(field, "nothing", f"one: {provider} needs it", absent=True)


SPEC_RULES: tuple[Rule, ...] = (_knative, _process, _service, _movement, _match, _references)
