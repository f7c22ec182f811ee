"""What only the Envoy router does: annotations, what it refuses, and when it is done."""

from typing import Any

import pytest

from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, Split
from canary.errors import SpecError
from canary.routers.envoy import Envoy


def canary(
    service: dict[str, Any] | None = None,
    analysis: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> Canary:
    made = parse(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "app", "namespace": "test", "annotations": annotations or {}},
            "spec": {
                "targetRef": {
                    "apiVersion": "local.canary/v1",
                    "kind": "Process",
                    "name": "podinfo",
                },
                "service": {"name": "shop", "port": 9898, **(service or {})},
                "analysis": {
                    "interval": "1m",
                    "threshold": 5,
                    "iterations": 5,
                    **(analysis or {}),
                },
            },
        }
    )
    assert isinstance(made, Canary)
    return made


def spec(made: Canary, split: Split) -> dict[str, Any]:
    [route] = Envoy().render(made, {}, split)
    found: dict[str, Any] = route["spec"]
    return found


def test_the_route_is_named_after_the_apex_and_its_sides_after_the_workloads() -> None:
    [route] = Envoy().render(canary(), {}, Split.to_canary(10))
    assert route["metadata"]["name"] == "shop"
    assert route["spec"]["primary"] == {"process": "podinfo-primary"}
    assert route["spec"]["canary"] == {"process": "podinfo"}


REFUSED = {
    "an annotation that does not exist": (
        canary(annotations={"envoy.canary/rate-limits": "1/s"}),
        "did you mean 'envoy.canary/rate-limit'",
    ),
    "a rate without its unit": (
        canary(annotations={"envoy.canary/rate-limit": "100"}),
        r'annotations\["envoy.canary/rate-limit"\]: found \'100\', expected requests per s',
    ),
    "an address that is none": (
        canary(annotations={"envoy.canary/address": "everywhere"}),
        "expected an IPv4 address",
    ),
    "TLS without a key": (
        canary(annotations={"envoy.canary/tls": '{"cert": "/a"}'}),
        "envoy.canary/tls",
    ),
    "TLS that is no JSON": (canary(annotations={"envoy.canary/tls": "/a"}), "expected JSON"),
    "a collector without a port": (
        canary(annotations={"envoy.canary/tracing": "collector"}),
        "expected an OTLP collector",
    ),
    "a sampling of more than everything": (
        canary(annotations={"envoy.canary/tracing": '{"collector": "a:1", "sampling": 101}'}),
        "expected an OTLP collector",
    ),
    "a policy that does not exist": (
        canary(annotations={"envoy.canary/load-balancer": "fair"}),
        "one of round-robin, least-request, random, ring-hash, maglev",
    ),
    "no connections at all": (
        canary(annotations={"envoy.canary/max-connections": "0"}),
        "expected a whole number, 1 or more",
    ),
    "TCP": (canary({"appProtocol": "TCP"}), "spec.service.appProtocol"),
    "a retry condition with a mistake in it": (
        canary({"retries": {"attempts": 1, "retryOn": "gatway-error"}}),
        "did you mean 'gateway-error'",
    ),
    "certificates of Istio": (
        canary({"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}),
        "spec.service.trafficPolicy.tls.mode",
    ),
    "mutual TLS without a certificate": (
        canary({"trafficPolicy": {"tls": {"mode": "MUTUAL", "privateKey": "/key"}}}),
        "spec.service.trafficPolicy.tls.clientCertificate",
    ),
    "a relative path": (
        canary({"trafficPolicy": {"tls": {"mode": "SIMPLE", "caCertificates": "ca.crt"}}}),
        "the absolute path of a file",
    ),
    "callers' labels, which nobody has here": (
        canary(analysis={"match": [{"sourceLabels": {"app": "web"}}]}),
        r"spec.analysis.match\[0\].sourceLabels",
    ),
}


@pytest.mark.parametrize(("made", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses(made: Canary, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        Envoy().render(made, {}, Split())
    assert all(problem.where == "Canary test/app" for problem in caught.value.problems)


def test_names_everything_that_is_wrong_at_once() -> None:
    made = canary({"appProtocol": "tcp"}, annotations={"envoy.canary/rate-limit": "x"})
    with pytest.raises(SpecError) as caught:
        Envoy().render(made, {}, Split())
    assert len(caught.value.problems) == 2


ANNOTATIONS = {
    "a rate in minutes": ("rate-limit", "30/m", "rateLimit", {"requests": 30, "seconds": 60}),
    "an address for other machines": ("address", "0.0.0.0", "address", None),
    "a collector alone samples everything": (
        "tracing",
        "localhost:4318",
        "tracing",
        {"host": "localhost", "port": 4318, "sampling": 100},
    ),
    "a limit of connections": ("max-connections", "7", "maxConnections", 7),
}


@pytest.mark.parametrize(("name", "value", "key", "read"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_reads_annotations(name: str, value: str, key: str, read: object) -> None:
    found = spec(canary(annotations={f"envoy.canary/{name}": value}), Split())
    assert found.get("settings", {}).get(key) == read
    assert key != "address" or found["address"] == value


AFFINITY = {"sessionAffinity": {"cookieName": "c", "primaryCookieName": "p", "maxAge": 60}}
COOKIES = CanaryStatus(
    session_affinity_cookie="c=abc",
    primary_session_affinity_cookie="p=def",
    previous_session_affinity_cookie="c=old",
)


def test_gives_cookies_only_while_there_is_traffic_to_split() -> None:
    made = canary(analysis=AFFINITY).model_copy(update={"status": COOKIES})
    assert spec(made, Split.to_canary(10))["affinity"] == {
        "canary": {"cookie": "c=abc", "set": "c=abc; Max-Age=60"},
        # As long as one interval: then it is time to ask again who may try the canary.
        "primary": {"cookie": "p=def", "set": "p=def; Max-Age=60"},
    }
    assert spec(made, Split.to_canary(0))["affinity"] == {
        "previous": {"cookie": "c=old", "set": "c=old; Max-Age=-1"}
    }


def test_cookie_attributes_come_in_the_order_of_the_reference() -> None:
    affinity = {
        "cookieName": "c",
        "secure": True,
        "sameSite": "Lax",
        "path": "/",
        "partitioned": True,
        "httpOnly": True,
        "domain": "example.test",
    }
    made = canary(analysis={"sessionAffinity": affinity}).model_copy(update={"status": COOKIES})
    assert spec(made, Split.to_canary(10))["affinity"]["canary"]["set"] == (
        "c=abc; Max-Age=86400; Domain=example.test; HttpOnly; Partitioned; Path=/;"
        " SameSite=Lax; Secure"
    )


PENDING: dict[str, tuple[dict[str, Any], str]] = {
    "nobody has looked at it": ({}, "has not taken generation 2"),
    "the data plane is behind": ({"observedGeneration": 1}, "has not taken generation 2"),
    "the data plane can't": ({"observedGeneration": 2, "problem": "port taken"}, "port taken"),
    "the data plane follows": ({"observedGeneration": 2, "problem": ""}, ""),
}


@pytest.mark.parametrize(("status", "words"), PENDING.values(), ids=PENDING)
def test_pending_says_why(status: dict[str, Any], words: str) -> None:
    made = canary()
    [ref] = Envoy().owns(made)
    [route] = Envoy().render(made, {}, Split())
    route["metadata"]["generation"] = 2
    found = Envoy().pending(made, {ref: {**route, "status": status}})
    assert found == words if not words else words in found


def test_pending_while_there_is_no_route() -> None:
    assert "does not exist" in Envoy().pending(canary(), {})
