"""What Kubernetes does with Deployments, beside a real engine and a real cluster.

A controller that is never asked anything: it sees a Deployment, and writes the status that the
real one would, once its pods run or don't.
"""

import asyncio
from contextlib import suppress
from datetime import datetime

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary
from canary.crd.analysis import Metric
from canary.errors import NotFound
from canary.judge.threshold import Measurement
from canary.metrics.base import Side
from tests.engine.world import Requests

DEPLOYMENT = Kind("apps/v1", "Deployment")
POD = Kind("v1", "Pod")


class Deployments:
    """Pods of a good image are ready at once; those of a bad one wait for it for ever."""

    def __init__(self, cluster: Embedded) -> None:
        self.cluster = cluster
        self.bad: set[str] = set()
        """Images that can't be pulled."""
        self._cache = Cache(cluster)
        self._changed: asyncio.Queue[Ref] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._cache.start(DEPLOYMENT)
        self._cache.subscribe(DEPLOYMENT, lambda _change, _old, new: self._note(new))
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
            status = self._status(manifest)
            if manifest.get("status") == status:
                continue
            with suppress(NotFound):
                await self._pod(manifest)
                await self.cluster.patch(ref, {"status": status}, manager="kube", status=True)

    def _sick(self, manifest: Manifest) -> bool:
        return image(manifest) in self.bad

    def _status(self, manifest: Manifest) -> Manifest:
        count = manifest["spec"].get("replicas", 1)
        had = (manifest.get("status") or {}).get("readyReplicas", 0)
        seen = {"observedGeneration": manifest["metadata"]["generation"]}
        if self._sick(manifest) and count:
            # A rolling update keeps the old pods until new ones are ready.
            old = {"readyReplicas": had, "availableReplicas": had}
            return {**seen, "replicas": had + 1, "updatedReplicas": 1, **old}
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        return {**seen, **dict.fromkeys(counts, count)}

    async def _pod(self, manifest: Manifest) -> None:
        """The newest pod of a Deployment, waiting for its image if that is bad."""
        meta = manifest["metadata"]
        waiting = {"reason": "ImagePullBackOff", "message": f"no {image(manifest)}"}
        state = {"waiting": waiting} if self._sick(manifest) else {"running": {}}
        ref = Ref(POD, meta["namespace"], f"{meta['name']}-1")
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        await self.cluster.apply(ref.manifest(metadata={"labels": labels}, spec={}), manager="kube")
        status = {"containerStatuses": [{"name": "app", "state": state}]}
        await self.cluster.patch(ref, {"status": status}, manager="kube", status=True)


class Images(Requests):
    """What a mesh would have counted. An image is good unless it is said to be bad."""

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        del metric, side
        target = self.processes.get(Ref(DEPLOYMENT, canary.namespace, canary.target_name))
        failures = 500 if target is not None and image(target) in self.bad else 0
        window = (now - since).total_seconds()
        return Measurement(100 - failures / 10, 1000, failures, window, "%", "rate")


def image(manifest: Manifest) -> str:
    found: str = manifest["spec"]["template"]["spec"]["containers"][0]["image"]
    return found
