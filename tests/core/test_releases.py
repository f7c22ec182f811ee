"""Whole releases, from the change of the target to the end, as users of them see it."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from canary.core.actions import Action, Promote, Scale, SetSplit, SetStatus
from canary.core.facts import Abilities, HookType
from canary.crd.status import Ending, Phase, Split
from tests.core.rows import HEADER, V1, V2, V3, at, hook
from tests.core.world import FULL, START, World, podinfo

GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
HOOKS = [
    hook(kind) for kind in (*GATES, "pre-rollout", "rollout", "post-rollout") if kind != "rollback"
]
NO_WEIGHTS = Abilities(weights=False)


def ready(can: Abilities | None = None, **analysis: Any) -> World:
    """A world in which v1 is set up; what happened until then is forgotten."""
    world = World(podinfo(**analysis), can=can or FULL)
    assert world.run() == Phase.INITIALIZED
    world.log.clear()
    return world


def released(can: Abilities | None = None, *, good: bool = True, **analysis: Any) -> World:
    world = ready(can, **analysis)
    world.target, world.good = V2, lambda _: good
    world.run()
    assert world.violations == []
    return world


def splits(world: World) -> list[Split]:
    return [each.split for each in world.log if isinstance(each, SetSplit)]


def sequence(world: World) -> list[tuple[Phase, int]]:
    """Each phase and canary weight that the status went through."""
    found = [
        (d.status.phase, d.status.canary_weight) for d in world.log if isinstance(d, SetStatus)
    ]
    return [found[0], *(after for before, after in pairwise(found) if before != after)]


def verdict(world: World) -> tuple[Ending, str]:
    run = world.canary.status.run
    assert run
    assert run.verdict
    return run.verdict.outcome, run.verdict.reason


def until(world: World, phase: Phase, ticks: int = 200) -> World:
    """Let time pass until the release has come to a phase."""
    for _ in range(ticks):
        if world.canary.status.phase == phase:
            return world
        world.run(1)
    raise AssertionError(f"never came to {phase}, but to {world.canary.status.phase}")


# ----------------------------------------------------------------------------- weights

BACK = 0
WEIGHTS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "step 20, max 50": ({"stepWeight": 20, "maxWeight": 50}, [20, 40, 60, BACK]),
    "step 50, max 100": ({"stepWeight": 50, "maxWeight": 100}, [50, 100, BACK]),
    "stepWeights 1, 2, 10, 80": ({"stepWeights": [1, 2, 10, 80]}, [1, 2, 10, 80, BACK]),
    "stepWeights 1, 2, 10, 200": ({"stepWeights": [1, 2, 10, 200]}, [1, 2, 10, 100, BACK]),
    "step 100, promotion step 50": (
        {"stepWeight": 100, "stepWeightPromotion": 50},
        [100, 50, BACK],
    ),
    "step 60, promotion step 25": (
        {"stepWeight": 60, "maxWeight": 50, "stepWeightPromotion": 25},
        [60, 35, 10, BACK],
    ),
}


@pytest.mark.parametrize(("analysis", "expected"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(analysis: dict[str, Any], expected: list[int]) -> None:
    world = released(**analysis)
    assert [each.canary for each in splits(world)] == expected
    assert (world.primary, world.awake) == (V2, False)


PHASES: dict[str, tuple[dict[str, Any], list[tuple[Phase, int]]]] = {
    "step 100, promotion step 50": (
        {"stepWeight": 100, "stepWeightPromotion": 50},
        [
            (Phase.PROGRESSING, 0),
            (Phase.PROGRESSING, 100),
            (Phase.PROMOTING, 100),
            (Phase.PROMOTING, 50),
            (Phase.FINALISING, 0),
            (Phase.SUCCEEDED, 0),
        ],
    ),
    "without analysis": (
        {"spec": {"skipAnalysis": True}},
        [
            (Phase.PROGRESSING, 0),
            (Phase.PROMOTING, 0),
            (Phase.FINALISING, 0),
            (Phase.SUCCEEDED, 0),
        ],
    ),
}


@pytest.mark.parametrize(("analysis", "expected"), PHASES.values(), ids=PHASES)
def test_phases(analysis: dict[str, Any], expected: list[tuple[Phase, int]]) -> None:
    assert sequence(released(**analysis)) == expected


MIRRORED, MATCHED, ALL = (
    Split(mirrored=True),
    Split.to_canary(100, matched=True),
    Split.to_canary(100),
)
STRATEGIES: dict[str, tuple[Abilities | None, dict[str, Any], list[Split]]] = {
    "mirrored, then weighted": (
        None,
        {"stepWeight": 10, "maxWeight": 10, "mirror": True},
        [MIRRORED, Split.to_canary(10), Split()],
    ),
    "mirrored where that can't be: weighted": (
        Abilities(),
        {"stepWeight": 10, "maxWeight": 10, "mirror": True},
        [Split.to_canary(10), Split()],
    ),
    "A/B": (None, {"iterations": 2, "match": HEADER}, [MATCHED, MATCHED, Split()]),
    "blue/green": (None, {"iterations": 2}, [Split(), Split(), ALL, Split()]),
    "blue/green, mirrored": (
        None,
        {"iterations": 2, "mirror": True},
        [MIRRORED, MIRRORED, ALL, Split()],
    ),
    "blue/green without weights": (NO_WEIGHTS, {"iterations": 2}, [Split(), Split(), Split()]),
    "weights where there are none": (NO_WEIGHTS, {}, [Split()] * 11),
}


@pytest.mark.parametrize(("can", "analysis", "expected"), STRATEGIES.values(), ids=STRATEGIES)
def test_strategies(can: Abilities | None, analysis: dict[str, Any], expected: list[Split]) -> None:
    world = released(can, **analysis)
    assert splits(world) == expected
    assert (world.primary, world.canary.status.phase) == (V2, Phase.SUCCEEDED)


def test_time_is_spent_only_on_measuring() -> None:
    """Three weights, three intervals; all else follows the facts."""
    world = released()
    assert timedelta(minutes=3) <= world.now - START < timedelta(minutes=3, seconds=30)


# ------------------------------------------------------------------------------- hooks


def called(world: World) -> list[tuple[str, Phase]]:
    return world.calls


def test_each_hook_is_called_when_the_reference_says() -> None:
    world = released(stepWeight=100, stepWeightPromotion=50, webhooks=HOOKS)
    assert called(world) == [
        ("confirm-rollout", Phase.INITIALIZED),
        ("pre-rollout", Phase.PROGRESSING),
        ("confirm-traffic-increase", Phase.PROGRESSING),
        ("rollout", Phase.PROGRESSING),
        ("confirm-traffic-increase", Phase.PROGRESSING),
        ("confirm-promotion", Phase.PROGRESSING),
        ("post-rollout", Phase.SUCCEEDED),
    ]


def test_the_story_is_told_in_this_order() -> None:
    world = released(stepWeight=100, stepWeightPromotion=50, webhooks=HOOKS)
    assert world.told == [
        "Deployment podinfo is set up; its primary serves",
        "confirm-rollout approved",
        "a new revision of podinfo in test: scaling it up",
        "pre-rollout passed",
        "the analysis of podinfo begins",
        "confirm-traffic-increase approved",
        "test/podinfo: the canary gets 100%",
        "confirm-promotion approved",
        "copying podinfo to podinfo-primary in test: every check passed",
        "the primary gets 50%",
        "all traffic of podinfo goes to the primary",
        "podinfo is promoted; its canary sleeps",
    ]


def test_without_analysis_only_the_first_and_the_last_hook_are_called() -> None:
    world = released(webhooks=[*HOOKS, hook("rollback")], spec={"skipAnalysis": True})
    assert called(world) == [
        ("confirm-rollout", Phase.INITIALIZED),
        ("post-rollout", Phase.SUCCEEDED),
    ]


def test_a_failed_release_calls_the_post_rollout_hooks_with_that() -> None:
    world = released(good=False, webhooks=[hook("post-rollout")])
    assert called(world) == [("post-rollout", Phase.FAILED)]


def test_a_rollback_hook_works_while_the_start_waits() -> None:
    world = ready(webhooks=[hook("confirm-rollout"), hook("rollback")])
    world.gates |= {HookType.CONFIRM_ROLLOUT: False, HookType.ROLLBACK: False}
    world.target = V2
    until(world, Phase.WAITING)
    world.gates[HookType.ROLLBACK] = True
    assert world.run() == Phase.FAILED
    assert verdict(world) == (Ending.ABORTED, "a rollback hook asked for it")
    assert not [each for each in world.log if isinstance(each, SetSplit | Scale)]


GATED: dict[str, tuple[dict[str, Any], HookType, Phase]] = {
    "the start": ({}, HookType.CONFIRM_ROLLOUT, Phase.WAITING),
    "promotion": ({}, HookType.CONFIRM_PROMOTION, Phase.WAITING_PROMOTION),
    "promotion after an A/B test": (
        {"iterations": 2, "match": HEADER},
        HookType.CONFIRM_PROMOTION,
        Phase.WAITING_PROMOTION,
    ),
    "promotion after blue/green": (
        {"iterations": 2},
        HookType.CONFIRM_PROMOTION,
        Phase.WAITING_PROMOTION,
    ),
}


@pytest.mark.parametrize(("analysis", "gate", "phase"), GATED.values(), ids=GATED)
def test_a_gate_is_asked_every_interval_and_told_when_it_changes(
    analysis: dict[str, Any], gate: HookType, phase: Phase
) -> None:
    world = ready(**analysis, webhooks=[hook(str(gate))])
    world.gates[gate] = False
    world.target = V2
    until(world, phase)
    iterations, begun = world.canary.status.iterations, world.now
    calls = len(world.calls)
    while world.now < begun + timedelta(minutes=10):
        world.run(1)
    assert len(world.calls) - calls == pytest.approx(10, abs=1)
    assert world.canary.status.iterations == iterations, "asking touches no counter"
    assert len([each for each in world.told if str(gate) in each]) == 1
    world.gates[gate] = True
    assert world.run() == Phase.SUCCEEDED


def test_the_analysis_goes_on_while_promotion_waits() -> None:
    world = ready(webhooks=[hook("confirm-promotion")])
    world.gates[HookType.CONFIRM_PROMOTION] = False
    world.target = V2
    until(world, Phase.WAITING_PROMOTION)
    world.good = lambda _: False
    assert world.run() == Phase.FAILED
    assert verdict(world)[0] == Ending.FAILED


LATE: dict[str, tuple[str, str, Phase]] = {
    "a start that is approved by its deadline": ("confirm-rollout", "approve", Phase.SUCCEEDED),
    "a start that is rejected by it": ("confirm-rollout", "reject", Phase.FAILED),
    "more traffic that is approved by it": (
        "confirm-traffic-increase",
        "approve",
        Phase.SUCCEEDED,
    ),
    "more traffic that is rejected by it": ("confirm-traffic-increase", "reject", Phase.FAILED),
    "a promotion that is approved by it": ("confirm-promotion", "approve", Phase.SUCCEEDED),
    "a promotion that is rejected by it": ("confirm-promotion", "reject", Phase.FAILED),
}


@pytest.mark.parametrize(("gate", "answer", "expected"), LATE.values(), ids=LATE)
def test_a_gate_that_never_opens_has_an_end(gate: str, answer: str, expected: Phase) -> None:
    world = ready(webhooks=[hook(gate, deadline="30m", onTimeout=answer)])
    world.gates[HookType(gate)] = False
    world.target = V2
    assert world.run() == expected
    assert world.violations == []


def test_a_gate_that_waits_on_asks_for_a_person_at_its_deadline() -> None:
    world = ready(webhooks=[hook("confirm-promotion", deadline="30m")])
    world.gates[HookType.CONFIRM_PROMOTION] = False
    world.target = V2
    until(world, Phase.WAITING_PROMOTION)
    while world.now < START + timedelta(minutes=40):
        world.run(1)
    assert world.canary.status.stalled == "approval to promote has not come in time"
    assert world.canary.status.phase == Phase.WAITING_PROMOTION


# ----------------------------------------------------------------------------- affinity

STICKY: dict[str, Any] = {
    "stepWeight": 50,
    "sessionAffinity": {"cookieName": "canary", "primaryCookieName": "primary"},
}


def cookies(world: World) -> tuple[str, str, str]:
    status = world.canary.status
    return (
        status.session_affinity_cookie,
        status.primary_session_affinity_cookie,
        status.previous_session_affinity_cookie,
    )


def test_cookies_are_kept_with_the_split_that_uses_them() -> None:
    world = released(**STICKY)
    statuses = [each.status for each in world.log if isinstance(each, SetStatus)]
    assert all(bool(each.session_affinity_cookie) == bool(each.canary_weight) for each in statuses)
    values = {each.session_affinity_cookie for each in statuses} - {""}
    assert len(values) == 1, "one cookie for the whole run"
    assert cookies(world) == ("", "", values.pop())


def test_a_new_run_has_cookies_of_its_own_and_knows_the_previous_one() -> None:
    world = released(**STICKY)
    previous = cookies(world)[2]
    world.target = V3
    world.log.clear()
    world.run()
    statuses = [each.status for each in world.log if isinstance(each, SetStatus)]
    seen = [each for each in statuses if each.session_affinity_cookie]
    assert seen
    assert {each.previous_session_affinity_cookie for each in seen} == {previous}
    assert {each.session_affinity_cookie for each in seen} != {previous}
    assert all(each.primary_session_affinity_cookie.startswith("primary=") for each in seen)


def test_a_failed_release_takes_its_cookie_away_from_clients() -> None:
    world = released(good=False, **STICKY)
    cookie, primary, previous = cookies(world)
    assert (cookie, primary) == ("", "")
    assert previous.startswith("canary=")


# ------------------------------------------------------------------- changes on the way

IN_EACH_PHASE: dict[str, tuple[dict[str, Any], Phase]] = {
    "waiting": ({"webhooks": [hook("confirm-rollout")]}, Phase.WAITING),
    "progressing": ({}, Phase.PROGRESSING),
    "waiting for promotion": ({"webhooks": [hook("confirm-promotion")]}, Phase.WAITING_PROMOTION),
    "promoting": ({}, Phase.PROMOTING),
    "finalising": ({}, Phase.FINALISING),
    "failed": ({}, Phase.FAILED),
    "succeeded": ({}, Phase.SUCCEEDED),
}


@pytest.mark.parametrize(("analysis", "phase"), IN_EACH_PHASE.values(), ids=IN_EACH_PHASE)
def test_a_newer_revision_is_released_whatever_the_phase(
    analysis: dict[str, Any], phase: Phase
) -> None:
    world = ready(**analysis)
    gated = {HookType.CONFIRM_ROLLOUT, HookType.CONFIRM_PROMOTION}
    world.gates = dict.fromkeys(gated, False)
    world.target, world.good = V2, lambda name: name != V2 or phase != Phase.FAILED
    step(world, phase)
    world.target = V3
    world.gates.clear()
    assert world.run() == Phase.SUCCEEDED
    assert (world.primary, world.awake, world.split) == (V3, False, Split())
    assert world.canary.status.last_promoted_spec == V3
    assert world.violations == []


def step(world: World, phase: Phase) -> None:
    """Stop at the very write that enters the phase."""

    class Reached(Exception):
        pass

    def stop(_: World) -> None:
        if world.canary.status.phase == phase:
            raise Reached

    world.meanwhile = stop
    with pytest.raises(Reached):
        world.run()
    world.meanwhile = lambda _: None


@pytest.mark.parametrize(
    "phase",
    [Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION],
    ids=["waiting", "progressing", "waiting for promotion"],
)
def test_a_target_that_is_set_back_cancels_the_run(phase: Phase) -> None:
    world = ready(webhooks=[hook("confirm-rollout"), hook("confirm-promotion")])
    world.gates[HookType.CONFIRM_PROMOTION] = False
    world.gates[HookType.CONFIRM_ROLLOUT] = phase != Phase.WAITING
    world.target = V2
    step(world, phase)
    world.target = V1
    world.run()
    assert verdict(world) == (Ending.CANCELLED, "the target was set back")
    assert (world.split, world.awake, world.primary) == (Split(), False, V1)
    status = world.canary.status
    assert (status.phase, status.last_applied_spec) == (Phase.SUCCEEDED, V1)
    assert len(world.runs) == 1


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.FINALISING])
def test_what_was_decided_to_promote_is_promoted_and_then_the_old_one_is_a_change(
    phase: Phase,
) -> None:
    world = ready()
    world.target = V2
    step(world, phase)
    world.target = V1
    assert world.run() == Phase.SUCCEEDED
    assert [each.revision for each in world.log if isinstance(each, Promote)] == [V2, V1]
    assert world.violations == []


def test_a_changed_config_releases_the_promoted_revision_again() -> None:
    world = World(podinfo(), configs={"configmap/a": "1"})
    assert world.run() == Phase.INITIALIZED
    world.configs = {"configmap/a": "2"}
    world.log.clear()
    assert world.run() == Phase.SUCCEEDED
    assert [each.canary for each in splits(world)] == [20, 40, 60, 0]
    assert world.canary.status.tracked_configs == {"configmap/a": "2"}


# --------------------------------------------------------------------- failed promotion


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.FINALISING])
def test_a_primary_that_breaks_while_it_is_promoted_gets_its_old_version_back(
    phase: Phase,
) -> None:
    world = ready()
    world.target = V2
    step(world, phase)
    world.primary_sick = world.hopeless = True
    world.primary_pods = []
    for _ in range(4):
        world.run(1)
    world.primary_sick = world.hopeless = False
    assert world.run() == Phase.FAILED
    assert (world.primary, world.split, world.awake) == (V1, Split(), False)
    assert verdict(world)[0] == Ending.FAILED
    assert world.violations == []


def stranded() -> World:
    """A promotion failed, and the primary doesn't recover."""
    world = ready()
    world.target = V2
    until(world, Phase.PROMOTING)
    world.primary_sick, world.primary_pods = True, []
    assert world.run() == Phase.FAILED
    return world


