"""Traefik: a TraefikService named after the apex, whose weighted services are the two sides."""

from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.status import Split
from canary.routers.base import Current
from canary.routers.shared import metadata_of, service_of

TRAEFIK_SERVICE = Kind("traefik.io/v1alpha1", "TraefikService")
OURS = frozenset({"kind", "name", "namespace", "port", "weight"})
"""Fields of an entry that say which side it is and how much it gets."""


class Traefik:
    """A side is listed only while it gets traffic.

    Traefik takes the whole service out, for everybody, when one of the listed parts has no
    endpoint, whatever its weight. Listed or not, a missing weight would count as 1.

    The list says how all requests are split, so it is ours: a third entry would make percentages
    of something else. Other settings of an entry, such as its scheme, are kept, and go on to the
    other side while its own entry is away. So is everything beside the list, such as `sticky`.
    """

    abilities: ClassVar[Abilities] = Abilities()
    blends: ClassVar[bool] = True

    def owns(self, canary: Canary) -> list[Ref]:
        return [_ref(canary)]

    def reads(self, canary: Canary) -> list[Ref]:  # noqa: ARG002 - the contract's signature
        return []

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:
        entries = _entries(canary, current)
        primary, target = canary.primary_service, canary.canary_service
        sides = ((primary, target, split.primary), (target, primary, split.canary))
        services = [
            {
                **_settings(entries.get(name) or entries.get(other) or {}),
                "name": name,
                "namespace": canary.namespace,
                "port": service_of(canary).port,
                "weight": weight,
            }
            for name, other, weight in sides
            if weight
        ]
        spec = {"weighted": {"services": services}}
        return [_ref(canary).manifest(metadata=metadata_of(canary), spec=spec)]

    def read(self, canary: Canary, current: Current) -> Split | None:
        """The canary's share of what both sides get; None if neither gets anything."""
        entries = _entries(canary, current)
        primary, target = (
            int(entries[name].get("weight", 1)) if name in entries else 0
            for name in (canary.primary_service, canary.canary_service)
        )
        total = primary + target
        return Split.to_canary(round(100 * target / total)) if total else None

    def pending(self, canary: Canary, current: Current) -> str:
        # Traefik reports nothing about its own objects.
        return "" if _ref(canary) in current else f"{_ref(canary)} does not exist yet"


def _ref(canary: Canary) -> Ref:
    return Ref(TRAEFIK_SERVICE, canary.namespace, canary.apex)


def _entries(canary: Canary, current: Current) -> dict[str, dict[str, Any]]:
    """The listed Services of the Canary's namespace by name."""
    spec = current.get(_ref(canary), {}).get("spec") or {}
    listed = (spec.get("weighted") or {}).get("services") or []
    return {
        each["name"]: each
        for each in listed
        if each.get("namespace", canary.namespace) == canary.namespace
        and each.get("kind", "Service") == "Service"
    }


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in OURS}
