"""What the program asks of the place where objects live.

Manifests are plain dicts as the Kubernetes API has them. The contract is the part of an
API server's behaviour that we rely on, and `tests/cluster/test_contract.py` states it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What an object is: `Kind("apps/v1", "Deployment")`."""

    api_version: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Which object: its kind, where it lives and what it is called."""

    kind: Kind
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        meta = manifest["metadata"]
        kind = Kind(manifest["apiVersion"], manifest["kind"])
        return cls(kind, meta.get("namespace", ""), meta["name"])

    def manifest(self, **fields: Any) -> Manifest:
        """A manifest of this object with the given top-level fields; `metadata` is merged."""
        meta = {"name": self.name, "namespace": self.namespace, **fields.pop("metadata", {})}
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.name,
            "metadata": meta,
            **fields,
        }

    def __str__(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Listing:
    items: list[Manifest]
    resource_version: str
    """Where a watch has to start to miss nothing after this list."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch. A `BOOKMARK` carries only a newer `resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Manifest


class Cluster(Protocol):
    """The API server as we use it. Every method may raise `ClusterError` and its kinds."""

    async def get(self, ref: Ref) -> Manifest:
        """Read one object. Raises `NotFound`."""
        ...

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        """Read all objects of a kind; an empty namespace means all of them.

        Of `labels`, an object must have each one with the same value. With `metadata_only` an
        object has nothing but its identity and its metadata.
        """
        ...

    def watch(
        self, kind: Kind, namespace: str = "", since: str = "", *, metadata_only: bool = False
    ) -> AsyncIterator[Change]:
        """Changes after `since` (a resourceVersion), in order, for as long as it is iterated.

        With an empty `since` it begins with an `ADDED` for each object that exists. Raises, when
        iterated, `Expired` if the changes since then are no longer kept: list again and go on.
        It may also just end, at `close` or because servers end watches now and then.
        """
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Create; with `metadata.generateName` the server names it. Raises `AlreadyExists`.

        A status in it is ignored. Who creates owns the fields as one who updates, not applies:
        a later `apply` can't remove them by leaving them out. What will be applied again is
        better applied from the start.
        """
        ...

    async def apply(self, manifest: Manifest, *, manager: str) -> Manifest:
        """Server-side apply, forced: this manager owns exactly the fields it names.

        Fields it named before and no longer names are removed, unless somebody else owns them
        too; fields of others stay. Lists are replaced as a whole, and so belong to one manager.
        A status in it is ignored. Creates what does not exist. Writes nothing, and raises no
        resourceVersion, when nothing changes. With a `metadata.resourceVersion` it is
        compare-and-swap, with a `metadata.uid` it never creates. Raises `Conflict`.
        """
        ...

    async def patch(
        self,
        ref: Ref,
        patch: Manifest,
        *,
        manager: str,
        resource_version: str = "",
        status: bool = False,
    ) -> Manifest:
        """JSON merge patch of an object, or of its status subresource.

        With a `resource_version` it is compare-and-swap. Raises `NotFound`, `Conflict`.
        A patch of the object leaves its status alone and the other way round; only what
        changes outside `metadata` and `status` raises the generation. The manager owns the
        fields it changed, and nobody else does any longer: see `ownership.writer`.
        """
        ...

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        """Delete; objects with finalizers only get a `deletionTimestamp`, and a new generation.

        What the object owns (controller owner references) is collected after it. Raises
        `NotFound`, or `Conflict` when a precondition does not hold.
        """
        ...

    async def close(self) -> None:
        """End watches and connections."""
        ...
