"""The CRDs are what an API server accepts as structural, and say what the models say."""

from collections.abc import Iterator
from typing import Any

import pytest

from canary.crd.base import Model
from canary.crd.duration import PATTERN
from canary.crd.generate import crds, json_schema

Schema = dict[str, Any]
BY_NAME = {crd["metadata"]["name"]: crd for crd in crds()}
CANARY = BY_NAME["canaries.flagger.app"]


def schema_of(crd: Schema) -> Schema:
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def at(path: str, crd: Schema = CANARY) -> Schema:
    node = schema_of(crd)
    for key in path.split("."):
        node = node["items"] if key == "[]" else node["properties"][key]
    return node


def nodes(node: Schema) -> Iterator[Schema]:
    yield node
    for each in node.get("properties", {}).values():
        yield from nodes(each)
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key])


ALLOWED = {
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_is_structural(name: str) -> None:
    for node in nodes(schema_of(BY_NAME[name])):
        assert set(node) <= ALLOWED
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node)
        assert not {"properties", "additionalProperties"} <= set(node)
        assert ("items" in node) == (node.get("type") == "array")
        assert all(set(each) <= {"required", "not"} for each in node.get("oneOf", ()))


def test_names_are_those_of_the_reference() -> None:
    assert sorted(BY_NAME) == [
        "alertproviders.flagger.app",
        "canaries.flagger.app",
        "metrictemplates.flagger.app",
        "processes.local.canary",
    ]
    for name, crd in BY_NAME.items():
        spec = crd["spec"]
        assert name == f"{spec['names']['plural']}.{spec['group']}"
        assert spec["names"]["categories"] == ["all"]
        assert "shortNames" not in spec["names"]
        assert spec["scope"] == "Namespaced"
        assert spec["versions"][0]["subresources"] == {"status": {}}
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


COLUMNS = {
    "canaries.flagger.app": [
        "Status",
        "Weight",
        "Suspended*",
        "FailedChecks*",
        "Interval*",
        "Mirror*",
        "StepWeight*",
        "StepWeights*",
        "MaxWeight*",
        "LastTransitionTime",
    ],
    "metrictemplates.flagger.app": ["Provider"],
    "alertproviders.flagger.app": ["Type"],
}


@pytest.mark.parametrize(("name", "expected"), COLUMNS.items())
def test_columns(name: str, expected: list[str]) -> None:
    columns = BY_NAME[name]["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [c["name"] + "*" * c.get("priority", 0) for c in columns] == expected


def test_requires_what_the_reference_requires() -> None:
    assert at("spec")["required"] == ["targetRef", "analysis"]
    assert at("spec.service")["required"] == ["port"]
    assert at("spec.targetRef")["required"] == ["apiVersion", "kind", "name"]
    assert at("spec.analysis.webhooks.[]")["required"] == ["name", "url"]


def test_exactly_one_way_to_move_on() -> None:
    assert at("spec.analysis")["required"] == ["interval", "threshold"]
    assert at("spec.analysis")["oneOf"] == [
        {"required": ["iterations"]},
        {"required": ["stepWeight"]},
        {"required": ["stepWeights"]},
    ]


def test_durations_are_checked_to_their_end() -> None:
    assert at("spec.analysis.interval") == {
        "type": "string",
        "pattern": PATTERN,
        "description": "How long one weight, or one iteration, is watched. Empty means a minute.",
    }
    assert at("spec.analysis.metrics.[].interval")["pattern"].endswith("$")


def test_only_the_defaults_of_the_reference_are_filled_in() -> None:
    everything = [node for crd in BY_NAME.values() for node in nodes(schema_of(crd))]
    defaults = {node["default"] for node in everything if "default" in node}
    assert defaults == {86400, "gateway.networking.k8s.io", "Gateway", "", "Service"}


RULES = {
    "spec": "knative",
    "spec.analysis.stepWeights": "isSorted",
    "spec.analysis.sessionAffinity": "primaryCookieName",
    "spec.analysis.metrics.[].thresholdRange": "self.min <= self.max",
    "spec.service.mirror.[].backendRef": "has(self.port)",
}


@pytest.mark.parametrize(("path", "part"), RULES.items())
def test_carries_the_rule(path: str, part: str) -> None:
    (rule,) = at(path)["x-kubernetes-validations"]
    assert part in rule["rule"]
    assert rule["message"]


def test_lists_that_rules_walk_through_are_bounded() -> None:
    assert at("spec.analysis.stepWeights")["maxItems"] == 100


def test_nothing_of_a_run_is_pruned() -> None:
    run = at("status.run")
    assert run == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def test_a_target_port_is_a_number_or_a_name() -> None:
    assert at("spec.service.targetPort")["x-kubernetes-int-or-string"] is True


def test_is_the_same_every_time() -> None:
    assert crds() == crds()
    assert str(crds()) == str(crds())


def test_editors_are_given_every_kind() -> None:
    schema = json_schema()
    kinds = [each["$ref"].removeprefix("#/$defs/") for each in schema["oneOf"]]
    assert kinds == ["AlertProvider", "Canary", "MetricTemplate", "Process"]
    for kind in kinds:
        definition = schema["$defs"][kind]
        assert definition["properties"]["kind"]["const"] == kind
        assert {"apiVersion", "kind", "metadata", "spec"} <= set(definition["required"])
        assert definition["additionalProperties"] is False


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_the_schema_for_editors_refers_to_nothing_outside() -> None:
    schema = json_schema()
    assert {f"#/$defs/{name}" for name in schema["$defs"]} >= set(references(schema))


def test_every_model_has_a_name_of_its_own() -> None:
    models = [each for each in Model.__subclasses__() if each.__module__.startswith("canary.crd")]
    assert len({each.__name__ for each in models}) == len(models)
