"""Asking for something: written once, and waited for until it was read."""

import asyncio
import json
from typing import Any

from canary.app.engine import Engine
from canary.core.intents import ANNOTATION
from tests.web.conftest import DEADLINE, PODINFO, PROGRESSING, Api, eventually, manifest

INTENTS = "/api/v1/canaries/test/podinfo/intents"


async def annotation(api: Api) -> dict[str, Any]:
    found = await api.service.cluster.get(PODINFO)
    said: dict[str, Any] = json.loads(found["metadata"]["annotations"][ANNOTATION])
    return said


async def test_writes_what_was_asked_into_the_annotation(api: Api) -> None:
    await api.create(manifest(), PROGRESSING)
    asked = {"verb": "pause", "why": "logs", "who": "ann", "revision": "c1-0000000000000002"}
    status, body = await api.post(INTENTS, asked)
    assert status == 202
    assert body == {**asked, "id": body["id"], "state": "pending", "detail": ""}
    assert await annotation(api) == {**asked, "id": body["id"]}


async def test_leaves_other_annotations_alone(api: Api) -> None:
    made = manifest()
    made["metadata"]["annotations"] = {"team": "web"}
    await api.create(made)
    await api.post(INTENTS, {"verb": "pause"})
    found = await api.service.cluster.get(PODINFO)
    assert found["metadata"]["annotations"]["team"] == "web"


async def test_refuses_a_second_one_while_the_first_has_not_been_read(api: Api) -> None:
    await api.create(manifest())
    await api.post(INTENTS, {"verb": "pause", "who": "ann"})
    status, body = await api.post(INTENTS, {"verb": "abort"})
    assert status == 409
    assert body["detail"] == "another intent has not been read yet: pause by ann"
    assert (await annotation(api))["verb"] == "pause"


async def test_of_many_at_once_exactly_one_is_taken(api: Api) -> None:
    await api.create(manifest())
    answers = await asyncio.gather(
        *(api.post(INTENTS, {"verb": "pause", "who": str(i)}) for i in range(8))
    )
    taken = [body for status, body in answers if status == 202]
    assert sorted(status for status, _ in answers) == [202] + 7 * [409]
    assert (await annotation(api))["id"] == taken[0]["id"]


async def test_one_that_was_read_and_is_about_to_be_cleared_is_not_in_the_way(api: Api) -> None:
    made = manifest()
    made["metadata"]["annotations"] = {ANNOTATION: json.dumps({"verb": "pause", "id": "a"})}
    record = {"id": "a", "verb": "pause", "at": "2026-03-04T11:59:00Z"}
    await api.create(made, {**PROGRESSING, "intents": [record]})
    status, _ = await api.post(INTENTS, {"verb": "resume"})
    assert status == 202
    assert (await annotation(api))["verb"] == "resume"


async def test_the_same_words_again_are_a_new_intent(api: Api) -> None:
    made = manifest()
    made["metadata"]["annotations"] = {ANNOTATION: json.dumps({"verb": "pause", "id": "a"})}
    record = {"id": "a", "verb": "pause", "at": "2026-03-04T11:59:00Z", "cleared": True}
    await api.create(made, {**PROGRESSING, "intents": [record]})
    status, _ = await api.post(INTENTS, {"verb": "resume"})
    assert status == 409


async def test_says_that_a_suspended_canary_reads_nothing(api: Api) -> None:
    await api.create(manifest(suspend=True))
    _, body = await api.post(INTENTS, {"verb": "pause"})
    assert body["detail"] == "it is read when spec.suspend is taken back"


async def test_waits_until_the_controller_has_read_it(api: Api, engine: Engine) -> None:
    status = {**PROGRESSING, "intents": []}
    await api.create(manifest(), status)
    await engine.controller.start()
    code, body = await api.post(f"{INTENTS}?wait={DEADLINE}", {"verb": "resume", "who": "ann"})
    assert (code, body["state"], body["detail"]) == (200, "ignored", "the run is not paused")
    # The next one finds its place free, however soon it comes.
    code, body = await api.post(f"{INTENTS}?wait={DEADLINE}", {"verb": "promote"})
    assert (code, body["state"]) == (200, "ignored")
    _, said = await api.get("/api/v1/canaries/test/podinfo/explain")
    assert [each.partition(" - ")[0] for each in said["intents"]] == ["promote", "resume by ann"]


async def test_one_that_is_done_says_so(api: Api, engine: Engine) -> None:
    made = manifest()
    made["metadata"]["finalizers"] = ["finalizer.flagger.app"]
    await api.create(made, PROGRESSING)
    asked = asyncio.create_task(api.post(f"{INTENTS}?wait={DEADLINE}", {"verb": "pause"}))
    await written(api)
    await engine.controller.start()
    code, body = await asked
    assert (code, body["state"], body["detail"]) == (200, "applied", "")


async def test_a_wait_that_is_over_leaves_it_pending(api: Api) -> None:
    await api.create(manifest())
    status, body = await api.post(f"{INTENTS}?wait=0.05", {"verb": "pause"})
    assert (status, body["state"]) == (202, "pending")


async def test_a_canary_that_goes_ends_the_wait(api: Api) -> None:
    await api.create(manifest())
    asked = asyncio.create_task(api.post(f"{INTENTS}?wait={DEADLINE}", {"verb": "pause"}))
    await written(api)
    await api.service.cluster.delete(PODINFO)
    status, body = await asked
    assert (status, body["state"], body["detail"]) == (200, "ignored", "the Canary was deleted")


async def test_the_end_of_the_server_ends_the_wait(api: Api) -> None:
    await api.create(manifest())
    asked = asyncio.create_task(api.post(f"{INTENTS}?wait=60", {"verb": "pause"}))
    await written(api)
    async with asyncio.timeout(3):
        await api.server.stop()
        status, body = await asked
    assert (status, body["state"]) == (202, "pending")


async def written(api: Api) -> None:
    """Wait until the annotation is there."""

    def there() -> bool:
        found = api.service.cache.get(PODINFO) or {"metadata": {}}
        return ANNOTATION in found["metadata"].get("annotations", {})

    await eventually(there)
