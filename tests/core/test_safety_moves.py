"""Which split is safe, how the world is brought to it, and when the canary may sleep."""

from datetime import timedelta

import pytest

from canary.core.actions import Action, Ask, SetSplit
from canary.core.facts import Live, Readiness, Traffic, Workloads
from canary.core.safety import bring, drained, safe
from canary.crd import Canary
from canary.crd.status import Phase, Split
from tests.core.rows import (
    DOWN,
    MINUTE,
    NOW,
    UP,
    V1,
    V2,
    After,
    at,
    brief,
    facts,
    primary,
    run_of,
    running,
    target,
    told,
    words,
)
from tests.core.world import podinfo

HALF, ALL, NONE = Split.to_canary(50), Split.to_canary(100), Split()
MATCHED, MIRRORED = Split.to_canary(100, matched=True), Split(mirrored=True)

SAFE: dict[str, tuple[Split, Readiness, Readiness, Split]] = {
    "both serve: as wanted": (HALF, UP, UP, HALF),
    "the canary doesn't: all to the primary": (HALF, UP, DOWN, NONE),
    "nor is anything mirrored to it": (MIRRORED, UP, DOWN, NONE),
    "nor are matching requests sent to it": (MATCHED, UP, DOWN, NONE),
    "the primary doesn't: all to the canary": (HALF, DOWN, UP, ALL),
    "even if the canary was to have none": (NONE, DOWN, UP, ALL),
    "even those that don't match": (MATCHED, DOWN, UP, ALL),
    "neither does: as wanted, since nothing is better": (HALF, DOWN, DOWN, HALF),
    "a canary without traffic needs no endpoint": (NONE, UP, DOWN, NONE),
    "a primary without traffic needs no endpoint": (ALL, DOWN, UP, ALL),
}


@pytest.mark.parametrize(("wanted", "old", "new", "expected"), SAFE.values(), ids=SAFE)
def test_safe(wanted: Split, old: Readiness, new: Readiness, expected: Split) -> None:
    assert safe(wanted, Workloads(target(V2, new), primary(V1, old))) == expected


def test_a_side_that_is_gone_is_a_side_without_endpoints() -> None:
    assert safe(HALF, Workloads(None, primary())) == NONE
    assert safe(HALF, Workloads(target(), None)) == ALL


def brought(canary: Canary, live: Live, split: Split = HALF) -> list[Action]:
    return bring(canary, facts(), live, Workloads(target(), primary()), split)


RUN = running(weight=50)
BRING: dict[str, tuple[Canary, Live, list[object]]] = {
    "nothing to do": (RUN, Live(HALF), []),
    "routes are made": (RUN, Live(None), [Phase.PROGRESSING, SetSplit(HALF)]),
    "weights are moved, and the interval begins again": (
        RUN,
        Live(NONE),
        [Phase.PROGRESSING, SetSplit(HALF)],
    ),
    "other fields are mended without a record": (RUN, Live(HALF, stale=True), [SetSplit(HALF)]),
    "the data plane is waited for": (RUN, Live(HALF, pending="it lags"), [After(1)]),
}


@pytest.mark.parametrize(("canary", "live", "expected"), BRING.values(), ids=BRING)
def test_bring(canary: Canary, live: Live, expected: list[object]) -> None:
    assert brief(brought(canary, live)) == expected


def test_an_interval_at_another_weight_does_not_count() -> None:
    assert run_of(brought(RUN, Live(NONE))).since == NOW


def test_a_step_that_is_not_being_watched_yet_has_no_interval() -> None:
    assert run_of(brought(running(weight=50, since=None), Live(NONE))).since is None


DRIFT = {
    "weights": (Split.to_canary(30), "ann changed the traffic split to 70/30; "),
    "mirroring": (MIRRORED, "ann changed the traffic split to 100/0 (mirrored); "),
    "matches": (MATCHED, "ann changed the traffic split to matching requests to the canary; "),
}


@pytest.mark.parametrize(("split", "text"), DRIFT.values(), ids=DRIFT)
def test_drift_is_told_with_the_name_of_the_writer(split: Split, text: str) -> None:
    assert words(brought(RUN, Live(split, writer="ann"))) == f"{text}it is set back to 50/50"


def test_our_own_late_writes_are_not_drift() -> None:
    assert told(brought(RUN, Live(NONE))) == ()


ENDPOINTS = {
    "of the canary": (
        Workloads(target(V2, DOWN), primary()),
        "the canary has no ready endpoint (0 of 2 pods are ready): the primary takes all traffic",
    ),
    "of the primary": (
        Workloads(target(), primary(V1, DOWN)),
        "the primary has no ready endpoint (0 of 2 pods are ready): the canary takes all traffic",
    ),
    "of a canary that is gone": (
        Workloads(None, primary()),
        "the canary has no ready endpoint (it is gone): the primary takes all traffic",
    ),
    "of a primary that is gone": (
        Workloads(target(), None),
        "the primary has no ready endpoint (it is gone): the canary takes all traffic",
    ),
}


@pytest.mark.parametrize(("workloads", "text"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_a_loss_of_endpoints_is_told(workloads: Workloads, text: str) -> None:
    actions = bring(RUN, facts(), Live(HALF), workloads, HALF)
    assert words(actions) == text
    assert [each.severity for each in told(actions)] == ["warn"]


def awake(since: float, drain: str = "") -> Canary:
    canary = podinfo(**({"drain": drain} if drain else {}))
    return running(canary, since=NOW - timedelta(seconds=since))


DRAINED: dict[str, tuple[Canary, Traffic | None, list[object]]] = {
    "somebody has to count": (awake(60), None, [Ask.TRAFFIC]),
    "nothing reaches it": (awake(60), Traffic(0.0), []),
    "requests reach it": (awake(60), Traffic(0.1), [After(1)]),
    "nobody can count, and it was just now": (awake(0), Traffic(None), [After(5)]),
    "nobody can count, and it is long ago": (awake(6), Traffic(None), []),
    "a drain is waited for even if nothing reaches it": (
        awake(10, "30s"),
        Traffic(0.0),
        [After(20)],
    ),
    "a drain has an end": (awake(31, "30s"), Traffic(0.0), []),
    "a drain doesn't replace counting": (awake(31, "30s"), Traffic(2.0), [After(1)]),
    "without a run, the last write counts": (
        at(Phase.FAILED, entered_at=NOW - 10 * MINUTE),
        Traffic(None),
        [After(5)],
    ),
}


@pytest.mark.parametrize(("canary", "traffic", "expected"), DRAINED.values(), ids=DRAINED)
def test_drained(canary: Canary, traffic: Traffic | None, expected: list[object]) -> None:
    assert brief(drained(canary, facts(traffic=traffic))) == expected
