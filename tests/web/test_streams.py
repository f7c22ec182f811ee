"""Server-sent events: nothing is missed, nothing comes twice, and streams end when they should."""

import asyncio
from dataclasses import replace

import pytest

from canary.cluster.embedded import Embedded
from canary.web.api import make_api
from canary.web.events import follow_events
from canary.web.serve import serve
from tests.web.conftest import DEADLINE, PODINFO, PROGRESSING, Api, eventually, manifest

EVENTS = "/api/v1/canaries/test/podinfo/events"


async def test_lists_the_events_of_one_canary_with_the_oldest_first(api: Api) -> None:
    await api.create(manifest())
    await api.tell("one")
    await api.tell("of another", about="other")
    await api.tell("two")
    status, body = await api.get(EVENTS)
    assert status == 200
    assert [each["message"] for each in body["items"]] == ["one", "two"]
    assert body["items"][0]["at"] == "2026-03-04T11:58:00Z"
    assert body["items"][0]["type"] == "Normal"


async def test_sends_what_there_is_and_then_what_comes(api: Api) -> None:
    await api.create(manifest())
    await api.tell("before")
    async with api.stream(EVENTS) as stream:
        assert await stream.messages(1) == ["before"]
        await api.tell("of another", about="other")
        told = await api.tell("after")
        assert await stream.next() == (
            "event",
            {
                "id": told["metadata"]["resourceVersion"],
                "at": "2026-03-04T11:58:00Z",
                "type": "Normal",
                "reason": "Synced",
                "message": "after",
                "count": 1,
            },
        )
        assert stream.last_id == told["metadata"]["resourceVersion"]


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(api: Api) -> None:
    await api.create(manifest())
    await api.tell("one")
    await api.tell("two")
    async with api.stream(EVENTS) as stream:
        assert await stream.messages(1) == ["one"]
        last = stream.last_id
    await api.tell("three")
    async with api.stream(EVENTS, **{"Last-Event-ID": last}) as stream:
        assert await stream.messages(2) == ["two", "three"]
        await api.tell("four")
        assert await stream.messages(1) == ["four"]
        last = stream.last_id
    await api.tell("five")
    async with api.stream(EVENTS, **{"Last-Event-ID": last}) as stream:
        assert await stream.messages(1) == ["five"]


@pytest.mark.parametrize("last", ["999999999", "nonsense", "0"])
async def test_an_id_from_another_life_of_the_cluster_is_taken_for_none(
    api: Api, last: str
) -> None:
    await api.create(manifest())
    await api.tell("one")
    async with api.stream(EVENTS, **{"Last-Event-ID": last}) as stream:
        assert await stream.messages(1) == ["one"]


async def test_a_client_that_is_too_slow_misses_nothing(api: Api) -> None:
    """The changes it had not read are forgotten by then, so they are listed again."""
    small = await Embedded.open(None, history=5)
    service = replace(api.service, cluster=small)
    told = api.__class__(service, api.server, api.session)
    source = follow_events(service, PODINFO)
    assert (await anext(source)).startswith(b"id: ")
    pending = asyncio.ensure_future(anext(source))
    await told.tell("event 0")
    chunks = [await pending]
    for number in range(1, 20):
        await told.tell(f"event {number}")
    async with asyncio.timeout(DEADLINE):
        while b"event 19" not in chunks[-1]:
            chunks.append(await anext(source))
    await source.aclose()
    await small.close()
    found = [chunk for chunk in chunks if b"data:" in chunk]
    assert [f'"event {n}"'.encode() in chunk for n, chunk in enumerate(found)] == [True] * 20


async def test_a_silent_stream_sends_a_comment_now_and_then(api: Api) -> None:
    await api.create(manifest())
    api.service.heartbeat = 0.05
    async with api.stream(EVENTS) as stream:
        await stream.beat()
        await stream.beat()
        await api.tell("still works")
        assert await stream.messages(1) == ["still works"]


async def test_streams_all_canaries_and_then_each_that_changes(api: Api) -> None:
    await api.create(manifest("a"))
    await api.create(manifest("b"))
    async with api.stream("/api/v1/stream") as stream:
        first = [await stream.next() for _ in range(3)]
        assert [each[0] for each in first if each] == ["canary", "canary", "synced"]
        await api.create(manifest(), PROGRESSING)
        async with asyncio.timeout(DEADLINE):
            while (event := await stream.next()) and event[1].get("weight") != 20:
                assert event[1]["name"] == "podinfo"
        assert event is not None
        assert (event[0], event[1]["phase"]) == ("canary", "Progressing")
        await api.service.cluster.delete(PODINFO)
        gone = await stream.next()
        assert gone is not None
        assert (gone[0], gone[1]["name"]) == ("deleted", "podinfo")


async def test_streams_one_namespace_only(api: Api) -> None:
    await api.create(manifest("a", "one"))
    await api.create(manifest("b", "two"))
    async with api.stream("/api/v1/stream?namespace=two") as stream:
        first = await stream.next()
        assert first is not None
        assert first[1]["name"] == "b"
        synced = await stream.next()
        assert synced is not None
        assert synced[0] == "synced"


async def test_a_client_that_goes_leaves_nothing_behind(api: Api) -> None:
    subscribers, before = api.service.cache._subscribers, len(asyncio.all_tasks())
    async with api.stream("/api/v1/stream") as stream:
        await stream.next()
        assert sum(map(len, subscribers.values())) == 1
        assert len(asyncio.all_tasks()) > before
    await eventually(lambda: sum(map(len, subscribers.values())) == 0)
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_open_streams_end_cleanly_when_the_server_stops(api: Api) -> None:
    await api.create(manifest())
    async with api.stream(EVENTS) as events, api.stream("/api/v1/stream") as canaries:
        assert await canaries.next()
        assert await canaries.next()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await api.server.stop()
        assert loop.time() - began < 3
        assert await events.next() is None
        assert await canaries.next() is None


async def test_a_cluster_that_closes_ends_the_stream_cleanly(api: Api) -> None:
    await api.create(manifest())
    async with api.stream(EVENTS) as stream:
        await api.tell("last")
        assert await stream.messages(1) == ["last"]
        await api.service.cluster.close()
        assert await stream.next() is None


async def test_another_server_can_follow_on_the_same_port(api: Api) -> None:
    await api.server.stop()
    port = int(api.server.url.rpartition(":")[2])
    service = replace(api.service, closing=asyncio.Event())
    again = await serve(make_api(service), port=port)
    assert again.url == api.server.url
    assert (await api.get("/readyz"))[0] == 200
    await again.stop()
