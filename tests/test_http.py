import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from canary.errors import ProviderError
from canary.http import Http, Reply, Request, TransportError, shortened


async def answer(request: web.Request) -> web.Response:
    status, size = int(request.query.get("status", "200")), int(request.query.get("size", "0"))
    headers = {"Location": request.query["to"]} if "to" in request.query else {}
    text = "x" * size or f"{request.method} {(await request.read()).decode()}"
    return web.Response(status=status, text=text, headers=headers)


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def around(_: web.Request) -> web.Response:
    raise web.HTTPFound("/around")


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()


def app() -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/", answer)
    app.router.add_get("/slow", slow)
    app.router.add_get("/hang-up", hang_up)
    app.router.add_get("/around", around)
    return app


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with TestServer(app()) as server:
        yield str(server.make_url("/"))


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


async def failure(http: Http, request: Request) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await http.send(request)
    return caught.value


async def test_a_status_is_an_answer_and_require_makes_it_an_error(http: Http, url: str) -> None:
    reply = await http.send(Request("GET", url, {"status": "503"}))
    assert reply.status == 503
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:\d+ answered 503: GET"):
        reply.require()


ROWS = {
    "301 turns a POST into a GET": ("301", "GET "),
    "302 turns a POST into a GET": ("302", "GET "),
    "303 turns a POST into a GET": ("303", "GET "),
    "307 repeats the POST with its body": ("307", "POST hello"),
    "308 repeats the POST with its body": ("308", "POST hello"),
}


@pytest.mark.parametrize(("status", "expected"), ROWS.values(), ids=ROWS)
async def test_redirects(http: Http, url: str, status: str, expected: str) -> None:
    redirected = Request("POST", url, {"status": status, "to": "/"}, body=b"hello")
    assert (await http.send(redirected)).body.decode() == expected


async def test_endless_redirects_end_and_are_not_worth_repeating(http: Http, url: str) -> None:
    error = await failure(http, Request("GET", f"{url}around"))
    assert "redirected too many times" in str(error)
    assert not error.again


async def test_a_silent_server_is_given_up_after_the_timeout(http: Http, url: str) -> None:
    error = await failure(http, Request("GET", f"{url}slow", timeout=0.1))
    assert "did not answer within 0.1 s" in str(error)
    assert error.again


async def test_a_broken_connection_is_told_as_one(http: Http, url: str) -> None:
    error = await failure(http, Request("GET", f"{url}hang-up"))
    assert "hung up before its answer was complete" in str(error)


async def test_a_refused_connection_names_host_and_cause_but_no_secret(http: Http) -> None:
    async with TestServer(app()) as server:
        gone = str(server.make_url("/path-secret"))
    error = await failure(http, Request("GET", gone, {"token": "query-secret"}))
    assert "connection refused" in str(error)
    assert "127.0.0.1:" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("bad", ["ftp://host/x", "no url at all", "http://"])
async def test_what_is_no_http_url_is_not_worth_repeating(http: Http, bad: str) -> None:
    assert not (await failure(http, Request("GET", bad))).again


async def test_a_long_answer_is_cut_off_at_the_limit(http: Http, url: str) -> None:
    reply = await http.send(Request("GET", url, {"size": "300000"}, limit=1000))
    assert (len(reply.body), reply.cut) == (1000, True)
    with pytest.raises(ProviderError, match="more than 1000 bytes"):
        reply.json()


async def test_an_answer_that_should_be_json_is_quoted_when_it_is_not(http: Http, url: str) -> None:
    with pytest.raises(ProviderError, match="something else than JSON: GET"):
        (await http.send(Request("GET", url))).json()


async def test_connections_are_reused_only_where_asked(http: Http) -> None:
    ports = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response()

    application = web.Application()
    application.router.add_get("/", note)
    async with TestServer(application) as server:
        for keep in (True, True, False, False):
            await http.send(Request("GET", str(server.make_url("/")), keep=keep))
    assert ports[0] == ports[1]
    assert len(set(ports)) == 3


def test_bodies_are_shortened_to_one_line() -> None:
    assert shortened(b"a\n" * 500) == f"{'a ' * 99}a…"
    assert Reply(500, {}, b"").summary() == "500"
