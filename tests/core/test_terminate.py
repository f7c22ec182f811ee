"""Leaving: the target takes over, and only then what was ours goes."""

from datetime import timedelta

import pytest

from canary.core.actions import Ask, Release, Scale, SetFinalizer, SetSplit
from canary.core.decide import decide
from canary.core.facts import Live, Seen
from canary.crd import Canary
from canary.crd.status import Phase, Split
from tests.core.rows import (
    BROKEN,
    DOWN,
    NOW,
    SLEEPING,
    V1,
    After,
    at,
    brief,
    facts,
    later,
    running,
    target,
    written,
)
from tests.core.world import podinfo


def deleted(phase: Phase = Phase.TERMINATING, canary: Canary | None = None) -> Canary:
    made = canary or at(phase, deadline=NOW + timedelta(seconds=600))
    meta = made.metadata.model_copy(update={"deletion_timestamp": "2026-01-01T00:00:00Z"})
    return made.model_copy(update={"metadata": meta})


def without_finalizer(canary: Canary) -> Canary:
    meta = canary.metadata.model_copy(update={"finalizers": ()})
    return canary.model_copy(update={"metadata": meta})


SUSPENDED = at(Phase.SUCCEEDED, podinfo(spec={"suspend": True}))
AWAKE = target(V1)
ALL = Split.to_canary(100)

ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "a Canary gets our finalizer first": (
        without_finalizer(at(Phase.NEW)),
        Seen(NOW),
        [SetFinalizer(present=True)],
    ),
    "a deleted one without our finalizer is none of our business": (
        without_finalizer(deleted()),
        Seen(NOW),
        [],
    ),
    "one that nobody has touched goes at once": (
        deleted(Phase.NEW),
        Seen(NOW),
        [SetFinalizer(present=False)],
    ),
    "leaving is a phase": (deleted(Phase.SUCCEEDED), Seen(NOW), [Phase.TERMINATING]),
    "leaving ends a run at once": (
        deleted(canary=running(weight=20)),
        Seen(NOW),
        [Phase.TERMINATING],
    ),
    "leaving doesn't wait for suspend": (
        deleted(canary=SUSPENDED),
        Seen(NOW),
        [Phase.TERMINATING],
    ),
    "leaving that another program began gets a deadline": (
        deleted(canary=at(Phase.TERMINATING, deadline=None)),
        Seen(NOW),
        [Phase.TERMINATING],
    ),
    "looks before it leaps": (deleted(), Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "wakes the target": (deleted(), facts(target=SLEEPING), [Scale(up=True)]),
    "waits for it": (deleted(), facts(target=target(V1, DOWN)), [After(600)]),
    "a target that never gets ready is told to people": (
        deleted(),
        later(facts(target=target(V1, BROKEN)), seconds=600),
        [Phase.TERMINATING],
    ),
    "moves traffic to the target": (
        deleted(),
        facts(target=AWAKE),
        [Phase.TERMINATING, SetSplit(ALL)],
    ),
    "waits for traffic to follow": (
        deleted(),
        facts(live=Live(ALL, pending="1 of 3 follows"), target=AWAKE),
        [After(1)],
    ),
    "then it lets go": (
        deleted(),
        facts(100, target=AWAKE),
        [Release(), SetFinalizer(present=False)],
    ),
    "without routes there is nothing to move": (
        deleted(),
        facts(None, target=AWAKE),
        [Release(), SetFinalizer(present=False)],
    ),
    "a target that is gone is no obstacle": (
        deleted(),
        facts(target=None),
        [Release(), SetFinalizer(present=False)],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_terminate(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_a_late_target_is_waited_for_again() -> None:
    seen = later(facts(target=target(V1, DOWN)), seconds=600)
    status = written(decide(deleted(), seen))
    assert status.deadline == NOW + timedelta(seconds=1200)
    assert "0 of 2 pods are ready" in status.stalled
