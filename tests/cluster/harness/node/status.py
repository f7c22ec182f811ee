"""What is said of a pod, from what is known of its containers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from canary.cluster.port import Manifest

CREATING = {"waiting": {"reason": "ContainerCreating"}}
INITIALIZING = {"waiting": {"reason": "PodInitializing"}}

State = dict[str, Any]
"""One of `waiting`, `running`, `terminated`, with its details, as the API has it."""


@dataclass
class Container:
    """One container as the API server is told of it."""

    name: str
    image: str
    state: State = field(default_factory=lambda: CREATING)
    last: State = field(default_factory=dict)
    """How the run before this one ended."""
    restarts: int = 0
    started: bool = False
    """Running, and past its startup probe."""
    ready: bool = False
    process: int = 0

    @property
    def finished(self) -> bool:
        return "terminated" in self.state

    @property
    def succeeded(self) -> bool:
        return bool(self.finished and self.state["terminated"]["exitCode"] == 0)

    def status(self) -> Manifest:
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"process/{self.image}" if self.process else "",
            "containerID": f"process://{self.process}" if self.process else "",
            "state": self.state,
            "lastState": self.last,
            "restartCount": self.restarts,
            "started": self.started,
            "ready": self.ready,
        }


def phase(restart_policy: str, containers: Sequence[Container]) -> str:
    """Succeeded and Failed are only for pods that won't start anything again."""
    if restart_policy != "Always" and all(each.finished for each in containers):
        if all(each.succeeded for each in containers):
            return "Succeeded"
        if restart_policy == "Never":
            return "Failed"
    begun = any("running" in each.state or each.restarts or each.finished for each in containers)
    return "Running" if begun else "Pending"


def conditions(
    initialized: bool,
    containers: Sequence[Container],
    closed_gates: Sequence[str],
    before: Mapping[str, Manifest],
    now: str,
) -> dict[str, Manifest]:
    """The node's own, by type; one that didn't change keeps its `lastTransitionTime`."""
    unready = [each.name for each in containers if not each.ready]
    trouble = {}
    if unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        trouble = {"reason": "ContainersNotReady", "message": text}
    closed = {"reason": "ReadinessGatesNotReady", "message": f"not true: {' '.join(closed_gates)}"}
    facts: dict[str, dict[str, str]] = {
        "Initialized": {} if initialized else {"reason": "ContainersNotInitialized"},
        "ContainersReady": trouble,
        "Ready": trouble or (closed if closed_gates else {}),
    }
    return {kind: _condition(kind, why, before.get(kind, {}), now) for kind, why in facts.items()}


def _condition(kind: str, why: Mapping[str, str], before: Manifest, now: str) -> Manifest:
    status = "False" if why else "True"
    same = before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": why.get("reason"),  # none is a word, too: it takes an older reason away
        "message": why.get("message"),
        "lastTransitionTime": before["lastTransitionTime"] if same else now,
    }


def closed_gates(pod: Manifest) -> list[str]:
    """Readiness gates of the pod that others have not opened yet."""
    found = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    return [gate for gate in gates if found.get(gate) != "True"]
