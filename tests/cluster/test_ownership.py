"""Reading who wrote a field, from what real API servers write into `managedFields`."""

from typing import Any

import pytest

from canary.cluster.ownership import writer

# As a Kubernetes 1.36 API server wrote it: Helm applied, kubectl edited, the controller reported.
LIVE: dict[str, Any] = {
    "metadata": {
        "finalizers": ["example.com/keep"],
        "labels": {"app": "web", "app.kubernetes.io/name": "web"},
        "managedFields": [
            {
                "manager": "helm",
                "operation": "Apply",
                "time": "2026-01-01T10:00:00Z",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}, "f:app.kubernetes.io/name": {}}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:selector": {},
                        "f:template": {
                            "f:spec": {
                                "f:containers": {
                                    'k:{"name":"web"}': {
                                        ".": {},
                                        "f:args": {},
                                        "f:image": {},
                                        "f:name": {},
                                        "f:ports": {
                                            'k:{"containerPort":80,"protocol":"TCP"}': {
                                                ".": {},
                                                "f:containerPort": {},
                                            }
                                        },
                                    }
                                }
                            }
                        },
                    },
                },
            },
            {
                "manager": "kubectl-edit",
                "operation": "Update",
                "time": "2026-01-01T11:00:00Z",
                "fieldsV1": {
                    "f:metadata": {"f:finalizers": {".": {}, 'v:"example.com/keep"': {}}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:template": {
                            "f:spec": {
                                "f:containers": {'k:{"name":"sidecar"}': {".": {}, "f:image": {}}}
                            }
                        },
                    },
                },
            },
            {
                "manager": "controller",
                "operation": "Update",
                "subresource": "status",
                "time": "2026-01-01T12:00:00Z",
                "fieldsV1": {"f:status": {".": {}, "f:replicas": {}}},
            },
        ],
    },
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "spec": {
                "containers": [
                    {"name": "sidecar", "image": "s:1"},
                    {
                        "name": "web",
                        "image": "w:1",
                        "args": ["-v"],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    },
                ]
            }
        },
    },
    "status": {"replicas": 2, "other": 1},
}
POD = ("spec", "template", "spec", "containers")

ROWS: dict[str, tuple[tuple[str, ...], str]] = {
    "of two owners the one that wrote last": (("spec", "replicas"), "kubectl-edit"),
    "a label with dots in its name": (("metadata", "labels", "app.kubernetes.io/name"), "helm"),
    "an item of a list goes by its key": ((*POD, "1", "image"), "helm"),
    "another item of the same list": ((*POD, "0", "image"), "kubectl-edit"),
    "a list within an item": ((*POD, "1", "ports", "0", "containerPort"), "helm"),
    "an atomic list answers for its items": ((*POD, "1", "args", "0"), "helm"),
    "an atomic map answers for its fields": (("spec", "selector", "matchLabels", "app"), "helm"),
    "an item of a set goes by its value": (("metadata", "finalizers", "0"), "kubectl-edit"),
    "a map goes by its last writer": (("spec", "template"), "kubectl-edit"),
    "a subresource": (("status", "replicas"), "controller"),
    "whoever owns only the map does not own its fields": (("status", "other"), ""),
    "a field that nobody owns": (("spec", "paused"), ""),
    "an item that does not exist": ((*POD, "7", "image"), ""),
}


@pytest.mark.parametrize(("path", "expected"), ROWS.values(), ids=ROWS)
def test_writer(path: tuple[str, ...], expected: str) -> None:
    assert writer(LIVE, path) == expected


def test_an_object_without_managed_fields_has_no_writers() -> None:
    assert writer({"metadata": {}}, ("spec", "replicas")) == ""
