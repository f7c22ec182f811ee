"""A supervisor over the real embedded cluster and cache, and real processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import canary
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.local.processes.drain import Drained
from canary.local.processes.marks import marked
from canary.local.processes.records import INSTANCE, PROCESS, Limits
from canary.local.processes.supervisor import Supervisor

ROOT = Path(canary.__file__).parents[1]
SAMPLE = [sys.executable, "-m", "canary.local.sample"]
HTTP = {"httpGet": {"path": "/readyz"}, "periodSeconds": 0.1}
QUICK = Limits(settle=0.1, drain=5.0, back_off=0.1, back_off_most=0.4, forgiven=60.0)


@dataclass
class World:
    """One machine with one supervisor, which may be started again on the same state."""

    folder: Path
    drained: Drained | None = None
    limits: Limits = QUICK
    cluster: Embedded = field(init=False)
    cache: Cache = field(init=False)
    supervisor: Supervisor | None = None

    async def _drained(self, address: str, port: int) -> bool:
        return self.drained is None or await self.drained(address, port)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    async def start(self) -> None:
        self.state.mkdir(exist_ok=True)
        self.cluster = await Embedded.open(self.state / "state.db")
        self.cache = Cache(self.cluster)
        self.supervisor = Supervisor(
            self.cluster,
            self.cache,
            self.state,
            base_dir=self.folder,
            drained=self._drained,
            limits=self.limits,
        )
        await self.cache.start(INSTANCE)
        await self.supervisor.start()

    async def stop(self, *, keep: bool = False) -> None:
        if self.supervisor is not None:
            await self.supervisor.stop(keep=keep)
            await self.cache.close()
            await self.cluster.close()
        self.supervisor = None

    async def apply(self, name: str, command: list[str] | None = None, **spec: Any) -> None:
        """Write a Process as a user would; `env` and other fields of the template may be given."""
        template: Manifest = {"command": command or SAMPLE, "readinessProbe": HTTP}
        inner = ("env", "readinessProbe", "workingDir", "terminationGracePeriodSeconds")
        template |= {key: spec.pop(key) for key in inner if key in spec}
        # The services run in a folder of the test, where this tree need not be installed.
        template["env"] = {"PYTHONPATH": str(ROOT), "LINGER": "0", **template.get("env", {})}
        manifest = Ref(PROCESS, "test", name).manifest(spec={"template": template, **spec})
        await self.cluster.apply(manifest, manager="user")

    async def patch(self, name: str, **spec: Any) -> None:
        await self.cluster.patch(Ref(PROCESS, "test", name), {"spec": spec}, manager="canary")

    def status(self, name: str) -> Manifest:
        found = self.cache.get(Ref(PROCESS, "test", name)) or {"metadata": {"generation": 0}}
        status: Manifest = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def endpoints(self, name: str) -> dict[str, int]:
        """Port by instance."""
        found = self.status(name).get("endpoints", ())
        assert all(each["ready"] for each in found)
        return {each["instance"]: each["port"] for each in found}

    def listed(self) -> dict[str, int]:
        """Endpoints of `web` as they stand, whether the status has caught up or not."""
        found = self.cache.get(Ref(PROCESS, "test", "web")) or {}
        listed = found.get("status", {}).get("endpoints", ())
        return {each["instance"]: each["port"] for each in listed}

    def condition(self, name: str, kind: str) -> Manifest:
        found = self.status(name).get("conditions", ())
        return next((each for each in found if each["type"] == kind), {})

    def records(self, process: str) -> dict[str, Manifest]:
        items = self.cache.items(INSTANCE)
        mine = [each for each in items if each["metadata"]["labels"]["process"] == process]
        return {each["metadata"]["name"]: each for each in mine}

    def pids(self, process: str) -> dict[str, int]:
        records = self.records(process)
        return {name: record.get("status", {}).get("pid", 0) for name, record in records.items()}

    def running(self) -> list[int]:
        """The processes of this world, as the operating system has them."""
        found = marked(str(self.state.resolve()))
        return [each.process.pid for each in found if alive(each.process.pid)]

    async def ready(self, name: str, count: int) -> dict[str, int]:
        """Wait until so many are ready and nothing else runs; their ports."""

        def whole() -> bool:
            status = self.status(name)
            counts = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
            settled = all(status.get(key) == count for key in counts)
            pids = [pid for pid in self.pids(name).values() if pid]
            return settled and len(pids) == len(self.records(name)) == count

        await self.until(whole, lambda: f"{name}: {self.status(name)} {self.records(name)}")
        return self.endpoints(name)

    @staticmethod
    async def until(
        true: Callable[[], Any], what: Callable[[], str] = str, seconds: float = 10.0
    ) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not true():  # noqa: ASYNC110  # it is other processes that make it true
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"not within {seconds:g} s: {what()}")


@dataclass
class Client:
    """Sends request after request to one endpoint after the other, as the status lists them."""

    endpoints: Callable[[], dict[str, int]]
    answers: list[tuple[str, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pending: dict[int, int] = field(default_factory=dict)

    @property
    def versions(self) -> set[str]:
        return {version for version, _ in self.answers}

    async def drained(self, address: str, port: int) -> bool:
        return address == "127.0.0.1" and not self.pending.get(port)

    @asynccontextmanager
    async def running(self, workers: int = 3) -> AsyncIterator["Client"]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._work(stop, number)) for number in range(workers)]
        try:
            yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def _work(self, stop: asyncio.Event, number: int) -> None:
        while not stop.is_set():
            ports = sorted(self.endpoints().values())
            if ports:
                number += 1
                await self._counted(ports[number % len(ports)])
            await asyncio.sleep(0.002)

    async def _counted(self, port: int) -> None:
        self.pending[port] = self.pending.get(port, 0) + 1
        try:
            self.answers.append(await self._request(port))
        except (OSError, EOFError, ValueError, IndexError) as error:
            self.failures.append(f"port {port}: {error!r}")
        finally:
            self.pending[port] -= 1

    @staticmethod
    async def _request(port: int) -> tuple[str, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            assert body, "an answer that was cut off"
            version = next(each for each in head.split("\r\n") if each.startswith("x-version"))
            return version.partition(": ")[2], int(head.split()[1])
        finally:
            writer.close()


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.start()
    yield world
    await world.stop()
    left = world.running()
    for pid in left:
        os.kill(pid, 9)
    assert not left, "a graceful stop ends what was started"


@pytest.fixture
def client(world: World) -> Client:
    """A client of the Process `web`, that also tells which requests are under way."""
    client = Client(world.listed)
    world.drained = client.drained
    return client