def test_a_primary_that_never_recovers_leaves_the_traffic_on_the_canary() -> None:
    world = stranded()
    assert (world.split, world.awake) == (ALL, True)
    assert world.canary.status.canary_weight == 100
    assert world.canary.status.stalled
    assert world.violations == []


def test_a_new_revision_repairs_it() -> None:
    world = stranded()
    world.target = V3
    world.log.clear()
    step(world, Phase.PROMOTING)
    assert splits(world) == [], "traffic stays where it is"
    world.primary_sick = False
    assert world.run() == Phase.SUCCEEDED
    assert (world.primary, world.split, world.awake) == (V3, Split(), False)
    assert world.violations == []


def test_a_primary_that_recovers_late_gets_its_traffic_back() -> None:
    world = stranded()
    world.primary_sick = False
    assert world.run() == Phase.FAILED
    assert (world.primary, world.split, world.awake) == (V1, Split(), False)
    assert world.canary.status.stalled == ""


def test_where_both_sides_are_dead_a_new_revision_still_gets_its_run() -> None:
    world = stranded()
    world.target_sick, world.target_pods = True, []
    world.run()
    world.target, world.target_sick, world.primary_sick = V3, False, False
    assert world.run() == Phase.SUCCEEDED
    assert world.primary == V3


# --------------------------------------------------------------------- suspend, take over


