"""What is kept about instances: an `Instance` object each, written before its process starts."""

import secrets
import string
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.crd.process import Process
from canary.errors import Conflict, NotFound

PROCESS = Kind("local.canary/v1", "Process")
INSTANCE = Kind("local.canary/v1", "Instance")
LABEL = "process"
MANAGER = "canary-supervisor"

_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of the supervisor, in seconds."""

    settle: float = 0.5
    """How long the data plane may take to notice that an endpoint has left."""
    drain: float = 30.0
    """How long requests under way are waited for before a process is told to end."""
    back_off: float = 1.0
    """Before the first restart; doubles with each one that follows."""
    back_off_most: float = 30.0
    forgiven: float = 60.0
    """A process that ran this long starts over with the shortest back-off."""


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_name(process: str) -> str:
    return f"{process}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}"


def manifest(process: Process, name: str, spec: Manifest) -> Manifest:
    """The record of a new instance; `spec` has process, revision, address, port and template."""
    owner = {
        "apiVersion": process.api_version,
        "kind": process.kind,
        "name": process.name,
        "uid": process.uid,
        "controller": True,
    }
    meta = {"labels": {LABEL: process.name}, "ownerReferences": [owner]}
    return Ref(INSTANCE, process.namespace, name).manifest(metadata=meta, spec=spec)


def owner_uid(record: Mapping[str, Any]) -> str:
    owners: list[Manifest] = record["metadata"].get("ownerReferences", [])
    return str(owners[0]["uid"]) if owners else ""


@dataclass
class Record:
    """One `Instance` object, written only where it changes."""

    cluster: Cluster
    object: Manifest
    status: Manifest = field(init=False)

    def __post_init__(self) -> None:
        self.status = self.object.get("status", {})

    @property
    def ref(self) -> Ref:
        return Ref.of(self.object)

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.object["spec"]
        return spec

    async def move(self, port: int) -> None:
        """Record another port, before it is used. Raises `NotFound` when the record is gone."""
        patch = {"spec": {"port": port}}
        self.object = await self.cluster.patch(self.ref, patch, manager=MANAGER)

    async def note(self, status: Manifest) -> None:
        """Write the status if it is another one; `None` takes a field away."""
        known = {key: value for key, value in status.items() if value is not None}
        if known == self.status:
            return
        # A record may be collected together with its Process before its process has ended.
        with suppress(NotFound):
            patch = {"status": status}
            await self.cluster.patch(self.ref, patch, manager=MANAGER, status=True)
        self.status = known

    async def delete(self) -> None:
        with suppress(NotFound, Conflict):  # gone, or its name is somebody else's by now
            await self.cluster.delete(self.ref, uid=self.uid)
