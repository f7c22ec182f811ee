"""The contract of a router: it owns, renders and reads objects, and never talks to a cluster."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from canary.cluster.port import Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.status import Split

Current = Mapping[Ref, Manifest]
"""The live objects among those that a router owns or reads; what does not exist is missing."""


class Router(Protocol):
    """How one mesh or ingress splits traffic. Raises `SpecError` for what it can't express."""

    abilities: ClassVar[Abilities]
    blends: ClassVar[bool]
    """Whether what it renders depends on what others wrote into its objects."""

    def owns(self, canary: Canary) -> list[Ref]:
        """The objects that it writes."""
        ...

    def reads(self, canary: Canary) -> list[Ref]:
        """Objects of others that `render` needs to see."""
        ...

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:
        """Our fields of each owned object, ready for a server-side apply, for this split.

        Cookies of session affinity are taken from `canary.status`.
        """
        ...

    def read(self, canary: Canary, current: Current) -> Split | None:
        """The split that the objects ask for now; None while one of them is missing."""
        ...

    def pending(self, canary: Canary, current: Current) -> str:
        """Why the data plane does not follow the objects yet; empty once it does."""
        ...
