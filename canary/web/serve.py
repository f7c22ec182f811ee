"""The server, in the event loop that everything else runs in."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

import uvicorn
from fastapi import FastAPI

from canary.errors import LocalError
from canary.web.service import Service

GRACE = 2
"""Seconds that requests under way get when the server stops."""
BACKLOG = 2048


class Server:
    """A server that runs; `stop` ends it."""

    def __init__(
        self, url: str, service: Service, server: "_Server", task: asyncio.Task[None]
    ) -> None:
        self.url = url
        self._service, self._server, self._task = service, server, task

    async def stop(self) -> None:
        """End streams, give requests under way a moment, and free the port. May be repeated."""
        self._service.closing.set()
        self._server.leave()
        await self._task


async def serve(app: FastAPI, address: str = "127.0.0.1", port: int = 8080) -> Server:
    """Serve an app of `make_api`; port 0 takes any free one. Returns once it answers.

    Raises `LocalError` if it can't listen there.
    """
    listener = await _listen(address, port)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]), name="status API")
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    if task.done():
        listener.close()
        task.result()
    return Server(_url(listener), app.state.service, server, task)


class _Server(uvicorn.Server):
    """Uvicorn as a part of a program: signals are the program's, and idling costs nothing."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        # Once a second, which is what the Date header needs, not ten times.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._leaving.wait()


async def _listen(address: str, port: int) -> socket.socket:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        return _bound(family, where)
    except socket.gaierror as error:
        raise LocalError(f"the status API can't listen on {address!r}: {error.strerror}") from None
    except OSError as error:
        raise LocalError(_refused(address, port, error)) from None


def _bound(family: socket.AddressFamily, where: tuple[Any, ...]) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only then,
    # which is also why this isn't `socket.create_server`.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _refused(address: str, port: int, error: OSError) -> str:
    place = f"the status API can't listen on port {port} of {address}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{place}: another program has it; end that one, or choose another port with "
                "--port (0 takes any free one)"
            )
        case errno.EACCES:
            return f"{place}: that takes more rights; choose a port above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return f"{place}: this machine has no such address; choose one with --address"
        case _:
            return f"{place}: {error.strerror}"


def _url(listener: socket.socket) -> str:
    """The URL of a socket; one that listens everywhere is reached on loopback, for one."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
