"""Process, the workload of local mode: a command that runs as a number of processes."""

from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any, ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Readiness
from canary.crd import Canary
from canary.targets.writes import Apply, Write

WIDTH = 80
"""Characters of a command that are told; the rest is cut."""
HASHED = ("replicas", "template")


class ProcessKind:
    """`spec.suspend` is what puts it to sleep, so `replicas` stays what the user wrote.

    A revision is made by command, environment and the rest of the template, and by `replicas`.
    """

    kind: ClassVar[Kind] = Kind("local.canary/v1", "Process")
    sleeps: ClassVar[bool] = True
    pods: ClassVar[bool] = False

    def template(self, workload: Manifest) -> Manifest:
        spec = workload["spec"]
        return {"replicas": spec.get("replicas", 1), "template": spec["template"]}

    def images(self, workload: Manifest) -> tuple[str, ...]:
        template = workload["spec"]["template"]
        command = " ".join(template["command"])
        short = command if len(command) <= WIDTH else f"{command[: WIDTH - 1]}…"
        version = (template.get("env") or {}).get("VERSION")
        return (f"{short} (VERSION={version})" if version else short,)

    def primary_ref(self, canary: Canary) -> Ref:
        return Ref(self.kind, canary.namespace, canary.primary_workload)

    def primary(
        self,
        canary: Canary,
        target: Manifest,
        template: Manifest,
        live: Manifest | None = None,  # noqa: ARG002  # a primary is made the same way each time
    ) -> Manifest:
        own = {key: value for key, value in target["spec"].items() if key not in HASHED}
        own.pop("suspend", None)
        # A target that was scaled to zero is no reason to serve nothing.
        spec = {**own, "replicas": template["replicas"] or 1, "template": template["template"]}
        labels = target["metadata"].get("labels")
        ref = self.primary_ref(canary)
        return ref.manifest(metadata={"labels": labels} if labels else {}, spec=spec)

    def changes(self, wanted: Manifest, live: Manifest | None) -> list[Write]:
        """Its template is ours as a whole: apply alone takes away what is gone."""
        del live
        return [Apply(wanted)]

    def same(self, canary: Canary, target: Manifest, primary: Manifest) -> bool:
        """Whether copying the target would leave the primary as it is."""
        copied = self.primary(canary, target, self.template(target))
        return self.template(copied) == self.template(primary)

    def readiness(
        self, workload: Manifest, percent: int, now: datetime, deadline: datetime | None
    ) -> Readiness:
        status, desired = workload.get("status") or {}, self._desired(workload)
        serving = int(status.get("readyReplicas", 0))
        why = _unready(workload, status, desired, percent)
        if not why:
            return Readiness(ready=True, serving=serving, desired=desired)
        given_up = _given_up(workload, status)
        late = deadline is not None and now >= deadline
        return Readiness(
            ready=False,
            serving=serving,
            desired=desired,
            hopeless=late or bool(given_up),
            reason=given_up or why,
        )

    def idle(self, workload: Manifest) -> bool:
        return self._desired(workload) == 0

    def scale(
        self,
        workload: Manifest,
        primary: Manifest | None,
        *,
        up: bool,
        least: int | None = None,
    ) -> Manifest:
        """The same for every Process."""
        del workload, primary, least
        return {"spec": {"suspend": not up}}

    @staticmethod
    def _desired(workload: Manifest) -> int:
        spec = workload["spec"]
        return 0 if spec.get("suspend") else int(spec.get("replicas", 1))


def _unready(workload: Manifest, status: Mapping[str, Any], desired: int, percent: int) -> str:
    """Why it isn't rolled out yet, in words; empty once it is."""
    if _behind(workload, status):
        return "the supervisor has not looked at this version yet"
    updated = int(status.get("updatedReplicas", 0))
    available = int(status.get("availableReplicas", 0))
    told = _condition(status, "Available").get("message", "")
    if updated < desired:
        return _with(f"{updated} of {desired} instances updated", told)
    if extra := int(status.get("replicas", 0)) - updated:
        return f"{extra} old instances still run"
    # Rounded up: half of one instance being enough would let none be enough.
    if available < ceil(desired * percent / 100):
        return told or f"{available} of {desired} available"
    return ""


def _given_up(workload: Manifest, status: Mapping[str, Any]) -> str:
    condition = _condition(status, "Progressing")
    exceeded = condition.get("reason") == "ProgressDeadlineExceeded"
    # A verdict on the version before says nothing about this one.
    if not exceeded or _behind(workload, status):
        return ""
    return str(condition.get("message") or "its progress deadline has passed")


def _behind(workload: Manifest, status: Mapping[str, Any]) -> bool:
    seen: int = status.get("observedGeneration", 0)
    written: int = workload["metadata"].get("generation", 0)
    return seen < written


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((each for each in status.get("conditions", ()) if each.get("type") == kind), {})


def _with(what: str, why: str) -> str:
    return f"{what}; {why}" if why else what
