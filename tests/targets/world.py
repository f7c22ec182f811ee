"""Canaries and workloads that the tests of single kinds start from."""

from typing import Any

from canary.cluster.port import Manifest
from canary.crd import Canary

UID = "c-1"


def canary(kind: str = "Deployment", **spec: Any) -> Canary:
    """A Canary called `shop` for a target called `web` in the namespace `test`."""
    version = "v1" if kind == "Service" else "apps/v1"
    fields = {
        "targetRef": {"apiVersion": version, "kind": kind, "name": "web"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 5, "iterations": 1},
        **spec,
    }
    meta = {"name": "shop", "namespace": "test", "uid": UID}
    return Canary.model_validate({"metadata": meta, "spec": fields})


def scaled(kind: str = "HorizontalPodAutoscaler", **ref: Any) -> Manifest:
    """`spec.autoscalerRef`."""
    version = "keda.sh/v1alpha1" if kind == "ScaledObject" else "autoscaling/v2"
    return {"apiVersion": version, "kind": kind, "name": "web", **ref}


def pods(labels: Manifest | None = None, **spec: Any) -> Manifest:
    """A pod template."""
    containers = [{"name": "app", "image": "web:1"}]
    return {
        "metadata": {"labels": {"app": "web", **(labels or {})}},
        "spec": {"containers": containers, **spec},
    }


def workload(
    kind: str = "Deployment",
    template: Manifest | None = None,
    status: Manifest | None = None,
    metadata: Manifest | None = None,
    value: str = "web",
    **spec: Any,
) -> Manifest:
    """A Deployment or DaemonSet; `value` is that of its label `app`."""
    made = template or pods({"app": value})
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "test", "generation": 2, **(metadata or {})},
        "spec": {"selector": {"matchLabels": {"app": value}}, "template": made, **spec},
        "status": status or {},
    }


def as_flagger_made_it(primary: Manifest, **spec: Any) -> Manifest:
    """The same primary with a random id on its pods, as another controller leaves it."""
    template = primary["spec"]["template"]
    annotations = {**template["metadata"]["annotations"], "flagger-id": "9d6f2f0c-random"}
    meta = {**template["metadata"], "annotations": annotations, "creationTimestamp": None}
    changed = {"metadata": meta, "spec": {**template["spec"], **spec}}
    return {**primary, "spec": {**primary["spec"], "template": changed}}
