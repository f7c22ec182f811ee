"""One machine for a test: a real Envoy, the embedded cluster, and small real services."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp import web

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary, parse
from canary.crd.status import Split
from canary.local.envoy.dataplane import DataPlane
from canary.local.envoy.names import PROCESS, ROUTE
from canary.local.ports import free_port
from canary.routers.envoy import Envoy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """A real HTTP service. It answers with its name unless told otherwise."""

    name: str
    port: int = 0
    seen: list[web.BaseRequest] = field(default_factory=list)
    handler: Handler | None = None
    tls: SSLContext | None = None
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self.port = self.port or free_port()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if self.handler:
            return await self.handler(request)
        return web.Response(text=self.name)

    def endpoint(self, *, ready: bool = True) -> dict[str, Any]:
        where = {"address": "127.0.0.1", "port": self.port}
        return {**where, "instance": f"{self.name}-0", "ready": ready}


@dataclass
class Answer:
    status: int
    text: str
    headers: Any


@dataclass
class Place:
    folder: Path
    cluster: Embedded = field(init=False)
    cache: Cache = field(init=False)
    plane: DataPlane = field(init=False)
    services: dict[str, Service] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.cluster = await Embedded.open(None)
        self.cache = Cache(self.cluster)
        await self.begin()

    async def begin(self) -> None:
        """Start a data plane, as a controller does."""
        self.plane = DataPlane(self.cluster, self.cache, self.folder / "state", workers=1)
        await self.plane.start()
        self._task = asyncio.create_task(self.plane.run())

    async def end(self, *, keep: bool = False) -> None:
        """End the data plane, with or without its Envoy."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.plane.stop(keep=keep)

    async def stop(self) -> None:
        await self.end()
        await self.cache.close()
        await self.cluster.close()
        for service in self.services.values():
            await service.stop()

    async def serve(
        self, process: str, handler: Handler | None = None, tls: SSLContext | None = None
    ) -> Service:
        """One ready process for a Process object."""
        service = Service(process, handler=handler, tls=tls)
        await service.start()
        self.services[process] = service
        await self.endpoints(process, service.endpoint())
        return service

    async def endpoints(self, process: str, *endpoints: Manifest) -> None:
        ref = Ref(PROCESS, "test", process)
        if self.cache.get(ref) is None:
            await self.cluster.apply(ref.manifest(spec={"replicas": 1}), manager="test")
        status = {"status": {"endpoints": list(endpoints)}}
        await self.cluster.patch(ref, status, manager="test", status=True)

    async def both(self) -> tuple[Service, Service]:
        """A primary and a canary."""
        return await self.serve("app-primary"), await self.serve("app")

    async def route(
        self, canary: Canary, split: Split | None = None, *, within: float = 5.0
    ) -> Manifest:
        """Write the Route and wait until Envoy follows it."""
        await self.write(canary, split)
        return await self.until_followed(canary, within=within)

    async def write(self, canary: Canary, split: Split | None = None) -> None:
        for manifest in Envoy().render(canary, {}, split or Split()):
            await self.cluster.apply(manifest, manager="canary")

    async def until_followed(self, canary: Canary, *, within: float = 5.0) -> Manifest:
        async def pending() -> str:
            return Envoy().pending(canary, {ref: await self.cluster.get(ref)})

        [ref] = Envoy().owns(canary)
        await until(pending, "", within=within)
        return await self.cluster.get(ref)

    async def until_problem(self, name: str = "app", *, within: float = 5.0) -> str:
        async def problem() -> bool:
            status = (await self.cluster.get(Ref(ROUTE, "test", name))).get("status", {})
            return bool(status.get("problem"))

        await until(problem, True, within=within)
        found = await self.cluster.get(Ref(ROUTE, "test", name))
        return str(found["status"]["problem"])

    async def get(self, path: str = "/", *, port: int = 0, **options: Any) -> Answer:
        """One request over a connection of its own."""
        method, scheme = options.pop("method", "GET"), options.pop("scheme", "http")
        url = f"{scheme}://127.0.0.1:{port or self.port}{path}"
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url, **options) as reply,
        ):
            return Answer(reply.status, await reply.text(), reply.headers)

    async def count(self, requests: int, **options: Any) -> Counter[str]:
        """Who answers how often, over one connection."""
        found = Counter[str]()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for _ in range(requests):
                async with session.get(f"http://127.0.0.1:{self.port}/", **options) as reply:
                    found[await reply.text() if reply.status == 200 else str(reply.status)] += 1
        return found

    async def access_log(self, rows: int) -> list[dict[str, Any]]:
        """The log, once it has so many rows."""
        path = self.folder / "state" / "access.log"

        async def written() -> bool:
            return path.exists() and len(path.read_text().splitlines()) >= rows

        await until(written, True)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def canary(
        self,
        service: dict[str, Any] | None = None,
        analysis: dict[str, Any] | None = None,
        annotations: dict[str, str] | None = None,
        *,
        name: str = "app",
        port: int = 0,
    ) -> Canary:
        made = parse(
            {
                "apiVersion": "flagger.app/v1beta1",
                "kind": "Canary",
                "metadata": {
                    "name": name,
                    "namespace": "test",
                    "annotations": {f"envoy.canary/{k}": v for k, v in (annotations or {}).items()},
                },
                "spec": {
                    "targetRef": {
                        "apiVersion": "local.canary/v1",
                        "kind": "Process",
                        "name": name,
                    },
                    "service": {"port": port or self.port, **(service or {})},
                    "analysis": {"interval": "1m", "threshold": 5, "iterations": 5}
                    | (analysis or {}),
                },
            }
        )
        assert isinstance(made, Canary)
        return made


async def until(ask: Callable[[], Awaitable[object]], wanted: object, within: float = 5.0) -> None:
    """Wait for an answer; the last one is in the error."""
    deadline = time.monotonic() + within
    while (answer := await ask()) != wanted:
        assert time.monotonic() < deadline, f"{answer!r} is not {wanted!r} after {within} s"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def a_place(folder: Path) -> AsyncIterator[Place]:
    place = Place(folder)
    await place.start()
    try:
        yield place
    finally:
        await place.stop()
