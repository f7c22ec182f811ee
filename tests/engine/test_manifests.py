"""Manifests that nobody can act on: what people are told, and what goes on all the same."""

import asyncio
from typing import Any

import pytest

from canary.cluster.port import Manifest, Ref
from canary.crd.status import Phase
from tests.engine.place import Place, eventually
from tests.engine.world import CANARY, canary, process

REF = Ref(CANARY, "test", "app")
BROKEN: dict[str, Manifest] = {
    "a field nobody knows": {"spec": {"analysis": {"stepWieght": 5}}},
    "a text where a number belongs": {"spec": {"analysis": {"threshold": "five"}}},
    "no target": {"spec": {"targetRef": None}},
    "no analysis": {"spec": {"analysis": None}},
    "a provider that is not here": {"spec": {"provider": "istio"}},
    "an annotation that makes no sense": {
        "metadata": {"annotations": {"envoy.canary/rate-limit": "many"}}
    },
}
GOOD = canary()


async def edit(place: Place, patch: Manifest) -> None:
    await place.cluster.patch(REF, patch, manager="user")


async def mend(place: Place) -> None:
    spec = {**GOOD["spec"], "provider": None}
    await edit(place, {"metadata": {"annotations": None}, "spec": None})
    await edit(place, {"spec": spec})


async def conditions(place: Place) -> dict[str, Any]:
    status = (await place.cluster.get(REF)).get("status", {})
    return {each["type"]: each for each in status.get("conditions", [])}


async def shown(place: Place, reason: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found = await conditions(place)
            if found.get("Stalled", {}).get("reason") == reason:
                return found
            await asyncio.sleep(0.003)


@pytest.mark.parametrize("patch", BROKEN.values(), ids=BROKEN)
async def test_is_told_in_conditions_and_by_one_event(place: Place, patch: Manifest) -> None:
    await place.ready()
    before = await place.said()
    await edit(place, patch)
    found = await shown(place, "InvalidManifest")
    await place.rests()
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("False", "True")
    assert "Canary test/app" in found["Stalled"]["message"]
    assert "expected" in found["Stalled"]["message"]
    assert sorted(await place.said()) == sorted([*before, found["Stalled"]["message"]])
    [event] = [each for each in await place.events() if each["message"] not in before]
    assert event["type"] == "Warning"
    writes = place.port.writes
    place.controller.wake("test/app")
    await place.rests()
    assert place.port.writes == writes, "what is said is not said again"


@pytest.mark.parametrize("patch", BROKEN.values(), ids=BROKEN)
async def test_is_taken_back_once_it_is_mended(place: Place, patch: Manifest) -> None:
    await place.ready()
    before = await conditions(place)
    await edit(place, patch)
    await shown(place, "InvalidManifest")
    await mend(place)
    found = await shown(place, "Fine")
    await place.rests()
    for kind in before:
        assert found[kind]["status"] == before[kind]["status"]
        assert found[kind]["reason"] == before[kind]["reason"]
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED


async def test_a_running_release_goes_on_with_the_last_valid_spec(place: Place) -> None:
    await place.ready(stepWeights=[10, 20, 30])
    await place.release("2")
    await place.until("app", lambda each: each.status.canary_weight >= 10)
    await edit(place, BROKEN["a field nobody knows"])
    done = await place.ended("2")
    assert done.status.phase == Phase.SUCCEEDED
    found = await shown(place, "InvalidManifest")
    assert found["Ready"]["status"] == "False"
    assert found["Promoted"]["status"] == "True"
    texts = await place.said()
    assert len([text for text in texts if "stepWieght" in text]) == 1


async def test_one_that_never_was_valid_touches_nothing_until_it_is(place: Place) -> None:
    manifest = canary()
    manifest["spec"]["analysis"]["stepWieght"] = 5
    await place.apply(process(), manifest)
    await shown(place, "InvalidManifest")
    await place.rests()
    assert (await place.cluster.get(REF))["metadata"].get("finalizers", []) == []
    assert "app-primary" not in str((await place.cluster.list(Ref.of(process()).kind)).items)
    await edit(place, {"spec": {"analysis": {"stepWieght": None}}})
    await place.until("app", lambda each: each.status.phase == Phase.INITIALIZED)
    assert (await conditions(place))["Stalled"]["status"] == "False"


async def test_one_that_is_wrong_can_be_deleted_even_by_a_process_that_never_saw_it_right(
    place: Place,
) -> None:
    await place.ready()
    await edit(place, BROKEN["a field nobody knows"])
    await shown(place, "InvalidManifest")
    await place.restart()
    await place.cluster.delete(REF)
    await eventually(lambda: "test/app" not in place.controller._subjects)
    assert (await place.process())["spec"]["suspend"] is False


async def test_conditions_of_others_stay(place: Place) -> None:
    await place.ready()
    theirs = {"type": "Theirs", "status": "True", "reason": "Because", "message": ""}
    have = (await place.cluster.get(REF))["status"]["conditions"]
    patch = {"status": {"conditions": [*have, theirs]}}
    await place.cluster.patch(REF, patch, manager="user", status=True)
    await edit(place, BROKEN["a field nobody knows"])
    assert (await shown(place, "InvalidManifest"))["Theirs"]["reason"] == "Because"
    await mend(place)
    assert (await shown(place, "Fine"))["Theirs"]["reason"] == "Because"
