"""From pydantic's JSON schema to the structural schema that a CRD needs.

Structural means: a type everywhere, no references, no alternatives that carry types. Nothing is
lost but what the API server has no word for.
"""

from copy import deepcopy
from typing import Any

from canary.crd.base import INT32

Schema = dict[str, Any]

KEPT = (
    "description",
    "enum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-validations",
)


def inlined(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with its references followed and `... or null` taken back to what it is about."""
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return inlined({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "anyOf" in node and "x-kubernetes-int-or-string" not in node:
        (inner,) = (each for each in node["anyOf"] if each != {"type": "null"})
        rest = {k: v for k, v in node.items() if k != "anyOf"}
        return inlined({**inner, **rest}, definitions)
    return node


def structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """One schema and everything in it, as `openAPIV3Schema` wants it."""
    node = inlined(node, definitions)
    out: Schema = {}
    if "x-kubernetes-int-or-string" not in node:
        out["type"] = node.get("type", "object")
    out |= {key: deepcopy(node[key]) for key in KEPT if key in node}
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    if "const" in node:
        out["enum"] = [node["const"]]
    if node.get("x-crd-default"):
        out["default"] = node["default"]
    if out.get("maximum") == INT32:
        out["format"] = "int32"
        out = {k: v for k, v in out.items() if v not in (INT32, -INT32 - 1)}
    if "items" in node:
        out["items"] = structural(node["items"], definitions)
    return out | _fields(node, definitions)


def _fields(node: Schema, definitions: dict[str, Schema]) -> Schema:
    out: Schema = {}
    further = node.get("additionalProperties")
    if "properties" in node:
        properties = node["properties"].items()
        out["properties"] = {key: structural(each, definitions) for key, each in properties}
    elif isinstance(further, dict):
        out["additionalProperties"] = structural(further, definitions)
    if further is True:
        out["x-kubernetes-preserve-unknown-fields"] = True
    return out
