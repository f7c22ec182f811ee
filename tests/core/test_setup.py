"""Setting up: a primary is made and serves before anything of the target's is touched."""

from datetime import timedelta

import pytest

from canary.core.actions import Ask, CreatePrimary, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import Seen, Traffic
from canary.core.transition import DEFAULT_PROGRESS_DEADLINE
from canary.crd import Canary
from canary.crd.status import Phase, Split
from tests.core.rows import (
    BROKEN,
    DOWN,
    NOW,
    SLEEPING,
    V1,
    V2,
    After,
    at,
    brief,
    facts,
    later,
    primary,
    target,
    told,
    words,
    written,
)
from tests.core.world import podinfo

NEW = at(Phase.NEW, last_applied_spec="", last_promoted_spec="")
INITIALIZING = at(
    Phase.INITIALIZING,
    last_applied_spec="",
    last_promoted_spec="",
    deadline=NOW + timedelta(seconds=DEFAULT_PROGRESS_DEADLINE),
)
QUIET = Traffic(0.0)
OLD = target(V1)

ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "a new Canary is initialising first": (NEW, Seen(NOW), [Phase.INITIALIZING]),
    "looks before it leaps": (INITIALIZING, Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "a target that doesn't exist is said once": (
        INITIALIZING,
        facts(None, target=None, primary=None),
        [Phase.INITIALIZING],
    ),
    "the primary is made from the target as it is": (
        INITIALIZING,
        facts(None, target=OLD, primary=None),
        [CreatePrimary(V1)],
    ),
    "nothing moves until the primary is ready": (
        INITIALIZING,
        facts(None, target=OLD, primary=primary(V1, DOWN)),
        [After(600)],
    ),
    "a broken primary is told to people, and the serving target is not touched": (
        INITIALIZING,
        facts(None, target=OLD, primary=primary(V1, BROKEN)),
        [Phase.INITIALIZING],
    ),
    "a primary that takes longer than its deadline is told to people": (
        INITIALIZING,
        later(facts(None, target=OLD, primary=primary(V1, DOWN)), seconds=601),
        [Phase.INITIALIZING],
    ),
    "traffic goes to the ready primary": (
        INITIALIZING,
        facts(None, target=OLD),
        [Phase.INITIALIZING, SetSplit(Split())],
    ),
    "what reaches the target is counted before it sleeps": (
        INITIALIZING,
        facts(0, target=OLD),
        [Ask.TRAFFIC],
    ),
    "a target that requests still reach stays awake": (
        INITIALIZING,
        facts(0, target=OLD, traffic=Traffic(3.0)),
        [After(1)],
    ),
    "where nobody can count, requests get a few seconds to end": (
        INITIALIZING,
        facts(0, target=OLD, traffic=Traffic(None)),
        [After(5)],
    ),
    "a target that nothing reaches is put to sleep": (
        INITIALIZING,
        facts(0, target=OLD, traffic=QUIET),
        [Scale(up=False)],
    ),
    "it is set up when the primary serves and the target sleeps": (
        INITIALIZING,
        facts(0, target=SLEEPING),
        [Phase.INITIALIZED],
    ),
    "a target that can't sleep is not waited for": (
        INITIALIZING,
        facts(0, target=target(V1, sleeps=False)),
        [Phase.INITIALIZED],
    ),
    "a target that vanished meanwhile doesn't hold it up": (
        INITIALIZING,
        facts(0, target=None),
        [Phase.INITIALIZED],
    ),
    "a setup that another program began gets a deadline": (
        at(Phase.INITIALIZING, deadline=None),
        facts(None, target=OLD, primary=primary(V1, DOWN)),
        [Phase.INITIALIZING],
    ),
    "a first version that never ran makes way for the edit that does": (
        INITIALIZING,
        facts(None, target=target(V2), primary=primary(V1, BROKEN)),
        [CreatePrimary(V2)],
    ),
    "a target that serves nobody mends no primary": (
        at(Phase.INITIALIZING, stalled="the primary is not ready: it crashes"),
        facts(None, target=target(V2, idle=True), primary=primary(V1, BROKEN)),
        [After(86400)],
    ),
    "what is left of an object of the same name is set up anew": (
        at(Phase.TERMINATING),
        facts(),
        [Phase.INITIALIZING],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_setup(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_both_hashes_are_those_of_what_the_primary_carries() -> None:
    status = written(decide(INITIALIZING, facts(0, target=SLEEPING, alike=True)))
    assert (status.last_applied_spec, status.last_promoted_spec) == (V1, V1)
    assert status.run is None


def test_a_target_changed_during_setup_gets_a_run_of_its_own() -> None:
    changed = target(V2, idle=True)
    seen = facts(0, target=changed)
    ready = INITIALIZING.model_copy(update={"status": written(decide(INITIALIZING, seen))})
    assert ready.status.last_promoted_spec == V1
    assert brief(decide(ready, seen))[0] == Phase.PROGRESSING


def test_setup_is_told_with_an_alert() -> None:
    (said,) = told(decide(INITIALIZING, facts(0, target=SLEEPING)))
    assert (said.phase, said.severity, said.type) == (Phase.INITIALIZED, "info", "Normal")


def test_a_problem_is_told_once_and_rests_in_the_conditions() -> None:
    seen = facts(None, target=None, primary=None)
    status = written(decide(INITIALIZING, seen))
    stalled = status.condition("Stalled")
    assert stalled
    assert stalled.status == "True"
    assert "Deployment test/podinfo does not exist" in stalled.message
    assert decide(INITIALIZING.model_copy(update={"status": status}), seen) == []


def test_a_missing_target_that_appears_is_no_problem_any_more() -> None:
    canary = at(Phase.INITIALIZING, stalled="it does not exist")
    actions = decide(canary, facts(None, target=OLD, primary=None))
    assert brief(actions) == [Phase.INITIALIZING, CreatePrimary(V1)]
    assert written(actions).stalled == ""


def test_a_primary_that_crashes_again_is_recorded_and_not_told_again() -> None:
    again = at(Phase.INITIALIZING, stalled="the primary is not ready: it crashed once")
    status = written(decide(again, facts(None, target=OLD, primary=primary(V1, BROKEN))))
    assert "it crashes" in status.stalled
    assert status.transition == again.status.transition


def test_the_reason_of_a_broken_primary_is_passed_on() -> None:
    assert "it crashes" in words(
        decide(INITIALIZING, facts(None, target=OLD, primary=primary(V1, BROKEN)))
    )


def test_setup_needs_no_analysis_even_if_it_is_skipped() -> None:
    """A primary that isn't ready must not get the traffic, whatever the manifest skips."""
    canary = at(Phase.INITIALIZING, podinfo(spec={"skipAnalysis": True}))
    seen = facts(None, target=OLD, primary=primary(V1, DOWN))
    assert not any(isinstance(each, SetSplit) for each in decide(canary, seen))
