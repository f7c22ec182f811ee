"""A run in progress: every decision between the first request and the verdict."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.core.actions import Ask, AskHooks, CreatePrimary, Promote, Remember, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import HookType, Live, Seen
from canary.crd import Canary
from canary.crd.status import CheckRecord, Ending, GateRecord, Pause, Phase, Split
from tests.core.rows import (
    BROKEN,
    CERTAIN,
    DOWN,
    FAIL,
    NO_ANSWER,
    NO_DATA,
    NOW,
    PARTLY,
    PASS,
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
    told,
    words,
    written,
    yes,
)
from tests.core.world import podinfo

MORE, CONFIRM = HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION
ROLLBACK, ROLLOUT, PRE = HookType.ROLLBACK, HookType.ROLLOUT, HookType.PRE_ROLLOUT
FRESH: dict[str, Any] = {"prepared": False, "since": None, "interval": 0, "unready_since": NOW}
AGAIN: list[object] = [Phase.PROGRESSING]
"""The same step, watched for another interval; or the beginning of the way back."""
PAUSED = Pause(since=NOW)
SKIPS = podinfo(spec={"skipAnalysis": True})


def to(weight: int) -> list[object]:
    return [Phase.PROGRESSING, SetSplit(Split.to_canary(weight))]


COPIES = [Phase.PROMOTING, Promote(V2)]

ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    # ------------------------------------------------------------- is the world as it should be?
    "looks before it leaps": (running(), Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "records the templates before anything else": (
        running(**FRESH),
        facts(recorded=frozenset({V1})),
        [Remember(V2, V1)],
    ),
    "makes the primary again from what is known to work": (
        running(weight=20),
        facts(20, primary=None),
        [CreatePrimary(V1)],
    ),
    "wakes a target that somebody put to sleep": (
        running(weight=20),
        facts(20, target=target(idle=True)),
        [Scale(up=True)],
    ),
    "waits for the canary to become ready": (
        running(**FRESH),
        facts(target=target(V2, DOWN)),
        [After(600)],
    ),
    "remembers since when a side is not ready": (
        running(weight=20),
        facts(20, target=target(V2, PARTLY)),
        AGAIN,
    ),
    "an unready canary is no failed check": (
        running(weight=20, unready_since=NOW),
        facts(20, target=target(V2, PARTLY)),
        [After(600)],
    ),
    "watches anew once both are ready again": (
        running(weight=20, unready_since=NOW),
        facts(20),
        AGAIN,
    ),
    "a canary without endpoints loses its traffic": (
        running(weight=20),
        facts(20, target=target(V2, DOWN)),
        [Phase.PROGRESSING, SetSplit(Split())],
    ),
    "a canary that won't become ready is taken back": (
        running(weight=20),
        facts(20, target=target(V2, replace(PARTLY, hopeless=True))),
        AGAIN,
    ),
    "weights that somebody changed are set back, and the interval begins again": (
        running(weight=20),
        facts(50),
        to(20),
    ),
    "weights that somebody changed are never read as progress": (
        running(weight=20),
        facts(100, PASS),
        to(20),
    ),
    "waits for the data plane to follow": (
        running(weight=20),
        facts(live=Live(Split.to_canary(20), pending="1 of 3 proxies follows")),
        [After(1)],
    ),
    # --------------------------------------------------------------------- the first weight
    "takes the first step as soon as the canary is ready": (running(**FRESH), facts(), to(20)),
    "asks the pre-rollout hooks before the first request": (
        running(gated("pre-rollout"), **FRESH),
        facts(),
        [AskHooks(PRE, "run-0")],
    ),
    "a failed pre-rollout hook moves nothing": (
        running(gated("pre-rollout"), **FRESH),
        facts(hooks=no(PRE)),
        AGAIN,
    ),
    "is tried again an interval later": (
        running(gated("pre-rollout"), prepared=False, since=NOW),
        facts(),
        [After(60)],
    ),
    "asks them only once": (running(gated("pre-rollout")), facts(), to(20)),
    # ------------------------------------------------------------------------ within an interval
    "waits for the end of the interval": (
        running(weight=20, since=NOW - timedelta(seconds=20)),
        facts(20),
        [After(40)],
    ),
    "looks at the checks early when one more failure would be the last": (
        running(weight=20, since=NOW, status={"failed_checks": 1}),
        facts(20),
        [Ask.CHECKS],
    ),
    "a breach that is already certain doesn't wait": (
        running(weight=20, since=NOW, status={"failed_checks": 1}),
        facts(20, CERTAIN),
        AGAIN,
    ),
    "a breach that may still pass does": (
        running(weight=20, since=NOW, status={"failed_checks": 1}),
        facts(20, FAIL),
        [After(12)],
    ),
    "an interval that this process did not see from its beginning is watched in full": (
        running(weight=20),
        facts(20, PASS, watched_from=NOW),
        [After(60)],
    ),
    "a look that ended without a conclusion is followed by another, an interval later": (
        running(weight=20, since=NOW - timedelta(hours=1), looked_at=NOW - timedelta(seconds=20)),
        facts(20, PASS),
        [After(40)],
    ),
    # --------------------------------------------------------------------- the end of an interval
    "asks for the checks": (running(weight=20), facts(20), [Ask.CHECKS]),
    "takes one step when every check passes": (running(weight=20), facts(20, PASS), to(40)),
    "takes the last step past the maximum": (running(weight=40), facts(40, PASS), to(60)),
    "promotes past the maximum weight": (running(weight=60), facts(60, PASS), COPIES),
    "one failed check is a failed interval": (running(weight=20), facts(20, PASS, FAIL), AGAIN),
    "no traffic is no failed check, and no passed one": (
        running(weight=20),
        facts(20, PASS, NO_DATA),
        AGAIN,
    ),
    "a source that is down is no failed check": (running(weight=20), facts(20, NO_ANSWER), AGAIN),
    "the last failed check takes it back": (
        running(weight=20, status={"failed_checks": 1}),
        facts(20, FAIL),
        AGAIN,
    ),
    # --------------------------------------------------------------------------------- the hooks
    "asks the rollback hooks each interval": (
        running(gated("rollback"), 20),
        facts(20),
        [AskHooks(ROLLBACK, "run-1")],
    ),
    "goes on when no rollback hook asks for it": (
        running(gated("rollback"), 20),
        facts(20, PASS, hooks=no(ROLLBACK)),
        to(40),
    ),
    "a rollback hook takes it back": (
        running(gated("rollback"), 20),
        facts(20, PASS, hooks=yes(ROLLBACK)),
        AGAIN,
    ),
    "the rollout hooks are called for each step": (
        running(gated("rollout"), 20),
        facts(20, PASS),
        [AskHooks(ROLLOUT, "run-2")],
    ),
    "a hook without a type is a rollout hook": (
        running(gated(""), 20),
        facts(20, PASS),
        [AskHooks(ROLLOUT, "run-2")],
    ),
    "a failed rollout hook moves nothing": (
        running(gated("rollout"), 20),
        facts(20, PASS, hooks=no(ROLLOUT)),
        AGAIN,
    ),
    "the rollout hooks are called for a step that is watched again": (
        running(gated("rollout"), 20),
        facts(20, FAIL),
        [AskHooks(ROLLOUT, "run-2")],
    ),
    # --------------------------------------------------------------------------------- the gates
    "asks before each step": (
        running(gated("confirm-traffic-increase"), 20),
        facts(20, PASS),
        [AskHooks(MORE, "run-1")],
    ),
    "stays while more traffic is not approved": (
        running(gated("confirm-traffic-increase"), 20),
        facts(20, PASS, hooks=no(MORE)),
        AGAIN,
    ),
    "steps when more traffic is approved": (
        running(gated("confirm-traffic-increase"), 20),
        facts(20, PASS, hooks=yes(MORE)),
        to(40),
    ),
    "asks before the promoting tick, too": (
        running(gated("confirm-traffic-increase"), 60),
        facts(60, PASS),
        [AskHooks(MORE, "run-1")],
    ),
    "doesn't ask for more traffic in blue/green": (
        running(gated("confirm-traffic-increase", {"iterations": 2})),
        facts(),
        [Phase.PROGRESSING, SetSplit(Split())],
    ),
    "asks before it promotes": (
        running(gated("confirm-promotion"), 60),
        facts(60, PASS),
        [AskHooks(CONFIRM, "run-1")],
    ),
    "waits for approval to promote": (
        running(gated("confirm-promotion"), 60),
        facts(60, PASS, hooks=no(CONFIRM)),
        [Phase.WAITING_PROMOTION],
    ),
    "goes on with the analysis while it waits": (
        running(gated("confirm-promotion"), 60, phase=Phase.WAITING_PROMOTION),
        facts(60),
        [Ask.CHECKS],
    ),
    "counts failed checks while it waits": (
        running(gated("confirm-promotion"), 60, phase=Phase.WAITING_PROMOTION),
        facts(60, FAIL),
        [Phase.WAITING_PROMOTION],
    ),
    "promotes when the gate opens": (
        running(gated("confirm-promotion"), 60, phase=Phase.WAITING_PROMOTION),
        facts(60, PASS, hooks=yes(CONFIRM)),
        COPIES,
    ),
    "asks for no more traffic while it waits": (
        running(gated("confirm-traffic-increase"), 60, phase=Phase.WAITING_PROMOTION),
        facts(60, PASS),
        COPIES,
    ),
    # -------------------------------------------------------------------- what people asked for
    "is promoted at once when somebody asks": (
        running(weight=20, wanted="promote", since=NOW),
        facts(20),
        COPIES,
    ),
    "skips the rest of the interval when somebody asks": (
        running(weight=20, wanted="skip-step", since=NOW),
        facts(20),
        to(40),
    ),
    "stays where it is while it is paused": (
        running(weight=20, paused=PAUSED),
        facts(20, PASS),
        AGAIN,
    ),
    "a pause before the first step holds that step": (
        running(paused=PAUSED, **FRESH),
        facts(),
        AGAIN,
    ),
    "a pause does not protect from failing": (
        running(weight=20, paused=PAUSED, status={"failed_checks": 1}),
        facts(20, FAIL),
        AGAIN,
    ),
    "a paused run can be moved on by hand": (
        running(weight=20, paused=PAUSED, wanted="skip-step"),
        facts(20),
        to(40),
    ),
    # ----------------------------------------------------------------------------- other changes
    "a newer revision begins anew, and traffic leaves the old one first": (
        running(weight=20),
        facts(20, target=target(V3)),
        [Phase.PROGRESSING, SetSplit(Split()), Remember(V3, V1), Scale(up=True)],
    ),
    "a newer revision begins anew while it waits for approval to promote": (
        running(weight=60, phase=Phase.WAITING_PROMOTION),
        facts(60, target=target(V3)),
        [Phase.PROGRESSING, SetSplit(Split()), Remember(V3, V1), Scale(up=True)],
    ),
    "a changed config begins anew": (
        running(weight=20, status={"tracked_configs": {"configmap/a": "1"}}),
        facts(20, target=target(V2, configs={"configmap/a": "2"})),
        [Phase.PROGRESSING, SetSplit(Split()), Remember(V2, V1), Scale(up=True)],
    ),
    "a target that is set back cancels the run": (
        running(weight=20),
        facts(20, target=target(V1)),
        AGAIN,
    ),
    "a target that is gone ends the run": (running(weight=20), facts(20, target=None), AGAIN),
    # ---------------------------------------------------------------------------- skipAnalysis
    "is promoted without checks when they are skipped": (
        running(SKIPS, **FRESH),
        facts(),
        COPIES,
    ),
    "needs a ready canary even then": (
        running(SKIPS, **FRESH),
        facts(target=target(V2, PARTLY)),
        [After(600)],
    ),
    "the primary's readiness is not asked for then": (
        running(SKIPS, **FRESH),
        facts(primary=primary(V1, PARTLY)),
        COPIES,
    ),
    "a broken canary is taken back even then": (
        running(SKIPS, **FRESH),
        facts(target=target(V2, BROKEN)),
        AGAIN,
    ),
    # ---------------------------------------------------------------- nothing to shift: stranded
    "prepares and watches where the traffic is": (
        running(weight=100, stranded=True, **FRESH),
        facts(100, primary=primary(V1, DOWN)),
        AGAIN,
    ),
    "is promoted after one good interval there": (
        running(weight=100, stranded=True),
        facts(100, PASS, primary=primary(V1, DOWN)),
        COPIES,
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_progress(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


ENDINGS: dict[str, tuple[Canary, Seen, Ending, str]] = {
    "the last failed check": (
        running(weight=20, status={"failed_checks": 1}),
        facts(20, FAIL),
        Ending.FAILED,
        "90% is below 99% (failed check 2 of 2)",
    ),
    "a failed check with a threshold of 0, which counts as 1": (
        running(podinfo(threshold=0), 20),
        facts(20, FAIL),
        Ending.FAILED,
        "90% is below 99% (failed check 1 of 1)",
    ),
    "the last failed rollout hook": (
        running(gated("rollout"), 20, status={"failed_checks": 1}),
        facts(20, PASS, hooks=no(ROLLOUT)),
        Ending.FAILED,
        "failed check 2 of 2; rollout hook failed: rollout: not yet",
    ),
    "the last failed pre-rollout hook": (
        running(gated("pre-rollout"), status={"failed_checks": 1}, **FRESH),
        facts(hooks=no(PRE)),
        Ending.FAILED,
        "failed check 2 of 2; pre-rollout hook failed: pre-rollout: not yet",
    ),
    "a rollback hook": (
        running(gated("rollback"), 20),
        facts(20, hooks=yes(ROLLBACK)),
        Ending.ABORTED,
        "a rollback hook asked for it",
    ),
    "a canary that says itself that it won't become ready": (
        running(weight=20),
        facts(20, target=target(V2, replace(PARTLY, hopeless=True))),
        Ending.FAILED,
        "1 of 2 pods is ready",
    ),
    "a canary that isn't ready for as long as it may take": (
        running(weight=20, unready_since=NOW - timedelta(seconds=600)),
        facts(20, target=target(V2, PARTLY)),
        Ending.FAILED,
        "the canary did not become ready in 600 s: 1 of 2 pods is ready",
    ),
    "a primary that isn't ready for as long as it may take, which is not the canary's fault": (
        running(weight=20, unready_since=NOW - timedelta(seconds=600)),
        facts(20, primary=primary(V1, PARTLY)),
        Ending.ABORTED,
        "the primary did not become ready in 600 s: 1 of 2 pods is ready",
    ),
    "a target that is set back": (
        running(weight=20),
        facts(20, target=target(V1)),
        Ending.CANCELLED,
        "the target was set back",
    ),
    "a target that is gone": (
        running(weight=20),
        facts(20, target=None),
        Ending.FAILED,
        "the target is gone",
    ),
    "approval of more traffic that doesn't come in time": (
        running(
            gated("confirm-traffic-increase", deadline="1h", onTimeout="reject"),
            20,
            gates={MORE: GateRecord(open=False, since=NOW - timedelta(hours=1))},
        ),
        facts(20, PASS, hooks=no(MORE)),
        Ending.FAILED,
        "approval of more traffic did not come in time",
    ),
    "approval to promote that doesn't come in time": (
        running(
            gated("confirm-promotion", deadline="1h", onTimeout="reject"),
            60,
            phase=Phase.WAITING_PROMOTION,
            status={"deadline": NOW},
        ),
        facts(60, PASS, hooks=no(CONFIRM)),
        Ending.FAILED,
        "approval to promote did not come in time",
    ),
}


@pytest.mark.parametrize(("canary", "seen", "ending", "reason"), ENDINGS.values(), ids=ENDINGS)
def test_ends(canary: Canary, seen: Seen, ending: Ending, reason: str) -> None:
    run = run_of(decide(canary, seen))
    assert run.verdict
    assert (run.verdict.outcome, run.verdict.reason) == (ending, reason)
    assert run.split == Split(), "traffic leaves the canary"


LATE: dict[str, tuple[str, Phase, HookType, list[object]]] = {
    "no more traffic yet: waits on": ("wait", Phase.PROGRESSING, MORE, AGAIN),
    "no more traffic yet: approves": ("approve", Phase.PROGRESSING, MORE, to(80)),
    "no promotion yet: waits on, and people are told": (
        "wait",
        Phase.WAITING_PROMOTION,
        CONFIRM,
        [Phase.WAITING_PROMOTION],
    ),
    "no promotion yet: approves": ("approve", Phase.WAITING_PROMOTION, CONFIRM, COPIES),
}


@pytest.mark.parametrize(("answer", "phase", "kind", "expected"), LATE.values(), ids=LATE)
def test_a_gate_that_is_late(
    answer: str, phase: Phase, kind: HookType, expected: list[object]
) -> None:
    more = {"stepWeight": 20, "maxWeight": 80 if kind == MORE else 50}
    canary = gated(str(kind), more, deadline="1h", onTimeout=answer)
    record = GateRecord(open=False, since=NOW - timedelta(hours=1))
    canary = running(
        canary, 60, phase=phase, gates={kind: record}, status={"deadline": NOW + _EARLY[kind]}
    )
    assert brief(decide(canary, facts(60, PASS, hooks=no(kind)))) == expected


def test_an_hour_without_a_conclusion_asks_for_a_person() -> None:
    canary = running(weight=20, held_since=NOW - timedelta(hours=1))
    actions = decide(canary, facts(20, NO_DATA))
    assert "no conclusion for 60 minutes: no requests" in written(actions).stalled
    assert [each.severity for each in told(actions)] == ["error"]
    again = canary.model_copy(update={"status": written(actions)})
    assert told(decide(again, later(facts(20, NO_DATA), minutes=1))) == told(actions), "only once"


def test_a_run_that_takes_too_long_asks_for_a_person_and_goes_on() -> None:
    canary = running(weight=20, since=NOW, status={"deadline": NOW})
    actions = decide(canary, facts(20))
    assert "has not come to an end" in written(actions).stalled
    again = canary.model_copy(update={"status": written(actions)})
    assert brief(decide(again, facts(20))) == [After(60)]


def test_a_data_plane_that_never_follows_asks_for_a_person() -> None:
    live = Live(Split.to_canary(20), pending="1 of 3 proxies follows")
    actions = decide(running(weight=20, status={"deadline": NOW}), facts(live=live))
    assert "1 of 3 proxies follows" in written(actions).stalled


@pytest.mark.parametrize("check", [NO_DATA, NO_ANSWER], ids=["no traffic", "a source that is down"])
def test_not_knowing_is_no_verdict(check: CheckRecord) -> None:
    canary = running(weight=20, status={"failed_checks": 1})
    actions = decide(canary, facts(20, PASS, check))
    assert written(actions).failed_checks == 1
    assert run_of(actions).verdict is None
    assert run_of(actions).split == Split.to_canary(20)


def test_held_is_told_once_and_costs_nothing() -> None:
    canary = running(weight=20)
    actions = decide(canary, facts(20, NO_DATA))
    assert words(actions) == "held at 20%: no requests"
    assert (written(actions).failed_checks, run_of(actions).split.canary) == (0, 20)
    held = canary.model_copy(update={"status": written(actions)})
    again = decide(held, later(facts(20, NO_DATA), minutes=1))
    assert written(again).transition == written(actions).transition


def test_a_failure_is_counted_and_never_taken_off() -> None:
    canary = running(podinfo(threshold=5), 20, status={"failed_checks": 1})
    assert written(decide(canary, facts(20, FAIL))).failed_checks == 2
    assert written(decide(canary, facts(20, PASS))).failed_checks == 1


def test_a_closed_gate_is_told_when_it_changes() -> None:
    canary = running(gated("confirm-traffic-increase"), 20)
    actions = decide(canary, facts(20, PASS, hooks=no(MORE)))
    assert [each.severity for each in told(actions)] == ["warn"]
    again = canary.model_copy(update={"status": written(actions)})
    seen = later(facts(20, PASS, hooks=no(MORE)), minutes=1)
    assert written(decide(again, seen)).transition == written(actions).transition
    opened = decide(again, replace(seen, hooks=yes(MORE)))
    assert words(opened).startswith("confirm-traffic-increase approved; ")


def test_a_muted_gate_alerts_nobody() -> None:
    canary = running(gated("confirm-traffic-increase"), 20)
    (said,) = told(decide(canary, facts(20, PASS, hooks=no(MORE, muted=True))))
    assert (said.type, said.severity) == ("Warning", "")


def test_the_load_of_rollout_hooks_goes_on_while_a_gate_is_closed() -> None:
    hooks = [hook("rollout"), hook("confirm-traffic-increase")]
    canary = running(podinfo(webhooks=hooks), 20)
    assert brief(decide(canary, facts(20, PASS, hooks=no(MORE)))) == [AskHooks(ROLLOUT, "run-2")]


def test_waiting_for_promotion_keeps_weight_and_iterations() -> None:
    canary = running(gated("confirm-promotion"), 60)
    status = written(decide(canary, facts(60, PASS, hooks=no(CONFIRM))))
    assert (status.canary_weight, status.iterations) == (60, 0)


def test_a_restart_has_a_deadline_of_its_own() -> None:
    canary = running(weight=20, status={"deadline": NOW + timedelta(seconds=5)})
    status = written(decide(canary, facts(20, target=target(V3))))
    assert status.deadline
    assert status.deadline - NOW > timedelta(hours=1)
    assert (status.canary_weight, status.last_applied_spec) == (0, V3)


_EARLY = {MORE: timedelta(hours=1), CONFIRM: timedelta(0)}
