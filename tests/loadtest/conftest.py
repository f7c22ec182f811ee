"""A real HTTP server that answers, or doesn't, in the way a test asks for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: v1\r\n\r\nok"
DEADLINE = 20.0
"""Seconds until something that should happen counts as not happening."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `turn` counts on its connection, `number` on the server."""

    head: str
    body: bytes
    turn: int
    number: int


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer. Closing the writer closes the connection; aborting it resets it."""


async def answer_ok(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@dataclass
class Server:
    answer: Answer = answer_ok
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def replies(self, wire: bytes, *, close: bool = False) -> None:
        """Answer every request with these bytes."""

        async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(wire)
            if close:
                writer.close()

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._talk(reader, writer)
        writer.transport.abort()
        self.tasks.discard(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [ln for ln in head.lower().split("\r\n") if ln.startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0][15:])) if lengths else b""
            request = Request(head, body, turn, len(self.requests))
            self.requests.append(request)
            await self.answer(request, writer)
            if not writer.is_closing():
                await writer.drain()
            turn += 1
        await writer.wait_closed()

    async def start(self, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    here = Server()
    listening = await here.start()
    yield here
    await here.end(listening)


@pytest.fixture
async def tls_server() -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("localhost.pem"))
    here = Server()
    listening = await here.start(context)
    yield here
    await here.end(listening)


Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait for a condition, but not for ever."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.002)

    return wait
