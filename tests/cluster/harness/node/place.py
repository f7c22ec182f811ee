"""What a pod has on its node: an address, a folder, and the way its containers are started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from canary.cluster.port import Manifest
from tests.cluster.harness.api import Api
from tests.cluster.harness.node.container import Launch
from tests.cluster.harness.node.environment import environment, expand
from tests.cluster.harness.node.logs import path_of
from tests.cluster.harness.node.settings import Program, Settings, find, read_images
from tests.cluster.harness.node.volumes import Volumes, in_place, relocate
from tests.cluster.harness.process import inherited


@dataclass(frozen=True)
class Host:
    """What all pods of a node share."""

    api: Api
    settings: Settings
    session: aiohttp.ClientSession
    address: str
    service: Mapping[str, str]
    """Where the API server is, as variables that every container has."""

    def program(self, image: str) -> Program | None:
        return find(read_images(Path(self.settings.images)), image)

    def log(self, pod: Manifest, container: str) -> Path:
        meta = pod["metadata"]
        path = path_of(Path(self.settings.folder), meta["namespace"], meta["name"], container)
        path.parent.mkdir(exist_ok=True)
        return path


class Place:
    def __init__(self, host: Host, pod: Manifest, address: str) -> None:
        self.host, self.address = host, address
        self.folder = Path(host.settings.folder) / "pods" / pod["metadata"]["uid"]
        self.folder.mkdir(parents=True, exist_ok=True)  # a node may be started again
        self._pod = pod
        self.volumes = Volumes(host.api, pod, self.folder / "volumes", self._facts())

    async def launch(self, container: Manifest, program: Program) -> Launch:
        """How a container is started now. Raises `Missing` or one of `TROUBLE`.

        `HOST` and `PORT`, the container's first port, tell a program where to listen.
        """
        own = await environment(self.host.api, self._pod, container, self._facts())
        listen = {"HOST": self.address}
        for port in container.get("ports", [])[:1]:
            listen["PORT"] = str(port["containerPort"])
        places = self.volumes.places(container)
        base = self.environment()
        wished = {key: expand(value, base) for key, value in program.env.items()}
        env = {**base, **wished, **listen, **own}
        env = {key: relocate(value, places) for key, value in env.items()}
        argv = [*(program.argv or container.get("command", [])), *container.get("args", [])]
        argv = [relocate(expand(each, env), places) for each in argv]
        return Launch(in_place(argv, places), env)

    def environment(self) -> dict[str, str]:
        """What every container of the pod has."""
        meta = self._pod["metadata"]
        return {
            **inherited(),
            "PYTHONUNBUFFERED": "1",
            **self.host.service,
            "HOSTNAME": meta["name"],
            "POD_NAME": meta["name"],
            "POD_NAMESPACE": meta["namespace"],
            "POD_IP": self.address,
        }

    def _facts(self) -> dict[str, str]:
        """Fields that the API server's copy of the pod doesn't have yet."""
        return {
            "status.podIP": self.address,
            "status.podIPs": self.address,
            "status.hostIP": self.host.address,
            "status.hostIPs": self.host.address,
            "spec.nodeName": self.host.settings.name,
        }
