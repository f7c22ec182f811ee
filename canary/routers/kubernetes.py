"""Plain Kubernetes: no routing object, only the apex Service, which has one selector at a time.

Nothing is split here. All users of the apex reach the primary during the iterations of a
blue/green release, and the canary only where the primary can't serve. The selector itself belongs
to whoever writes the Services; this file tells which side it has chosen.
"""

from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.status import Split
from canary.routers.base import Current

SERVICE = Kind("v1", "Service")


class Kubernetes:
    """Owns nothing, and reads which pods the apex Service selects.

    The compatible API takes `status.iterations` for an answer and calls that 0/100, though no
    request has moved. What is read here is true, so that a canary is only put to sleep, and a
    Canary only let go, once the apex really selects the other side.
    """

    abilities: ClassVar[Abilities] = Abilities(weights=False)
    blends: ClassVar[bool] = False

    def owns(self, canary: Canary) -> list[Ref]:  # noqa: ARG002 - the contract's signature
        return []

    def reads(self, canary: Canary) -> list[Ref]:
        if canary.spec.target_ref.kind == "Service":
            return []
        names = (canary.apex, canary.primary_service, canary.canary_service)
        return [Ref(SERVICE, canary.namespace, name) for name in names]

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:  # noqa: ARG002 - the contract's signature
        return []

    def read(self, canary: Canary, current: Current) -> Split | None:
        """All or nothing; None also while the apex selects neither side, as before a takeover."""
        if canary.spec.target_ref.kind == "Service":
            # The target is the apex: there is nothing in between that could be moved, so traffic
            # is always where it has to be, also at the end.
            return Split.to_canary(100) if canary.deleting else Split()
        apex, primary, target = (_selector(current.get(ref)) for ref in self.reads(canary))
        if apex is None:
            return None
        if apex == primary:
            return Split()
        return Split.to_canary(100) if apex == target else None

    def pending(self, canary: Canary, current: Current) -> str:  # noqa: ARG002 - the contract's signature
        # Nobody reports when the nodes have followed a selector; draining takes care of that.
        return ""


def _selector(service: Manifest | None) -> dict[str, Any] | None:
    spec: dict[str, Any] = (service or {}).get("spec") or {}
    return spec.get("selector") or None
