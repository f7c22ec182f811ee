"""Service of the core API: what it stands for runs elsewhere, and both sides are copies of it.

The target itself is edited by people to point at the new version. `<apex>-canary` follows it,
`<apex>-primary` stays as it was promoted. There are no pods here to scale or to wait for.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Readiness
from canary.crd import Canary
from canary.targets.metadata import included, without_bookkeeping
from canary.targets.pods import TargetSettings
from canary.targets.writes import Apply, Patch, Write, exact, lacks

ALLOCATED = frozenset({"clusterIP", "clusterIPs", "healthCheckNodePort"})
"""Fields that the API server hands out, each value to one Service."""
HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """A revision is made by the spec, but for what was allocated to this very Service.

    The copies are named for the apex, as routing objects expect; the compatible controller took
    the target's name, and nothing matched where the two differ.
    """

    kind: ClassVar[Kind] = Kind("v1", "Service")
    sleeps: ClassVar[bool] = False
    pods: ClassVar[bool] = False

    settings: TargetSettings = field(default_factory=TargetSettings)

    def template(self, workload: Manifest) -> Manifest:
        spec = deepcopy(workload["spec"])
        headless = spec.get("clusterIP") == HEADLESS
        kept = {k: v for k, v in spec.items() if k not in ALLOCATED and v is not None}
        for port in kept.get("ports") or ():
            port.pop("nodePort", None)
        return {**kept, "clusterIP": HEADLESS} if headless else kept

    def images(self, workload: Manifest) -> tuple[str, ...]:
        """Its selector is what a version shows in."""
        spec = workload["spec"]
        if name := spec.get("externalName"):
            return (str(name),)
        pairs = sorted((spec.get("selector") or {}).items())
        return (",".join(f"{key}={value}" for key, value in pairs),) if pairs else ()

    def primary_ref(self, canary: Canary) -> Ref:
        return Ref(self.kind, canary.namespace, canary.primary_service)

    def canary_ref(self, canary: Canary) -> Ref:
        return Ref(self.kind, canary.namespace, canary.canary_service)

    def primary(
        self, canary: Canary, target: Manifest, template: Manifest, live: Manifest | None = None
    ) -> Manifest:
        """`live` is the primary as it is now."""
        meta, prefixes = target["metadata"], self.settings.include_label_prefix
        words = {
            key: without_bookkeeping(meta.get(key))
            if live is None
            else included(meta.get(key), prefixes)
            for key in ("labels", "annotations")
        }
        return _copy(self.primary_ref(canary), canary, words, template)

    def canary(self, canary: Canary, target: Manifest) -> Manifest:
        """The copy that routing objects send the canary's share to."""
        meta = target["metadata"]
        words = {key: without_bookkeeping(meta.get(key)) for key in ("labels", "annotations")}
        return _copy(self.canary_ref(canary), canary, words, self.template(target))

    def changes(self, wanted: Manifest, live: Manifest | None) -> list[Write]:
        """What brings a copy to what is wanted; nothing if it is there, so an idle one costs none.

        Allocated fields of the live copy stay as they are.
        """
        if live is None:
            return [Apply(wanted)]
        patch: Manifest = {}
        if spec := exact(self.template(live), self.template(wanted)):
            patch["spec"] = spec
        words = {k: wanted["metadata"].get(k, {}) for k in ("labels", "annotations")}
        found = {k: live["metadata"].get(k) or {} for k in words}
        if lacks(found, words):
            patch["metadata"] = words
        return [Patch.of(live, patch)] if patch else []

    def same(self, canary: Canary, target: Manifest, primary: Manifest) -> bool:
        """Whether both have the same spec."""
        wanted = self.primary(canary, target, self.template(target))
        return self.template(wanted) == self.template(primary)

    def readiness(
        self, workload: Manifest, percent: int, now: datetime, deadline: datetime | None
    ) -> Readiness:
        """Always ready: whether anything answers is known to whoever runs it."""
        del workload, percent, now, deadline
        return Readiness(ready=True, serving=1, desired=1)

    def idle(self, workload: Manifest) -> bool:
        del workload
        return False

    def scale(
        self,
        workload: Manifest,
        primary: Manifest | None,
        *,
        up: bool,
        least: int | None = None,
    ) -> Manifest:
        """Nothing: there is no size here."""
        del workload, primary, up, least
        return {}

    def restore(self, workload: Manifest, primary: Manifest | None) -> Manifest:
        """Nothing: the target served all the time."""
        del workload, primary
        return {}


def _copy(ref: Ref, canary: Canary, words: Manifest, template: Manifest) -> Manifest:
    service = canary.spec.service
    spec = deepcopy(template)
    if service and service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    return ref.manifest(metadata={k: v for k, v in words.items() if v}, spec=spec)
