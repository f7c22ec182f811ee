"""Whatever valid Canary is written, it comes back unchanged."""

from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary.crd import dump, load_text, parse
from canary.crd.generate import json_schema
from tests.crd.manifests import manifest

DEFINITIONS: dict[str, dict[str, Any]] = json_schema()["$defs"]
words = st.text(alphabet="abcxyz019", min_size=1, max_size=6).map(lambda text: f"a{text}")
durations = st.builds("{}{}".format, st.integers(0, 999), st.sampled_from(["ms", "s", "m", "h"]))


SCALARS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "boolean": lambda _: st.booleans(),
    "integer": lambda s: st.integers(max(s.get("minimum", 0), 0), s.get("maximum", 65535)),
    "number": lambda _: st.integers(0, 99) | st.floats(0, 99),
    "string": lambda s: texts(s.get("pattern", "")),
}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a JSON schema of ours allows."""
    if "$ref" in schema:
        return values(DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema:
        return st.one_of([values(each) for each in schema["anyOf"] if each != {"type": "null"}])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if scalar := SCALARS.get(schema["type"]):
        return scalar(schema)
    return lists(schema) if schema["type"] == "array" else objects(schema)


def lists(schema: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=2)


def texts(pattern: str) -> st.SearchStrategy[str]:
    if "ms|s|m|h" in pattern:
        return durations
    return words.map("http://{}.test/".format) if "http" in pattern else words


def objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        return st.dictionaries(words, values(schema["additionalProperties"]), max_size=2)
    required = set(schema.get("required", ()))
    alternatives = [each["required"][0] for each in schema.get("oneOf", ()) if "required" in each]
    known = {key: values(each) for key, each in schema["properties"].items()}
    free = {key: each for key, each in known.items() if key not in alternatives}

    def fixed(choice: str | None) -> st.SearchStrategy[dict[str, Any]]:
        needed = {key: free[key] for key in required if key in free}
        if choice:
            needed[choice] = known[choice]
        return st.fixed_dictionaries(
            needed, optional={key: each for key, each in free.items() if key not in required}
        )

    return st.sampled_from(alternatives or [None]).flatmap(fixed)


def fitting(service: dict[str, Any], analysis: dict[str, Any]) -> dict[str, Any]:
    """A Canary with what does not go together taken out."""
    service.pop("delegation", None)
    for mirror in service.get("mirror", ()):
        mirror["backendRef"]["port"] = 80
    if "stepWeights" in analysis:
        analysis["stepWeights"] = [10, 20, 30]
    for step in {"iterations", "stepWeight"} & analysis.keys():
        analysis[step] = max(analysis[step], 1)
    for metric in analysis.get("metrics", ()):
        metric["name"] = "request-duration"
        bounds = metric.get("thresholdRange", {})
        if {"min", "max"} <= bounds.keys():
            bounds["min"], bounds["max"] = sorted(bounds.values())
    if "match" in analysis:
        analysis.pop("sessionAffinity", None)
    if affinity := analysis.get("sessionAffinity"):
        affinity.pop("primaryCookieName", None)
    return manifest(analysis, service=service)


canaries = st.builds(fitting, values(DEFINITIONS["Service"]), values(DEFINITIONS["Analysis"]))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(canaries)
def test_parses_and_comes_back(written: dict[str, Any]) -> None:
    once = dump(parse(written))
    assert once == written
    assert dump(parse(once)) == once


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(canaries)
def test_survives_being_a_file(written: dict[str, Any]) -> None:
    (resource,) = load_text(yaml.safe_dump(written)).objects
    assert dump(resource) == written
