"""What people get wrong, and word for word what they are told."""

from pathlib import Path

import pytest

from canary.crd import load_path
from canary.errors import SpecError

BROKEN = Path(__file__).parent / "broken"

PROVIDERS = (
    "apisix, appmesh, appmesh:v1beta2, consul, consul:http, contour, envoy, gatewayapi:v1,"
    " gatewayapi:v1beta1, gloo, istio, knative, kubernetes, kuma, linkerd, nginx, osm, skipper,"
    " smi:v1alpha1, smi:v1alpha2, smi:v1alpha3, traefik"
)

# By file, without the `FILE.yaml` that each line begins with.
ROWS: dict[str, list[str]] = {
    "a-key-twice": [
        (", line 17: found 'interval' a second time, first in line 14, expected every key once"),
    ],
    "a-sentence": [
        ": found 'just a sentence', expected an object with a kind",
    ],
    "a-weight-of-nothing": [
        (
            ": Canary test/podinfo: spec.analysis.stepWeight: found 0, expected at least 1, "
            "or no run ever moves on"
        ),
    ],
    "ab-test-with-affinity": [
        (
            ": Canary test/podinfo: spec.analysis.sessionAffinity: found session affinity in "
            "an A/B test, expected one of them: match already says whose requests see the "
            "canary"
        ),
        (
            ": Canary test/podinfo: spec.analysis.sessionAffinity.primaryCookieName: found "
            "'canary', expected another name than cookieName"
        ),
    ],
    "ab-test-with-traefik": [
        (
            ": Canary test/podinfo: spec.analysis.match[0].headers.cookie: found exact and "
            "regex, expected exactly one of exact, prefix, suffix, regex"
        ),
        (
            ": Canary test/podinfo: spec.analysis.match: found an A/B test with the provider "
            "traefik, expected a provider that can match requests, such as appmesh, consul, "
            "contour, envoy, gatewayapi:v1, gloo, istio, nginx"
        ),
    ],
    "alert-provider": [
        (
            ": AlertProvider default/chat: spec.type: found 'slak', expected one of slack, "
            "msteams, discord, rocket, gchat; did you mean 'slack'?"
        ),
        (
            ": AlertProvider default/chat: spec: found address and secretRef, expected "
            "exactly one of address, secretRef"
        ),
    ],
    "bound-not-indented": [
        (
            ": Canary test/podinfo: spec.analysis.metrics[0].thresholdRange: found nothing, "
            "expected an object with min, max"
        ),
        (
            ": Canary test/podinfo: spec.analysis.metrics[0].min: found an unknown field, "
            "expected it under thresholdRange, indented further"
        ),
    ],
    "bounds-the-wrong-way-round": [
        (
            ": Canary test/podinfo: spec.analysis.metrics[0].thresholdRange.min: found 500, "
            "expected at most max, which is 100"
        ),
    ],
    "crooked": [
        (
            ", line 15, column 4: found an indentation that fits no line above, expected as "
            "many spaces as the lines it belongs to"
        ),
    ],
    "empty": [
        (
            ": found no object, expected at least one of AlertProvider, Canary, "
            "MetricTemplate, Process"
        ),
    ],
    "fields-of-analysis-not-indented": [
        (
            ": Canary test/podinfo: spec.analysis: found nothing, expected an object with "
            "interval, threshold"
        ),
        (
            ": Canary test/podinfo: spec.interval: found an unknown field, expected it under "
            "analysis, indented further"
        ),
        (
            ": Canary test/podinfo: spec.threshold: found an unknown field, expected it under"
            " analysis, indented further"
        ),
        (
            ": Canary test/podinfo: spec.stepWeight: found an unknown field, expected it "
            "under analysis, indented further"
        ),
    ],
    "gateway-api-without-gateways": [
        (
            ": Canary test/podinfo: spec.service.gatewayRefs: found nothing, expected one: "
            "gatewayapi:v1 needs it"
        ),
    ],
    "half-a-failure": [
        (": Canary test/podinfo: spec.analysis.threshold: found 1.5, expected a whole number"),
    ],
    "hook-without-scheme": [
        (
            ": Canary test/podinfo: spec.analysis.webhooks[0].url: found 'loadtester.test', "
            "expected a URL such as http://example.test/path"
        ),
        (
            ": Canary test/podinfo: spec.analysis.webhooks[0].metadata.logCmdOutput: found "
            "true, expected text, in quotes"
        ),
    ],
    "interval-in-days": [
        (
            ": Canary test/podinfo: spec.analysis.interval: found '1d', expected a duration "
            "such as 30s or 1m30s; did you mean '24h'?"
        ),
    ],
    "interval-in-nonsense": [
        (
            ": Canary test/podinfo: spec.analysis.interval: found '10sx', expected a duration"
            " such as 30s or 1m30s"
        ),
    ],
    "interval-without-unit": [
        (
            ": Canary test/podinfo: spec.analysis.interval: found 10, expected a duration "
            "such as 30s or 1m30s; did you mean '10s'?"
        ),
    ],
    "knative-provider-for-a-deployment": [
        (
            ": Canary test/podinfo: spec.targetRef: found Deployment of apps/v1, expected "
            "Service of serving.knative.dev/v1, as the provider is knative"
        ),
    ],
    "labels-and-name": [
        (
            ": Canary default/Pod_Info: spec.service.port: found 80000, expected a port from "
            "1 to 65535"
        ),
        (
            ": Canary default/Pod_Info: metadata.lables: found an unknown field, expected a "
            "field of metadata; did you mean 'labels'?"
        ),
        (
            ": Canary default/Pod_Info: metadata.name: found 'Pod_Info', expected a name of "
            "letters a-z, digits, hyphens and dots"
        ),
    ],
    "metric-template": [
        ": MetricTemplate default/latency: spec.query: found '', expected text",
    ],
    "metric-without-name": [
        (": Canary test/podinfo: spec.analysis.metrics[0].name: found nothing, expected a name"),
    ],
    "no-strategy": [
        (
            ": Canary test/podinfo: spec.analysis: found none of iterations, stepWeight, "
            "stepWeights, expected exactly one of them"
        ),
    ],
    "no-version": [
        ": Canary test/podinfo: apiVersion: found nothing, expected 'flagger.app/v1beta1'",
    ],
    "numbers-in-quotes": [
        (
            ": Canary test/podinfo: spec.analysis.threshold: found '5', expected a whole "
            "number, without quotes"
        ),
        (
            ": Canary test/podinfo: spec.analysis.stepWeight: found '5', expected a whole "
            "number, 0 or more, without quotes"
        ),
    ],
    "old-version": [
        (
            ": Canary test/podinfo: apiVersion: found 'flagger.app/v1alpha3', expected "
            "'flagger.app/v1beta1'"
        ),
    ],
    "process": [
        (": Process default/web: spec.replicas: found -1, expected a whole number, 0 or more"),
        (
            ": Process default/web: spec.template.command: found 'python -m http.server', "
            "expected a list with the program and its arguments, such as [python, -m, "
            "http.server]"
        ),
        (": Process default/web: spec.template.env.PORT: found 8080, expected text, in quotes"),
        (
            ": Process default/web: spec.template.readinessProbe: found httpGet and "
            "tcpSocket, expected exactly one of httpGet, tcpSocket, exec"
        ),
    ],
    "switch-in-quotes": [
        (
            ": Canary test/podinfo: spec.skipAnalysis: found 'yes', expected true or false, "
            "without quotes"
        ),
    ],
    "tabs": [
        (", line 14, column 1: found a tab, expected spaces: YAML takes no tabs for indentation"),
    ],
    "the-old-name-of-analysis": [
        (
            ": Canary test/podinfo: spec.analysis: found nothing, expected an object with "
            "interval, threshold"
        ),
        (
            ": Canary test/podinfo: spec.canaryAnalysis: found an unknown field, expected a "
            "field of spec; did you mean 'analysis'?"
        ),
    ],
    "too-far-to-the-right": [
        (
            ": Canary test/podinfo: spec.analysis.skipAnalysis: found an unknown field, "
            "expected it in spec, indented less"
        ),
    ],
    "two-canaries-on-one-target": [
        (
            ": Canary test/second: metadata.name: found 'second' a second time, first in "
            "FILE, expected every name once"
        ),
        (
            ": Canary test/second: spec.targetRef: found Deployment 'podinfo', which Canary "
            "test/podinfo releases already, expected a target of its own"
        ),
    ],
    "two-strategies": [
        (
            ": Canary test/podinfo: spec.analysis: found iterations and stepWeight, expected "
            "exactly one of iterations, stepWeight, stepWeights"
        ),
    ],
    "typo-in-a-field": [
        (
            ": Canary test/podinfo: spec.analysis.stepWieght: found an unknown field, "
            "expected a field of spec.analysis; did you mean 'stepWeight'?"
        ),
    ],
    "unknown-hook-type": [
        (
            ": Canary test/podinfo: spec.analysis.webhooks[0].type: found 'confirm-promote', "
            "expected one of confirm-rollout, pre-rollout, rollout, confirm-traffic-increase,"
            " confirm-promotion, post-rollout, rollback, event; did you mean "
            "'confirm-promotion'?"
        ),
    ],
    "unknown-kind": [
        (
            ": kind: found 'Canarry', expected one of AlertProvider, Canary, MetricTemplate, "
            "Process; did you mean 'Canary'?"
        ),
    ],
    "unknown-metric": [
        (
            ": Canary test/podinfo: spec.analysis.metrics[0].name: found "
            "'request-sucess-rate', expected one of request-success-rate, request-duration, "
            "or a templateRef or a query; did you mean 'request-success-rate'?"
        ),
    ],
    "unknown-provider": [
        (
            f": Canary test/podinfo: spec.provider: found 'isto', expected one of {PROVIDERS};"
            " did you mean 'istio'?"
        ),
    ],
    "weights-that-do-not-grow": [
        (
            ": Canary test/podinfo: spec.analysis.stepWeights[2]: found 20, expected more "
            "than 50: a run walks through the weights and can't go on from there"
        ),
        (
            ": Canary test/podinfo: spec.analysis.stepWeights[3]: found 20, expected more "
            "than 20: a run walks through the weights and can't go on from there"
        ),
    ],
}


def test_every_broken_file_has_its_row() -> None:
    assert {path.stem for path in BROKEN.iterdir()} == set(ROWS)


@pytest.mark.parametrize(("name", "expected"), ROWS.items(), ids=ROWS)
def test_says_what_is_wrong(name: str, expected: list[str]) -> None:
    file = BROKEN / f"{name}.yaml"
    with pytest.raises(SpecError) as error:
        load_path(file)
    said = str(error.value).replace(str(file), "FILE").splitlines()
    assert said == [f"FILE{line}" for line in expected]


@pytest.mark.parametrize("name", ROWS)
def test_speaks_to_people(name: str) -> None:
    with pytest.raises(SpecError) as error:
        load_path(BROKEN / f"{name}.yaml")
    said = str(error.value).lower()
    jargon = ("pydantic", "validator", "input should", "type=", "traceback")
    assert [word for word in jargon if word in said] == []
