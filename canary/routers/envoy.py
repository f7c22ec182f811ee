"""Local mode's Envoy: one `Route` object per Canary, which the data plane turns into configuration.

The Route carries the Canary's `service` in the Canary's own words; what they mean to Envoy is
the business of `local/envoy`. What the compatible API has no field for comes from annotations
of the Canary, `envoy.canary/...`.
"""

from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.analysis import SessionAffinity
from canary.crd.base import Model
from canary.crd.service import Service
from canary.crd.status import Split
from canary.errors import Problem, SpecError, nearest
from canary.routers.base import Current
from canary.routers.envoy_annotations import settings_of, where_of

ROUTE = Kind("local.canary/v1", "Route")

CARRIED = {
    "timeout",
    "backend_timeout",
    "match",
    "rewrite",
    "retries",
    "headers",
    "mirror",
    "cors_policy",
    "traffic_policy",
}
"""Fields of `service` that mean something to a data plane on one machine."""

RETRY_ON = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)


class Envoy:
    """Weights, matches, mirrors and cookies all live in `spec` of the Route."""

    abilities: ClassVar[Abilities] = Abilities(
        weights=True, match=True, mirror=True, mirror_iterations=True, affinity=True
    )
    blends: ClassVar[bool] = False

    def owns(self, canary: Canary) -> list[Ref]:
        return [_ref(canary)]

    def reads(self, canary: Canary) -> list[Ref]:  # noqa: ARG002 - the contract's signature
        return []

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:  # noqa: ARG002 - the contract's signature
        service = canary.spec.service
        where = where_of(canary)
        if service is None:
            raise SpecError(Problem(where, "spec.service", "nothing", "a service with its port"))
        settings, problems = settings_of(canary)
        problems += _inexpressible(canary, service)
        if problems:
            raise SpecError(*problems)
        spec = {
            "address": settings.pop("address", "127.0.0.1"),
            "port": service.port,
            "http2": _http2(service),
            "primary": {"process": canary.primary_workload},
            "canary": {"process": canary.target_name},
            "split": split.model_dump(by_alias=True),
            "service": service.model_dump(
                mode="json",
                by_alias=True,
                include=CARRIED,
                exclude_none=True,
                exclude_defaults=True,
            ),
            "analysis": _analysis(canary, split),
            "affinity": _affinity(canary, split),
            "settings": settings,
        }
        written = {field: value for field, value in spec.items() if value != {}}
        custom = service.apex
        labels = {"labels": dict(custom.labels)} if custom and custom.labels else {}
        notes = {"annotations": dict(custom.annotations)} if custom and custom.annotations else {}
        return [_ref(canary).manifest(metadata={**labels, **notes}, spec=written)]

    def read(self, canary: Canary, current: Current) -> Split | None:
        route = current.get(_ref(canary))
        return Split.model_validate(route["spec"]["split"]) if route else None

    def pending(self, canary: Canary, current: Current) -> str:
        route = current.get(_ref(canary))
        if route is None:
            return f"{_ref(canary)} does not exist yet"
        status = route.get("status") or {}
        if problem := status.get("problem"):
            return str(problem)
        generation = route["metadata"].get("generation", 0)
        if status.get("observedGeneration", -1) < generation:
            return f"Envoy has not taken generation {generation} of {_ref(canary)} yet"
        return ""


def _ref(canary: Canary) -> Ref:
    return Ref(ROUTE, canary.namespace, canary.apex)


def _where(canary: Canary) -> str:
    return f"Canary {canary.key}"


def _words(model: Model, include: set[str] | None = None) -> dict[str, Any]:
    """The model in the Canary's own words, without what nobody wrote."""
    return model.model_dump(
        mode="json", by_alias=True, include=include, exclude_none=True, exclude_defaults=True
    )


def _http2(service: Service) -> bool:
    # The names that gRPC users write for other meshes; anything else is HTTP/1.1.
    names = (service.app_protocol or "").lower(), service.port_name.lower()
    return names[0] in {"grpc", "http2", "h2c", "kubernetes.io/h2c"} or "grpc" in names[1]


def _analysis(canary: Canary, split: Split) -> dict[str, Any]:
    """Who is split and how much is copied, as far as this split needs to know."""
    analysis, made = canary.spec.analysis, dict[str, Any]()
    if split.matched:
        made["match"] = [_words(each) for each in analysis.match]
    if split.mirrored:
        made["mirrorWeight"] = analysis.mirror_weight or 100
    return made


