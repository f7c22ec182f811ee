"""What every object has: its kind, its metadata and shortcuts to what is asked most."""

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from canary.crd.base import Model


class Metadata(Model):
    """Kubernetes' own metadata. Keys not named here are kept as they are.

    Typing mistakes are found when files are loaded; an API server may know more than we do.
    """

    model_config = ConfigDict(extra="allow")

    name: str = ""
    namespace: str = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[dict[str, Any], ...] = ()


class Resource(Model):
    """An object of one of our kinds.

    The shortcuts are plain properties, not cached ones: they cost a tenth of a microsecond, and
    `model_copy` would carry stale ones along.
    """

    api_version: str
    kind: str
    metadata: Metadata

    plural: ClassVar[str]
    has_status: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def key(self) -> str:
        """`namespace/name`, unique among the objects of one kind."""
        meta = self.metadata
        return f"{meta.namespace}/{meta.name}"

    @property
    def uid(self) -> str:
        return self.metadata.uid

    @property
    def generation(self) -> int:
        return self.metadata.generation

    @property
    def resource_version(self) -> str:
        return self.metadata.resource_version

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.annotations

    @property
    def finalizers(self) -> tuple[str, ...]:
        return self.metadata.finalizers

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp != ""
