"""What stands around the two sides of a Canary: their Services, and the primary's autoscaler."""

from collections.abc import Iterable

from canary.cluster.cache import Cache
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary
from canary.crd.status import Split
from canary.targets import scalers, services
from canary.targets.base import TargetKind
from canary.targets.metadata import GUARDS
from canary.targets.owners import controller, owned, owner
from canary.targets.pods import TargetSettings, selector
from canary.targets.service import ServiceKind
from canary.targets.services import Role
from canary.targets.writes import Patch, Write

EARLY: tuple[Role, ...] = ("canary", "primary")
"""These name pods that nobody was sent to before, so that they may come at any time."""
ALL: tuple[Role, ...] = (*EARLY, "apex")


class Surroundings:
    """What has to be written, from what the cache has. Raises `SpecError`."""

    def __init__(self, cache: Cache, settings: TargetSettings) -> None:
        self._cache, self._settings = cache, settings

    def refs(self, canary: Canary, kind: TargetKind) -> list[Ref]:
        """What is written here, and what it is made from."""
        found = [scalers.ref(canary), scalers.primary_ref(canary)]
        if kind.pods:
            found += [services.ref(canary, role) for role in ALL]
        elif isinstance(kind, ServiceKind):
            found.append(kind.canary_ref(canary))
        return [ref for ref in found if ref]

    def early(self, canary: Canary, kind: TargetKind, workload: Manifest) -> list[Write]:
        """What may be there before the primary is ready."""
        if not kind.pods:
            return []
        return self._services(canary, kind, workload, EARLY, to_target=False)

    def writes(
        self, canary: Canary, kind: TargetKind, workload: Manifest, split: Split, *, alone: bool
    ) -> list[Write]:
        """What brings everything to what is wanted; nothing if it is there.

        The apex selects the primary, so that has to be ready. It selects the target where the
        Services are `alone`, with no router before them, and all traffic is the canary's; and
        where the target takes over for good.
        """
        everything = split.canary == 100 and not split.matched
        to_target = everything and (alone or canary.deleting)
        made = self._scaler(canary)
        if kind.pods:
            return [*self._services(canary, kind, workload, ALL, to_target=to_target), *made]
        if isinstance(kind, ServiceKind) and workload["metadata"]["name"] == canary.target_name:
            made = [*self._copy(canary, kind, workload), *made]
        return made

    def promoted(self, canary: Canary) -> list[Write]:
        """What makes the primary's autoscaler like that of the target."""
        scaler, place = self.scaler(canary), scalers.primary_ref(canary)
        if scaler is None or place is None:
            return []
        return scalers.changes(canary, scaler, self._settings, self._cache.get(place))

    def scaler(self, canary: Canary) -> Manifest | None:
        """The target's autoscaler, if it has one and that is there."""
        place = scalers.ref(canary)
        return self._cache.get(place) if place else None

    def release(self, canary: Canary, kind: TargetKind, target: Manifest) -> list[Write]:
        """Give the apex back to the target, unless it never was ours to change."""
        live = self._cache.get(services.ref(canary, "apex"))
        if not kind.pods or live is None or not _touched(canary, live):
            return []
        chosen = selector(canary, target, self._settings.selector_labels)
        return services.release(canary, chosen, live)

    def paused(self, canary: Canary, *, pause: bool) -> list[Write]:
        """What has the target's autoscaler stand still, or work again."""
        scaler = self.scaler(canary)
        if scaler is None:
            return []
        patch = scalers.pause(scaler) if pause else scalers.resume(scaler)
        return [Patch(Ref.of(scaler), patch)] if patch else []

    def _services(
        self,
        canary: Canary,
        kind: TargetKind,
        workload: Manifest,
        roles: Iterable[Role],
        *,
        to_target: bool,
    ) -> list[Write]:
        chosen = selector(canary, workload, self._settings.selector_labels)
        template = kind.template(workload)
        made: list[Write] = []
        for role in roles:
            live = self._cache.get(services.ref(canary, role))
            made += services.changes(canary, role, chosen, template, live, to_target=to_target)
        return made

    def _copy(self, canary: Canary, kind: ServiceKind, target: Manifest) -> list[Write]:
        wanted = kind.canary(canary, target)
        wanted["metadata"]["ownerReferences"] = [owner(canary)]
        return kind.changes(wanted, self._cache.get(kind.canary_ref(canary)))

    def _scaler(self, canary: Canary) -> list[Write]:
        """The primary's autoscaler where there is none; one that exists waits for a promotion."""
        place = scalers.primary_ref(canary)
        return self.promoted(canary) if place and self._cache.get(place) is None else []


def _touched(canary: Canary, apex: Manifest) -> bool:
    """Whether this Canary has written the apex: everything that it writes has the guards."""
    found = controller(apex)
    if found.get("kind") == canary.kind and not owned(canary, apex):
        return False
    annotations = apex["metadata"].get("annotations") or {}
    return owned(canary, apex) or GUARDS.items() <= annotations.items()
