"""What routers of Kubernetes have in common: metadata, references and cookies."""

from typing import Any

from canary.crd import Canary
from canary.crd.analysis import SessionAffinity
from canary.crd.service import Service
from canary.errors import Problem, SpecError

FLUX = "toolkit.fluxcd.io"
GUARDS = {
    f"kustomize.{FLUX}/reconcile": "disabled",
    f"helm.{FLUX}/driftDetection": "disabled",
}
"""Annotations that keep Flux from undoing what a release changes."""


def where_of(canary: Canary) -> str:
    """How problems name the Canary."""
    return f"Canary {canary.key}"


def service_of(canary: Canary) -> Service:
    """The Canary's service; only targets that need no router go without one."""
    if canary.spec.service is None:
        expected = "a service with its port"
        raise SpecError(Problem(where_of(canary), "spec.service", "nothing", expected))
    return canary.spec.service


def metadata_of(canary: Canary) -> dict[str, Any]:
    """Labels and annotations for a routing object that stands for the apex."""
    custom = service_of(canary).apex
    annotations = {**(custom.annotations if custom else {}), **GUARDS}
    labels = {"labels": dict(custom.labels)} if custom and custom.labels else {}
    return {**labels, "annotations": annotations}


def set_cookie(cookie: str, affinity: SessionAffinity, max_age: int) -> str:
    """A `Set-Cookie` for `name=value`; a negative `max_age` (in seconds) takes it back."""
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
    return "; ".join(part for part in parts if part)
