"""Which target kind answers to which `targetRef.kind`."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module

from canary.crd import Canary
from canary.errors import UnknownName
from canary.targets.base import TargetKind
from canary.targets.pods import TargetSettings

TARGETS = {
    "DaemonSet": "canary.targets.daemonset:DaemonSetKind",
    "Deployment": "canary.targets.deployment:DeploymentKind",
    "Process": "canary.targets.process:ProcessKind",
    "Service": "canary.targets.service:ServiceKind",
}
"""Import paths, so a kind's file is only loaded once a canary asks for it."""


def target_kind(
    canary: Canary,
    settings: TargetSettings | None = None,
    tracked: Mapping[str, str] | None = None,
) -> TargetKind:
    """What knows how to handle a Canary's target. Raises `UnknownName`.

    `tracked` has the checksums of the configs that a template refers to, by key as in
    `status.trackedConfigs`. A kind takes what it has a field for, and leaves the rest.
    """
    kind = canary.spec.target_ref.kind
    path = TARGETS.get(kind)
    if path is None:
        raise UnknownName(f"Canary {canary.key}", "spec.targetRef.kind", kind, TARGETS)
    module, name = path.split(":")
    wanted = getattr(import_module(module), name)
    known = {field.name for field in fields(wanted)} if is_dataclass(wanted) else set()
    given = {"settings": settings, "tracked": tracked}
    made: TargetKind = wanted(**{k: v for k, v in given.items() if k in known and v is not None})
    return made
