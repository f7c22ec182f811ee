"""Who answers: weights, matches, mirrors and cookies, as a real Envoy carries them out."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import web

from canary.crd import Canary
from canary.crd.status import CanaryStatus, Split
from canary.errors import ProviderError
from canary.local.ports import free_port
from canary.routers.envoy import Envoy
from tests.local.envoy.place import Place, Service, until

BETA = {"headers": {"x-beta": {"exact": "yes"}}}


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
async def test_splits_by_weight(place: Place, weight: int) -> None:
    await place.both()
    await place.route(place.canary(), Split.to_canary(weight))
    found = await place.count(400)
    assert sum(found.values()) == found["app"] + found["app-primary"] == 400
    # Five standard deviations, and exactly at the ends, where there are none.
    spread = 5 * (400 * weight / 100 * (1 - weight / 100)) ** 0.5
    assert abs(found["app"] - 4 * weight) <= spread


async def test_counts_what_reached_both_sides(place: Place) -> None:
    await place.both()
    await place.route(place.canary(), Split.to_canary(50))
    found = await place.count(100)
    counters = await place.plane.counters()
    assert counters["test/app/canary"].requests == found["app"]
    assert counters["test/app/primary"].requests == found["app-primary"]
    assert counters["test/app/canary"].healthy == 1
    assert counters["test/app/canary"].active == 0


async def test_each_side_can_be_called_alone(place: Place) -> None:
    await place.both()
    route = await place.route(place.canary(), Split.to_canary(0))
    listeners = route["status"]["listeners"]
    assert listeners["apex"] == f"127.0.0.1:{place.port}"
    for side, name in (("primary", "app-primary"), ("canary", "app")):
        port = int(listeners[side].split(":")[1])
        assert (await place.get(port=port)).text == name


MATCHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an exact header": (BETA, {"headers": {"x-beta": "yes"}}, "/"),
    "the beginning of a header": (
        {"headers": {"x-beta": {"prefix": "ye"}}},
        {"headers": {"x-beta": "yes"}},
        "/",
    ),
    "the end of a header": (
        {"headers": {"x-beta": {"suffix": "es"}}},
        {"headers": {"x-beta": "yes"}},
        "/",
    ),
    "a regular expression over cookies": (
        {"headers": {"cookie": {"regex": "^(.*?;)?\\s*(beta=always)(;.*)?$"}}},
        {"headers": {"cookie": "a=b; beta=always"}},
        "/",
    ),
    "a query parameter": ({"queryParams": {"beta": {"exact": "1"}}}, {}, "/?beta=1"),
}


@pytest.mark.parametrize(("match", "request_", "path"), MATCHES.values(), ids=MATCHES)
async def test_only_those_who_match_see_the_canary(
    place: Place, match: dict[str, Any], request_: dict[str, Any], path: str
) -> None:
    await place.both()
    canary = place.canary(analysis={"match": [match]})
    await place.route(canary, Split.to_canary(100, matched=True))
    assert (await place.get(path, **request_)).text == "app"
    assert (await place.get()).text == "app-primary"
    assert (await place.get(headers={"x-beta": "no", "cookie": "beta=never"})).text == "app-primary"


async def test_a_match_of_the_service_holds_for_both_sides(place: Place) -> None:
    await place.both()
    service = {"match": [{"uri": {"prefix": "/shop"}, "method": {"exact": "GET"}}]}
    canary = place.canary(service, {"match": [BETA]})
    await place.route(canary, Split.to_canary(100, matched=True))
    beta: dict[str, Any] = {"headers": {"x-beta": "yes"}}
    assert (await place.get("/shop", **beta)).text == "app"
    assert (await place.get("/shop")).text == "app-primary"
    assert (await place.get("/other", **beta)).status == 404
    assert (await place.get("/shop", method="POST", **beta)).status == 404


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 200, 200), (50, 65, 135)])
async def test_copies_requests_to_the_canary(
    place: Place, percent: int, least: int, most: int
) -> None:
    """`mirrorWeight: 0` is the provider's default, which is all of them."""
    _, copies = await place.both()
    canary = place.canary(analysis={"mirror": True, "mirrorWeight": percent})
    await place.route(canary, Split.to_canary(0, mirrored=True))
    assert await place.count(200) == {"app-primary": 200}

    async def settled() -> bool:
        return (await place.plane.counters())["test/app/canary"].active == 0

    await until(settled, True)
    assert least <= len(copies.seen) <= most


def with_cookies(canary: Canary, **cookies: str) -> Canary:
    return canary.model_copy(update={"status": CanaryStatus(**cookies)})


def given(answer: Any) -> dict[str, Any]:
    found = SimpleCookie(answer.headers.get("Set-Cookie", ""))
    return {name: (morsel.value, morsel["max-age"]) for name, morsel in found.items()}


async def test_who_has_seen_the_canary_keeps_seeing_it(place: Place) -> None:
    await place.both()
    affinity = {"sessionAffinity": {"cookieName": "seen", "maxAge": 60}}
    canary = with_cookies(place.canary(analysis=affinity), session_affinity_cookie="seen=abc")
    await place.route(canary, Split.to_canary(50))
    for _ in range(40):
        answer = await place.get()
        assert given(answer) == ({"seen": ("abc", "60")} if answer.text == "app" else {})
    sticky: dict[str, Any] = {"headers": {"cookie": "other=1; seen=abc"}}
    assert await place.count(40, **sticky) == {"app": 40}
    stranger = await place.count(60, headers={"cookie": "other=seen=abc2"})
    assert set(stranger) == {"app", "app-primary"}


