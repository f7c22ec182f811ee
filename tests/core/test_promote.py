"""Promotion: copy, wait for the primary, shift back, put the canary to sleep."""

from datetime import timedelta
from typing import Any

import pytest

from canary.core.actions import Ask, Promote, Remember, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import Live, Seen, Traffic
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Split, Verdict
from tests.core.rows import (
    BROKEN,
    DOWN,
    NOW,
    PARTLY,
    PASS,
    V1,
    V2,
    V3,
    After,
    brief,
    facts,
    primary,
    run_of,
    running,
    target,
    told,
    words,
    written,
)
from tests.core.world import podinfo

GOOD = Verdict(outcome=Ending.PROMOTED, reason="every check passed", at=NOW)
STEPS = podinfo(stepWeight=100, stepWeightPromotion=50)
COPIED = primary(V2)
LATE = {"deadline": NOW}
QUIET = Traffic(0.0)


def promoting(canary: Canary | None = None, weight: int = 60, **fields: Any) -> Canary:
    status = {"deadline": NOW + timedelta(seconds=600), **fields.pop("status", {})}
    return running(
        canary,
        weight,
        phase=Phase.PROMOTING,
        verdict=GOOD,
        status=status,
        **{"since": NOW, **fields},
    )


def finalising(canary: Canary | None = None, **fields: Any) -> Canary:
    status = {"deadline": NOW + timedelta(seconds=600), **fields.pop("status", {})}
    return running(
        canary, 0, phase=Phase.FINALISING, verdict=GOOD, status=status, **{"since": NOW, **fields}
    )


A1, A2 = {"configmap/a": "1"}, {"configmap/a": "2"}
NEWER = {"tracked_configs": A2}
BACK = [Phase.FINALISING, SetSplit(Split())]
BY_HEADER = Split.to_canary(100, matched=True)

