"""The loop of the data plane: objects change, Envoy follows, and the Routes are told."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from canary.cluster.cache import Backoff, Cache
from canary.cluster.port import Cluster, Manifest, Ref
from canary.errors import CanaryError, ClusterError, LocalError, NotFound, ProviderError
from canary.local.envoy import clusters
from canary.local.envoy.admin import Admin, Side
from canary.local.envoy.apply import Applier, Endpoints, State
from canary.local.envoy.config import Resources, key_of_route, resources
from canary.local.envoy.files import Files
from canary.local.envoy.names import PROCESS, ROUTE, Json, Key, key_of
from canary.local.envoy.ports import connected
from canary.local.envoy.process import EnvoyProcess
from canary.local.envoy.sending import Sender
from canary.local.envoy.sockets import Sockets

log = logging.getLogger(__name__)

MANAGER = "canary-envoy"
RETRY = 2.0
"""Seconds after which a port that was taken, or an Envoy that did not answer, is tried again."""
CARE = 10.0
"""Seconds between two looks at the size of the access log."""
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What comes of reading an object that somebody else wrote, and not as we would."""
STABLE = 30.0
"""Seconds after which an Envoy that ended counts as one that had run well."""


class DataPlane:
    """One Envoy for all Routes of a cluster. `start`, then `run` until cancelled, then `stop`."""

    def __init__(
        self, cluster: Cluster, cache: Cache, state_dir: Path, *, workers: int = 2
    ) -> None:
        state_dir = state_dir.resolve()
        self._cluster, self._cache = cluster, cache
        self._envoy = EnvoyProcess(state_dir, workers=workers)
        files = Files(self._envoy.paths)
        self._applier = Applier(files, Sender(files, self._envoy.log))
        self._sockets = Sockets()
        self._changed = asyncio.Event()
        self._busy = asyncio.Lock()
        self._rendered: dict[Key, tuple[Any, Resources]] = {}
        self._assigned: dict[str, tuple[Any, list[Json]]] = {}
        self._unsubscribe: list[Callable[[], None]] = []
        self._retry = False
        self._stopped = False

    @property
    def admin(self) -> Admin:
        """Raises `LocalError` before `start`."""
        return self._envoy.admin

    @property
    def pid(self) -> int:
        return self._envoy.pid

    async def start(self) -> None:
        """Adopt or start Envoy and bring it to the Routes there are. Raises `LocalError`."""
        for kind in (ROUTE, PROCESS):
            await self._cache.start(kind)
        await self._cache.wait_synced(ROUTE, PROCESS)
        await self._begin()
        await self._sync()
        for kind in (ROUTE, PROCESS):
            self._unsubscribe.append(self._cache.subscribe(kind, lambda *_: self._changed.set()))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="follow routes")
            tasks.create_task(self._keep_alive(), name="keep Envoy alive")
            tasks.create_task(self._care(), name="rotate access log")

    async def stop(self, *, keep: bool = False, deadline: float = 10.0) -> None:
        """End Envoy in peace, or with `keep` let it go on for the next start to adopt."""
        self._stopped = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        if keep:
            await self._envoy.close()
        else:
            await self._envoy.stop(deadline)

    async def counters(self) -> dict[str, Side]:
        """What Envoy counted for both sides of every Route. Raises `ProviderError`."""
        return await self.admin.counters()

    async def drained(self, address: str, port: int) -> bool:
        """Whether nothing goes there any more: Envoy has no such endpoint and no connection to it.

        Not while Envoy can't be asked: a new one may begin with what the last one knew.
        """
        try:
            if (address, port) in await self.admin.hosts():
                return False
        except (ProviderError, LocalError):
            return False
        return not await asyncio.to_thread(connected, self.pid, address, port)

    async def _begin(self) -> None:
        await self._envoy.start()
        await self._applier.check(self.admin)

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY if self._retry else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            async with self._busy:
                self._changed.clear()
                await self._sync()

    async def _keep_alive(self) -> None:
        loop, backoff, failures = asyncio.get_running_loop(), Backoff(longest=5), 0
        while True:
            since = loop.time()
            await self._envoy.died()
            if self._stopped:
                return
            failures = 0 if loop.time() - since > STABLE else failures + 1
            log.error("Envoy ended (%s); starting it again", self._envoy.log.last())
            await asyncio.sleep(backoff.delay(failures) if failures > 1 else 0)
            async with self._busy:
                try:
                    await self._begin()
                except CanaryError as error:
                    log.warning("%s", error)
            self._changed.set()

    async def _care(self) -> None:
        while True:
            await asyncio.sleep(CARE)
            try:
                if self._envoy.access_log.rotate():
                    await self.admin.order("/reopen_logs")
            except (ProviderError, LocalError) as error:
                log.warning("the access log could not be rotated: %s", error)

    async def _sync(self) -> None:
        """Bring Envoy to what the objects say now. Never raises for what one Route may cause."""
        routes = {
            key_of_route(route): route
            for route in self._cache.items(ROUTE)
            if not route["metadata"].get("deletionTimestamp")
        }
        endpoints, unread = self._endpoints(routes)
        wanted, unserved = self._wanted(routes)
        problems = unread | unserved
        try:
            problems |= await self._applier.apply(self.admin, wanted, endpoints)
        except (ProviderError, LocalError) as error:
            log.warning("%s", error)
            problems = {key: problems.get(key, str(error)) for key in routes}
        self._retry = bool(problems)
        for key, route in routes.items():
            await self._tell(key, route, problems.get(key, ""))

    def _wanted(self, routes: Mapping[Key, Manifest]) -> tuple[State, dict[Key, str]]:
        """What each Route asks for; one that can't be served keeps what it had."""
        wanted, problems = State(), dict[Key, str]()
        self._sockets.begin(self._applier.applied, routes.values())
        for key, route in sorted(routes.items(), key=_age):
            try:
                problem = self._sockets.claim(key, route)
                made = None if problem else self._resources(key, route)
            except UNREADABLE as error:
                problem, made = f"not a Route that can be served: {error!r}", None
            if made is None:
                problems[key] = problem
                made = self._applier.applied.get(key)
            if made is not None:
                wanted[key] = made
        return wanted, problems

    def _resources(self, key: Key, route: Manifest) -> Resources:
        """Rendered once for each change: an unchanged Route costs a comparison."""
        meta, ports = route["metadata"], self._sockets.sides(key)
        mark = (meta.get("uid"), meta.get("generation"), tuple(ports.items()))
        known = self._rendered.get(key)
        if known is None or known[0] != mark:
            known = mark, resources(route, ports, self._envoy.paths)
            self._rendered[key] = known
        return known[1]

    def _endpoints(self, routes: Mapping[Key, Manifest]) -> tuple[Endpoints, dict[Key, str]]:
        """The endpoints of each cluster, also for Routes whose own change was refused."""
        problems = dict[Key, str]()
        for key, route in routes.items():
            namespace = route["metadata"]["namespace"]
            try:
                for name, process in clusters.sources(key, route["spec"]).items():
                    self._assign(name, Ref(PROCESS, namespace, process))
            except UNREADABLE as error:
                problems[key] = f"the endpoints can't be read: {error!r}"
        self._assigned = {n: each for n, each in self._assigned.items() if key_of(n) in routes}
        return {name: rows for name, (_, rows) in self._assigned.items()}, problems

    def _assign(self, cluster: str, process: Ref) -> None:
        status = (self._cache.get(process) or {}).get("status") or {}
        told = status.get("endpoints") or []
        known = self._assigned.get(cluster)
        if known is None or known[0] != told:
            self._assigned[cluster] = told, clusters.endpoints(told)

    async def _tell(self, key: Key, route: Manifest, problem: str) -> None:
        """Write the status, if it says something new."""
        old = route.get("status") or {}
        new = {**old, "admin": self._envoy.url, "problem": problem}
        if not problem:
            new["observedGeneration"] = route["metadata"].get("generation", 0)
            new["listeners"] = self._sockets.addresses(key, route["spec"])
        if new == old:
            return
        if problem and problem != old.get("problem"):
            log.warning("Route %s: %s", key, problem)
        try:
            await self._cluster.patch(Ref.of(route), {"status": new}, manager=MANAGER, status=True)
        except NotFound:
            pass
        except ClusterError as error:
            log.warning("the status of Route %s could not be written: %s", key, error)


def _age(item: tuple[Key, Manifest]) -> tuple[str, Key]:
    return item[1]["metadata"].get("creationTimestamp", ""), item[0]
