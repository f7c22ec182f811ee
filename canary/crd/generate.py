"""The CRDs and a JSON schema for editors, both made from the models."""

from typing import Any

from canary.crd.canary import Canary
from canary.crd.descriptions import describe
from canary.crd.manifest import KINDS, version_of
from canary.crd.process import Process
from canary.crd.resource import Resource
from canary.crd.structural import Schema, structural
from canary.crd.templates import AlertProvider, MetricTemplate

Column = tuple[str, str, str, int]
"""Title, JSON path, type, and priority: 1 is shown by `-o wide` only."""

COLUMNS: dict[type[Resource], tuple[Column, ...]] = {
    Canary: (
        ("Status", ".status.phase", "string", 0),
        ("Weight", ".status.canaryWeight", "string", 0),
        ("Suspended", ".spec.suspend", "boolean", 1),
        ("FailedChecks", ".status.failedChecks", "string", 1),
        ("Interval", ".spec.analysis.interval", "string", 1),
        ("Mirror", ".spec.analysis.mirror", "boolean", 1),
        ("StepWeight", ".spec.analysis.stepWeight", "string", 1),
        ("StepWeights", ".spec.analysis.stepWeights", "string", 1),
        ("MaxWeight", ".spec.analysis.maxWeight", "string", 1),
        ("LastTransitionTime", ".status.lastTransitionTime", "string", 0),
    ),
    MetricTemplate: (("Provider", ".spec.provider.type", "string", 0),),
    AlertProvider: (("Type", ".spec.type", "string", 0),),
    Process: (
        ("Replicas", ".spec.replicas", "integer", 0),
        ("Ready", ".status.readyReplicas", "integer", 0),
        ("Suspended", ".spec.suspend", "boolean", 1),
    ),
}

OPAQUE: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def crds() -> list[dict[str, Any]]:
    """One CustomResourceDefinition for each kind, in the order of their names."""
    return [_crd(KINDS[kind]) for kind in sorted(KINDS)]


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a document of any of our kinds."""
    definitions: dict[str, Schema] = {}
    for kind in sorted(KINDS):
        own, further = _schemas(KINDS[kind])
        own["required"] = [*dict.fromkeys(("apiVersion", "kind", *own["required"]))]
        definitions |= {**further, kind: own}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Canary, MetricTemplate, AlertProvider or Process",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in sorted(KINDS)],
        "$defs": {name: _plain(definitions[name]) for name in sorted(definitions)},
    }


def _schemas(kind: type[Resource]) -> tuple[Schema, dict[str, Schema]]:
    """The schema of a kind and those it refers to."""
    own = kind.model_json_schema()
    definitions: dict[str, Schema] = own.pop("$defs")
    describe({kind.__name__: own, **definitions})
    return own, definitions


def _plain(node: Any) -> Any:
    """Without what only an API server understands, and without titles that repeat the name."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _plain(value)
        for key, value in node.items()
        if not key.startswith("x-") and not (key == "title" and isinstance(value, str))
    }


def _crd(kind: type[Resource]) -> dict[str, Any]:
    group, version = version_of(kind).split("/")
    name = kind.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{group}",
            # Removing the chart must not take everybody's Canaries along.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(each) for each in COLUMNS[kind]],
                    "schema": {"openAPIV3Schema": _structural(kind)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    title, path, kind, priority = column
    shown: dict[str, Any] = {"name": title, "type": kind, "jsonPath": path}
    return {**shown, "priority": priority} if priority else shown


def _structural(kind: type[Resource]) -> Schema:
    own, definitions = _schemas(kind)
    schema = structural(own, definitions)
    properties = schema["properties"]
    # The API server knows these three itself and wants to hear nothing else about them.
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    properties["metadata"] = {"type": "object"}
    if kind is Canary:
        # Its fields change with our versions, and none of them may be pruned on the way.
        properties["status"]["properties"]["run"] = dict(OPAQUE)
    schema["required"] = [field for field in schema["required"] if field != "metadata"]
    return schema
