"""A whole cluster: its network, control plane, node, and whatever a test puts beside them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.harness import build, crds
from tests.cluster.harness.api import Api
from tests.cluster.harness.audit import Audit
from tests.cluster.harness.controlplane import ControlPlane
from tests.cluster.harness.network import Network
from tests.cluster.harness.node.logs import path_of
from tests.cluster.harness.node.settings import Images, Program, Settings, write_images
from tests.cluster.harness.process import Component
from tests.cluster.harness.prometheus import Prometheus
from tests.cluster.harness.traefik import CLASSES, CRDS, Traefik

ROOT = Path(__file__).parents[3]
SAMPLE = (sys.executable, "-m", "canary.local.sample")
TOLD = {"VERSION": "{tag}", "NAME": "$(POD_NAME)"}
IMAGES: Images = {
    "podinfo:*bad*": Program(SAMPLE, {**TOLD, "ERROR_RATE": "0.5"}),
    "podinfo:*slow*": Program(SAMPLE, {**TOLD, "LATENCY": "800"}),
    "podinfo:*crash*": Program(SAMPLE, {**TOLD, "CRASH_AFTER": "0.5"}),
    "podinfo:*missing*": Program(("no-such-program",)),
    "podinfo:*": Program(SAMPLE, TOLD),
    "canary:*": Program((sys.executable, "-m", "canary")),
    "host:*": Program(),
    "pause:*": Program(("sleep", "infinity")),
}
"""`podinfo:bad`, `podinfo:2-slow`: the tag says what is wrong with a release.

An image `host` runs the container's own command on this machine, and a `pause` costs next to
nothing, for tests with hundreds of pods. Anything else can't be pulled.
"""


@dataclass
class Cluster:
    folder: Path
    network: Network
    control_plane: ControlPlane
    node: Component
    beside: list[Component] = field(default_factory=list)
    """Proxies and the like, ended together with the cluster."""
    _proxies: dict[tuple[str, ...], Traefik] = field(default_factory=dict)
    _prometheus: Prometheus | None = None

    @classmethod
    def prepare(cls, folder: Path, *, scheduler: bool = False) -> "Cluster":
        """One that isn't started; builds what has to be built. Raises `HarnessError`."""
        programs = build.programs()
        network = Network.create()
        with network.inside():
            control_plane = ControlPlane.at(folder / "control-plane", programs, scheduler=scheduler)
        write_images(folder / "images.json", IMAGES)
        return cls(folder, network, control_plane, _node(folder, control_plane))

    def start(self) -> None:
        with self.network.inside():
            self.control_plane.start()
            self.node.start()

    def revive(self) -> None:
        """Start again what isn't running, so that one test's victims aren't the next one's."""
        with self.network.inside():
            for part in (*self.control_plane.components, self.node):
                if not part.alive:
                    part.start()

    def stop(self) -> None:
        """Kill everything; nothing is left but the files in its folder."""
        for part in (*self.beside, self.node):
            part.kill()
        self.control_plane.stop()
        self.network.close()

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def api(self, user: str = "admin", agent: str = "tests") -> Api:
        """A client to use in `async with`, from inside of the network."""
        credentials = self.control_plane.credentials
        server, token = self.control_plane.server, credentials.tokens[user]
        return Api(server, token, credentials.authority, agent)

    def kubeconfig(self, user: str = "admin") -> Path:
        """For programs inside of the network; `user` is one of `credentials.USERS`."""
        return self.control_plane.credentials.kubeconfig(user, self.control_plane.server)

    @property
    def audit(self) -> Audit:
        return self.control_plane.audit

    def use_images(self, images: Images) -> None:
        """What containers run from their next start on, in front of `IMAGES`."""
        write_images(self.folder / "images.json", {**images, **IMAGES})

    def log(self, namespace: str, pod: str, container: str) -> str:
        """What all runs of a container have written so far."""
        path = path_of(self.folder / "node", namespace, pod, container)
        return path.read_text() if path.exists() else ""

    async def install(self, *names: str) -> None:
        """Install the CRDs of some of `crds.SOURCES`."""
        with self.network.outside():
            definitions = [each for name in names for each in crds.read(name)]
        async with self.api() as api:
            await crds.install(api, definitions)

    async def traefik(self, *providers: str) -> Traefik:
        """The Traefik with just these of `traefik.PROVIDERS`, started when it isn't running.

        Their CRDs and classes are installed, too.
        """
        proxy = self._proxies.get(providers)
        if proxy is None:
            await self.install(*(CRDS[each] for each in providers if each in CRDS))
            async with self.api() as api:
                for each in providers:
                    if each in CLASSES:
                        await api.apply(CLASSES[each])
            proxy = self._proxies[providers] = self._traefik(providers)
        self._start(proxy.process)
        return proxy

    def _traefik(self, providers: Sequence[str]) -> Traefik:
        credentials = self.control_plane.credentials
        return Traefik.at(
            self._beside("traefik"),
            f"127.0.1.{len(self._proxies) + 1}",
            self.control_plane.server,
            credentials.tokens["admin"],
            credentials.authority,
            providers,
        )

    def prometheus(self, jobs: Mapping[str, str] | None = None) -> Prometheus:
        """The cluster's Prometheus, started when it isn't running.

        It reads pods with the usual annotations, and each of `jobs`, which are host and port by
        name. A target that comes later is noticed within 5 s: Prometheus looks no oftener.
        """
        if self._prometheus is None:
            with self.network.outside():
                binary = Prometheus.binary()
            pods = self.folder / "node" / "scrape" / "pods.json"
            self._prometheus = Prometheus.at(self._beside("prometheus"), binary, pods)
        if jobs:
            self._prometheus.scrape(jobs)
        self._start(self._prometheus.process)
        return self._prometheus

    def _beside(self, name: str) -> Path:
        folder = self.folder / f"{name}-{len(self.beside)}"
        folder.mkdir()
        return folder

    def _start(self, component: Component) -> None:
        if component not in self.beside:
            self.beside.append(component)
        if not component.alive:
            with self.network.inside():
                component.start()


def _node(folder: Path, control_plane: ControlPlane) -> Component:
    place, credentials = folder / "node", control_plane.credentials
    place.mkdir()
    certificate, key = credentials.certificate("node")
    settings = Settings(
        server=control_plane.server,
        token=credentials.tokens["node"],
        authority=str(credentials.authority),
        folder=str(place),
        images=str(folder / "images.json"),
        certificate=str(certificate),
        key=str(key),
        binds=control_plane.scheduler is None,
    )
    settings.write(place / "settings.json")
    command = [sys.executable, "-m", "tests.cluster.harness.node", str(place / "settings.json")]
    # It is ready once it has said so; pods that come earlier wait for it.
    return Component("node", command, folder / "node.log", (place / "ready").exists, cwd=ROOT)
