"""Manifests to start from."""

from typing import Any

from canary.crd import Canary, parse

Manifest = dict[str, Any]


def manifest(analysis: Manifest | None = None, **spec: Any) -> Manifest:
    """A valid Canary; the analysis is added to an interval and a threshold."""
    steps = analysis if analysis is not None else {"stepWeight": 5}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, **steps},
            **spec,
        },
    }


def canary(analysis: Manifest | None = None, **spec: Any) -> Canary:
    resource = parse(manifest(analysis, **spec))
    assert isinstance(resource, Canary)
    return resource