def _affinity(canary: Canary, split: Split) -> dict[str, Any]:
    """Cookies to give, to honour and to take back (`name=value`, and as Set-Cookie)."""
    affinity, status = canary.spec.analysis.session_affinity, canary.status
    if affinity is None:
        return {}
    if split.canary == 0:
        previous = status.previous_session_affinity_cookie
        return {"previous": _cookie(previous, affinity, -1)} if previous else {}
    made = dict[str, Any]()
    if cookie := status.session_affinity_cookie:
        made["canary"] = _cookie(cookie, affinity, affinity.max_age_seconds)
    if affinity.primary_cookie_name and (cookie := status.primary_session_affinity_cookie):
        made["primary"] = _cookie(cookie, affinity, int(canary.spec.analysis.interval_seconds()))
    return made


def _cookie(cookie: str, affinity: SessionAffinity, max_age: int) -> dict[str, str]:
    parts = [
        cookie,
        f"Max-Age={max_age}",
        f"Domain={affinity.domain}" if affinity.domain else "",
        "HttpOnly" if affinity.http_only else "",
        "Partitioned" if affinity.partitioned else "",
        f"Path={affinity.path}" if affinity.path else "",
        f"SameSite={affinity.same_site}" if affinity.same_site else "",
        "Secure" if affinity.secure else "",
    ]
    return {"cookie": cookie, "set": "; ".join(part for part in parts if part)}


def _inexpressible(canary: Canary, service: Service) -> list[Problem]:
    """What these fields ask for and no proxy in front of plain processes could do."""
    where, found = where_of(canary), list[Problem]()

    def refuse(field: str, value: object, expected: str, hint: str = "") -> None:
        found.append(Problem(where, field, repr(value), expected, hint))

    if (service.app_protocol or "").lower() == "tcp":
        refuse("spec.service.appProtocol", "tcp", "HTTP: local mode splits requests")
    for i, match in enumerate(service.match):
        # Left out, such a condition would hold for everybody.
        if match.source_labels or match.source_namespace:
            refuse(f"spec.service.match[{i}]", "a source", "no source: callers have no labels here")
        if match.port not in (None, service.port):
            refuse(f"spec.service.match[{i}].port", match.port, f"{service.port}, the only port")
    for i, each in enumerate(canary.spec.analysis.match):
        if each.source_labels:
            refuse(
                f"spec.analysis.match[{i}].sourceLabels",
                each.source_labels,
                "headers or queryParams: callers have no labels here",
            )
    for word in retry_words(service.retries.retry_on if service.retries else None):
        if word not in RETRY_ON and not word.isdigit():
            expected = f"one of {', '.join(RETRY_ON)} or a status code"
            refuse("spec.service.retries.retryOn", word, expected, nearest(word, RETRY_ON))
    return found + _policy_problems(where, service)


def _policy_problems(where: str, service: Service) -> list[Problem]:
    policy, field = service.traffic_policy, "spec.service.trafficPolicy"
    found = list[Problem]()
    if policy and policy.load_balancer and policy.load_balancer.simple == "PASSTHROUGH":
        expected = "ROUND_ROBIN, LEAST_REQUEST or RANDOM"
        found.append(Problem(where, f"{field}.loadBalancer.simple", "'PASSTHROUGH'", expected))
    if not policy or not policy.tls:
        return found
    if policy.tls.mode == "ISTIO_MUTUAL":
        expected = "DISABLE, SIMPLE or MUTUAL: there is no Istio to issue certificates"
        found.append(Problem(where, f"{field}.tls.mode", "'ISTIO_MUTUAL'", expected))
    files = {
        "caCertificates": policy.tls.ca_certificates,
        "clientCertificate": policy.tls.client_certificate,
        "privateKey": policy.tls.private_key,
    }
    needed = {"clientCertificate", "privateKey"} if policy.tls.mode == "MUTUAL" else set()
    for name, path in files.items():
        if (path and not path.startswith("/")) or (name in needed and not path):
            found.append(
                Problem(where, f"{field}.tls.{name}", repr(path), "the absolute path of a file")
            )
    return found


def retry_words(retry_on: str | None) -> list[str]:
    """The single conditions of a `retryOn`.

    >>> retry_words("5xx, 503,")
    ['5xx', '503']
    """
    return [word.strip() for word in (retry_on or "").split(",") if word.strip()]
