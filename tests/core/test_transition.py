"""How a decision is recorded: deadlines, announcements, conditions."""

from datetime import datetime, timedelta

import pytest

from canary.core.facts import HookType, Seen
from canary.core.transition import Say, deadline, has_hooks, move, stall, wait
from canary.crd import Canary
from canary.crd.status import Condition, Phase
from tests.core.rows import NOW, After, at, brief, facts, gated, told, written
from tests.core.world import FULL, podinfo

SEEN = Seen(NOW, abilities=FULL)

DEADLINES: dict[str, tuple[Canary, Phase, timedelta | None]] = {
    "setting up": (podinfo(), Phase.INITIALIZING, timedelta(seconds=600)),
    "as the manifest says": (
        podinfo(spec={"progressDeadlineSeconds": 30}),
        Phase.PROMOTING,
        timedelta(seconds=30),
    ),
    "finalising": (podinfo(), Phase.FINALISING, timedelta(seconds=600)),
    "terminating": (podinfo(), Phase.TERMINATING, timedelta(seconds=600)),
    "a gate may take a day": (podinfo(), Phase.WAITING, timedelta(days=1)),
    "a gate may say how long": (
        gated("confirm-rollout", deadline="2h"),
        Phase.WAITING,
        timedelta(hours=2),
    ),
    "another gate's deadline is another": (
        gated("confirm-promotion", deadline="2h"),
        Phase.WAITING,
        timedelta(days=1),
    ),
    "the gate of promotion": (
        gated("confirm-promotion", deadline="2h"),
        Phase.WAITING_PROMOTION,
        timedelta(hours=2),
    ),
    "a run: twice its intervals, getting ready, and an hour": (
        podinfo(),
        Phase.PROGRESSING,
        timedelta(minutes=2 * 3 + 10 + 60),
    ),
    "a final phase has none": (podinfo(), Phase.SUCCEEDED, None),
    "a failure has none": (podinfo(), Phase.FAILED, None),
}


@pytest.mark.parametrize(("canary", "phase", "expected"), DEADLINES.values(), ids=DEADLINES)
def test_deadlines(canary: Canary, phase: Phase, expected: timedelta | None) -> None:
    assert deadline(canary, phase, SEEN) == (NOW + expected if expected else None)


def test_every_phase_that_is_not_final_has_one() -> None:
    lasting = {Phase.NEW, Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED, Phase.TERMINATED}
    for phase in set(Phase) - lasting:
        assert deadline(podinfo(), phase, SEEN), phase


def test_entering_a_phase_starts_its_clock_and_clears_what_was_wrong() -> None:
    canary = at(Phase.PROGRESSING, entered_at=NOW - timedelta(hours=1), stalled="slow")
    status = written([move(canary, SEEN, phase=Phase.PROMOTING)])
    assert (status.entered_at, status.stalled) == (NOW, "")
    assert status.deadline == NOW + timedelta(seconds=600)


def test_another_write_moves_only_the_compatible_time() -> None:
    canary = at(Phase.PROGRESSING)
    later = NOW + timedelta(minutes=1)
    status = written([move(canary, Seen(later), failed_checks=1)])
    assert status.last_transition_time == later
    assert (status.entered_at, status.deadline) == (NOW, canary.status.deadline)
    assert status.conditions == canary.status.conditions


def test_every_write_says_which_generation_it_is_about() -> None:
    meta = podinfo().metadata.model_copy(update={"generation": 7})
    canary = podinfo().model_copy(update={"metadata": meta})
    assert written([move(canary, SEEN, failed_checks=1)]).observed_generation == 7


def test_announcements_have_keys_that_never_come_again() -> None:
    canary = at(Phase.PROGRESSING)
    first = written([move(canary, SEEN, Say("a"), Say("b"))])
    canary = canary.model_copy(update={"status": first})
    second = written([move(canary, SEEN, Say("a"))])
    keys = [each.key for each in (*first.announcements, *second.announcements)]
    assert len(set(keys)) == 3
    assert (first.transition, second.transition) == (1, 2)


def test_a_write_without_words_keeps_those_of_the_last_one() -> None:
    canary = at(Phase.PROGRESSING)
    canary = canary.model_copy(update={"status": written([move(canary, SEEN, Say("a"))])})
    status = written([move(canary, SEEN, failed_checks=1)])
    assert [each.text for each in status.announcements] == ["a"]
    assert status.transition == 1


