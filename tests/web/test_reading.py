"""What the API says about Canaries and their runs."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import Gauge

from canary.core.actions import SetStatus, Wait
from canary.core.facts import Abilities, Seen
from canary.crd import Canary, parse
from tests.web.conftest import PROGRESSING, STARTED, Api, eventually, manifest

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def canary(made: dict[str, Any]) -> Canary:
    parsed = parse(made)
    assert isinstance(parsed, Canary)
    return parsed


async def test_is_alive_as_long_as_it_answers(api: Api) -> None:
    async with api.session.get(f"{api.server.url}/healthz") as reply:
        assert (reply.status, await reply.text()) == (200, "OK")
        assert reply.headers["Content-Type"].startswith("text/plain")


async def test_is_ready_only_without_reasons_against_it(api: Api) -> None:
    assert await api.get("/readyz") == (200, {"ready": True, "reasons": []})
    api.reasons.append("Canaries have not been listed yet")
    status, body = await api.get("/readyz")
    assert (status, body["reasons"]) == (503, ["Canaries have not been listed yet"])


async def test_gives_metrics_to_prometheus(api: Api) -> None:
    Gauge("flagger_canary_weight", "Share.", registry=api.service.registry).set(80)
    async with api.session.get(f"{api.server.url}/metrics") as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=")
        assert "flagger_canary_weight 80.0" in await reply.text()


async def test_lists_canaries_by_namespace_and_name(api: Api) -> None:
    for name, namespace in (("b", "test"), ("a", "test"), ("c", "other")):
        await api.create(manifest(name, namespace))
    _, body = await api.get("/api/v1/canaries")
    assert [(each["namespace"], each["name"]) for each in body["items"]] == [
        ("other", "c"),
        ("test", "a"),
        ("test", "b"),
    ]
    _, body = await api.get("/api/v1/canaries?namespace=other")
    assert [each["name"] for each in body["items"]] == ["c"]


async def test_says_where_a_release_is(api: Api) -> None:
    made = await api.create(manifest(), PROGRESSING)
    status, body = await api.get("/api/v1/canaries/test/podinfo")
    checks, shown = body.pop("checks"), body.pop("manifest")
    assert status == 200
    assert body == {
        "namespace": "test",
        "name": "podinfo",
        "uid": made["metadata"]["uid"],
        "target": {"kind": "Process", "name": "podinfo"},
        "provider": "envoy",
        "strategy": "canary",
        "phase": "Progressing",
        "weight": 20,
        "failedChecks": 1,
        "threshold": 5,
        "iterations": 0,
        "suspended": False,
        "paused": False,
        "stalled": "",
        "interval": "1m",
        "revision": "c1-0000000000000002",
        "images": ["podinfo:2"],
        "startedAt": STARTED,
        "lastTransitionTime": STARTED,
        "verdict": None,
        "next": None,
        "problems": [],
    }
    assert checks[0]["reason"] == "success rate 89.9% of 120 requests is below 99%"
    assert shown["status"] == made["status"]
    assert "managedFields" in made["metadata"]
    assert "managedFields" not in shown["metadata"]


async def test_says_what_is_waited_for_and_until_when(api: Api) -> None:
    made = canary(await api.create(manifest(), PROGRESSING))
    wait = Wait(NOW, "watching 20%, then the checks decide")
    api.service.journal.note(made, Seen(NOW), [wait])
    api.waits["test/podinfo"] = NOW
    _, body = await api.get("/api/v1/canaries/test/podinfo")
    assert body["next"] == {"at": "2026-03-04T12:00:00Z", "why": wait.why}


async def test_a_manifest_that_can_not_be_read_does_not_hide_the_others(api: Api) -> None:
    await api.create(manifest("good"))
    await api.create({**manifest("broken"), "spec": {"analysis": {"interval": "soon"}}})
    status, body = await api.get("/api/v1/canaries")
    assert status == 200
    assert [each["name"] for each in body["items"]] == ["broken", "good"]
    assert any("targetRef" in each for each in body["items"][0]["problems"])
    status, body = await api.get("/api/v1/canaries/test/broken/explain")
    assert status == 422
    assert {each["where"] for each in body["errors"]} == {"Canary test/broken"}


async def test_shows_the_newest_version_of_a_canary(api: Api) -> None:
    await api.create(manifest(), PROGRESSING)
    await api.get("/api/v1/canaries")
    cluster, cache = api.service.cluster, api.service.cache
    ref = next(iter(api.service.parsed))
    new = await cluster.patch(ref, {"status": {"canaryWeight": 30}}, manager="t", status=True)
    await api.cached(ref, new["metadata"]["resourceVersion"])
    _, body = await api.get("/api/v1/canaries")
    assert [each["weight"] for each in body["items"]] == [30]
    await cluster.delete(ref)
    await eventually(lambda: cache.get(ref) is None)
    assert await api.get("/api/v1/canaries") == (200, {"items": []})


async def test_explains_with_what_the_journal_knows_of_the_last_look(api: Api) -> None:
    made = canary(await api.create(manifest(), PROGRESSING))
    seen = Seen(NOW, abilities=Abilities(weights=False), minimum_interval=90)
    api.service.journal.note(made, seen, [Wait(NOW, "watching 20%")])
    api.waits["test/podinfo"] = datetime(2026, 3, 4, 12, 0, 23, tzinfo=UTC)
    _, body = await api.get("/api/v1/canaries/test/podinfo/explain")
    assert body["summary"].startswith("test/podinfo has been Progressing for 5 min: revision c1-")
    assert body["because"][0].startswith("request-success-rate (fail): success rate 89.9%")
    assert body["checks"][0]["query"] == "cluster.podinfo-canary"
    assert body["next"][0] == {
        "what": "watching 20%",
        "at": "2026-03-04T12:00:23Z",
        "when": "in 23 s",
    }
    assert body["next"][1]["what"] == "if every check passes, iteration 1 begins"
    assert body["can"] == ["promote", "abort", "pause", "skip-step"]


async def test_explains_that_the_last_look_failed(api: Api) -> None:
    made = canary(await api.create(manifest(), PROGRESSING))
    api.service.journal.note(made, Seen(NOW), [Wait(NOW, "x")], error="no answer")
    api.waits["test/podinfo"] = NOW
    _, body = await api.get("/api/v1/canaries/test/podinfo/explain")
    assert body["because"][0] == "the last look ended with an error and is repeated: no answer"
    assert body["next"][0]["what"] == "trying again: no answer"


async def test_shows_runs_with_the_newest_first_and_each_look_at_them(api: Api) -> None:
    made = canary(await api.create(manifest(), PROGRESSING))
    run = made.status.run
    assert run
    old = run.model_copy(update={"id": "r1", "started_at": datetime(2026, 3, 4, 11, 0, tzinfo=UTC)})
    done = made.status.model_copy(update={"run": old, "phase": "Succeeded"})
    api.service.journal.note(made.model_copy(update={"status": done}), Seen(NOW), [SetStatus(done)])
    _, body = await api.get("/api/v1/canaries/test/podinfo/runs")
    assert [(each["id"], each["phase"], each["current"]) for each in body["items"]] == [
        ("r2", "Progressing", True),
        ("r1", "Succeeded", False),
    ]
    status, body = await api.get("/api/v1/canaries/test/podinfo/runs/r1")
    assert (status, body["id"]) == (200, "r1")
    assert [each["actions"][0]["do"] for each in body["entries"]] == ["SetStatus"]
    assert body["entries"][0]["seen"]["now"] == NOW.isoformat()
    status, body = await api.get("/api/v1/canaries/test/podinfo/runs/r9")
    assert (status, body["detail"]) == (404, "test/podinfo has no run 'r9'")
