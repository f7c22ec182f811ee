"""One engine in a test: the real one over the real embedded cluster, beside a world that obeys."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary
from canary.crd.manifest import read
from canary.engine.controller import Controller
from canary.engine.journal import Journal
from canary.engine.numbers import Numbers
from canary.engine.parts import Parts
from canary.engine.recorder import Recorder
from canary.hooks.call import Hooks
from canary.metrics.evaluate import Checks, Sources
from canary.metrics.prometheus import Prometheus
from canary.metrics.promql import Inline, Template
from canary.routers.apply import Routing
from canary.targets.workloads import Workloads
from tests.engine.kubelet import Images
from tests.engine.port import MortalHttp, Port
from tests.engine.world import CANARY, EVENT, PROCESS, Requests, World, canary, process

INTERVAL = 0.02
"""Seconds; no analysis interval is shorter."""
PATIENCE = 20.0
FINAL = {"Initialized", "Succeeded", "Failed"}


class Place:
    """A cluster and a world that last, and an engine that may die and begin again."""

    def __init__(self, cluster: Embedded, world: World, *, at_once: int = 16) -> None:
        self.cluster, self.world = cluster, world
        self.journal = Journal()
        self.build(at_once)

    def build(self, at_once: int = 16) -> None:
        """A fresh process, as far as the engine is concerned."""
        self.port = Port(self.cluster)
        self.cache = Cache(self.port)
        self.http = MortalHttp(self.port)
        self.requests = Requests(self.http, self.cache)
        self.images = Images(self.http, self.cache)
        prometheus = Prometheus()
        sources = Sources(
            self.requests,
            self.images,
            Inline(prometheus, ""),
            Template(prometheus, self.cache, self.port.get),
        )
        hooks = Hooks(self.http)
        self.numbers = Numbers("envoy")
        self.parts = Parts(
            cluster=self.port,
            cache=self.cache,
            workloads=Workloads(self.port, self.cache),
            routing=Routing(self.port, self.cache, "envoy"),
            checks=Checks(sources, minimum_interval=INTERVAL),
            hooks=hooks,
            recorder=Recorder(self.port, hooks, self.numbers),
            journal=self.journal,
            minimum_interval=INTERVAL,
        )
        self.controller = Controller(self.parts, self.numbers, ticks_at_once=at_once)

    async def start(self) -> None:
        await self.controller.start()

    async def end(self) -> None:
        """The engine ends; cluster and world stay."""
        await self.controller.close()
        await self.parts.checks.close()
        await self.http.close()
        await self.cache.close()

    async def restart(self) -> None:
        await self.end()
        self.build()
        await self.start()

    async def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            await self.cluster.apply(manifest, manager="user")

    async def release(self, v: str, name: str = "app") -> None:
        await self.apply(process(name, v))

    async def ready(self, *names: str, **analysis: Any) -> None:
        """Canaries that are set up and rest."""
        for name in names or ("app",):
            await self.apply(process(name), canary(name, **analysis))
        for name in names or ("app",):
            await self.until(name, lambda each: each.status.phase == "Initialized")
        await self.rests()

    async def canary(self, name: str = "app") -> Canary:
        found = read(await self.cluster.get(Ref(CANARY, "test", name)), "").resource
        assert isinstance(found, Canary)
        return found

    async def until(self, name: str, done: Callable[[Canary], bool]) -> Canary:
        last = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            last = await self.canary(name)
            if done(last):
                return last
            await asyncio.sleep(0.003)
        raise AssertionError(f"waited in vain; last seen: {last and last.status!r}")

    async def ended(self, v: str, name: str = "app") -> Canary:
        """The release of a version has come to its end."""
        images = f"(VERSION={v})"

        def done(canary: Canary) -> bool:
            run, phase = canary.status.run, canary.status.phase
            mine = run is not None and any(images in each for each in run.images)
            return mine and phase in FINAL

        return await self.until(name, done)

    async def rests(self) -> None:
        """No tick is under way, and none is about to be."""
        await eventually(lambda: self.controller.resting)

    async def events(self, name: str = "app") -> list[Manifest]:
        listing = await self.cluster.list(EVENT, "test")
        return [each for each in listing.items if each["involvedObject"]["name"] == name]

    async def said(self, name: str = "app") -> list[str]:
        return [each["message"] for each in await self.events(name)]

    async def process(self, name: str = "app") -> Manifest:
        return await self.cluster.get(Ref(PROCESS, "test", name))

    def series(self, name: str, /, **labels: str) -> float | None:
        return self.numbers.registry.get_sample_value(name, labels)


async def eventually(done: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        await asyncio.sleep(0.003)


@asynccontextmanager
async def a_place(
    path: Path | None = None, *, at_once: int = 16, begin: bool = True
) -> AsyncIterator[Place]:
    cluster = await Embedded.open(path)
    world = World(cluster)
    await world.start()
    place = Place(cluster, world, at_once=at_once)
    if begin:
        await place.start()
    try:
        yield place
    finally:
        await place.end()
        await world.stop()
        await cluster.close()
        place.journal.close()