def test_words_carry_the_phase_that_the_transition_leads_to() -> None:
    (said,) = told([move(at(Phase.PROGRESSING), SEEN, Say("a"), phase=Phase.PROMOTING)])
    assert said.phase == Phase.PROMOTING


CONDITIONS = {
    Phase.INITIALIZING: ("Unknown", "Unknown", "True"),
    Phase.INITIALIZED: ("True", "True", "False"),
    Phase.WAITING: ("Unknown", "Unknown", "True"),
    Phase.PROGRESSING: ("Unknown", "Unknown", "True"),
    Phase.WAITING_PROMOTION: ("Unknown", "Unknown", "True"),
    Phase.PROMOTING: ("Unknown", "Unknown", "True"),
    Phase.FINALISING: ("Unknown", "Unknown", "True"),
    Phase.SUCCEEDED: ("True", "True", "False"),
    Phase.FAILED: ("False", "False", "False"),
    Phase.TERMINATING: ("Unknown", "Unknown", "True"),
}


@pytest.mark.parametrize("phase", CONDITIONS)
def test_conditions(phase: Phase) -> None:
    """`Promoted` as the compatible API has it; the others so that kstatus and `wait` work."""
    status = written([move(podinfo(), SEEN, phase=phase)])
    kinds = ("Promoted", "Ready", "Reconciling")
    found = [status.condition(kind) for kind in kinds]
    assert tuple(each.status for each in found if each) == CONDITIONS[phase]
    assert found[0]
    assert found[0].reason == str(phase)


def test_a_suspended_canary_is_not_reconciling() -> None:
    status = written([move(at(Phase.PROGRESSING), SEEN, suspended=True)])
    condition = status.condition("Reconciling")
    assert condition
    assert (condition.status, condition.reason) == ("False", "Suspended")


def test_conditions_of_others_stay() -> None:
    theirs = Condition(type="Theirs", status="True", reason="x", message="y")
    canary = at(Phase.PROGRESSING, conditions=(theirs,))
    assert written([move(canary, SEEN, phase=Phase.PROMOTING)]).condition("Theirs") == theirs


def test_the_time_of_a_condition_moves_only_when_its_status_does() -> None:
    canary = at(Phase.PROGRESSING)

    def goes_to(phase: Phase, now: datetime) -> Condition:
        nonlocal canary
        status = written([move(canary, Seen(now), phase=phase)])
        canary = canary.model_copy(update={"status": status})
        condition = status.condition("Promoted")
        assert condition
        return condition

    minute = timedelta(minutes=1)
    goes_to(Phase.WAITING_PROMOTION, NOW)
    same = goes_to(Phase.PROMOTING, NOW + minute)
    assert (same.last_transition_time, same.last_update_time) == (NOW, NOW + minute)
    other = goes_to(Phase.SUCCEEDED, NOW + 2 * minute)
    assert other.last_transition_time == NOW + 2 * minute


def test_a_stalled_canary_says_why_and_is_looked_at_again() -> None:
    canary = at(Phase.PROMOTING, deadline=NOW)
    status = written(stall(canary, SEEN, "it hangs"))
    assert (status.stalled, status.phase) == ("it hangs", Phase.PROMOTING)
    assert status.deadline == NOW + timedelta(seconds=600)
    condition = status.condition("Stalled")
    assert condition
    assert (condition.status, condition.message) == ("True", "it hangs")


WAITS: dict[str, tuple[timedelta | None, After]] = {
    "until then": (timedelta(hours=1), After(60)),
    "but not past the deadline": (timedelta(seconds=20), After(20)),
    "a deadline that has passed is no reason to spin": (timedelta(seconds=-1), After(60)),
    "there need not be one": (None, After(60)),
}


@pytest.mark.parametrize(("end", "expected"), WAITS.values(), ids=WAITS)
def test_wait(end: timedelta | None, expected: After) -> None:
    canary = at(Phase.PROGRESSING, deadline=NOW + end if end is not None else None)
    assert brief(wait(canary, facts(), NOW + timedelta(minutes=1), "x")) == [expected]


def test_a_webhook_without_a_type_is_a_rollout_hook() -> None:
    assert has_hooks(gated(""), HookType.ROLLOUT)
    assert not has_hooks(gated(""), HookType.PRE_ROLLOUT)
