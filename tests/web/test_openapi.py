"""The description of the API: valid, complete, and true."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel

from canary.web import views
from canary.web.problems import ProblemView
from tests.web.conftest import PROGRESSING, Api, manifest

METHODS = {"get", "post", "put", "patch", "delete"}
PATHS = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/canaries",
    "/api/v1/stream",
    "/api/v1/canaries/{namespace}/{name}",
    "/api/v1/canaries/{namespace}/{name}/explain",
    "/api/v1/canaries/{namespace}/{name}/runs",
    "/api/v1/canaries/{namespace}/{name}/runs/{run}",
    "/api/v1/canaries/{namespace}/{name}/events",
    "/api/v1/canaries/{namespace}/{name}/intents",
}


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    status, body = await api.get("/openapi.json")
    assert status == 200
    made: dict[str, Any] = body
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method} {path}", item[method]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


async def test_is_a_valid_openapi_document(document: dict[str, Any]) -> None:
    assert OpenAPI.model_validate(document).openapi.startswith("3.1")
    assert set(document["paths"]) == PATHS


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    refs = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    assert refs
    assert {ref.rpartition("/")[2] for ref in refs} <= set(schemas)


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    for where, operation in operations(document):
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (where, parameter["name"])


async def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for where, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or where == "get /readyz":
                continue
            assert set(response["content"]) == {"application/problem+json"}, (where, status)
            assert "503" in status or response["description"], (where, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_examples_are_what_they_are_examples_of(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    models: tuple[type[BaseModel], ...] = (views.IntentRequest, ProblemView)
    for model in models:
        for example in schemas[model.__name__]["examples"]:
            made = model.model_validate(example)
            assert made.model_dump(exclude_unset=True) == example


ANSWERS: dict[str, type[BaseModel]] = {
    "/api/v1/canaries": views.CanaryListView,
    "/api/v1/canaries/test/podinfo": views.CanaryDetailView,
    "/api/v1/canaries/test/podinfo/explain": views.ExplanationView,
    "/api/v1/canaries/test/podinfo/runs": views.RunListView,
    "/api/v1/canaries/test/podinfo/runs/r2": views.RunDetailView,
    "/api/v1/canaries/test/podinfo/events": views.EventListView,
}


@pytest.mark.parametrize("path", ANSWERS)
async def test_answers_have_the_shape_that_is_described(
    api: Api, document: dict[str, Any], path: str
) -> None:
    await api.create(manifest(), PROGRESSING)
    await api.tell("something")
    status, body = await api.get(path)
    assert status == 200
    view = ANSWERS[path]
    assert view.model_validate(body, by_name=False).model_dump(mode="json", by_alias=True) == body
    described = document["components"]["schemas"][view.__name__]["properties"]
    assert set(body) <= set(described)
