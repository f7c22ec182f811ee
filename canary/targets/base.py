"""The contract of a target kind: it reads and shapes manifests, and never talks to a cluster."""

from datetime import datetime
from typing import ClassVar, Protocol

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Readiness
from canary.crd import Canary
from canary.targets.writes import Write

REVISION = "flagger.app/revision"
"""Annotation of a primary: the revision of the target that it was copied from."""

CONFIGS = "flagger.app/configs"
"""Annotation of a primary: the checksums of the configs that were copied with it, as JSON."""


class TargetKind(Protocol):
    """One kind of workload that can be released."""

    kind: ClassVar[Kind]
    sleeps: ClassVar[bool]
    """Whether it can be put to sleep at all."""
    pods: ClassVar[bool]
    """Whether it runs pods: with configs to track, and Services to be generated for them."""

    def template(self, workload: Manifest) -> Manifest:
        """The part that makes a revision: what is hashed, recorded, promoted and restored."""
        ...

    def images(self, workload: Manifest) -> tuple[str, ...]:
        """What it runs, in the words people use for it."""
        ...

    def primary_ref(self, canary: Canary) -> Ref:
        """Where the primary is."""
        ...

    def primary(
        self, canary: Canary, target: Manifest, template: Manifest, live: Manifest | None = None
    ) -> Manifest:
        """The primary workload that runs this template, ready for a server-side apply.

        `live` is the primary as it is now. Without `metadata.annotations` of ours and without
        owner: those are added for all kinds.
        """
        ...

    def changes(self, wanted: Manifest, live: Manifest | None) -> list[Write]:
        """What brings the primary to what is wanted, to be sent in this order."""
        ...

    def same(self, canary: Canary, target: Manifest, primary: Manifest) -> bool:
        """Whether both run the same, once what is known to be rewritten is undone."""
        ...

    def readiness(
        self, workload: Manifest, percent: int, now: datetime, deadline: datetime | None
    ) -> Readiness:
        """How far it is; `percent` of its replicas must be available by the Canary's deadline."""
        ...

    def idle(self, workload: Manifest) -> bool:
        """Whether it is scaled to zero."""
        ...

    def scale(
        self,
        workload: Manifest,
        primary: Manifest | None,
        *,
        up: bool,
        least: int | None = None,
    ) -> Manifest:
        """The merge patch that wakes it or puts it to sleep; empty where there is no size.

        `least` is the number of replicas that its autoscaler starts with; None if it has none.
        """
        ...
