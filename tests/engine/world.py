"""The rest of the world, beside a real engine and a real cluster.

It plays supervisor and data plane by writing what they write: the status of Processes and Routes.
Requests are those that the test says there were.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.errors import NotFound
from canary.http import Http
from canary.judge.threshold import Measurement
from canary.metrics.base import Side
from canary.metrics.envoy import Envoy

CANARY = Kind("flagger.app/v1beta1", "Canary")
EVENT = Kind("v1", "Event")
PROCESS = Kind("local.canary/v1", "Process")
RECORD = Kind("apps/v1", "ControllerRevision")
ROUTE = Kind("local.canary/v1", "Route")


class World:
    """Processes become what they are asked to be at once, unless they are sick."""

    def __init__(self, cluster: Embedded) -> None:
        self.cluster = cluster
        self.sick: Callable[[str], bool] = lambda _: False
        """By the VERSION of the template."""
        self._cache = Cache(cluster)
        self._changed: asyncio.Queue[Ref] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for kind in (PROCESS, ROUTE):
            await self._cache.start(kind)
            self._cache.subscribe(kind, lambda _change, _old, new: self._note(new))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._cache.close()

    def _note(self, manifest: Manifest) -> None:
        self._changed.put_nowait(Ref.of(manifest))

    async def _run(self) -> None:
        while True:
            ref = await self._changed.get()
            manifest = self._cache.get(ref)
            if manifest is None:
                continue
            status = self._process(manifest) if ref.kind == PROCESS else _route(manifest)
            if manifest.get("status") != status:
                with suppress(NotFound):
                    await self.cluster.patch(ref, {"status": status}, manager="world", status=True)

    def _process(self, manifest: Manifest) -> Manifest:
        spec, generation = manifest["spec"], manifest["metadata"]["generation"]
        count = 0 if spec.get("suspend") else spec.get("replicas", 1)
        ready = 0 if self.sick(version(manifest)) else count
        endpoints = [
            {"address": "127.0.0.1", "port": 1 + i, "instance": f"i{i}", "ready": True}
            for i in range(ready)
        ]
        return {
            "observedGeneration": generation,
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "endpoints": endpoints,
        }


def _route(manifest: Manifest) -> Manifest:
    return {"observedGeneration": manifest["metadata"]["generation"]}


class Requests(Envoy):
    """What Envoy would have counted. A version is good unless it is said to be bad."""

    def __init__(self, http: Http, cache: Cache) -> None:
        super().__init__(http, cache)
        self.processes = cache
        self.bad: set[str] = set()
        self.begun: dict[str, datetime] = {}
        self.asked = 0

    async def begin(self, canary: Canary, now: datetime) -> None:
        self.begun[canary.uid] = now

    def watched_from(self, canary: Canary) -> datetime | None:
        return self.begun.get(canary.uid)

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        del side  # nothing is compared here
        self.asked += 1
        target = self.processes.get(Ref(PROCESS, canary.namespace, canary.target_name))
        bad = target is not None and version(target) in self.bad
        window = (now - since).total_seconds()
        if metric.name == "request-duration":
            return Measurement(120.0, 1000, 0, window, "ms", "p99")
        failures = 500 if bad else 0
        return Measurement(100 - failures / 10, 1000, failures, window, "%", "rate")

    async def traffic(self, canary: Canary) -> float | None:
        del canary  # nobody's requests linger
        return 0.0


def version(manifest: Manifest) -> str:
    found: str = manifest["spec"]["template"].get("env", {}).get("VERSION", "")
    return found


def process(name: str = "app", v: str = "1", **template: Any) -> Manifest:
    env = {"VERSION": v, **template.pop("env", {})}
    spec = {"replicas": 2, "template": {"command": ["serve"], "env": env, **template}}
    return Ref(PROCESS, "test", name).manifest(spec=spec)


def canary(name: str = "app", target: str = "", **analysis: Any) -> Manifest:
    """Half of the traffic, once; an interval takes as long as the engine's shortest one."""
    meta = {"annotations": analysis.pop("annotations", {})}
    service = {"port": 8080, **analysis.pop("service", {})}
    given = {
        "interval": "20ms",
        "threshold": 1,
        "stepWeights": [50],
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        **analysis,
    }
    ref = {"apiVersion": "local.canary/v1", "kind": "Process", "name": target or name}
    spec = {"targetRef": ref, "service": service, "analysis": given}
    return Ref(CANARY, "test", name).manifest(metadata=meta, spec=spec)
