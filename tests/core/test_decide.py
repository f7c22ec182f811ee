"""The decision as a whole: who is heard first, and what holds for any facts whatever."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.actions import Action, Ask, AskHooks, Promote, Scale, SetSplit, SetStatus
from canary.core.decide import decide
from canary.core.facts import HookAnswer, HookType, Live, Readiness, Seen, Traffic, Workloads
from canary.core.transition import FINAL
from canary.crd import Canary
from canary.crd.status import Ending, Pause, Phase, Split, Verdict
from tests.core.rows import (
    CERTAIN,
    FAIL,
    HEADER,
    MINUTE,
    NO_ANSWER,
    NO_DATA,
    NOW,
    PASS,
    V1,
    V2,
    V3,
    at,
    brief,
    facts,
    hook,
    later,
    primary,
    run_of,
    running,
    target,
    told,
    written,
)
from tests.core.world import FULL, podinfo

SUSPEND = podinfo(spec={"suspend": True})
STATUS = {"suspended": True, "deadline": NOW + timedelta(hours=1), "failed_checks": 1}

ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "a suspended one is told once": (running(SUSPEND, 20), facts(20), [Phase.PROGRESSING]),
    "and then nothing is done, not even repaired": (
        running(SUSPEND, 20, status=STATUS),
        facts(70, target=target(V3)),
        [],
    ),
    "it goes on when that is taken back": (
        running(weight=20, status=STATUS),
        facts(20),
        [Phase.PROGRESSING],
    ),
    "a phase that another program began gets a deadline": (
        running(weight=20, status={"deadline": None}),
        facts(20),
        [Phase.PROGRESSING],
    ),
    "a run without a record is taken over": (
        at(Phase.PROGRESSING),
        Seen(NOW),
        [Ask.WORKLOADS, Ask.LIVE],
    ),
    "a run without a target or routes is set up anew": (
        at(Phase.PROGRESSING),
        facts(None),
        [Phase.INITIALIZING],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_decide(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen)) == expected


def test_time_in_suspension_is_taken_off_every_clock() -> None:
    clocks: dict[str, Any] = {"unready_since": NOW, "held_since": NOW}
    actions = decide(running(weight=20, status=STATUS, **clocks), later(facts(20), days=3))
    day = timedelta(days=3)
    run = run_of(actions)
    assert (run.unready_since, run.held_since, run.since) == (NOW + day, NOW + day, NOW + day)
    assert written(actions).deadline == NOW + timedelta(hours=1) + day
    assert written(actions).failed_checks == 1


def test_suspension_is_told_when_it_changes() -> None:
    assert len(told(decide(running(SUSPEND, 20), facts(20)))) == 1
    assert len(told(decide(running(weight=20, status=STATUS), facts(20)))) == 1


def test_another_try_is_another_run() -> None:
    """The same revision at another time: hooks must not take it for the same one."""
    canary = at(Phase.SUCCEEDED)
    first = run_of(decide(canary, facts()))
    second = run_of(decide(canary, later(facts(), minutes=1)))
    assert first.revision == second.revision
    assert first.id != second.id


# ------------------------------------------------------------------- for any facts whatever

REVISIONS = st.sampled_from([V1, V2, V3])
SPLITS = st.sampled_from(
    [
        *(Split.to_canary(each) for each in (0, 20, 60, 100)),
        Split(mirrored=True),
        Split.to_canary(100, matched=True),
    ]
)
MOMENTS = st.sampled_from([NOW - timedelta(days=2), NOW - MINUTE, NOW, NOW + MINUTE])
HOOKS = [hook(str(each)) for each in HookType if each != HookType.EVENT]
CANARIES = st.sampled_from(
    [
        podinfo(),
        podinfo(stepWeight=50, stepWeightPromotion=30),
        podinfo(stepWeight=50, mirror=True, sessionAffinity={"cookieName": "c"}),
        podinfo(iterations=2, match=HEADER),
        podinfo(iterations=2, drain="30s"),
        podinfo(spec={"skipAnalysis": True}),
        podinfo(webhooks=HOOKS),
    ]
)
VERDICTS = st.one_of(
    st.none(),
    st.sampled_from(list(Ending)).map(lambda how: Verdict(outcome=how, reason="x", at=NOW)),
)


@st.composite
def readiness(draw: st.DrawFn) -> Readiness:
    serving = draw(st.integers(0, 2))
    ready = serving == 2 and draw(st.booleans())
    return Readiness(ready, serving, 2, hopeless=not ready and draw(st.booleans()), reason="x")


@st.composite
def canaries(draw: st.DrawFn) -> Canary:
    phase = draw(st.sampled_from(list(Phase)))
    status = {
        "deadline": draw(st.one_of(st.none(), MOMENTS)),
        "last_transition_time": draw(MOMENTS),
        "failed_checks": draw(st.integers(0, 3)),
        "iterations": draw(st.integers(0, 4)),
        "last_applied_spec": draw(REVISIONS),
        "last_promoted_spec": draw(REVISIONS),
        "canary_weight": draw(st.sampled_from([0, 20, 100])),
        "stalled": draw(st.sampled_from(["", "x"])),
        "suspended": draw(st.booleans()),
    }
    run: dict[str, Any] = {
        "split": draw(SPLITS),
        "since": draw(st.one_of(st.none(), MOMENTS)),
        "prepared": draw(st.booleans()),
        "revision": draw(REVISIONS),
        "known_good": draw(REVISIONS),
        "verdict": draw(VERDICTS),
        "restoring": draw(st.booleans()),
        "stranded": draw(st.booleans()),
        "step_back": draw(st.booleans()),
        "left_awake": draw(st.booleans()),
        "wanted": draw(st.sampled_from(["", "promote", "skip-step"])),
        "paused": draw(st.sampled_from([None, Pause(since=NOW)])),
        "unready_since": draw(st.one_of(st.none(), MOMENTS)),
        "held_since": draw(st.one_of(st.none(), MOMENTS)),
    }
    return running(draw(CANARIES), phase=phase, status=status, **run)


@st.composite
def looks(draw: st.DrawFn) -> Seen:
    sides = Workloads(
        draw(st.one_of(st.none(), st.builds(target, REVISIONS, readiness(), idle=st.booleans()))),
        draw(st.one_of(st.none(), st.builds(primary, REVISIONS, readiness()))),
        draw(st.frozensets(REVISIONS)),
        alike=draw(st.booleans()),
    )
    kinds = st.sampled_from(list(HookType))
    answers = st.booleans().map(lambda yes: (HookAnswer("x", yes),))
    return Seen(
        now=NOW,
        abilities=FULL,
        workloads=sides,
        live=Live(draw(st.one_of(st.none(), SPLITS)), stale=draw(st.booleans())),
        traffic=Traffic(draw(st.sampled_from([None, 0.0, 3.0]))),
        checks=tuple(draw(st.lists(st.sampled_from([PASS, FAIL, NO_DATA, NO_ANSWER, CERTAIN])))),
        hooks=draw(st.dictionaries(kinds, answers)),
    )


@settings(max_examples=600, deadline=None)
@given(canaries(), looks())
def test_whatever_is_seen(canary: Canary, seen: Seen) -> None:
    actions = decide(canary, seen)
    assert actions == decide(canary, seen), "the same facts give the same answer"
    for action in actions:
        _allowed(action, canary, seen)
    questions = [isinstance(each, Ask | AskHooks) for each in actions]
    assert all(questions) or not any(questions), "questions come before deeds"


def _allowed(action: Action, canary: Canary, seen: Seen) -> None:
    assert seen.workloads
    assert seen.live
    sides = seen.workloads
    new = sides.target.readiness.serving if sides.target else 0
    old = sides.primary.readiness.serving if sides.primary else 0
    match action:
        case SetSplit(split):
            assert split.primary + split.canary == 100
            assert new or not old or not (split.canary or split.mirrored), "traffic to nothing"
            assert old or not new or not (split.primary or split.matched), "traffic to nothing"
        case Scale(up=False):
            assert seen.live.split == Split(), "put to sleep while it has traffic"
            assert seen.traffic
            assert not seen.traffic.canary, "put to sleep while requests reach it"
            assert old or not new, "put to sleep while it alone serves"
        case Promote(revision):
            run = canary.status.run
            assert run
            assert revision in {run.revision, run.known_good}, "promoted something else"
        case SetStatus(status):
            lasting = {*FINAL, Phase.NEW, Phase.TERMINATED}
            bounded = status.deadline or status.phase in lasting or status.suspended
            assert bounded or canary.status.deadline is None, "no exit"
            assert canary.status.transition <= status.transition
        case _:
            pass


@settings(max_examples=200, deadline=None)
@given(canaries(), looks())
def test_nothing_rests_in_the_middle_of_a_run(canary: Canary, seen: Seen) -> None:
    """Only final phases may rest; all others ask, do or wait for a moment."""
    actions = decide(canary, replace(seen, workloads=None, live=None, traffic=None, checks=None))
    assert actions or canary.status.phase in FINAL
