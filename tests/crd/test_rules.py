"""What has to hold between fields, and the defects of the reference that are not copied."""

from typing import Any

import pytest

from canary.crd import check, foreign_references, parse
from canary.errors import SpecError
from tests.crd.manifests import canary, manifest

AB = {"iterations": 3, "match": [{"headers": {"cookie": {"exact": "a"}}}]}
KNATIVE = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "podinfo"}
PROCESS = {"apiVersion": "local.canary/v1", "kind": "Process", "name": "podinfo"}
SCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"}


def deployment(name: str) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def steps(**more: Any) -> dict[str, Any]:
    return {"stepWeight": 5, **more}


def service(**more: Any) -> dict[str, Any]:
    return {"port": 80, **more}


ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "defect: a missing analysis is a problem of this Canary, not a crash": (
        {k: v for k, v in manifest().items() if k != "spec"}
        | {"spec": {"targetRef": deployment("podinfo"), "canaryAnalysis": {"interval": "1m"}}},
        "spec.analysis: found nothing",
    ),
    "defect: an interval is read to its end": (
        manifest({"stepWeight": 5, "interval": "10sx"}),
        "spec.analysis.interval: found '10sx'",
    ),
    "defect: half a number is not stored where a whole one belongs": (
        manifest({"stepWeight": 1.5}),
        "spec.analysis.stepWeight: found 1.5",
    ),
    "defect: days are refused instead of becoming 0": (
        manifest(service=service(corsPolicy={"maxAge": "1d"})),
        "spec.service.corsPolicy.maxAge: found '1d', expected a duration",
    ),
    "defect: weights that don't grow would stall the run": (
        manifest({"stepWeights": [10, 10]}),
        "spec.analysis.stepWeights[1]: found 10, expected more than 10",
    ),
    "defect: affinity in an A/B test is refused": (
        manifest({**AB, "sessionAffinity": {"cookieName": "a"}}),
        "spec.analysis.sessionAffinity: found session affinity in an A/B test",
    ),
    "defect: an A/B test of a TCP service would send everybody to the canary": (
        manifest(AB, provider="istio", service=service(appProtocol="TCP")),
        "spec.analysis.match: found an A/B test of a TCP service",
    ),
    "an empty list of weights is none": (
        manifest({"stepWeights": []}),
        "spec.analysis.stepWeights: found an empty list",
    ),
    "only the last weight may be above 100": (
        manifest({"stepWeights": [10, 150, 200]}),
        "spec.analysis.stepWeights[1]: found 150, expected a weight from 1 to 100",
    ),
    "a weight of 0 is none": (
        manifest({"stepWeights": [0, 10]}),
        "spec.analysis.stepWeights[0]: found 0, expected a whole number, 1 or more",
    ),
    "zero iterations never end": (
        manifest({"iterations": 0}),
        "spec.analysis.iterations: found 0, expected at least 1",
    ),
    "a Knative target needs the provider knative by name": (
        manifest(targetRef=KNATIVE),
        "spec.provider: found nothing, expected knative",
    ),
    "a Knative target with another provider is refused": (
        manifest(targetRef=KNATIVE, provider="istio"),
        "spec.provider: found 'istio', expected knative",
    ),
    "a core Service is no Knative Service": (
        manifest(targetRef={**KNATIVE, "apiVersion": "v1"}, provider="knative"),
        "spec.targetRef: found Service of v1",
    ),
    "Knative takes no autoscaler": (
        manifest(targetRef=KNATIVE, provider="knative", autoscalerRef=SCALER),
        "spec.autoscalerRef: found an autoscaler",
    ),
    "only Knative goes without a service": (
        manifest(service=None),
        "spec.service: found nothing, expected an object with port",
    ),
    "a Process is of local.canary/v1": (
        manifest(targetRef={**PROCESS, "apiVersion": "apps/v1"}),
        "spec.targetRef.apiVersion: found 'apps/v1', expected 'local.canary/v1'",
    ),
    "nothing but a Process is of local.canary/v1": (
        manifest(targetRef={**PROCESS, "kind": "Deployment"}),
        "spec.targetRef.kind: found 'Deployment', expected 'Process'",
    ),
    "the names of the services have to fit": (
        manifest(targetRef=deployment("a" * 56)),
        "(56 characters), expected at most 55 characters",
    ),
    "a target with dots needs a service with a name": (
        manifest(targetRef=deployment("web.v1")),
        "spec.targetRef.name: found 'web.v1'",
    ),
    "nginx needs its Ingress": (
        manifest(provider="nginx"),
        "spec.ingressRef: found nothing, expected one: nginx needs it",
    ),
    "APISIX needs its route": (manifest(provider="apisix"), "spec.routeRef: found nothing"),
    "App Mesh needs a mesh": (manifest(provider="appmesh"), "spec.service.meshName: found nothing"),
    "a delegate has no hosts": (
        manifest(service=service(delegation=True, hosts=["a"], gateways=["b"])),
        "spec.service.hosts: found hosts with delegation",
    ),
    "a mirror to a Service needs its port": (
        manifest(service=service(mirror=[{"backendRef": {"name": "a"}}])),
        "spec.service.mirror[0].backendRef.port: found nothing",
    ),
    "a load balancer has one way to balance": (
        manifest(
            service=service(
                trafficPolicy={
                    "loadBalancer": {
                        "simple": "RANDOM",
                        "consistentHash": {"useSourceIp": True, "httpHeaderName": "a"},
                    }
                }
            )
        ),
        "spec.service.trafficPolicy.loadBalancer: found simple and consistentHash",
    ),
    "a text is matched in one way": (
        manifest(service=service(match=[{"uri": {"exact": "/", "prefix": "/"}}])),
        "spec.service.match[0].uri: found exact and prefix, expected at most one",
    ),
    "an origin is matched in exactly one way": (
        manifest(service=service(corsPolicy={"allowOrigins": [{}]})),
        "allowOrigins[0]: found none of exact, prefix, regex",
    ),
    "a scaler's minimum is not above its maximum": (
        manifest(
            autoscalerRef={
                **SCALER,
                "primaryScalerReplicas": {"minReplicas": 3, "maxReplicas": 2},
            }
        ),
        "minReplicas: found 3, expected at most maxReplicas, which is 2",
    ),
    "a custom metric needs a source": (
        manifest(steps(metrics=[{"name": "errors"}])),
        "spec.analysis.metrics[0].name: found 'errors'",
    ),
}


