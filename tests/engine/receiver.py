"""A real server for hooks, which keeps what arrives and answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Receiver:
    url: str = ""
    arrived: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Path, idempotency key and body of each call, in order."""
    answers: dict[str, int] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    """Paths that nobody answers until they are released."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path.strip("/")
        key = request.headers["Idempotency-Key"]
        self.arrived.append((path, key, json.loads(await request.read())))
        if path in self.hanging:
            await self.released.wait()
        return web.Response(status=self.answers.get(path, 200))

    def called(self) -> list[str]:
        return [key for _, key, _ in self.arrived]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for each, _, body in self.arrived if each == path]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver, application = Receiver(), web.Application()
    application.router.add_post("/{path:.*}", receiver.handle)
    server = TestServer(application)
    await server.start_server()
    receiver.url = str(server.make_url("/"))
    try:
        yield receiver
    finally:
        await server.close()
