"""What the models make of what was written: defaults, shortcuts and strictness."""

from typing import Any

import pytest
from pydantic import ValidationError

from canary.crd import Canary, CanaryStatus, MetricTemplate, Process, check, dump, parse
from canary.crd.analysis import Analysis
from canary.crd.describe import found
from canary.errors import SpecError
from tests.crd.manifests import canary, manifest

AB = {"iterations": 3, "match": [{"headers": {"cookie": {"exact": "a"}}}]}

DERIVED: dict[str, tuple[Canary, str, Any]] = {
    "the key is made of namespace and name": (canary(), "key", "test/podinfo"),
    "the apex is the target unless the service has a name": (canary(), "apex", "podinfo"),
    "a service's name becomes the apex": (
        canary(service={"port": 80, "name": "web"}),
        "apex",
        "web",
    ),
    "the services are named after the apex": (
        canary(service={"port": 80, "name": "web"}),
        "primary_service",
        "web-primary",
    ),
    "the canary's service is named after the apex, too": (
        canary(service={"port": 80, "name": "web"}),
        "canary_service",
        "web-canary",
    ),
    "the primary workload is named after the target": (
        canary(service={"port": 80, "name": "web"}),
        "primary_workload",
        "podinfo-primary",
    ),
    "a Canary without status has an empty one": (canary(), "status", CanaryStatus()),
    "nothing is being deleted unless it says so": (canary(), "deleting", False),
    "a deadline is ten minutes": (canary(), "spec.progress_deadline_seconds", 600),
    "weights are the usual strategy": (canary(), "spec.analysis.strategy", "canary"),
    "iterations make blue/green": (
        canary({"iterations": 1}),
        "spec.analysis.strategy",
        "blue-green",
    ),
    "iterations with matches make an A/B test": (
        canary(AB),
        "spec.analysis.strategy",
        "ab-testing",
    ),
    "a threshold below one counts as one": (
        canary({"stepWeight": 5, "threshold": 0}),
        "spec.analysis.effective_threshold",
        1,
    ),
    "the last of stepWeights is the maximum": (
        canary({"stepWeights": [1, 30], "maxWeight": 50}),
        "spec.analysis.effective_max_weight",
        30,
    ),
    "a maximum weight of 0 is 100": (
        canary({"stepWeight": 5, "maxWeight": 0}),
        "spec.analysis.effective_max_weight",
        100,
    ),
    "a last weight above 100 counts as 100": (
        canary({"stepWeights": [1, 2, 10, 200]}),
        "spec.analysis.effective_max_weight",
        100,
    ),
    "a target port of 0 is the port": (
        canary(service={"port": 80, "targetPort": "0"}),
        "spec.service.effective_target_port",
        80,
    ),
    "a target port may be a name": (
        canary(service={"port": 80, "targetPort": "http"}),
        "spec.service.effective_target_port",
        "http",
    ),
    "a whole number may be written with a point": (
        canary({"stepWeight": 5.0}),
        "spec.analysis.step_weight",
        5,
    ),
    "a null counts as not written": (
        canary({"stepWeight": 5, "maxWeight": None, "webhooks": None}),
        "spec.analysis.max_weight",
        100,
    ),
}


@pytest.mark.parametrize(("resource", "path", "expected"), DERIVED.values(), ids=DERIVED)
def test_derived(resource: Canary, path: str, expected: object) -> None:
    value: Any = resource
    for name in path.split("."):
        value = getattr(value, name)
    assert value == expected


# Text, seconds with the usual floor, seconds with hardly any.
INTERVALS = [("1m30s", 90.0, 90.0), ("", 60.0, 60.0), ("10ms", 10.0, 0.01), ("0s", 10.0, 0.001)]


@pytest.mark.parametrize(("text", "usual", "lowest"), INTERVALS)
def test_an_interval_never_falls_below_its_floor(text: str, usual: float, lowest: float) -> None:
    analysis = canary({"stepWeight": 5, "interval": text}).spec.analysis
    assert analysis.interval_seconds() == usual
    assert analysis.interval_seconds(floor=0.001) == lowest


HOOK = {"name": "x", "url": "http://a.test/"}


def test_defaults_of_hooks() -> None:
    (hook,) = canary({"stepWeight": 5, "webhooks": [HOOK]}).spec.analysis.webhooks
    assert (hook.hook, hook.timeout_seconds, hook.retries) == ("rollout", 10.0, 0)
    assert (hook.deadline, hook.on_timeout) == (None, "wait")


