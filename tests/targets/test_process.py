"""The Process as a target: what makes a revision, what the primary is, and when it is ready."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.cluster.port import Kind, Manifest
from canary.core.facts import Readiness
from canary.core.revision import revision
from canary.crd import Canary
from canary.crd.process import Process
from canary.targets.process import ProcessKind
from canary.targets.registry import target_kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = ProcessKind()


def canary() -> Canary:
    spec = {
        "targetRef": {"apiVersion": "local.canary/v1", "kind": "Process", "name": "web"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 5},
    }
    return Canary.model_validate({"metadata": {"name": "shop", "namespace": "test"}, "spec": spec})


def process(template: Manifest | None = None, **spec: Any) -> Manifest:
    return {
        "apiVersion": "local.canary/v1",
        "kind": "Process",
        "metadata": {"name": "web", "namespace": "test", "generation": 2},
        "spec": {"template": {"command": ["app"], **(template or {})}, **spec},
    }


BASE = process(replicas=2)
# A Process, and whether it is another revision than BASE.
REVISIONS = {
    "the same is the same": (process(replicas=2), False),
    "a changed command is new": (process({"command": ["app", "-v"]}, replicas=2), True),
    "a changed environment is new": (process({"env": {"A": "1"}}, replicas=2), True),
    "a changed number of replicas is new": (process(replicas=3), True),
    "being put to sleep is not": (process(replicas=2, suspend=True), False),
    "how fast it is replaced is not": (process(replicas=2, maxSurge=2), False),
    "how its logs are kept is not": (process(replicas=2, logs={"keep": 1}), False),
}


@pytest.mark.parametrize(("changed", "new"), REVISIONS.values(), ids=REVISIONS)
def test_revision(changed: Manifest, new: bool) -> None:
    same = revision(KIND.template(changed)) == revision(KIND.template(BASE))
    assert same is not new


def test_unwritten_replicas_are_the_one_they_stand_for() -> None:
    assert KIND.template(process()) == KIND.template(process(replicas=1))


IMAGES = {
    "the command": ({}, "app"),
    "the command and its version": ({"env": {"VERSION": "2"}}, "app (VERSION=2)"),
    "a long command is cut": ({"command": ["app", "x" * 99]}, f"app {'x' * 75}…"),
}


@pytest.mark.parametrize(("template", "expected"), IMAGES.values(), ids=IMAGES)
def test_images(template: Manifest, expected: str) -> None:
    assert KIND.images(process(template)) == (expected,)


def made(target: Manifest, template: Manifest | None = None) -> Manifest:
    return KIND.primary(canary(), target, template or KIND.template(target))


def test_the_primary_runs_the_recorded_template_with_the_targets_other_settings() -> None:
    recorded = KIND.template(process({"env": {"VERSION": "1"}}, replicas=3))
    primary = made(process({"env": {"VERSION": "2"}}, replicas=5, maxSurge=2), recorded)
    assert KIND.template(primary) == recorded
    assert primary["metadata"] == {"name": "web-primary", "namespace": "test"}
    assert primary["spec"]["maxSurge"] == 2


def test_the_primary_of_a_sleeping_target_is_awake() -> None:
    assert not KIND.idle(made(process(replicas=2, suspend=True)))


def test_the_primary_of_a_target_without_replicas_has_one() -> None:
    assert made(process(replicas=0))["spec"]["replicas"] == 1


def test_the_primary_keeps_the_labels_of_its_target() -> None:
    target = process()
    target["metadata"]["labels"] = {"team": "shop"}
    assert made(target)["metadata"]["labels"] == {"team": "shop"}


def test_the_primary_is_a_valid_process() -> None:
    assert Process.model_validate(made(process(replicas=2, suspend=True))).spec.replicas == 2


@pytest.mark.parametrize("up", [True, False])
def test_sleeping_touches_nothing_that_a_user_wrote(up: bool) -> None:
    assert KIND.scale(process(replicas=2), None, up=up) == {"spec": {"suspend": not up}}


IDLE = {
    "asleep": (process(suspend=True), True),
    "without replicas": (process(replicas=0), True),
    "with the one replica of the default": (process(), False),
    "with replicas": (process(replicas=2, suspend=False), False),
}


@pytest.mark.parametrize(("workload", "expected"), IDLE.values(), ids=IDLE)
def test_idle(workload: Manifest, expected: bool) -> None:
    assert KIND.idle(workload) is expected


WHY = "1 of 2 available; command 'app' exited with code 1 three times"


@dataclass(frozen=True)
class Row:
    """Two replicas are wanted; the status is that of all running, updated with these fields."""

    expected: Readiness
    status: Manifest = field(default_factory=dict)
    percent: int = 100
    deadline: int | None = 60
    spec: Manifest = field(default_factory=dict)


def told(available: str, progressing: str = "", reason: str = "InstancesUpdated") -> Manifest:
    return {
        "conditions": [
            {"type": "Available", "status": "False", "message": available},
            {"type": "Progressing", "reason": reason, "message": progressing},
        ]
    }


def waiting(serving: int, reason: str, *, hopeless: bool = False, desired: int = 2) -> Readiness:
    return Readiness(
        ready=False, serving=serving, desired=desired, hopeless=hopeless, reason=reason
    )


UNSEEN = "the supervisor has not looked at this version yet"
GIVEN_UP = told(WHY, "no progress for 60 s: exited with code 1", "ProgressDeadlineExceeded")
ROWS = {
    "is ready when all are updated and available": Row(Readiness(ready=True, serving=2, desired=2)),
    "is not before the supervisor has seen the change": Row(
        waiting(2, UNSEEN), {"observedGeneration": 1}
    ),
    "is not before all are updated": Row(
        waiting(2, "1 of 2 instances updated; 1 of 2 available"),
        {"updatedReplicas": 1, **told("1 of 2 available")},
    ),
    "is not while old ones run": Row(waiting(2, "1 old instances still run"), {"replicas": 3}),
    "says why in the supervisor's words": Row(
        waiting(1, WHY), {"availableReplicas": 1, "readyReplicas": 1, **told(WHY)}
    ),
    "is ready with as many as were asked for": Row(
        Readiness(ready=True, serving=1, desired=2),
        {"availableReplicas": 1, "readyReplicas": 1},
        percent=50,
    ),
    "half of two is not less than one": Row(
        waiting(0, "0 of 2 available"), {"availableReplicas": 0, "readyReplicas": 0}, percent=1
    ),
    "is hopeless when the supervisor has given up": Row(
        waiting(1, "no progress for 60 s: exited with code 1", hopeless=True),
        {"availableReplicas": 1, "readyReplicas": 1, **GIVEN_UP},
    ),
    "a new version isn't judged by the failure of the last one": Row(
        waiting(2, UNSEEN), {"observedGeneration": 1, **GIVEN_UP}
    ),
    "is hopeless past the Canary's deadline": Row(
        waiting(1, WHY, hopeless=True),
        {"availableReplicas": 1, "readyReplicas": 1, **told(WHY)},
        deadline=0,
    ),
    "waits without a deadline": Row(
        waiting(1, WHY),
        {"availableReplicas": 1, "readyReplicas": 1, **told(WHY)},
        deadline=None,
    ),
    "asleep it is ready when nothing runs any more": Row(
        Readiness(ready=True, serving=0, desired=0),
        dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 0),
        spec={"suspend": True},
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_readiness(row: Row) -> None:
    counts = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
    workload = process(replicas=2, **row.spec)
    workload["status"] = {**dict.fromkeys(counts, 2), "observedGeneration": 2, **row.status}
    deadline = None if row.deadline is None else NOW + timedelta(seconds=row.deadline)
    assert KIND.readiness(workload, row.percent, NOW, deadline) == row.expected


def test_an_object_nobody_has_looked_at_is_not_ready() -> None:
    assert KIND.readiness(process(), 100, NOW, None) == waiting(0, UNSEEN, desired=1)


def test_is_found_by_its_name() -> None:
    found = target_kind(canary())
    assert isinstance(found, ProcessKind)
    assert found.kind == Kind("local.canary/v1", "Process")
