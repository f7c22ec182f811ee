"""Where the server listens, and what it costs those who don't need it."""

import asyncio
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from canary.errors import LocalError
from canary.web.api import make_api
from canary.web.serve import serve
from tests.web.conftest import Api


async def test_says_where_it_listens(api: Api) -> None:
    host, _, port = api.server.url.removeprefix("http://").rpartition(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)


async def test_answers_are_not_held_back_for_more_to_come(api: Api) -> None:
    """A listener without a named protocol let each answer wait 40 ms for the last one's ACK."""
    loop, answers = asyncio.get_running_loop(), 50
    began = loop.time()
    for _ in range(answers):
        assert (await api.get("/readyz"))[0] == 200
    assert (loop.time() - began) / answers < 0.02


def ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6 loopback")
async def test_listens_on_ipv6_too(api: Api) -> None:
    service = replace(api.service, closing=asyncio.Event())
    other = await serve(make_api(service), "::1", 0)
    assert other.url.startswith("http://[::1]:")
    async with api.session.get(f"{other.url}/healthz") as reply:
        assert reply.status == 200
    await other.stop()


async def test_a_port_that_is_taken_is_told_with_what_to_do(api: Api) -> None:
    port = api.server.url.rpartition(":")[2]
    with pytest.raises(LocalError) as caught:
        await serve(make_api(api.service), port=int(port))
    assert str(caught.value) == (
        f"the status API can't listen on port {port} of 127.0.0.1: another program has it; "
        "end that one, or choose another port with --port (0 takes any free one)"
    )


async def test_an_address_of_another_machine_is_told(api: Api) -> None:
    with pytest.raises(LocalError, match="this machine has no such address"):
        await serve(make_api(api.service), "192.0.2.1", 0)


async def test_leaves_signals_to_the_program(api: Api) -> None:
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(each) for each in names]
    service = replace(api.service, closing=asyncio.Event())
    other = await serve(make_api(service), port=0)
    assert [signal.getsignal(each) for each in names] == before
    await other.stop()
    assert [signal.getsignal(each) for each in names] == before


async def test_stopping_twice_is_stopping_once(api: Api) -> None:
    await asyncio.gather(api.server.stop(), api.server.stop())
    port = int(api.server.url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_stops_in_time_although_a_client_says_nothing(api: Api) -> None:
    port = int(api.server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: loc")
    await writer.drain()
    async with asyncio.timeout(3):
        await api.server.stop()
    writer.close()
    assert reader is not None


def test_commands_without_a_server_do_not_load_one() -> None:
    code = (
        "import sys, canary.web, canary.web.service;"
        "print([m for m in ('fastapi', 'uvicorn', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
