"""The way from the engine to its cluster, with everything that can go wrong on it."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from canary.cluster.port import Change, Cluster, Kind, Listing, Manifest, Ref
from canary.errors import ClusterError
from canary.http import Http, Reply, Request, TransportError


class Died(ClusterError):
    """The process is dead. What it still tries to do doesn't happen."""


class Port:
    """Hands calls on, counts them, and dies before or after a write if it is told to."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.calls: list[str] = []
        self.writes = 0
        self.dies: Mapping[str, int] = {}
        """`before` or `after` the write of this number, counted from 0."""
        self.dead = False
        self.meanwhile: Callable[[str], BaseException | None] = lambda _: None
        """Called before each write; what it returns is raised instead of writing."""

    async def _write(self, what: str, write: Callable[[], Any]) -> Any:
        number, self.writes = self.writes, self.writes + 1
        self.dead = self.dead or number == self.dies.get("before")
        if self.dead:
            raise Died(what)
        self.calls.append(what)
        if error := self.meanwhile(what):
            raise error
        try:
            return await write()
        finally:
            if number == self.dies.get("after"):
                self.dead = True
                raise Died(what)

    def _read(self, what: str) -> None:
        self.calls.append(what)
        if self.dead:
            raise Died(what)

    async def get(self, ref: Ref) -> Manifest:
        self._read(f"get {ref}")
        return await self._cluster.get(ref)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        self._read(f"list {kind.name}")
        return await self._cluster.list(kind, namespace, labels, metadata_only=metadata_only)

    def watch(
        self, kind: Kind, namespace: str = "", since: str = "", *, metadata_only: bool = False
    ) -> AsyncIterator[Change]:
        self._read(f"watch {kind.name}")
        return self._cluster.watch(kind, namespace, since, metadata_only=metadata_only)

    async def create(self, manifest: Manifest) -> Manifest:
        made: Manifest = await self._write(
            f"create {Ref.of(manifest)}", lambda: self._cluster.create(manifest)
        )
        return made

    async def apply(self, manifest: Manifest, *, manager: str) -> Manifest:
        made: Manifest = await self._write(
            f"apply {Ref.of(manifest)}", lambda: self._cluster.apply(manifest, manager=manager)
        )
        return made

    async def patch(
        self,
        ref: Ref,
        patch: Manifest,
        *,
        manager: str,
        resource_version: str = "",
        status: bool = False,
    ) -> Manifest:
        made: Manifest = await self._write(
            f"patch {'status of ' if status else ''}{ref}",
            lambda: self._cluster.patch(
                ref, patch, manager=manager, resource_version=resource_version, status=status
            ),
        )
        return made

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        await self._write(
            f"delete {ref}",
            lambda: self._cluster.delete(ref, uid=uid, resource_version=resource_version),
        )

    async def close(self) -> None:
        """The cluster belongs to the test."""


class MortalHttp(Http):
    """A dead process calls nobody, either."""

    def __init__(self, port: Port) -> None:
        super().__init__()
        self._port = port

    async def send(self, request: Request) -> Reply:
        if self._port.dead:
            raise TransportError("the process is dead", again=False)
        return await super().send(request)
