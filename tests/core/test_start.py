"""The start of a run: what is recorded, and what people are told."""

from datetime import timedelta
from typing import Any

import pytest

from canary.core.decide import decide
from canary.core.facts import Abilities, HookType, Live, Seen
from canary.core.start import limits
from canary.crd import Canary
from canary.crd.status import Phase, Split
from tests.core.rows import (
    DOWN,
    HEADER,
    NOW,
    V1,
    V2,
    at,
    brief,
    facts,
    gated,
    no,
    primary,
    run_of,
    target,
    told,
    words,
    written,
    yes,
)
from tests.core.world import FULL, podinfo

IDLE = at(Phase.SUCCEEDED, failed_checks=3, iterations=4, canary_weight=20, stalled="x")
NEW = target(V2, idle=True, images=("podinfo:2",), configs={"configmap/a": "1"})
CONFIRM = HookType.CONFIRM_ROLLOUT
NO_WEIGHTS = Abilities(weights=False)


def test_the_record_says_what_is_released_and_what_to_go_back_to() -> None:
    run = run_of(decide(IDLE, facts(target=NEW)))
    assert (run.revision, run.known_good, run.images) == (V2, V1, ("podinfo:2",))
    assert (run.trigger, run.started_at, run.split) == ("a new revision", NOW, Split())
    assert (run.step, run.since, run.prepared, run.verdict) == (0, None, False, None)


def test_counters_start_at_zero_and_the_hash_is_stored() -> None:
    status = written(decide(at(Phase.FAILED, failed_checks=3, iterations=4), facts(target=NEW)))
    assert (status.failed_checks, status.iterations, status.canary_weight) == (0, 0, 0)
    assert (status.last_applied_spec, status.last_promoted_spec) == (V2, V1)
    assert status.tracked_configs == {"configmap/a": "1"}


def test_a_run_has_a_deadline_that_allows_for_its_intervals() -> None:
    status = written(decide(at(Phase.SUCCEEDED), facts(target=NEW)))
    assert status.deadline
    assert timedelta(hours=1) < status.deadline - NOW < timedelta(hours=2)


def test_the_same_decision_made_twice_makes_the_same_run() -> None:
    seen = facts(target=NEW)
    assert run_of(decide(IDLE, seen)) == run_of(decide(IDLE, seen))


def test_the_start_is_told_with_an_alert_once_the_gate_is_open() -> None:
    canary = at(Phase.SUCCEEDED, gated("confirm-rollout"))
    said = told(decide(canary, facts(target=NEW, hooks=yes(CONFIRM))))
    assert [(each.text, each.severity) for each in said] == [
        ("confirm-rollout approved", ""),
        ("a new revision of podinfo in test: scaling it up", "info"),
    ]
    assert {each.phase for each in said} == {Phase.PROGRESSING}


@pytest.mark.parametrize(
    ("muted", "severity"), [(False, "warn"), (True, "")], ids=["alerts", "unless it is muted"]
)
def test_a_closed_gate_is_told(severity: str, *, muted: bool) -> None:
    canary = at(Phase.SUCCEEDED, gated("confirm-rollout"))
    (said,) = told(decide(canary, facts(target=NEW, hooks=no(CONFIRM, muted=muted))))
    assert (said.type, said.severity, said.phase) == ("Warning", severity, Phase.WAITING)


def test_a_gate_that_may_stay_closed_for_an_hour_has_that_deadline() -> None:
    canary = at(Phase.SUCCEEDED, gated("confirm-rollout", deadline="1h"))
    status = written(decide(canary, facts(target=NEW, hooks=no(CONFIRM))))
    assert status.deadline == NOW + timedelta(hours=1)


LIMITS: dict[str, tuple[Canary, Seen, str]] = {
    "a provider that can do everything": (podinfo(mirror=True), Seen(NOW, abilities=FULL), ""),
    "without weights, steps become iterations": (
        podinfo(),
        Seen(NOW, abilities=NO_WEIGHTS),
        "this provider can't split by weight: 10 iterations are made instead",
    ),
    "without weights, match is left out": (
        podinfo(iterations=2, match=HEADER),
        Seen(NOW, abilities=NO_WEIGHTS),
        "this provider can't route by header: match is left out",
    ),
    "blue/green needs no weights": (podinfo(iterations=2), Seen(NOW, abilities=NO_WEIGHTS), ""),
    "where nothing is mirrored that step is skipped": (
        podinfo(mirror=True),
        Seen(NOW, abilities=Abilities()),
        "this provider can't mirror traffic: that step is skipped",
    ),
    "mirroring during blue/green is an ability of its own": (
        podinfo(iterations=2, mirror=True),
        Seen(NOW, abilities=Abilities(mirror=True)),
        "this provider can't mirror traffic: that step is skipped",
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), LIMITS.values(), ids=LIMITS)
def test_limits(canary: Canary, seen: Seen, expected: str) -> None:
    assert "; ".join(each.text for each in limits(canary, seen)) == expected


FIRST: dict[str, tuple[Live, Any, Split]] = {
    "a healthy primary has all traffic": (Live(Split()), primary(), Split()),
    "weights that are left over don't matter": (Live(Split.to_canary(40)), primary(), Split()),
    "a recovered primary gets its traffic back": (Live(Split.to_canary(100)), primary(), Split()),
    "traffic stays on a canary whose primary is broken": (
        Live(Split.to_canary(100)),
        primary(V1, DOWN),
        Split.to_canary(100),
    ),
    "part of the traffic is no reason to stay there": (
        Live(Split.to_canary(40)),
        primary(V1, DOWN),
        Split(),
    ),
}


@pytest.mark.parametrize(("live", "old", "expected"), FIRST.values(), ids=FIRST)
def test_first_split(live: Live, old: Any, expected: Split) -> None:
    run = run_of(decide(at(Phase.SUCCEEDED), facts(target=NEW, live=live, primary=old)))
    assert (run.split, run.stranded) == (expected, expected.canary == 100)


def test_what_a_provider_cannot_do_is_told_when_a_run_starts() -> None:
    canary = at(Phase.SUCCEEDED, podinfo(mirror=True))
    text = words(decide(canary, facts(target=NEW, abilities=Abilities())))
    assert "can't mirror" in text


def test_a_start_after_a_failed_one_clears_what_was_wrong() -> None:
    status = written(decide(at(Phase.FAILED, stalled="broken"), facts(target=NEW)))
    assert status.stalled == ""
    assert brief(decide(at(Phase.FAILED), facts(target=NEW)))[0] == Phase.PROGRESSING