PROMOTING: dict[str, tuple[Canary, Seen, list[object]]] = {
    "looks before it leaps": (promoting(), Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "copies again what a crash prevented": (promoting(), facts(60), [Promote(V2)]),
    "copies again if only the configs are new and a crash prevented it": (
        promoting(status=NEWER, known_good=V2),
        facts(60, target=target(configs=A2), primary=primary(V2, configs=A1)),
        [Promote(V2)],
    ),
    "goes on once the primary has the configs that were analysed": (
        promoting(status=NEWER, known_good=V2),
        facts(60, target=target(configs=A2), primary=primary(V2, configs=A2)),
        BACK,
    ),
    "takes back what can't be copied any more because a config was changed": (
        promoting(status=NEWER),
        facts(60, target=target(configs=A1), primary=primary(V1, configs=A1)),
        [Phase.PROMOTING],
    ),
    "copies to a primary that is gone": (promoting(), facts(60, primary=None), [Promote(V2)]),
    "copies the record, not what the target has by now": (
        promoting(),
        facts(60, target=target(V3)),
        [Promote(V2)],
    ),
    "records first what another program began to promote": (
        promoting(),
        facts(60, recorded=frozenset()),
        [Remember(V2, V1)],
    ),
    "takes it back when what was analysed is recorded nowhere": (
        promoting(),
        facts(60, target=target(V3), recorded=frozenset()),
        [Phase.PROMOTING],
    ),
    "waits for the primary while traffic stays": (
        promoting(),
        facts(60, primary=primary(V2, PARTLY)),
        [After(600)],
    ),
    "a primary without endpoints gets no traffic": (
        promoting(),
        facts(60, primary=primary(V2, DOWN)),
        [Phase.PROMOTING, SetSplit(Split.to_canary(100))],
    ),
    "all traffic goes to the ready primary at once": (promoting(), facts(60, primary=COPIED), BACK),
    "or in steps": (
        promoting(STEPS, 100),
        facts(100, primary=COPIED),
        [Phase.PROMOTING, SetSplit(Split.to_canary(50))],
    ),
    "each step is watched for an interval": (
        promoting(STEPS, 50, step_back=True),
        facts(50, primary=COPIED),
        [After(60)],
    ),
    "the last step is the end of it": (
        promoting(STEPS, 50, step_back=True, since=NOW - timedelta(minutes=1)),
        facts(50, primary=COPIED),
        BACK,
    ),
    "steps end even if the canary has no weight any more": (
        promoting(STEPS, 0),
        facts(0, primary=COPIED),
        BACK,
    ),
    "an A/B test ends at once": (
        promoting(STEPS, split=BY_HEADER),
        facts(BY_HEADER, primary=COPIED),
        BACK,
    ),
    "a changed target gets no traffic while the primary serves": (
        promoting(),
        facts(60, target=target(V3), primary=primary(V2, PARTLY)),
        [Phase.PROMOTING, SetSplit(Split())],
    ),
    "a broken primary is taken back": (
        promoting(),
        facts(60, primary=primary(V2, BROKEN)),
        [Phase.PROMOTING],
    ),
    "a primary that takes longer than its deadline is taken back": (
        promoting(status=LATE),
        facts(60, primary=primary(V2, PARTLY)),
        [Phase.PROMOTING],
    ),
    "weights that somebody changed are set back": (
        promoting(),
        facts(10, primary=COPIED),
        [Phase.PROMOTING, SetSplit(Split.to_canary(60))],
    ),
    "a data plane that doesn't follow in time is told to people": (
        promoting(status=LATE),
        facts(live=Live(Split.to_canary(60), pending="x"), primary=COPIED),
        [Phase.PROMOTING],
    ),
}

FINALISING: dict[str, tuple[Canary, Seen, list[object]]] = {
    "a target that can't sleep is not waited for": (
        finalising(),
        facts(target=target(sleeps=False), primary=COPIED),
        [Phase.SUCCEEDED],
    ),
    "looks before it leaps": (finalising(), Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "shifts what a crash prevented": (
        finalising(),
        facts(60, primary=COPIED),
        [Phase.FINALISING, SetSplit(Split())],
    ),
    "counts what still reaches the canary": (
        finalising(),
        facts(primary=COPIED),
        [Ask.TRAFFIC],
    ),
    "the canary stays awake while requests reach it": (
        finalising(),
        facts(primary=COPIED, traffic=Traffic(2.0)),
        [After(1)],
    ),
    "and for as long as its drain says": (
        finalising(podinfo(drain="30s")),
        facts(primary=COPIED, traffic=QUIET),
        [After(30)],
    ),
    "where nobody can count, a few seconds pass": (
        finalising(),
        facts(primary=COPIED, traffic=Traffic(None)),
        [After(5)],
    ),
    "puts the canary to sleep": (
        finalising(),
        facts(primary=COPIED, traffic=QUIET),
        [Scale(up=False)],
    ),
    "and is done": (
        finalising(),
        facts(target=target(V2, idle=True), primary=COPIED),
        [Phase.SUCCEEDED],
    ),
    "leaves the target awake for a newer revision": (
        finalising(),
        facts(target=target(V3), primary=COPIED),
        [Phase.SUCCEEDED],
    ),
    "a target that is gone is no obstacle": (
        finalising(),
        facts(target=None, primary=COPIED),
        [Phase.SUCCEEDED],
    ),
    "requests that never end are told to people, and the canary stays awake": (
        finalising(status=LATE),
        facts(primary=COPIED, traffic=Traffic(2.0)),
        [Phase.FINALISING],
    ),
    "traffic returns to the canary while the primary has no endpoint": (
        finalising(),
        facts(primary=primary(V2, DOWN)),
        [Phase.FINALISING, SetSplit(Split.to_canary(100))],
    ),
    "nothing sleeps while the primary has no endpoint": (
        finalising(),
        facts(100, primary=primary(V2, DOWN), traffic=QUIET),
        [After(600)],
    ),
    "a primary that broke is taken back": (
        finalising(),
        facts(primary=primary(V2, BROKEN)),
        [Phase.FINALISING],
    ),
    "a primary that somebody overwrote is written again": (
        finalising(),
        facts(primary=primary(V1)),
        [Promote(V2)],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), PROMOTING.values(), ids=PROMOTING)
def test_promoting(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


@pytest.mark.parametrize(("canary", "seen", "expected"), FINALISING.values(), ids=FINALISING)
def test_finalising(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_the_decision_is_recorded_before_anything_is_copied() -> None:
    actions = decide(running(weight=60), facts(60, PASS))
    assert brief(actions) == [Phase.PROMOTING, Promote(V2)]
    status = written(actions)
    assert status.run
    assert status.run.verdict == GOOD
    assert status.deadline == NOW + timedelta(seconds=600)
    assert words(actions) == "copying podinfo to podinfo-primary in test: every check passed"


def test_each_step_back_has_a_deadline_of_its_own() -> None:
    status = written(decide(promoting(STEPS, 100), facts(100, primary=COPIED)))
    assert (status.canary_weight, status.deadline) == (50, NOW + timedelta(seconds=600))
    assert status.run
    assert status.run.step_back


def test_success_resets_the_counters_and_keeps_the_hash() -> None:
    canary = finalising(status={"failed_checks": 1, "iterations": 3})
    seen = facts(target=target(V2, idle=True), primary=COPIED)
    status = written(decide(canary, seen))
    assert (status.last_promoted_spec, status.last_applied_spec) == (V2, V2)
    assert (status.canary_weight, status.iterations, status.failed_checks) == (0, 0, 0)
    assert status.deadline is None
    promoted = status.condition("Promoted")
    assert promoted
    assert (promoted.status, promoted.reason) == ("True", "Succeeded")


def test_success_is_told_with_an_alert_and_calls_the_post_rollout_hooks() -> None:
    seen = facts(target=target(V2, idle=True), primary=COPIED)
    said = told(decide(finalising(), seen))
    assert [(each.severity, each.hooks, each.phase) for each in said] == [
        ("info", "", Phase.SUCCEEDED),
        ("", "post-rollout", Phase.SUCCEEDED),
    ]
    skipped = finalising(podinfo(spec={"skipAnalysis": True}))
    assert "without analysis" in words(decide(skipped, seen))


@pytest.mark.parametrize(
    ("canary", "weight"), [(promoting(), 60), (finalising(), 0)], ids=["promoting", "finalising"]
)
def test_a_failed_promotion_restores_the_primary_and_keeps_traffic_on_the_canary(
    canary: Canary, weight: int
) -> None:
    actions = decide(canary, facts(weight, primary=primary(V2, BROKEN)))
    run = run_of(actions)
    assert run.verdict
    assert run.verdict.outcome == Ending.FAILED
    assert (run.restoring, run.split) == (True, Split.to_canary(100))
    assert [each.severity for each in told(actions)] == ["error"]