@pytest.mark.parametrize("timeout", ["", "0"])
def test_a_hook_with_hardly_a_timeout_has_ten_seconds(timeout: str) -> None:
    (hook,) = canary(
        {"stepWeight": 5, "webhooks": [{**HOOK, "timeout": timeout}]}
    ).spec.analysis.webhooks
    assert hook.timeout_seconds == 10.0


def test_a_metric_without_interval_looks_back_a_minute() -> None:
    metrics = [{"name": "request-duration"}, {"name": "request-duration", "interval": ""}]
    for metric in canary({"stepWeight": 5, "metrics": metrics}).spec.analysis.metrics:
        assert metric.interval_seconds == 60.0


def test_affinity_lasts_a_day_unless_said_otherwise() -> None:
    for extra in ({}, {"maxAge": 0}):
        affinity = canary(
            {"stepWeight": 5, "sessionAffinity": {"cookieName": "a", **extra}}
        ).spec.analysis.session_affinity
        assert affinity is not None
        assert affinity.max_age_seconds == 86400


def test_a_process_is_ready_when_its_port_answers_unless_it_says_otherwise() -> None:
    process = parse(
        {
            "apiVersion": "local.canary/v1",
            "kind": "Process",
            "metadata": {"name": "web"},
            "spec": {"template": {"command": ["web", "$(PORT)"]}},
        }
    )
    assert isinstance(process, Process)
    assert process.spec.template.readiness_probe.tcp_socket is not None
    assert (process.spec.replicas, process.spec.max_surge, process.spec.logs.keep) == (1, 1, 3)
    assert (process.namespace, process.status.endpoints) == ("default", ())


def test_nothing_can_be_changed() -> None:
    with pytest.raises(ValidationError):
        canary().spec.analysis.threshold = 1  # type: ignore[misc]  # that is the point


def test_a_copy_does_not_remember_derived_values() -> None:
    resource = canary()
    assert resource.apex == "podinfo"
    target = resource.spec.target_ref.model_copy(update={"name": "other"})
    spec = resource.spec.model_copy(update={"target_ref": target})
    assert resource.model_copy(update={"spec": spec}).apex == "other"


def test_python_writes_snake_case_and_files_camel_case() -> None:
    assert Analysis(interval="1m", threshold=1, step_weight=5).step_weight == 5
    with pytest.raises(SpecError, match="did you mean 'stepWeight'"):
        parse(manifest({"step_weight": 5}))


SERVER = {
    "uid": "a-b",
    "resourceVersion": "17",
    "generation": 3,
    "creationTimestamp": "2030-01-01T00:00:00Z",
    "deletionTimestamp": "2030-01-02T00:00:00Z",
    "finalizers": ["a.test/b"],
    "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    "ownerReferences": [{"kind": "Kustomization", "uid": "c"}],
    "somethingNew": {"of": "tomorrow"},
}


def test_takes_what_an_api_server_adds() -> None:
    written = manifest()
    written["metadata"] |= SERVER
    written["status"] = {"phase": "Progressing", "canaryWeight": 10, "newer": True}
    resource = parse(written)
    assert isinstance(resource, Canary)
    assert (resource.uid, resource.resource_version, resource.generation) == ("a-b", "17", 3)
    assert (resource.deleting, resource.finalizers) == (True, ("a.test/b",))
    assert resource.status.canary_weight == 10
    assert dump(resource)["metadata"] == written["metadata"]


def test_numbers_come_back_as_they_were_written() -> None:
    metrics = [{"name": "request-duration", "thresholdRange": {"min": 1, "max": 2.5}}]
    bounds = dump(canary({"stepWeight": 5, "metrics": metrics}))["spec"]["analysis"]["metrics"][0]
    assert found(bounds["thresholdRange"]["min"]) == "1"
    assert found(bounds["thresholdRange"]["max"]) == "2.5"


def test_says_nothing_of_what_is_fine() -> None:
    assert check(canary()) == ((), ())


def test_a_template_knows_its_provider() -> None:
    template = parse(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": "latency"},
            "spec": {"provider": {"type": "keptn"}, "query": "keptnmetric/a/b"},
        }
    )
    assert isinstance(template, MetricTemplate)
    assert template.spec.provider.type == "keptn"