def suspend(world: World, *, on: bool) -> None:
    spec = world.canary.spec.model_copy(update={"suspend": on})
    world.canary = world.canary.model_copy(update={"spec": spec})


def deeds(world: World) -> list[Action]:
    return [each for each in world.log if not isinstance(each, SetStatus)]


def test_a_suspended_run_stays_as_it_is_and_goes_on_where_it_stopped() -> None:
    world = ready()
    world.target = V2
    while not (world.split and world.split.canary == 40):
        world.run(1)
    suspend(world, on=True)
    before = len(deeds(world))
    world.split, world.target_pods = Split.to_canary(70), []
    world.run(20)
    world.now += timedelta(days=3)
    world.run(20)
    assert len(deeds(world)) == before, "nothing is done, not even repaired"
    assert len([each for each in world.told if "suspended" in each]) == 1
    suspend(world, on=False)
    world.tick()
    assert world.canary.status.run
    assert world.canary.status.run.split == Split.to_canary(40)
    assert world.run() == Phase.SUCCEEDED


def test_time_in_suspension_counts_against_nobody() -> None:
    world = ready()
    world.target, world.target_sick = V2, True
    world.tick()
    suspend(world, on=True)
    world.tick()
    world.now += timedelta(days=1)
    suspend(world, on=False)
    world.tick()
    world.target_sick = False
    assert world.run() == Phase.SUCCEEDED