async def test_a_primary_cookie_keeps_people_on_the_primary(place: Place) -> None:
    await place.both()
    affinity = {"sessionAffinity": {"cookieName": "seen", "primaryCookieName": "old"}}
    canary = with_cookies(
        place.canary(analysis=affinity),
        session_affinity_cookie="seen=abc",
        primary_session_affinity_cookie="old=def",
    )
    await place.route(canary, Split.to_canary(50))
    assert await place.count(40, headers={"cookie": "old=def"}) == {"app-primary": 40}
    assert await place.count(40, headers={"cookie": "old=def; seen=abc"}) == {"app": 40}


async def test_cookies_are_taken_back_after_the_release(place: Place) -> None:
    await place.both()
    affinity = {"sessionAffinity": {"cookieName": "seen"}}
    canary = with_cookies(
        place.canary(analysis=affinity), previous_session_affinity_cookie="seen=abc"
    )
    await place.route(canary, Split.to_canary(0))
    answer = await place.get(headers={"cookie": "seen=abc"})
    assert (answer.text, given(answer)) == ("app-primary", {"seen": ("abc", "-1")})
    assert given(await place.get()) == {}


async def test_an_endpoint_that_leaves_is_drained_and_no_request_is_lost(place: Place) -> None:
    primary, _ = await place.both()
    second = await place.serve("second")
    await place.endpoints("app-primary", primary.endpoint(), second.endpoint())
    await place.route(place.canary())
    load = asyncio.create_task(place.count(1500))

    async def both_answer() -> bool:
        return len(primary.seen) > 50 and len(second.seen) > 50

    await until(both_answer, True)
    assert not await place.plane.drained("127.0.0.1", primary.port)
    await place.endpoints("app-primary", second.endpoint(), primary.endpoint(ready=False))

    async def drained() -> bool:
        return await place.plane.drained("127.0.0.1", primary.port)

    await until(drained, True)
    await primary.stop()
    assert "503" not in (found := await load)
    assert found["app-primary"] == len(primary.seen)
    assert found["second"] > 0


async def test_replacing_processes_again_and_again_loses_no_request(place: Place) -> None:
    """As a rolling replacement does it: the new one first, then the old one, once drained."""
    await place.serve("app")
    old = await place.serve("app-primary")
    await place.route(place.canary())
    load = [asyncio.create_task(place.count(400)) for _ in range(8)]
    replaced = 0
    while not all(task.done() for task in load):
        new = Service("app-primary")
        await new.start()
        await place.endpoints("app-primary", old.endpoint(), new.endpoint())
        await place.endpoints("app-primary", new.endpoint())
        leaving = old.port

        async def drained(port: int = leaving) -> bool:
            return await place.plane.drained("127.0.0.1", port)

        await until(drained, True)
        await old.stop()
        old, replaced = new, replaced + 1
    place.services["app-primary"] = old
    assert [await task for task in load] == [{"app-primary": 400}] * 8
    assert replaced > 3


async def test_a_request_under_way_keeps_its_endpoint_from_being_drained(place: Place) -> None:
    go_on = asyncio.Event()

    async def slow(_: Any) -> Any:
        await go_on.wait()
        return web.Response(text="late")

    slow_one = await place.serve("app-primary", slow)
    await place.serve("app")
    await place.route(place.canary())
    waiting = asyncio.create_task(place.get())

    async def arrived() -> int:
        return len(slow_one.seen)

    await until(arrived, 1)
    await place.endpoints("app-primary")

    async def endpoints() -> int:
        return (await place.plane.counters())["test/app/primary"].healthy

    await until(endpoints, 0)
    assert not await place.plane.drained("127.0.0.1", slow_one.port)
    go_on.set()
    assert (await waiting).text == "late"

    async def drained() -> bool:
        return await place.plane.drained("127.0.0.1", slow_one.port)

    await until(drained, True)


async def test_a_route_that_is_deleted_is_no_longer_served(place: Place) -> None:
    await place.both()
    canary = place.canary()
    await place.route(canary)
    await place.cluster.delete(Envoy().owns(canary)[0])

    async def listeners() -> set[str]:
        try:
            return await place.plane.admin.listeners()
        except ProviderError:
            return {"unknown"}

    await until(listeners, set())

    async def clusters() -> set[tuple[str, int]]:
        return await place.plane.admin.hosts()

    await until(clusters, set())
    await place.route(canary)
    assert (await place.get()).text == "app-primary"


async def test_counts_go_on_when_endpoints_change(place: Place) -> None:
    first, second = await place.both()
    await place.route(place.canary())
    await place.count(10)
    await place.endpoints("app-primary", first.endpoint(), second.endpoint())

    async def healthy() -> int:
        return (await place.plane.counters())["test/app/primary"].healthy

    await until(healthy, 2)
    await place.count(10)
    assert (await place.plane.counters())["test/app/primary"].requests == 20


async def test_a_caller_can_not_choose_another_route(place: Place) -> None:
    await place.both()
    await place.route(place.canary())
    await place.route(place.canary(name="other", port=free_port()))
    assert (await place.get(headers={"x-canary-route": "test/other"})).text == "app-primary"
    assert "x-canary-route" not in place.services["app-primary"].seen[-1].headers


async def test_one_envoy_serves_more_routes_than_it_may_watch_files(place: Place) -> None:
    await place.both()
    # All different: a port that nobody listens on yet may be drawn twice.
    ports: set[int] = {place.port}
    while len(ports) <= 60:
        ports.add(free_port())
    others = [place.canary(name=f"other-{port}", port=port) for port in ports - {place.port}]
    for each in others:
        await place.write(each)
    for each in others:
        await place.until_followed(each, within=20)
    await place.route(place.canary(), Split.to_canary(100))
    assert await place.count(10) == {"app": 10}
