"""What is told: Events as Kubernetes has them, hooks in order, and nothing is held up by it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from canary.cluster.port import Ref
from canary.crd.status import Phase
from canary.engine import recorder
from tests.engine.place import Place, eventually
from tests.engine.receiver import Receiver, receiving
from tests.engine.world import CANARY


def hook(receiver: Receiver, kind: str, name: str = "", **fields: object) -> dict[str, object]:
    name = name or kind
    return {"name": name, "type": kind, "url": f"{receiver.url}{name}", "timeout": "5s", **fields}


async def idle(place: Place) -> None:
    await place.rests()
    await eventually(lambda: not place.parts.recorder._calls)


async def test_events_have_the_fields_that_tools_read(place: Place) -> None:
    await place.ready()
    canary = await place.canary()
    events = await place.events()
    assert events
    for event in events:
        assert (event["apiVersion"], event["kind"]) == ("v1", "Event")
        assert event["metadata"]["namespace"] == "test"
        about = event["involvedObject"]
        assert about["uid"] == canary.uid
        assert (about["apiVersion"], about["kind"]) == ("flagger.app/v1beta1", "Canary")
        assert (about["namespace"], about["name"]) == ("test", "app")
        assert int(about["resourceVersion"]) > 0
        assert (event["reason"], event["type"]) == ("Synced", "Normal")
        assert event["source"] == {"component": "flagger"}
        assert event["message"]
        assert event["count"] == 1
        stamp = datetime.fromisoformat(event["firstTimestamp"])
        assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=1)
        assert event["lastTimestamp"] == event["firstTimestamp"]


async def test_a_release_taken_back_is_a_warning(place: Place) -> None:
    await place.ready()
    place.requests.bad = {"2"}
    await place.release("2")
    await place.ended("2")
    await idle(place)
    kinds = {event["message"]: event["type"] for event in await place.events()}
    [taken] = [text for text in kinds if text.startswith("taking app back")]
    assert kinds[taken] == "Warning"


async def test_event_hooks_are_called_in_the_order_in_which_it_happened(place: Place) -> None:
    async with receiving() as receiver:
        await place.ready(webhooks=[hook(receiver, "event")])
        await place.release("2")
        await place.ended("2")
        await idle(place)
        told = [body["metadata"]["eventMessage"] for body in receiver.bodies("event")]
        phases = [body["phase"] for body in receiver.bodies("event")]
    assert told.index("test/app: the canary gets 50%") < told.index(
        "app is promoted; its canary sleeps"
    )
    assert len(told) == len(set(told))
    assert set(told) <= set(await place.said())
    order = ["Initialized", "Progressing", "Promoting", "Finalising", "Succeeded"]
    assert sorted(phases, key=order.index) == phases
    assert phases[-1] == "Succeeded"


async def test_a_dead_event_endpoint_holds_up_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        receiver.hanging.add("event")
        await place.ready(webhooks=[hook(receiver, "event", timeout="30s")])
        began = asyncio.get_running_loop().time()
        await place.release("2")
        assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
        assert asyncio.get_running_loop().time() - began < 5
        assert len(receiver.bodies("event")) == 1, "the others wait their turn"
        monkeypatch.setattr(recorder, "GRACE", 0.01)
        await place.end()
        receiver.released.set()
        assert len(receiver.bodies("event")) == 1, "and end with the process"
        place.build()


async def test_post_rollout_hooks_are_called_once_with_how_it_ended(place: Place) -> None:
    async with receiving() as receiver:
        await place.ready(webhooks=[hook(receiver, "post-rollout")])
        await place.release("2")
        await place.ended("2")
        await idle(place)
        place.requests.bad = {"3"}
        await place.release("3")
        await place.ended("3")
        await idle(place)
        bodies = receiver.bodies("post-rollout")
    assert [body["phase"] for body in bodies] == ["Succeeded", "Failed"]
    assert (await place.said()).count("post-rollout hook post-rollout passed") == 2


async def test_a_post_rollout_hook_that_fails_changes_nothing_and_is_told(place: Place) -> None:
    async with receiving() as receiver:
        receiver.answers["post-rollout"] = 500
        await place.ready(webhooks=[hook(receiver, "post-rollout")])
        await place.release("2")
        assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
        await idle(place)
    assert any("post-rollout failed" in text for text in await place.said())


async def test_a_restart_repeats_with_the_same_key_and_tells_nothing_twice(place: Place) -> None:
    async with receiving() as receiver:
        await place.ready(webhooks=[hook(receiver, "post-rollout"), hook(receiver, "event")])
        await place.release("2")
        await place.ended("2")
        await idle(place)
        said, called = sorted(await place.said()), set(receiver.called())
        await place.restart()
        await idle(place)
        assert sorted(await place.said()) == said
        assert set(receiver.called()) == called


async def test_a_restart_long_after_repeats_nothing(place: Place) -> None:
    async with receiving() as receiver:
        await place.ready(webhooks=[hook(receiver, "post-rollout"), hook(receiver, "event")])
        await place.release("2")
        await place.ended("2")
        await idle(place)
        # As an API server does after an hour.
        for event in await place.events():
            await place.cluster.delete(Ref.of(event))
        calls = len(receiver.arrived)
        await place.end()
        place.build()
        place.parts.recorder._now = lambda: datetime.now(UTC) + timedelta(hours=2)
        await place.start()
        await idle(place)
        assert await place.said() == []
        assert len(receiver.arrived) == calls


async def test_the_same_trouble_is_told_once(place: Place) -> None:
    await place.ready()
    canary = await place.canary()
    for _ in range(3):
        await place.parts.recorder.complain(canary, "the disk is full")
    await place.parts.recorder.complain(canary, "the disk is broken")
    said = await place.said()
    assert (said.count("the disk is full"), said.count("the disk is broken")) == (1, 1)


async def test_a_canary_of_the_same_name_is_another_one(place: Place) -> None:
    await place.ready()
    said = "Process app is set up; its primary serves"
    await place.cluster.delete(Ref(CANARY, "test", "app"))
    await eventually(lambda: "test/app" not in place.controller._subjects)
    await place.ready()
    assert (await place.said()).count(said) == 2
