"""Local mode: the embedded cluster, a supervisor for its processes, an Envoy for its traffic.

What stands in a cluster's place here is started before the controller and stopped after it, so
that a release that is under way finds the world as it left it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog

from canary.app.engine import Engine
from canary.app.loads import LocalLoads
from canary.app.logging import configure
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.engine.journal import Journal
from canary.errors import LocalError
from canary.local import address
from canary.local.envoy.dataplane import DataPlane
from canary.local.folder import Folder
from canary.local.processes.supervisor import Supervisor
from canary.settings import Settings
from canary.web.api import make_api
from canary.web.serve import Server, serve

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Local:
    """Everything that runs in local mode. Made by `opened`."""

    cluster: Embedded
    cache: Cache
    engine: Engine
    folder: Folder
    state_dir: Path
    url: str
    loads: LocalLoads
    dataplane: DataPlane
    supervisor: Supervisor
    tasks: list[asyncio.Task[None]]
    """What runs beside the controller. None of them ends by itself; one that does has failed."""


def state_dir(folder: Path, settings: Settings) -> Path:
    """Where a folder's state is kept: given, or below the user's state folder by its path."""
    if "state_dir" in settings.model_fields_set:
        return settings.state_dir
    path = str(folder.resolve())
    return settings.state_dir / f"{folder.resolve().name}-{sha256(path.encode()).hexdigest()[:8]}"


@asynccontextmanager
async def opened(
    folder: Path,
    settings: Settings,
    *,
    keep: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] | None = None,
) -> AsyncIterator[Local]:
    """Start local mode, and end it when the block is left.

    `keep` says, at the end, whether proxy and processes stay. Raises `LocalError` for a folder, a
    state file, a port or an Envoy that can't be used.
    """
    # Not a default: a method of the log that is looked up before it is configured stays so.
    tell = tell or log.warning
    home = _made(state_dir(folder, settings))
    cluster = await Embedded.open(home / "objects.db")
    if cluster.set_aside:
        tell(f"the state file was broken; it is kept as {cluster.set_aside}, and a new one begins")
    cache = Cache(cluster)
    dataplane = DataPlane(cluster, cache, home)
    supervisor = Supervisor(cluster, cache, home, base_dir=folder, drained=dataplane.drained)
    loads = LocalLoads(cache)
    journal = Journal(home / "journal.db")
    if journal.set_aside:
        tell(f"the journal was broken; it is kept as {journal.set_aside}, and a new one begins")
    engine = Engine.build(
        cluster,
        cache,
        journal,
        settings,
        provider="envoy",
        intercept=loads.intercept,
        stopped=loads.stop,
    )
    files = Folder(cluster, folder, tell)
    tasks: list[asyncio.Task[None]] = []
    server: Server | None = None
    try:
        # What is most likely to be refused comes first, while nothing is running yet.
        server = await serve(make_api(engine.service()), settings.address, settings.port)
        await files.load()
        await dataplane.start()
        await supervisor.start()
        tasks = [
            asyncio.create_task(dataplane.run(), name="data plane"),
            asyncio.create_task(supervisor.run(), name="supervisor"),
            asyncio.create_task(files.follow(), name="folder"),
        ]
        await engine.start()
        yield Local(
            cluster, cache, engine, files, home, server.url, loads, dataplane, supervisor, tasks
        )
    finally:
        if server is not None:
            await server.stop()
        await engine.close()
        await loads.close()
        await _end(tasks)
        left = keep()
        await supervisor.stop(keep=left)
        await dataplane.stop(keep=left)
        await cache.close()
        await cluster.close()
        journal.close()


def _made(home: Path) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"the state folder {home} can't be made: {error.strerror}") from error
    return home


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("a part of local mode had failed", error=repr(result))


async def run(folder: Path, settings: Settings, *, keep: bool = False) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code."""
    configure(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_run(folder, settings, stop, keep=keep))
    interrupted = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        await starting
    finally:
        interrupted.cancel()
    return 0


async def _run(folder: Path, settings: Settings, stop: asyncio.Event, *, keep: bool) -> None:
    # Until it was told to stop, whatever ends this is a failure of ours, and no reason to take
    # the services down with it.
    async with opened(folder, settings, keep=lambda: keep or not stop.is_set()) as local:
        address.publish(local.state_dir, local.url, os.getpid(), folder)
        log.info("ready", api=local.url, folder=str(folder), state=str(local.state_dir))
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({told, *local.tasks}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                raise LocalError("a part of local mode has failed; its services go on running")
        finally:
            told.cancel()
            address.withdraw(os.getpid())
            log.info("stopping", keep=keep or not stop.is_set())
