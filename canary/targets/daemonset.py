"""DaemonSet: a pod on every node that its selector allows."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Readiness
from canary.crd import Canary
from canary.errors import Problem, SpecError
from canary.targets import pods
from canary.targets.pods import Rewrite, TargetSettings
from canary.targets.readiness import behind, count, enough, joined
from canary.targets.writes import Write

ASLEEP = "flagger.app/scale-to-zero"
"""Key of a node selector that no node satisfies."""
NOT_COPIED = frozenset({"selector", "template", "templateGeneration"})


@dataclass(frozen=True, slots=True)
class DaemonSetKind:
    """There are no replicas to set to zero: a node selector that fits nowhere stands for it."""

    kind: ClassVar[Kind] = Kind("apps/v1", "DaemonSet")
    sleeps: ClassVar[bool] = True
    pods: ClassVar[bool] = True

    settings: TargetSettings = field(default_factory=TargetSettings)
    tracked: Mapping[str, str] = field(default_factory=dict)
    """Checksums of the configs that the template to be copied refers to."""

    def template(self, workload: Manifest) -> Manifest:
        return _awake(pods.template(workload))

    def images(self, workload: Manifest) -> tuple[str, ...]:
        return pods.images(workload)

    def primary_ref(self, canary: Canary) -> Ref:
        return Ref(self.kind, canary.namespace, canary.primary_workload)

    def primary(
        self, canary: Canary, target: Manifest, template: Manifest, live: Manifest | None = None
    ) -> Manifest:
        """`live` is the primary as it is now. Raises `SpecError` where pods aren't replaced."""
        _check_strategy(target)
        rewrite = self._rewrite(canary, target)
        made = pods.primary(canary, target, _awake(template), live, rewrite)
        copied = {k: deepcopy(v) for k, v in target["spec"].items() if k not in NOT_COPIED}
        return {**made, "spec": {**copied, **made["spec"]}}

    def changes(self, wanted: Manifest, live: Manifest | None) -> list[Write]:
        return pods.changes(wanted, live)

    def same(self, canary: Canary, target: Manifest, primary: Manifest) -> bool:
        """Whether both run the same, once what is known to be rewritten is undone."""
        original, rewrite = self.template(target), self._rewrite(canary, target)
        copied = rewrite.undone(self.template(primary), original)
        return copied == rewrite.undone(original, original)

    def readiness(
        self, workload: Manifest, percent: int, now: datetime, deadline: datetime | None
    ) -> Readiness:
        status = workload.get("status") or {}
        desired = 0 if self.idle(workload) else count(status, "desiredNumberScheduled")
        serving = count(status, "numberReady")
        why = _unready(workload, status, percent)
        if not why:
            return Readiness(ready=True, serving=serving, desired=desired)
        late = deadline is not None and now >= deadline
        return Readiness(ready=False, serving=serving, desired=desired, hopeless=late, reason=why)

    def idle(self, workload: Manifest) -> bool:
        return ASLEEP in (workload["spec"]["template"]["spec"].get("nodeSelector") or {})

    def scale(
        self,
        workload: Manifest,
        primary: Manifest | None,
        *,
        up: bool,
        least: int | None = None,
    ) -> Manifest:
        """The key that no node has, set or removed."""
        del workload, primary, least
        return {"spec": {"template": {"spec": {"nodeSelector": {ASLEEP: None if up else "true"}}}}}

    def restore(self, workload: Manifest, primary: Manifest | None) -> Manifest:
        """The merge patch that lets the target serve alone again."""
        return self.scale(workload, primary, up=True)

    def _rewrite(self, canary: Canary, target: Manifest) -> Rewrite:
        chosen = pods.selector(canary, target, self.settings.selector_labels)
        return Rewrite(chosen, canary.target_name, self.settings, self.tracked)


def _awake(template: Manifest) -> Manifest:
    """The template without our own key, and without the empty selector that it leaves behind."""
    spec = template.get("spec") or {}
    nodes = {k: v for k, v in (spec.get("nodeSelector") or {}).items() if k != ASLEEP}
    rest = {key: value for key, value in spec.items() if key != "nodeSelector"}
    return {**template, "spec": {**rest, "nodeSelector": nodes} if nodes else rest}


def _strategy(workload: Manifest) -> str:
    return str((workload["spec"].get("updateStrategy") or {}).get("type") or "RollingUpdate")


def _check_strategy(target: Manifest) -> None:
    if (found := _strategy(target)) != "RollingUpdate":
        place = "spec.updateStrategy.type"
        raise SpecError(Problem(str(Ref.of(target)), place, repr(found), "RollingUpdate or none"))


def _unready(workload: Manifest, status: Mapping[str, Any], percent: int) -> str:
    """Why it isn't rolled out yet, in words; empty once it is."""
    if behind(workload):
        return "the cluster has not looked at this version yet"
    desired = count(status, "desiredNumberScheduled")
    updated = count(status, "updatedNumberScheduled")
    available = count(status, "numberAvailable")
    if updated < desired:
        manual = _strategy(workload) != "RollingUpdate"
        return joined(
            f"{updated} of {desired} pods updated",
            f"its update strategy is {_strategy(workload)}" if manual else "",
        )
    if available < enough(desired, percent):
        return f"{available} of {desired} pods available"
    return ""
