"""What the statuses of workloads have in common, and what is asked of a primary besides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canary.cluster.port import Manifest
from canary.core.facts import Readiness
from canary.crd import Canary


def behind(workload: Manifest) -> bool:
    """Whether its status is about an older version than the one that was written last."""
    seen: int = (workload.get("status") or {}).get("observedGeneration", 0)
    written: int = workload["metadata"].get("generation", 0)
    return seen < written


def count(status: Mapping[str, Any], field: str) -> int:
    """A number of pods; the API leaves zeros out."""
    return int(status.get(field) or 0)


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = status.get("conditions") or ()
    return next((each for each in found if each.get("type") == kind), {})


def enough(pods: int, percent: int) -> int:
    """How many of these have to be available: rounded down, but never nobody of somebody.

    >>> enough(3, 50), enough(1, 50), enough(0, 50)
    (1, 1, 0)
    """
    return max(pods * percent // 100, min(pods, 1))


def joined(*parts: str) -> str:
    """What happened and why, without the parts that are empty."""
    return "; ".join(part for part in parts if part)


def of_primary(canary: Canary, readiness: Readiness) -> Readiness:
    """A primary without a single pod is not ready, however complete its rollout is.

    Only an autoscaler may scale it to zero, since it will also wake it.
    """
    if readiness.desired or not readiness.ready or canary.spec.autoscaler_ref:
        return readiness
    why = "it is scaled to zero, or no node may run it; a primary needs at least one pod"
    return replace(readiness, ready=False, reason=why)
