"""The contract of a target kind: it reads and shapes manifests, and never talks to a cluster."""

from datetime import datetime
from typing import ClassVar, Protocol

from canary.cluster.port import Kind, Manifest
from canary.core.facts import Readiness
from canary.crd import Canary

REVISION = "flagger.app/revision"
"""Annotation of a primary: the revision of the target that it was copied from."""


class TargetKind(Protocol):
    """One kind of workload that can be released."""

    kind: ClassVar[Kind]

    def template(self, workload: Manifest) -> Manifest:
        """The part that makes a revision: what is hashed, recorded, promoted and restored."""
        ...

    def images(self, workload: Manifest) -> tuple[str, ...]:
        """What it runs, in the words people use for it."""
        ...

    def primary(self, canary: Canary, target: Manifest, template: Manifest) -> Manifest:
        """The primary workload that runs this template, ready for a server-side apply.

        Without `metadata.annotations` of ours and without owner: those are added for all kinds.
        """
        ...

    def readiness(
        self, workload: Manifest, percent: int, now: datetime, deadline: datetime | None
    ) -> Readiness:
        """How far it is; `percent` of its replicas must be available by the Canary's deadline."""
        ...

    def idle(self, workload: Manifest) -> bool:
        """Whether it is scaled to zero."""
        ...

    def scale(self, workload: Manifest, primary: Manifest | None, *, up: bool) -> Manifest:
        """The merge patch that wakes it or puts it to sleep."""
        ...
