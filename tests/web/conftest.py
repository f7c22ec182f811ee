"""The API on a real server, over a real embedded cluster, cache and journal."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from canary.app.engine import Engine
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.engine.journal import Journal
from canary.settings import Settings
from canary.web.api import make_api
from canary.web.serve import Server, serve
from canary.web.service import CANARY, Service

DEADLINE = 10.0
"""Seconds until something that should happen counts as not happening."""
STARTED = "2026-03-04T11:55:00Z"
PODINFO = Ref(CANARY, "test", "podinfo")


def manifest(name: str = "podinfo", namespace: str = "test", **spec: Any) -> Manifest:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRef": {"apiVersion": "local.canary/v1", "kind": "Process", "name": name},
            "service": {"port": 9898},
            "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10},
            **spec,
        },
    }


PROGRESSING: dict[str, Any] = {
    "phase": "Progressing",
    "canaryWeight": 20,
    "failedChecks": 1,
    "lastAppliedSpec": "c1-0000000000000002",
    "lastPromotedSpec": "c1-0000000000000001",
    "lastTransitionTime": STARTED,
    "enteredAt": STARTED,
    "run": {
        "id": "r2",
        "revision": "c1-0000000000000002",
        "images": ["podinfo:2"],
        "trigger": "a new revision",
        "startedAt": STARTED,
        "split": {"primary": 80, "canary": 20},
        "since": STARTED,
        "prepared": True,
        "knownGood": "c1-0000000000000001",
        "checks": [
            {
                "name": "request-success-rate",
                "outcome": "fail",
                "reason": "success rate 89.9% of 120 requests is below 99%",
                "query": "cluster.podinfo-canary",
                "value": 89.9,
                "unit": "%",
                "low": 99,
                "samples": 120,
            }
        ],
    },
}


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(DEADLINE):
        while True:
            if holds():
                return
            await asyncio.sleep(0.002)


@dataclass
class Api:
    """A server under test, what it serves, and a client."""

    service: Service
    server: Server
    session: aiohttp.ClientSession
    reasons: list[str] = field(default_factory=list)
    waits: dict[str, datetime] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(self.server.url + path, headers=headers) as reply:
            return reply.status, await reply.json(content_type=None)

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        sent = {"Content-Type": "application/json", **headers}
        url = self.server.url + path
        async with self.session.post(url, data=json.dumps(body), headers=sent) as reply:
            return reply.status, await reply.json(content_type=None)

    async def create(self, made: Manifest, status: dict[str, Any] | None = None) -> Manifest:
        """Create a Canary, and wait until the cache has it."""
        created = await self.service.cluster.create(made)
        ref = Ref.of(created)
        if status:
            created = await self.service.cluster.patch(
                ref, {"status": status}, manager="test", status=True
            )
        await self.cached(ref, created["metadata"]["resourceVersion"])
        return created

    async def cached(self, ref: Ref, version: str) -> None:
        def known() -> bool:
            found = self.service.cache.get(ref)
            return found is not None and found["metadata"]["resourceVersion"] == version

        await eventually(known)

    async def tell(self, text: str, about: str = "podinfo") -> Manifest:
        """Write an Event as the recorder does."""
        return await self.service.cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{about}.", "namespace": "test"},
                "involvedObject": {"kind": "Canary", "namespace": "test", "name": about},
                "reason": "Synced",
                "message": text,
                "type": "Normal",
                "eventTime": "2026-03-04T11:58:00.000000Z",
                "count": 1,
            }
        )

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator["Stream"]:
        sent = {"Accept": "text/event-stream", **headers}
        async with self.session.get(self.server.url + path, headers=sent) as reply:
            assert reply.status == 200, await reply.text()
            assert reply.headers["Content-Type"].startswith("text/event-stream")
            yield Stream(reply)


@dataclass
class Stream:
    """Server-sent events as a browser reads them."""

    reply: aiohttp.ClientResponse
    last_id: str = ""
    beats: int = 0

    async def next(self) -> tuple[str, Any] | None:
        """Name and data of the next event; None at the end."""
        async with asyncio.timeout(DEADLINE):
            name, data = "message", ""
            while line := await self.reply.content.readline():
                text = line.decode().rstrip("\n")
                key, _, value = text.partition(":")
                value = value.removeprefix(" ")
                match key:
                    case "id":
                        self.last_id = value
                    case "event":
                        name = value
                    case "data":
                        data += value
                    case "" if text:
                        self.beats += 1
                    case "" if data:
                        return name, json.loads(data)
        return None

    async def messages(self, number: int) -> list[str]:
        found = [await self.next() for _ in range(number)]
        return [each[1]["message"] for each in found if each]

    async def beat(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while line := await self.reply.content.readline():
                if line.startswith(b":"):
                    return
        raise AssertionError("the stream ended without a heartbeat")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    cluster = await Embedded.open(None)
    cache, journal = Cache(cluster), Journal()
    await cache.start(CANARY)
    await cache.wait_synced(CANARY)
    reasons: list[str] = []
    waits: dict[str, datetime] = {}
    service = Service(
        cluster=cluster,
        cache=cache,
        journal=journal,
        registry=CollectorRegistry(),
        ready=lambda: reasons,
        waits=waits.get,
        now=lambda: datetime(2026, 3, 4, 12, 0, tzinfo=UTC),
        provider="envoy",
    )
    server = await serve(make_api(service), port=0)
    async with aiohttp.ClientSession() as session:
        yield Api(service, server, session, reasons, waits)
    await server.stop()
    await cache.close()
    await cluster.close()
    journal.close()


@pytest.fixture
async def engine(api: Api) -> AsyncIterator[Engine]:
    """The real controller over the same cluster; `start` it when the objects are there."""
    service = api.service
    made = Engine.build(
        service.cluster, service.cache, service.journal, Settings(), provider="envoy"
    )
    yield made
    await made.close()