FOREIGN = "5d8f4c7b6"
THEIRS: dict[str, tuple[Phase, str, bool]] = {
    "set up, and nothing changed: no run": (Phase.INITIALIZED, V1, False),
    "promoted, and nothing changed: no run": (Phase.SUCCEEDED, V1, False),
    "promoted, and the target differs: a run": (Phase.SUCCEEDED, V2, True),
    "set up, and the target differs: a run": (Phase.INITIALIZED, V2, True),
    "failed, and nothing new: no run": (Phase.FAILED, V2, False),
    "failed, and the target was set back: no run": (Phase.FAILED, V1, False),
}


@pytest.mark.parametrize(("phase", "target", "runs"), THEIRS.values(), ids=THEIRS)
def test_hashes_of_another_program_are_adopted_not_compared(
    phase: Phase, target: str, *, runs: bool
) -> None:
    world = ready()
    world.canary = at(phase, world.canary, last_applied_spec=FOREIGN, last_promoted_spec=FOREIGN)
    world.target = target
    world.runs.clear()
    world.run()
    status = world.canary.status
    assert len(world.runs) == runs
    assert {status.last_applied_spec, status.last_promoted_spec} <= {V1, V2}
    if not runs:
        assert status.phase == phase
        world.target = V3
        assert world.run() == Phase.SUCCEEDED


