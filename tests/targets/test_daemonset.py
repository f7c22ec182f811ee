"""The DaemonSet as a target: asleep by a node selector, ready by its own counts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest
from canary.core.facts import Readiness
from canary.errors import SpecError
from canary.targets import pods as shared
from canary.targets.daemonset import ASLEEP, DaemonSetKind
from canary.targets.readiness import of_primary
from canary.targets.writes import Patch
from tests.targets.world import as_flagger_made_it, canary, pods, workload

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = DaemonSetKind()
SUBJECT = canary("DaemonSet")


def daemons(template: Manifest | None = None, status: Manifest | None = None) -> Manifest:
    return workload("DaemonSet", template, status)


def asleep(template: Manifest | None = None) -> Manifest:
    target = daemons(template)
    sleeping: Manifest = merge_patch(target, KIND.scale(target, None, up=False))
    return sleeping


def made(target: Manifest, live: Manifest | None = None) -> Manifest:
    return KIND.primary(SUBJECT, target, KIND.template(target), live)


LINUX = pods(nodeSelector={"os": "linux"})


@pytest.mark.parametrize("template", [None, LINUX], ids=["without", "with a node selector"])
def test_sleep_is_no_new_revision(template: Manifest | None) -> None:
    assert KIND.template(asleep(template)) == KIND.template(daemons(template))


def test_an_empty_node_selector_is_none() -> None:
    assert KIND.template(daemons(pods(nodeSelector={}))) == KIND.template(daemons())


def test_waking_up_leaves_the_selector_of_people() -> None:
    sleeping = asleep(LINUX)
    awake = merge_patch(sleeping, KIND.scale(sleeping, None, up=True))
    assert awake["spec"]["template"]["spec"]["nodeSelector"] == {"os": "linux"}
    assert awake == merge_patch(sleeping, KIND.restore(sleeping, None))


def test_a_promotion_wakes_a_primary_that_was_put_to_sleep() -> None:
    live = as_flagger_made_it(made(daemons(LINUX)), nodeSelector={"os": "linux", ASLEEP: "true"})
    write, _ = shared.changes(made(asleep(LINUX), live), live)
    assert isinstance(write, Patch)
    after = merge_patch(live, write.patch)
    assert after["spec"]["template"]["spec"]["nodeSelector"] == {"os": "linux"}


def test_a_template_that_was_recorded_asleep_is_awake_in_the_primary() -> None:
    sleeping = asleep(LINUX)
    primary = KIND.primary(SUBJECT, sleeping, sleeping["spec"]["template"])
    assert not KIND.idle(primary)


def test_the_primary_has_the_other_fields_of_its_target() -> None:
    target = workload(
        "DaemonSet", minReadySeconds=5, updateStrategy={"type": "RollingUpdate"}, brandNew=1
    )
    spec = made(target)["spec"]
    assert (spec["minReadySeconds"], spec["brandNew"]) == (5, 1)
    assert spec["selector"] == {"matchLabels": {"app": "web-primary"}}


def test_a_target_whose_pods_are_not_replaced_is_refused() -> None:
    target = workload("DaemonSet", updateStrategy={"type": "OnDelete"})
    message = r"DaemonSet test/web: spec\.updateStrategy\.type: found 'OnDelete', expected Rolling"
    with pytest.raises(SpecError, match=message):
        made(target)


@pytest.mark.parametrize("image", ["web:1", "web:0"])
def test_same(image: str) -> None:
    containers = [{"name": "app", "image": image}]
    primary = as_flagger_made_it(made(daemons(LINUX)), containers=containers)
    assert KIND.same(SUBJECT, asleep(LINUX), primary) is (image == "web:1")


@dataclass(frozen=True)
class Row:
    """Three nodes want a pod; the status is that of all running, updated with these fields."""

    expected: Readiness
    status: Manifest = field(default_factory=dict)
    percent: int = 100
    deadline: int | None = 60
    asleep: bool = False
    strategy: str = "RollingUpdate"


def waiting(serving: int, reason: str, *, hopeless: bool = False) -> Readiness:
    return Readiness(ready=False, serving=serving, desired=3, hopeless=hopeless, reason=reason)


TWO = {"numberAvailable": 2, "numberReady": 2}
ROWS = {
    "is ready when all are updated and available": Row(Readiness(ready=True, serving=3, desired=3)),
    "is not before the cluster has seen the change": Row(
        waiting(3, "the cluster has not looked at this version yet"), {"observedGeneration": 1}
    ),
    "is not before all are updated": Row(
        waiting(3, "1 of 3 pods updated"), {"updatedNumberScheduled": 1}
    ),
    "says so if they never will be": Row(
        waiting(3, "1 of 3 pods updated; its update strategy is OnDelete"),
        {"updatedNumberScheduled": 1},
        strategy="OnDelete",
    ),
    "is not while too few are available": Row(waiting(2, "2 of 3 pods available"), TWO),
    "two thirds of three, rounded down, are one": Row(
        Readiness(ready=True, serving=1, desired=3),
        {"numberAvailable": 1, "numberReady": 1},
        percent=66,
    ),
    "any share of some pods is at least one": Row(
        waiting(0, "0 of 3 pods available"), {"numberAvailable": 0, "numberReady": 0}, percent=1
    ),
    "is hopeless past the Canary's deadline": Row(
        waiting(2, "2 of 3 pods available", hopeless=True), TWO, deadline=0
    ),
    "waits without a deadline": Row(waiting(2, "2 of 3 pods available"), TWO, deadline=None),
    "asleep it is ready, whatever still runs": Row(
        Readiness(ready=True, serving=0, desired=0),
        dict.fromkeys(("desiredNumberScheduled", "numberReady", "updatedNumberScheduled"), 0),
        asleep=True,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_readiness(row: Row) -> None:
    counts = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    subject = asleep() if row.asleep else daemons()
    subject["spec"]["updateStrategy"] = {"type": row.strategy}
    subject["status"] = {**dict.fromkeys(counts, 3), "observedGeneration": 2, **row.status}
    deadline = None if row.deadline is None else NOW + timedelta(seconds=row.deadline)
    assert KIND.readiness(subject, row.percent, NOW, deadline) == row.expected


def test_the_clock_is_the_one_that_is_given_and_not_that_of_status_writes() -> None:
    # A known defect elsewhere: each status write of the Canary began the deadline anew.
    subject = daemons(status={"observedGeneration": 2, "desiredNumberScheduled": 1})
    later = NOW + timedelta(minutes=10)
    assert not KIND.readiness(subject, 100, NOW, later).hopeless
    assert KIND.readiness(subject, 100, later, later).hopeless


def test_a_primary_that_no_node_may_run_is_not_ready() -> None:
    empty = daemons(status={"observedGeneration": 2})
    assert not of_primary(SUBJECT, KIND.readiness(empty, 100, NOW, None)).ready
