"""Deployment: the workload that most people release."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Readiness
from canary.crd import Canary
from canary.targets import pods
from canary.targets.pods import Rewrite, TargetSettings
from canary.targets.readiness import behind, condition, count, enough, joined
from canary.targets.writes import Write

NOT_COPIED = frozenset({"replicas", "selector", "template", "paused"})
"""Fields of the spec that a primary has of its own; all others, known or not, are copied."""


@dataclass(frozen=True, slots=True)
class DeploymentKind:
    """A revision is made by the pod template; replicas are how much of it runs."""

    kind: ClassVar[Kind] = Kind("apps/v1", "Deployment")
    sleeps: ClassVar[bool] = True
    pods: ClassVar[bool] = True

    settings: TargetSettings = field(default_factory=TargetSettings)
    tracked: Mapping[str, str] = field(default_factory=dict)
    """Checksums of the configs that the template to be copied refers to."""

    def template(self, workload: Manifest) -> Manifest:
        return pods.template(workload)

    def images(self, workload: Manifest) -> tuple[str, ...]:
        return pods.images(workload)

    def primary_ref(self, canary: Canary) -> Ref:
        return Ref(self.kind, canary.namespace, canary.primary_workload)

    def primary(
        self, canary: Canary, target: Manifest, template: Manifest, live: Manifest | None = None
    ) -> Manifest:
        """`live` is the primary as it is now. Raises `SpecError` for a target without a label."""
        made = pods.primary(canary, target, template, live, self._rewrite(canary, target))
        copied = {k: deepcopy(v) for k, v in target["spec"].items() if k not in NOT_COPIED}
        scaled = canary.spec.autoscaler_ref is not None
        return {**made, "spec": {**copied, **_size(target, live, scaled=scaled), **made["spec"]}}

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
        status, desired = workload.get("status") or {}, _replicas(workload)
        serving = count(status, "readyReplicas")
        why = _unready(workload, status, desired, percent)
        given_up = _given_up(workload, status)
        if not why and not given_up:
            return Readiness(ready=True, serving=serving, desired=desired)
        late = deadline is not None and now >= deadline
        return Readiness(
            ready=False,
            serving=serving,
            desired=desired,
            hopeless=late or bool(given_up),
            reason=joined(why, given_up),
        )

    def idle(self, workload: Manifest) -> bool:
        return _replicas(workload) == 0

    def scale(
        self,
        workload: Manifest,
        primary: Manifest | None,
        *,
        up: bool,
        least: int | None = None,
    ) -> Manifest:
        """The replicas it wakes up with: its own, else the autoscaler's least, else the primary's.

        `least` is that of the target's autoscaler; None if it has none.
        """
        if not up:
            return {"spec": {"replicas": 0}}
        own = _replicas(workload)
        others = least if least is not None else _replicas(primary) if primary else 1
        return {"spec": {"replicas": own or others or 1}}

    def restore(self, workload: Manifest, primary: Manifest | None) -> Manifest:
        """The merge patch that lets the target serve alone again, with as many as the primary."""
        replicas = _replicas(primary) if primary else 0
        return self.scale(workload, None, up=True) if not replicas else _sized(replicas)

    def _rewrite(self, canary: Canary, target: Manifest) -> Rewrite:
        chosen = pods.selector(canary, target, self.settings.selector_labels)
        return Rewrite(chosen, canary.target_name, self.settings, self.tracked)


def _size(target: Manifest, live: Manifest | None, *, scaled: bool) -> Mapping[str, Any]:
    """`replicas` of the primary, or nothing where an autoscaler has the say.

    Left out, the field of a manifest that was applied before falls back to one replica, unless
    somebody else has written it since. So it is left out only then.
    """
    if live is None:
        return {"replicas": _replicas(target) or 1}
    current = _replicas(live)
    if not scaled:
        # A sleeping target says nothing about how many are needed.
        return {"replicas": _replicas(target) or current or 1}
    return {} if _scaled_by_others(live) else {"replicas": current}


def _scaled_by_others(live: Manifest) -> bool:
    """Whether anybody has written `spec.replicas` by way of the scale subresource."""
    return any(
        entry.get("subresource") == "scale"
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
    )


def _sized(replicas: int) -> Manifest:
    return {"spec": {"replicas": replicas}}


def _replicas(workload: Manifest) -> int:
    return int(workload["spec"].get("replicas", 1))


def _unready(workload: Manifest, status: Mapping[str, Any], desired: int, percent: int) -> str:
    """Why it isn't rolled out yet, in words; empty once it is."""
    if behind(workload):
        return "the cluster has not looked at this version yet"
    updated = count(status, "updatedReplicas")
    available = count(status, "availableReplicas")
    # A quota or an admission webhook that refuses the pods: there is no pod to ask for a reason.
    refused = condition(status, "ReplicaFailure")
    told = str(refused.get("message", "")) if refused.get("status") == "True" else ""
    if updated < desired:
        return joined(f"{updated} of {desired} pods updated", told)
    if old := count(status, "replicas") - updated:
        return joined(f"{old} old {'pod' if old == 1 else 'pods'} still there", told)
    if available < enough(updated, percent):
        return joined(f"{available} of {desired} pods available", told)
    return ""


def _given_up(workload: Manifest, status: Mapping[str, Any]) -> str:
    found = condition(status, "Progressing")
    # A verdict on the version before says nothing about this one.
    if found.get("reason") != "ProgressDeadlineExceeded" or behind(workload):
        return ""
    return joined("its own progress deadline has passed", str(found.get("message", "")))