MIDWAY: dict[str, tuple[Phase, int, int]] = {
    "progressing": (Phase.PROGRESSING, 20, 40),
    "waiting for promotion": (Phase.WAITING_PROMOTION, 60, 0),
    "promoting": (Phase.PROMOTING, 60, 0),
    "finalising": (Phase.FINALISING, 0, 0),
}


@pytest.mark.parametrize(("phase", "weight", "following"), MIDWAY.values(), ids=MIDWAY)
def test_a_run_of_another_program_goes_on_where_it_is(
    phase: Phase, weight: int, following: int
) -> None:
    world = ready()
    world.target, world.target_pods, world.awake = V2, [V2, V2], True
    world.split, world.recorded = Split.to_canary(weight), set()
    world.canary = at(
        phase,
        world.canary,
        last_applied_spec=FOREIGN,
        last_promoted_spec=FOREIGN,
        failed_checks=1,
        canary_weight=weight,
        deadline=None,
    )
    world.log.clear()
    world.tick()
    taken = next(
        each.status for each in world.log if isinstance(each, SetStatus) and each.status.run
    )
    assert (taken.phase, taken.failed_checks, taken.canary_weight) == (phase, 1, weight)
    assert taken.deadline
    assert world.run() == Phase.SUCCEEDED
    assert [each.canary for each in splits(world)][:1] == ([following] if weight else [])
    assert (world.primary, world.violations) == (V2, [])
