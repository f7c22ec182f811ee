"""Which target kind answers to which `targetRef.kind`."""

from importlib import import_module

from canary.crd import Canary
from canary.errors import UnknownName
from canary.targets.base import TargetKind

TARGETS = {
    "DaemonSet": "canary.targets.daemonset:DaemonSetKind",
    "Deployment": "canary.targets.deployment:DeploymentKind",
    "Process": "canary.targets.process:ProcessKind",
    "Service": "canary.targets.service:ServiceKind",
}
"""Import paths, so a kind's file is only loaded once a canary asks for it."""


def target_kind(canary: Canary) -> TargetKind:
    """What knows how to handle a Canary's target. Raises `UnknownName`."""
    kind = canary.spec.target_ref.kind
    path = TARGETS.get(kind)
    if path is None:
        raise UnknownName(f"Canary {canary.key}", "spec.targetRef.kind", kind, TARGETS)
    module, name = path.split(":")
    made: TargetKind = getattr(import_module(module), name)()
    return made
