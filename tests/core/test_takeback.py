"""The way back: the primary as it was, then the traffic, then the canary to sleep."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.core.actions import Ask, Promote, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import Seen, Traffic
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Split, Verdict
from tests.core.rows import (
    DOWN,
    NOW,
    PARTLY,
    V1,
    V2,
    V3,
    After,
    brief,
    facts,
    later,
    primary,
    run_of,
    running,
    target,
    told,
    written,
)

QUIET = Traffic(0.0)
SLEEPS = target(V2, idle=True)
RESTORING: dict[str, Any] = {"phase": Phase.PROMOTING, "restoring": True}


def failed(weight: int = 0, ending: Ending = Ending.FAILED, **fields: Any) -> Canary:
    verdict = Verdict(outcome=ending, reason="it is slow", at=NOW)
    return running(None, weight, verdict=verdict, **{"since": NOW, **fields})


ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "looks before it leaps": (failed(), Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "traffic leaves the canary": (failed(), facts(20), [Phase.PROGRESSING, SetSplit(Split())]),
    "what still reaches it is counted": (failed(), facts(), [Ask.TRAFFIC]),
    "it stays awake while requests reach it": (failed(), facts(traffic=Traffic(1.0)), [After(1)]),
    "it is put to sleep": (failed(), facts(traffic=QUIET), [Scale(up=False)]),
    "then it is over": (failed(), facts(target=SLEEPS), [Phase.FAILED]),
    "a cancelled one is over without a failure": (
        failed(ending=Ending.CANCELLED),
        facts(target=target(V1, idle=True)),
        [Phase.SUCCEEDED],
    ),
    "a target that is gone is no obstacle": (failed(), facts(target=None), [Phase.FAILED]),
    "a newer revision keeps the target awake": (
        failed(),
        facts(target=target(V3)),
        [Phase.FAILED],
    ),
    "a target that can't sleep stays as it is": (
        failed(),
        facts(target=target(V2, sleeps=False)),
        [Phase.FAILED],
    ),
    "a primary that has the new version already gets the old one back": (
        failed(100, **RESTORING),
        facts(100, primary=primary(V2)),
        [Promote(V1)],
    ),
    "and the record says so before it does": (
        failed(60),
        facts(60, primary=primary(V2)),
        [Phase.PROGRESSING, Promote(V1)],
    ),
    "a primary that is gone is made again": (
        failed(60),
        facts(60, primary=None),
        [Phase.PROGRESSING, Promote(V1)],
    ),
    "traffic stays on the canary until the primary is ready": (
        failed(100, **RESTORING),
        facts(100, primary=primary(V1, PARTLY)),
        [After(600)],
    ),
    "traffic moves to the canary if the primary loses its endpoints": (
        failed(60, **RESTORING),
        facts(60, primary=primary(V1, DOWN)),
        [Phase.PROMOTING, SetSplit(Split.to_canary(100))],
    ),
    "the restored primary gets all traffic": (
        failed(100, **RESTORING),
        facts(100),
        [Phase.PROMOTING],
    ),
    "a primary that broke meanwhile gets no traffic to go back to": (
        failed(),
        facts(primary=primary(V1, DOWN)),
        [Phase.PROGRESSING, SetSplit(Split.to_canary(100))],
    ),
    "it waits there for the primary": (
        failed(),
        facts(100, primary=primary(V1, DOWN)),
        [After(600)],
    ),
    "but not for ever": (
        failed(),
        later(facts(100, primary=primary(V1, DOWN)), seconds=600),
        [Phase.FAILED],
    ),
    "nor when neither side serves": (
        failed(**RESTORING),
        later(facts(target=target(V2, DOWN), primary=primary(V1, DOWN)), seconds=600),
        [Phase.FAILED],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_take_back(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_the_end_keeps_the_promoted_hash_and_resets_the_counters() -> None:
    canary = failed(status={"failed_checks": 2, "iterations": 3, "last_applied_spec": V2})
    status = written(decide(canary, facts(target=SLEEPS)))
    assert (status.last_applied_spec, status.last_promoted_spec) == (V2, V1)
    assert (status.failed_checks, status.iterations, status.canary_weight) == (0, 0, 0)
    promoted = status.condition("Promoted")
    assert promoted
    assert (promoted.status, promoted.reason) == ("False", "Failed")


def test_the_end_is_told_and_calls_the_post_rollout_hooks() -> None:
    said = told(decide(failed(), facts(target=SLEEPS)))
    assert [(each.type, each.hooks, each.phase) for each in said] == [
        ("Warning", "", Phase.FAILED),
        ("Normal", "post-rollout", Phase.FAILED),
    ]


def test_a_cancelled_run_is_no_failure_to_anybody() -> None:
    actions = decide(failed(ending=Ending.CANCELLED), facts(target=target(V1, idle=True)))
    assert [(each.type, each.severity, each.hooks) for each in told(actions)] == [
        ("Normal", "", "")
    ]
    assert written(actions).last_applied_spec == V1


def test_every_way_back_begins_with_an_error_alert() -> None:
    """The alert for a canary that isn't ready can't be reached elsewhere."""
    broken = replace(PARTLY, hopeless=True)
    actions = decide(running(weight=20), facts(20, target=target(V2, broken)))
    assert [each.severity for each in told(actions)] == ["error"]


def test_traffic_that_could_not_go_back_stays_and_is_told() -> None:
    seen = later(facts(100, primary=primary(V1, DOWN)), seconds=600)
    status = written(decide(failed(), seen))
    assert (status.canary_weight, status.phase) == (100, Phase.FAILED)
    assert "0 of 2 pods are ready" in status.stalled
    assert status.run
    assert status.run.left_awake


def test_where_neither_side_serves_there_is_no_traffic_to_keep() -> None:
    seen = facts(target=target(V2, DOWN), primary=primary(V1, DOWN))
    status = written(decide(failed(**RESTORING), later(seen, seconds=600)))
    assert (status.canary_weight, status.phase) == (0, Phase.FAILED)
    assert "0 of 2 pods are ready" in status.stalled


def test_a_restored_primary_is_told_and_ends_the_restoring() -> None:
    actions = decide(failed(100, **RESTORING), facts(100))
    assert (run_of(actions).restoring, run_of(actions).split) == (False, Split())
    assert written(actions).canary_weight == 0
    assert NOW + timedelta(0) == run_of(actions).since
