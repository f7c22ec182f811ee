"""Waiting for approval to start."""

from datetime import timedelta
from typing import Any

import pytest

from canary.core.actions import Ask, AskHooks, CreatePrimary, Remember, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import HookType, Seen
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Split
from tests.core.rows import (
    DOWN,
    NOW,
    V1,
    V2,
    V3,
    After,
    brief,
    facts,
    gated,
    hook,
    later,
    no,
    primary,
    run_of,
    running,
    target,
    words,
    written,
    yes,
)
from tests.core.world import podinfo

CONFIRM, ROLLBACK = HookType.CONFIRM_ROLLOUT, HookType.ROLLBACK
NEW = target(V2, idle=True)


def waiting(canary: Canary | None = None, weight: int = 0, **run: Any) -> Canary:
    status = {"last_applied_spec": V1}
    made = canary or gated("confirm-rollout")
    return running(made, weight, phase=Phase.WAITING, status=status, prepared=False, **run)


WAITING = waiting()
BOTH = waiting(podinfo(webhooks=[hook("confirm-rollout"), hook("rollback")]))
BEGINS = [Phase.PROGRESSING, Remember(V2, V1), Scale(up=True)]
DAY = {"days": 1, "seconds": 1}

ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "looks before it asks": (WAITING, Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "asks once an interval": (WAITING, facts(target=NEW), [AskHooks(CONFIRM, "run-1")]),
    "asks no sooner than that": (
        waiting(since=NOW - timedelta(seconds=20)),
        facts(target=NEW),
        [After(40)],
    ),
    "goes on waiting while the gate is closed": (
        WAITING,
        facts(target=NEW, hooks=no(CONFIRM)),
        [Phase.WAITING],
    ),
    "starts when the gate opens": (WAITING, facts(target=NEW, hooks=yes(CONFIRM)), BEGINS),
    "starts when somebody says promote": (waiting(wanted="promote"), facts(target=NEW), BEGINS),
    "asks the rollback hooks first": (BOTH, facts(target=NEW), [AskHooks(ROLLBACK, "run-1")]),
    "a rollback hook ends it before it starts": (
        BOTH,
        facts(target=NEW, hooks=yes(ROLLBACK)),
        [Phase.FAILED],
    ),
    "a newer revision waits instead": (WAITING, facts(target=target(V3)), [Phase.WAITING]),
    "a target set back ends the waiting": (WAITING, facts(target=target(V1)), [Phase.SUCCEEDED]),
    "a target that is gone ends the waiting": (WAITING, facts(target=None), [Phase.FAILED]),
    "a gate that stays closed for a day is told to people": (
        WAITING,
        later(facts(target=NEW, hooks=no(CONFIRM)), **DAY),
        [Phase.WAITING],
    ),
    "a late gate that approves by default starts the run": (
        waiting(gated("confirm-rollout", onTimeout="approve")),
        later(facts(target=NEW, hooks=no(CONFIRM)), **DAY),
        BEGINS,
    ),
    "a late gate that rejects by default ends the waiting": (
        waiting(gated("confirm-rollout", onTimeout="reject")),
        later(facts(target=NEW, hooks=no(CONFIRM)), **DAY),
        [Phase.FAILED],
    ),
    "a gate that opens at the last moment counts": (
        waiting(gated("confirm-rollout", onTimeout="reject")),
        later(facts(target=NEW, hooks=yes(CONFIRM)), **DAY),
        BEGINS,
    ),
    "weights that somebody changed are set back": (
        WAITING,
        facts(30, target=NEW),
        [Phase.WAITING, SetSplit(Split())],
    ),
    "a missing primary is made again": (
        WAITING,
        facts(target=NEW, primary=None),
        [CreatePrimary(V1)],
    ),
    "traffic stays on the canary while the primary is broken": (
        waiting(weight=100, stranded=True, since=NOW),
        facts(100, target=NEW, primary=primary(V1, DOWN)),
        [After(60)],
    ),
    "it goes to the primary as soon as that is ready, approved or not": (
        waiting(weight=100, stranded=True),
        facts(100, target=NEW),
        [Phase.WAITING],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_waiting(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_a_closed_gate_is_told_only_when_it_changes() -> None:
    actions = decide(WAITING, facts(target=NEW, hooks=no(CONFIRM)))
    assert written(actions).transition == WAITING.status.transition


def test_each_time_it_asks_is_a_new_attempt() -> None:
    actions = decide(WAITING, facts(target=NEW, hooks=no(CONFIRM)))
    assert (run_of(actions).interval, run_of(actions).since) == (2, NOW)


def test_a_newer_revision_is_asked_about_at_once_and_has_the_whole_time() -> None:
    actions = decide(WAITING, later(facts(target=target(V3)), hours=20))
    canary = WAITING.model_copy(update={"status": written(actions)})
    assert canary.status.deadline == NOW + timedelta(hours=44)
    assert run_of(actions).revision == V3
    question = decide(canary, later(facts(target=target(V3)), hours=20))
    assert brief(question) == [AskHooks(CONFIRM, f"{run_of(actions).id}-0")]


def test_a_cancelled_waiting_leaves_the_promoted_revision_as_the_applied_one() -> None:
    status = written(decide(WAITING, facts(target=target(V1))))
    assert (status.last_applied_spec, status.last_promoted_spec) == (V1, V1)
    assert status.run
    assert status.run.verdict
    assert status.run.verdict.outcome == Ending.CANCELLED


def test_a_rejected_revision_is_not_asked_about_again() -> None:
    canary = waiting(gated("confirm-rollout", onTimeout="reject"))
    actions = decide(canary, later(facts(target=NEW, hooks=no(CONFIRM)), **DAY))
    canary = canary.model_copy(update={"status": written(actions)})
    assert "approval did not come in time" in words(actions)
    assert decide(canary, facts(target=NEW)) == []


def test_a_waiting_run_of_another_program_is_taken_over() -> None:
    """Only the phase is known then; the gate is asked for what the target has now."""
    canary = WAITING.model_copy(
        update={"status": WAITING.status.model_copy(update={"run": None, "deadline": None})}
    )
    for _ in range(2):
        actions = decide(canary, facts(target=NEW))
        canary = canary.model_copy(update={"status": written(actions)})
    assert canary.status.deadline == NOW + timedelta(days=1)
    assert run_of(actions).revision == V2
