"""The node: it registers, takes pods, and keeps up with an API server that comes and goes."""

import asyncio
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import STRATEGIC, TROUBLE, Api, ApiError
from tests.cluster.harness.network import PODS
from tests.cluster.harness.node.container import now
from tests.cluster.harness.node.logs import PORT, serving
from tests.cluster.harness.node.place import Host
from tests.cluster.harness.node.pod import Pod
from tests.cluster.harness.node.scrape import write
from tests.cluster.harness.node.settings import Settings

NODE = Kind("v1", "Node")
ALL_PODS = "/api/v1/pods"
HEARTBEAT = 300.0
"""Seconds; the controllers believe in a silent node for an hour."""
AGAIN = 0.2
ROOM = {"cpu": "64", "memory": "256Gi", "pods": "4000"}


class Kubelet:
    def __init__(self, api: Api, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._api, self._settings = api, settings
        self._addresses = addresses()
        server = urlsplit(settings.server)
        service = {
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        self._host = Host(api, settings, session, next(self._addresses), service)
        self._labels = {"kubernetes.io/hostname": settings.name, "kubernetes.io/os": "linux"}
        self._pods: dict[str, Pod] = {}
        self._binding: set[str] = set()
        self._tell_prometheus()
        self._tasks = asyncio.TaskGroup()

    @property
    def address(self) -> str:
        return self._host.address

    async def run(self) -> None:
        """Until it is cancelled. A fault in here ends the node, with its traceback in the log."""
        async with self._tasks as group:
            group.create_task(self._stay_ready())
            group.create_task(self._follow())

    async def _stay_ready(self) -> None:
        while True:
            try:
                await self._register()
            except TROUBLE:
                await asyncio.sleep(AGAIN)
            else:
                (Path(self._settings.folder) / "ready").touch()
                await asyncio.sleep(HEARTBEAT)

    async def _register(self) -> None:
        name = self._settings.name
        node = Ref(NODE, "", name)
        try:
            await self._api.create(node.manifest(metadata={"labels": self._labels}))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        status = {
            "capacity": ROOM,
            "allocatable": ROOM,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
            "addresses": [{"type": "InternalIP", "address": self._host.address}],
            "conditions": [_ready()],
        }
        await self._api.patch(node, {"status": status}, STRATEGIC, "status")

    async def _follow(self) -> None:
        """List, watch, and list again whenever the watch ends, in whatever way it does."""
        while True:
            try:
                listed = await self._api.request("GET", ALL_PODS)
                self._see_all(listed["items"])
                version = listed["metadata"]["resourceVersion"]
                async for event in self._api.watch(ALL_PODS, resourceVersion=version):
                    if event["type"] == "DELETED":
                        self._lose(event["object"]["metadata"]["uid"])
                    else:
                        self._see(event["object"])
            except TROUBLE:
                pass
            await asyncio.sleep(AGAIN)

    def _see_all(self, pods: list[Manifest]) -> None:
        there = {pod["metadata"]["uid"] for pod in pods}
        for uid in set(self._pods) - there:
            self._lose(uid)
        for pod in pods:
            self._see(pod)

    def _see(self, manifest: Manifest) -> None:
        uid, node = manifest["metadata"]["uid"], manifest["spec"].get("nodeName")
        if pod := self._pods.get(uid):
            pod.see(manifest)
        elif node == self._settings.name:
            self._take(manifest)
        elif self._may_bind(manifest):
            self._binding.add(uid)
            self._tasks.create_task(self._bind(manifest))

    def _take(self, manifest: Manifest) -> None:
        pod = Pod(self._host, manifest, next(self._addresses))
        pod.see(manifest)
        self._pods[pod.uid] = pod
        self._tasks.create_task(self._live(pod))
        self._tell_prometheus()

    async def _live(self, pod: Pod) -> None:
        await pod.live()
        del self._pods[pod.uid]
        self._tell_prometheus()

    def _tell_prometheus(self) -> None:
        write(Path(self._settings.folder), [pod.target for pod in self._pods.values()])

    def _lose(self, uid: str) -> None:
        if pod := self._pods.get(uid):
            pod.lose()

    def _may_bind(self, manifest: Manifest) -> bool:
        """Pods with a selector that doesn't fit stay pending, as they would with a scheduler."""
        spec, meta = manifest["spec"], manifest["metadata"]
        fits = spec.get("nodeSelector", {}).items() <= self._labels.items()
        free = not spec.get("nodeName") and not spec.get("schedulingGates")
        doomed = "deletionTimestamp" in meta or meta["uid"] in self._binding
        return self._settings.binds and fits and free and not doomed

    async def _bind(self, manifest: Manifest) -> None:
        meta = manifest["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "uid": meta["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._settings.name},
        }
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding"
        while True:
            try:
                await self._api.request("POST", path, binding)
            except TROUBLE as error:
                # Somebody else bound it, or it is gone; with anything else, trying again helps.
                if not isinstance(error, ApiError) or error.status not in (404, 409):
                    await asyncio.sleep(AGAIN)
                    continue
            return self._binding.discard(meta["uid"])


def _ready() -> Manifest:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods are processes here",
        "lastHeartbeatTime": now(),
    }


def addresses() -> Iterator[str]:
    """The node's, and one for each pod; none is ever used twice."""
    for address in IPv4Network(PODS).hosts():
        yield str(address)


async def main(path: Path) -> None:
    settings = Settings.read(path)
    api = Api(settings.server, settings.token, Path(settings.authority), "harness-node")
    async with api, aiohttp.ClientSession() as session:
        kubelet = Kubelet(api, settings, session)
        async with serving(kubelet.address, settings):
            await kubelet.run()