@pytest.mark.parametrize(("written", "said"), ERRORS.values(), ids=ERRORS)
def test_errors(written: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(written)
    assert said in str(error.value)
    assert "Canary test/podinfo: " in str(error.value)


WITHOUT_MATCH = (
    "apisix knative kubernetes kuma linkerd osm skipper smi:v1alpha1 smi:v1alpha2 smi:v1alpha3"
    " traefik"
)


@pytest.mark.parametrize("provider", WITHOUT_MATCH.split())
def test_refuses_ab_tests_where_requests_cannot_be_matched(provider: str) -> None:
    with pytest.raises(SpecError, match=r"spec\.analysis\.match: found an A/B test with"):
        parse(manifest(AB, provider=provider))


@pytest.mark.parametrize("provider", ["istio", "contour", "gloo", "envoy", "consul", None])
def test_allows_ab_tests_where_they_work_or_may_work(provider: str | None) -> None:
    assert canary(AB, provider=provider).spec.analysis.strategy == "ab-testing"


HOOK = {"name": "gate", "type": "confirm-rollout", "url": "http://gate.test/"}

WARNINGS: dict[str, tuple[dict[str, Any], str]] = {
    "defect: maxWeight beside stepWeights is ignored, but not in silence": (
        {"analysis": {"stepWeights": [10, 20], "maxWeight": 50}},
        "spec.analysis.maxWeight: found 50 beside stepWeights",
    ),
    "a last weight above 100 means 100": (
        {"analysis": {"stepWeights": [1, 2, 10, 200]}},
        "spec.analysis.stepWeights[3]: found 200, expected 100",
    ),
    "matches without iterations are ignored": (
        {"analysis": steps(match=AB["match"])},
        "spec.analysis.match: found match without iterations",
    ),
    "an empty range lets everything pass": (
        {"analysis": steps(metrics=[{"name": "request-duration", "thresholdRange": {}}])},
        "spec.analysis.metrics[0].thresholdRange: found neither min nor max",
    ),
    "onTimeout needs a deadline": (
        {"analysis": steps(webhooks=[{**HOOK, "onTimeout": "reject"}])},
        "spec.analysis.webhooks[0].onTimeout: found reject without deadline",
    ),
    "kubernetes can't split traffic": (
        {"provider": "kubernetes"},
        "spec.provider: found weights on the provider kubernetes",
    ),
}


@pytest.mark.parametrize(("spec", "said"), WARNINGS.values(), ids=WARNINGS)
def test_warnings(spec: dict[str, Any], said: str) -> None:
    checked = check(canary(**spec))
    assert checked.errors == ()
    (warning,) = checked.warnings
    assert str(warning).startswith(f"Canary test/podinfo: {said}")


def test_defect_an_alert_without_severity_is_informed_of_everything() -> None:
    alert = {"name": "chat", "providerRef": {"name": "chat"}}
    for severity in ({}, {"severity": ""}):
        (parsed,) = canary(steps(alerts=[{**alert, **severity}])).spec.analysis.alerts
        assert parsed.level == "info"


def test_defect_ten_milliseconds_are_ten_milliseconds() -> None:
    analysis = canary(steps(interval="10ms")).spec.analysis
    assert analysis.interval.seconds == 0.01


def test_without_analysis_weights_do_not_matter() -> None:
    assert canary({"stepWeight": 0}, skipAnalysis=True).spec.skip_analysis


def test_finds_everything_at_once() -> None:
    wrong = manifest({"stepWeight": "5", "stepWeights": [2, 1], "stepWeigth": 1}, provider="isto")
    with pytest.raises(SpecError) as error:
        parse(wrong)
    assert [problem.field for problem in error.value.problems] == [
        "spec.provider",
        "spec.analysis.stepWeight",
        "spec.analysis.stepWeigth",
        "spec.analysis",
        "spec.analysis.stepWeights[1]",
    ]


def test_a_typo_is_not_reported_as_something_missing_as_well() -> None:
    with pytest.raises(SpecError) as error:
        parse(manifest({"stepWieght": 5}))
    assert len(error.value.problems) == 1


def test_names_references_to_other_namespaces() -> None:
    resource = canary(
        steps(
            metrics=[
                {"name": "a", "templateRef": {"name": "a", "namespace": "other"}},
                {"name": "b", "templateRef": {"name": "b", "namespace": "test"}},
            ],
            alerts=[{"name": "c", "providerRef": {"name": "c", "namespace": "chat"}}],
        ),
        upstreamRef={
            "apiVersion": "gloo.solo.io/v1",
            "kind": "Upstream",
            "name": "u",
            "namespace": "gloo",
        },
    )
    assert [problem.field for problem in foreign_references(resource)] == [
        "spec.upstreamRef.namespace",
        "spec.analysis.metrics[0].templateRef.namespace",
        "spec.analysis.alerts[0].providerRef.namespace",
    ]


PROVIDERS = {
    "prometheus": ["address"],
    "graphite": ["address"],
    "influxdb": ["address"],
    "dynatrace": ["address", "secretRef"],
    "splunk": ["address", "secretRef"],
    "datadog": ["secretRef"],
    "newrelic": ["secretRef"],
    "cloudwatch": ["region"],
    "keptn": [],
    "stackdriver": [],
    "externalmetrics": [],
}


@pytest.mark.parametrize(("provider", "needed"), PROVIDERS.items())
def test_metric_providers_say_what_they_need(provider: str, needed: list[str]) -> None:
    template = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "a"},
        "spec": {"provider": {"type": provider}, "query": "q"},
    }
    try:
        parse(template)
        missing = []
    except SpecError as error:
        missing = [problem.field.removeprefix("spec.provider.") for problem in error.problems]
    assert missing == needed
