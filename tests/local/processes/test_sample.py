"""The sample service, as a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

import canary
from canary.local.ports import free_port

ENV = {**os.environ, "PYTHONPATH": str(Path(canary.__file__).parents[1])}
Run = Callable[..., Awaitable[tuple["subprocess.Popen[str]", int]]]


@pytest.fixture
def sample() -> Iterator[Run]:
    """Starts it with these variables, and returns it with its port once it listens."""
    started: list[subprocess.Popen[str]] = []

    async def run(**env: str) -> tuple["subprocess.Popen[str]", int]:
        port = free_port("127.0.0.1")
        process = start({"HOST": "127.0.0.1", "PORT": str(port), **env})
        started.append(process)
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line.endswith(f"listens on 127.0.0.1:{port}\n"), line
        return process, port

    yield run
    for process in started:
        process.kill()
        process.communicate()


def start(env: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "canary.local.sample"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**ENV, **env}, stdout=pipe, stderr=pipe, text=True)


class Connection:
    """A kept HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: str, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(request.replace("\n", "\r\n").encode())
        return await self.answer(body=body)

    async def answer(self, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        length = int(headers["content-length"]) if body else 0
        return int(head[0].split()[1]), headers, await self.reader.readexactly(length)

    async def closed(self) -> bool:
        return await self.reader.read() == b""


async def get(port: int, path: str = "/") -> tuple[int, dict[str, str], bytes]:
    connection = await Connection.to(port)
    answer = await connection.ask(f"GET {path} HTTP/1.1\nconnection: close\n\n")
    assert await connection.closed()
    connection.writer.close()
    return answer


async def test_says_who_it_is(sample: Run) -> None:
    _, port = await sample(VERSION="2.1", NAME="web-abc12", COLOR="green")
    status, headers, body = await get(port)
    assert status == 200
    assert headers["x-version"] == "2.1"
    assert json.loads(body) == {"version": "2.1", "instance": "web-abc12", "color": "green"}
    assert [(await get(port, path))[0] for path in ("/healthz", "/readyz", "/none")] == [
        200,
        200,
        404,
    ]


REQUESTS = {
    "with a body": ("POST / HTTP/1.1\ncontent-length: 3\n\nabc", 200, True),
    "with a body in chunks": (
        "POST / HTTP/1.1\ntransfer-encoding: chunked\n\n3\nabc\n1;x=y\nd\n0\n\n",
        200,
        True,
    ),
    "with a query": ("GET /?a=1 HTTP/1.1\n\n", 200, True),
    "that wants no body": ("HEAD / HTTP/1.1\n\n", 200, True),
    "of the old protocol": ("GET / HTTP/1.0\n\n", 200, False),
    "that wants to be the last": ("GET / HTTP/1.1\nConnection: Close\n\n", 200, False),
    "that is no HTTP": ("hello\n\n", 400, False),
    "with a length that is no number": ("POST / HTTP/1.1\ncontent-length: x\n\n", 400, False),
}


@pytest.mark.parametrize(("request_text", "expected", "kept"), REQUESTS.values(), ids=REQUESTS)
async def test_answers_a_request(sample: Run, request_text: str, expected: int, kept: bool) -> None:
    _, port = await sample()
    connection = await Connection.to(port)
    status, headers, _ = await connection.ask(request_text, body="HEAD" not in request_text)
    assert status == expected
    assert headers["connection"] == ("keep-alive" if kept else "close")
    if kept:
        assert (await connection.ask("GET / HTTP/1.1\n\n"))[0] == 200
    else:
        assert await connection.closed()
    connection.writer.close()


async def test_fails_as_often_as_it_is_told_and_always_alike(sample: Run) -> None:
    runs = []
    for _ in range(2):
        _, port = await sample(ERROR_RATE="0.25", SEED="7")
        connection = await Connection.to(port)
        runs.append([(await connection.ask("GET / HTTP/1.1\n\n"))[0] for _ in range(400)])
        assert (await connection.ask("GET /healthz HTTP/1.1\n\n"))[0] == 200
        connection.writer.close()
    assert runs[0] == runs[1]
    assert 70 < runs[0].count(500) < 130


async def test_takes_as_long_as_it_is_told(sample: Run) -> None:
    _, port = await sample(LATENCY="100", LATENCY_JITTER="10")
    before = monotonic()
    await get(port)
    assert 0.1 <= monotonic() - before < 1


async def test_is_ready_only_later(sample: Run) -> None:
    _, port = await sample(READY_AFTER="0.5")
    answers = [(await get(port, path))[0] for path in ("/readyz", "/healthz")]
    assert answers == [503, 200]
    async with asyncio.timeout(5):
        while (await get(port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)


async def test_crashes_when_told(sample: Run) -> None:
    process, _ = await sample(CRASH_AFTER="0.1")
    _, errors = await asyncio.to_thread(process.communicate, timeout=5)
    assert process.returncode == 1
    assert "CRASH_AFTER" in errors


async def test_finishes_what_is_under_way_before_it_ends(sample: Run) -> None:
    process, port = await sample(LATENCY="400")
    busy, idle = await Connection.to(port), await Connection.to(port)
    busy.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.sleep(0.1)  # so that the request is there before the signal
    process.terminate()
    status, headers, _ = await busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await idle.closed()
    assert await asyncio.to_thread(process.wait, 5) == 0
    for connection in (busy, idle):
        connection.writer.close()


WRONG = {
    "a number that is none": ({"LATENCY": "fast"}, "LATENCY: found 'fast', expected a number"),
    "an address that isn't ours": ({"HOST": "192.0.2.1"}, "sample: "),
}


@pytest.mark.parametrize(("env", "expected"), WRONG.values(), ids=WRONG)
def test_says_what_is_wrong_with(env: dict[str, str], expected: str) -> None:
    process = start({"PORT": str(free_port("127.0.0.1")), **env})
    _, errors = process.communicate(timeout=5)
    assert expected in errors
    assert "Traceback" not in errors
    assert process.returncode == 1


async def test_manages_a_thousand_requests_a_second(sample: Run) -> None:
    _, port = await sample()

    async def client(count: int) -> None:
        connection = await Connection.to(port)
        for _ in range(count):
            await connection.ask("GET / HTTP/1.1\n\n")
        connection.writer.close()

    before = monotonic()
    await asyncio.gather(*(client(100) for _ in range(10)))
    assert monotonic() - before < 1


def test_loads_nothing_heavy() -> None:
    code = "import sys, canary.local.sample; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True
    )
    assert not {"aiohttp", "pydantic", "psutil", "structlog"} & set(loaded.stdout.split())
