"""To which Canary an object belongs, as its owner references say."""

from typing import Any

from canary.cluster.port import Manifest
from canary.crd import Canary

Reference = dict[str, Any]


def owner(canary: Canary) -> Reference:
    """The owner reference that ties an object of ours to its Canary."""
    return {
        "apiVersion": canary.api_version,
        "kind": canary.kind,
        "name": canary.name,
        "uid": canary.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller(live: Manifest) -> Reference:
    """The reference to the one that controls an object; empty if nobody does."""
    return next((each for each in references(live) if each.get("controller")), {})


def owned(canary: Canary, live: Manifest) -> bool:
    """Whether it is controlled by a Canary of this name."""
    found = controller(live)
    return found.get("kind") == canary.kind and found.get("name") == canary.name


def shared(canary: Canary, live: Manifest | None) -> list[Reference]:
    """Ours, and those that an object has already: of several Canaries one can be the controller."""
    ours = owner(canary)
    others = [each for each in references(live or {}) if each.get("uid") != ours["uid"]]
    return [ours, *({**each, "controller": False} for each in others)]


def released(canary: Canary, live: Manifest) -> list[Reference]:
    """Those that are left when ours is gone, so that the object outlives its Canary."""
    return [each for each in references(live) if each.get("uid") != canary.uid]


def references(live: Manifest) -> list[Reference]:
    found: list[Reference] = live.get("metadata", {}).get("ownerReferences") or []
    return found
