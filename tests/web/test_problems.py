"""Errors: one shape, readable, with the nearest name; and pages of others are kept out."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.web.conftest import Api, manifest

INTENTS = "/api/v1/canaries/test/podinfo/intents"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Row:
    status: int
    detail: str
    path: str = INTENTS
    method: str = "POST"
    body: str = '{"verb": "pause"}'
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    error: dict[str, str] = field(default_factory=dict)


ROWS = {
    "a path that is nobody's": Row(
        404, "there is nothing at /api/v1/nope; /openapi.json says what there is", "/api/v1/nope"
    ),
    "a method that is not for that path": Row(
        405, "DELETE can't be used on /api/v1/canaries", "/api/v1/canaries", "DELETE"
    ),
    "a Canary with a typing mistake": Row(
        404,
        "there is no Canary test/podinfoo; did you mean 'podinfo'?",
        "/api/v1/canaries/test/podinfoo/explain",
        "GET",
    ),
    "a Canary in the wrong namespace": Row(
        404,
        "there is no Canary tset/podinfo; did you mean 'test/podinfo'?",
        "/api/v1/canaries/tset/podinfo",
        "GET",
    ),
    "a Canary that resembles none": Row(
        404, "there is no Canary a/b", "/api/v1/canaries/a/b/events", "GET"
    ),
    "an intent for a Canary that is not there": Row(
        404,
        "there is no Canary test/podinf; did you mean 'podinfo'?",
        "/api/v1/canaries/test/podinf/intents",
    ),
    "a verb with a typing mistake": Row(
        422,
        "body: verb: found 'promot', expected one of abort, pause, promote, resume, retry, "
        "skip-step; did you mean 'promote'?",
        body='{"verb": "promot"}',
        error={"where": "body", "field": "verb", "found": "'promot'", "nearest": "promote"},
    ),
    "no verb": Row(
        422,
        "body: verb: found nothing, expected a value",
        body="{}",
        error={"where": "body", "field": "verb", "found": "nothing"},
    ),
    "a field that is not known": Row(
        422,
        "body: reason: found an unknown field, expected none of that name",
        body='{"verb": "pause", "reason": "x"}',
        error={"field": "reason"},
    ),
    "a body that is not JSON": Row(
        422,
        "body: found text that is not JSON, expected a JSON object",
        body="pause",
        error={"where": "body"},
    ),
    "a wait that is too long": Row(
        422,
        "query: wait: found '600', expected less than or equal to 60",
        f"{INTENTS}?wait=600",
        error={"where": "query", "field": "wait"},
    ),
    "a form, which a page of somebody else could send": Row(
        415,
        "found Content-Type text/plain, expected application/json",
        headers={"Content-Type": "text/plain"},
    ),
    "a request from a page of somebody else": Row(
        403,
        "a page of https://evil.test may not send requests to {host}",
        headers={**JSON, "Origin": "https://evil.test"},
    ),
    "a request from a sandboxed page": Row(
        403,
        "a page of null may not send requests to {host}",
        headers={**JSON, "Origin": "null"},
    ),
    "a name that somebody else has pointed here": Row(
        421,
        "this API listens on loopback, and is not called 'evil.test' there",
        "/api/v1/canaries",
        "GET",
        headers={"Host": "evil.test"},
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_answers_with_a_problem(api: Api, row: Row) -> None:
    await api.create(manifest())
    body = row.body if row.method == "POST" else None
    async with api.session.request(
        row.method, api.server.url + row.path, data=body, headers=row.headers
    ) as reply:
        said: dict[str, Any] = json.loads(await reply.text())
        assert reply.status == row.status, said
        assert reply.headers["Content-Type"] == "application/problem+json"
    host = api.server.url.removeprefix("http://")
    assert said["detail"] == row.detail.format(host=host)
    assert said["status"] == row.status
    assert said["type"] == "about:blank"
    assert said["title"]
    assert said["instance"] == row.path.partition("?")[0]
    assert len(said["errors"]) == bool(row.error)
    if row.error:
        assert said["errors"][0].items() >= row.error.items()


async def test_a_page_of_its_own_may_ask(api: Api) -> None:
    await api.create(manifest())
    status, _ = await api.post(INTENTS, {"verb": "pause"}, Origin=api.server.url)
    assert status == 202


@pytest.mark.parametrize("host", ["localhost:1", "demo.localhost", "127.0.0.1", "[::1]:80"])
async def test_loopback_may_be_called_by_its_names(api: Api, host: str) -> None:
    status, _ = await api.get("/api/v1/canaries", Host=host)
    assert status == 200


async def test_a_closed_cluster_is_a_problem_too_and_not_a_traceback(api: Api) -> None:
    await api.create(manifest())
    api.service.journal.close()
    status, body = await api.get("/api/v1/canaries/test/podinfo/runs")
    assert (status, body["detail"]) == (500, "this is a bug in canary; its log says more")
    assert "Traceback" not in json.dumps(body)
