"""What must always hold, whatever happens between any two effects."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from canary.core.actions import Promote, SetSplit
from canary.core.facts import HookType
from canary.crd.status import Ending, Phase, Split
from tests.core.world import Fault, World, podinfo, rev

STRATEGIES: dict[str, dict[str, Any]] = {
    "weights": {},
    "a list of weights": {"stepWeights": [5, 50]},
    "up to all traffic, and back in steps": {
        "stepWeight": 50,
        "maxWeight": 100,
        "stepWeightPromotion": 40,
    },
    "mirrored first": {"stepWeight": 50, "mirror": True},
    "by header": {"iterations": 2, "match": [{"headers": {"x": {"exact": "y"}}}]},
    "blue/green": {"iterations": 2},
    "blue/green, mirrored": {"iterations": 2, "mirror": True},
    "sticky": {"stepWeight": 50, "sessionAffinity": {"cookieName": "canary"}},
    "without analysis": {"spec": {"skipAnalysis": True}},
}

FAULTS = st.sampled_from(["", "", "", "", "", "before", "after"])


def initialised(**analysis: Any) -> World:
    world = World(podinfo(**analysis))
    assert world.run() == Phase.INITIALIZED
    return world


def stumble(world: World, faults: Iterator[str], ticks: int = 200) -> None:
    """Let time pass with a fault wherever the schedule has one; every fault ends the tick."""
    world.faults = lambda _: next(faults, "")
    for _ in range(ticks):
        try:
            world.run(1)
        except Fault:
            world.settle()
    world.faults = lambda _: ""
    world.run()


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("good", [True, False], ids=["a good release", "a bad release"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=st.lists(FAULTS, max_size=60))
def test_ends_the_same_however_often_it_dies(
    strategy: dict[str, Any], *, good: bool, schedule: list[str]
) -> None:
    good = good or "spec" in strategy
    world = initialised(**strategy)
    world.target, world.good = rev("v2"), lambda _: good
    stumble(world, iter(schedule))

    assert world.violations == []
    assert world.canary.status.phase == (Phase.SUCCEEDED if good else Phase.FAILED)
    assert world.primary == rev("v2" if good else "v1")
    assert (world.split, world.awake, world.target_pods) == (Split(), False, [])
    run = world.canary.status.run
    assert run
    assert run.verdict
    assert run.verdict.outcome == (Ending.PROMOTED if good else Ending.FAILED)
    assert len(world.runs) == 1, "a restart must not start another run"
    assert len(world.told) == len(set(world.told)) or not good


class Anything(RuleBasedStateMachine):
    """A release in a world where anything may happen between any two effects."""

    @initialize(strategy=st.sampled_from(list(STRATEGIES.values())), bad=st.sets(st.integers(2, 9)))
    def begin(self, strategy: dict[str, Any], bad: set[int]) -> None:
        self.world = initialised(**strategy)
        self.skips = "spec" in strategy
        self.world.good = lambda name: int(name[-1]) not in bad or self.skips
        self.version = 1
        self.changes = 0
        self.retries = 0
        self.forced: set[str] = set()
        self.fault = ""
        self.countdown = 0
        self.world.faults = self._fault

    def _fault(self, _: str) -> str:
        """The fault that was planned, once the planned number of effects have been."""
        self.countdown -= 1
        if self.countdown != 0:
            return ""
        return self.fault

    @rule()
    def a_tick_passes(self) -> None:
        self.step()

    @rule(effects=st.integers(1, 4), how=st.sampled_from(["before", "after"]))
    def the_process_dies(self, effects: int, how: str) -> None:
        """Before an effect or after it, which is also an effect whose answer is lost."""
        self.fault, self.countdown = how, effects
        self.step()
        self.fault = ""

    def step(self) -> None:
        try:
            wait = self.world.tick()
        except Fault:
            return
        if wait:
            self.world.now = max(self.world.now, min(wait.until, self.world.now + _LEAP))

    @rule()
    def pods_move_on(self) -> None:
        self.world.settle()

    @precondition(lambda self: self.version < 9)
    @rule()
    def the_target_changes(self) -> None:
        self.version += 1
        self.changes += 1
        self.world.target = rev(f"v{self.version}")

    @rule()
    def the_target_is_set_back(self) -> None:
        promoted = self.world.canary.status.last_promoted_spec
        assume(promoted and self.world.target != promoted)
        self.changes += 1
        self.world.target = promoted

    @rule()
    def a_canary_endpoint_dies(self) -> None:
        self.world.target_pods = self.world.target_pods[1:]

    @rule()
    def a_primary_endpoint_dies(self) -> None:
        self.world.primary_pods = self.world.primary_pods[1:]

    @rule(sick=st.booleans())
    def the_primary_sickens_or_recovers(self, *, sick: bool) -> None:
        self.world.primary_sick = sick

    @rule(sick=st.booleans())
    def the_target_sickens_or_recovers(self, *, sick: bool) -> None:
        self.world.target_sick = sick

    @rule(silent=st.booleans())
    def metrics_fall_silent_or_come_back(self, *, silent: bool) -> None:
        self.world.silent = silent

    @rule(open_=st.booleans())
    def a_gate_moves(self, *, open_: bool) -> None:
        self.world.gates[HookType.CONFIRM_PROMOTION] = open_

    @rule(hours=st.sampled_from([-1, 0.01, 1, 30]))
    def the_clock_jumps(self, hours: float) -> None:
        self.world.now += timedelta(hours=hours)

    @rule(canary=st.integers(0, 100))
    def somebody_else_writes_the_weights(self, canary: int) -> None:
        assume(self.world.split is not None)
        self.world.split = Split.to_canary(canary)

    @rule(verb=st.sampled_from(["abort", "pause", "resume", "nonsense"]))
    def somebody_asks(self, verb: str) -> None:
        self.world.annotate(verb)

    @rule(verb=st.sampled_from(["promote", "skip-step", "retry"]))
    def somebody_insists(self, verb: str) -> None:
        self.world.annotate(verb)
        self.retries += verb == "retry"
        run = self.world.canary.status.run
        self.forced |= {run.revision if run else "", self.world.target or ""}

    @invariant()
    def nothing_forbidden_was_done(self) -> None:
        if hasattr(self, "world"):
            assert self.world.violations == []

    @invariant()
    def only_what_was_analysed_is_promoted(self) -> None:
        if not hasattr(self, "world") or self.skips:
            return
        for deed in self.world.log:
            if isinstance(deed, Promote) and deed.revision != rev("v1"):
                analysed = self.world.passed.get(deed.revision, 0) > 0
                assert analysed or deed.revision in self.forced, f"{deed} was never analysed"

    @invariant()
    def only_changes_start_runs(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.runs) <= self.changes + self.retries

    @invariant()
    def every_split_adds_up(self) -> None:
        if hasattr(self, "world"):
            splits = [each.split for each in self.world.log if isinstance(each, SetSplit)]
            assert all(each.primary + each.canary == 100 for each in splits)

    def teardown(self) -> None:
        """However it went: once the world behaves, every run finds its end."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.faults = lambda _: ""
        world.primary_sick = world.target_sick = world.silent = False
        world.gates.clear()
        world.annotate("resume")
        phase = world.run(1500)
        assert phase in {Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED}, phase
        assert world.violations == []
        assert world.split == Split()
        assert not world.awake
        assert world.primary == world.canary.status.last_promoted_spec
        assert world.target in {
            world.canary.status.last_applied_spec,
            world.canary.status.last_promoted_spec,
        }


_LEAP = timedelta(seconds=30)

TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
