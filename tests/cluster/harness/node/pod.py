"""One pod: from its binding to the end of its last process."""

import asyncio
import shutil
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import STRATEGIC, TROUBLE, ApiError
from tests.cluster.harness.node import probes, status
from tests.cluster.harness.node.container import Container, Surroundings, now
from tests.cluster.harness.node.environment import Missing
from tests.cluster.harness.node.place import Host, Place
from tests.cluster.harness.node.scrape import target

POD = Kind("v1", "Pod")
AGAIN = 0.2
"""Seconds between two attempts to reach the API server."""


class Pod:
    def __init__(self, host: Host, manifest: Manifest, address: str) -> None:
        self._manifest, self._host = manifest, host
        self._ref = Ref.of({"apiVersion": "v1", "kind": "Pod", **manifest})
        self.uid = str(manifest["metadata"]["uid"])
        self._place = Place(host, manifest, address)
        spec = manifest["spec"]
        self._changed, self._deleted, self._gone = (asyncio.Event() for _ in range(3))
        self._first = [self._container(each) for each in spec.get("initContainers", [])]
        self._main = [self._container(each) for each in spec["containers"]]
        for each in self._main if self._first else ():
            each.seen.state = status.INITIALIZING
        self._conditions: dict[str, Manifest] = {}
        self._policy = spec.get("restartPolicy", "Always")
        self._initialized, self._began = not self._first, now()
        # A node that was started again leaves what has ended as it is.
        self._over = manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not self._over:
            self._changed.set()

    def see(self, manifest: Manifest) -> None:
        """A newer version of the object."""
        if status.closed_gates(manifest) != status.closed_gates(self._manifest):
            self._changed.set()
        self._manifest = manifest
        if "deletionTimestamp" in manifest["metadata"]:
            self._deleted.set()

    def lose(self) -> None:
        """The object is gone: nobody is left to be told, or to be waited for."""
        self._gone.set()
        self._deleted.set()

    @property
    def target(self) -> Manifest | None:
        return target(self._manifest, self._place.address)

    async def live(self) -> None:
        """From the first status to the last process and the object's deletion."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in (self._work(), self._report())]
            await self._deleted.wait()
            await self._stop()
            for task in tasks:
                task.cancel()
        await self._delete()
        shutil.rmtree(self._place.folder, ignore_errors=True)

    async def _work(self) -> None:
        if self._over:
            return
        await self._write_volumes()
        for each in self._first:
            await each.run("Never" if self._policy == "Never" else "OnFailure")
            if not each.seen.succeeded:
                return
        self._initialized = True
        async with asyncio.TaskGroup() as group:
            renewal = group.create_task(self._place.volumes.renew_tokens())
            await asyncio.gather(*(each.run(self._policy) for each in self._main))
            renewal.cancel()

    async def _write_volumes(self) -> None:
        while True:
            try:
                return await self._place.volumes.write()
            except (Missing, *TROUBLE):
                await asyncio.sleep(AGAIN)  # until then the pod is being created

    async def _stop(self) -> None:
        """Serve the requests that are still on their way, and only then end.

        The endpoints were left when the deletion was asked for.
        """
        grace = self._manifest["metadata"].get("deletionGracePeriodSeconds", 0)
        try:
            async with asyncio.timeout(grace):
                await self._unless_gone(*(self._farewell(each.spec) for each in self._main))
        except TimeoutError:
            grace = 0
        everyone = (*self._first, *self._main)
        await self._unless_gone(*(each.stop(grace) for each in everyone))
        await asyncio.gather(*(each.stop(0) for each in everyone))

    async def _farewell(self, container: Manifest) -> None:
        """A container's preStop hook, or the node's pause in its stead."""
        match container.get("lifecycle", {}).get("preStop"):
            case {"exec": {"command": command}}:
                with suppress(OSError):
                    await probes.execute(command, self._place.environment())
            case {"sleep": {"seconds": seconds}}:
                await asyncio.sleep(seconds)
            case _:
                served = any("running" in each.seen.state for each in self._main)
                await asyncio.sleep(self._host.settings.farewell if served else 0)

    async def _unless_gone(self, *work: Coroutine[Any, Any, None]) -> None:
        """Nobody waits for a pod that was deleted by force."""
        working: asyncio.Future[Any] = asyncio.gather(*work)
        gone: asyncio.Future[Any] = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            gone.cancel()

    async def _delete(self) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while not self._gone.is_set():
            try:
                await self._host.api.delete(self._ref, **options)
            except ApiError as error:
                if error.status in (404, 409):  # gone, and perhaps another one has its name
                    return
                await asyncio.sleep(AGAIN)
            except TROUBLE:
                await asyncio.sleep(AGAIN)
            else:
                return

    async def _report(self) -> None:
        """Tell what changed; what changes meanwhile is told together."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            patch = {"metadata": {"uid": self.uid}, "status": self._status()}
            try:
                await self._host.api.patch(self._ref, patch, STRATEGIC, "status")
            except TROUBLE as error:
                if not isinstance(error, ApiError) or error.status not in (404, 409):
                    self._changed.set()
                    await asyncio.sleep(AGAIN)

    def _status(self) -> Manifest:
        seen, address = [each.seen for each in self._main], self._place.address
        gates = status.closed_gates(self._manifest)
        self._conditions = status.conditions(
            self._initialized, seen, gates, self._conditions, now()
        )
        return {
            "phase": status.phase(self._policy, seen),
            "hostIP": self._host.address,
            "hostIPs": [{"ip": self._host.address}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": self._began,
            "conditions": list(self._conditions.values()),
            "containerStatuses": [each.status() for each in seen],
            "initContainerStatuses": [each.seen.status() for each in self._first],
        }

    def _container(self, spec: Manifest) -> Container:
        place = self._place
        named = ports(spec)
        around = Surroundings(
            find=self._host.program,
            launch=place.launch,
            target=lambda env: probes.Target(place.address, named, env, self._host.session),
            changed=self._changed.set,
            folder=place.folder,
            log=self._host.log(self._manifest, spec["name"]),
            back_off=self._host.settings.back_off,
            grace=self._manifest["spec"].get("terminationGracePeriodSeconds", 30),
        )
        return Container(spec, around)


def ports(container: Manifest) -> dict[str, int]:
    """A container's ports by name."""
    named = (each for each in container.get("ports", []) if "name" in each)
    return {each["name"]: each["containerPort"] for each in named}
