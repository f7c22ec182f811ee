"""Between releases: what starts one, what is mended, and what is left alone."""

from typing import Any

import pytest

from canary.core.actions import Ask, AskHooks, CreatePrimary, Remember, Scale, SetSplit
from canary.core.decide import decide
from canary.core.facts import Abilities, HookType, Live, Seen, Traffic
from canary.crd import Canary
from canary.crd.status import Phase, Run, Split
from tests.core.rows import (
    DOWN,
    HEADER,
    NOW,
    SLEEPING,
    V1,
    V2,
    V3,
    at,
    brief,
    facts,
    gated,
    no,
    primary,
    target,
    told,
    words,
    written,
    yes,
)
from tests.core.world import podinfo

INITIALIZED, SUCCEEDED, FAILED = (
    at(phase) for phase in (Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED)
)
STRANDED = at(Phase.FAILED, canary_weight=100, last_applied_spec=V2, stalled="broken")
BEGINS = [Phase.PROGRESSING, Remember(V2, V1), Scale(up=True)]
QUIET = Traffic(0.0)
NEW = target(V2, idle=True)
GATE = gated("confirm-rollout")
CONFIRM = HookType.CONFIRM_ROLLOUT


def ended(**run: Any) -> Canary:
    return at(Phase.FAILED, run=Run(**{"id": "run", "revision": V2, "started_at": NOW, **run}))


ROWS: dict[str, tuple[Canary, Seen, list[object]]] = {
    "looks before it leaps": (SUCCEEDED, Seen(NOW), [Ask.WORKLOADS, Ask.LIVE]),
    "rests while nothing changes": (SUCCEEDED, facts(target=SLEEPING), []),
    "a failed one rests too, and writes nothing": (
        at(Phase.FAILED, last_applied_spec=V2),
        facts(target=target(V2, idle=True)),
        [],
    ),
    "a new revision starts the first run": (INITIALIZED, facts(target=NEW), BEGINS),
    "a new revision starts another run": (SUCCEEDED, facts(target=NEW), BEGINS),
    "a new revision starts a run after a failed one": (FAILED, facts(target=NEW), BEGINS),
    "a revision that was never recorded is a change": (
        at(Phase.SUCCEEDED, last_applied_spec=""),
        facts(target=NEW),
        BEGINS,
    ),
    "the promoted revision starts nothing": (
        at(Phase.FAILED, last_applied_spec=V2),
        facts(target=SLEEPING),
        [],
    ),
    "the promoted revision starts a run when a tracked config changed": (
        at(Phase.SUCCEEDED, tracked_configs={"configmap/a": "1"}),
        facts(target=target(V1, configs={"configmap/a": "2"}, idle=True)),
        [Phase.PROGRESSING, Remember(V1, V1), Scale(up=True)],
    ),
    "one more config is a change": (
        at(Phase.SUCCEEDED, tracked_configs={"configmap/a": "1"}),
        facts(target=target(V1, configs={"configmap/a": "1", "secret/b": "1"}, idle=True)),
        [Phase.PROGRESSING, Remember(V1, V1), Scale(up=True)],
    ),
    "the same configs are no change": (
        at(Phase.SUCCEEDED, tracked_configs={"configmap/a": "1"}),
        facts(target=target(V1, configs={"configmap/a": "1"}, idle=True)),
        [],
    ),
    "no configs found and none recorded is no change": (
        SUCCEEDED,
        facts(target=target(V1, configs={}, idle=True)),
        [],
    ),
    "configs that are no longer tracked are no change": (
        at(Phase.SUCCEEDED, tracked_configs={"configmap/a": "1"}),
        facts(target=SLEEPING),
        [],
    ),
    "asks the gate before it starts": (
        at(Phase.SUCCEEDED, GATE),
        facts(target=NEW),
        [AskHooks(CONFIRM, V2)],
    ),
    "waits while the gate is closed": (
        at(Phase.SUCCEEDED, GATE),
        facts(target=NEW, hooks=no(CONFIRM)),
        [Phase.WAITING],
    ),
    "starts when the gate is open": (
        at(Phase.SUCCEEDED, GATE),
        facts(target=NEW, hooks=yes(CONFIRM)),
        BEGINS,
    ),
    "starts nothing that its provider can't do, and says so": (
        at(Phase.SUCCEEDED, podinfo(iterations=2, match=HEADER)),
        facts(target=NEW, abilities=Abilities()),
        [Phase.SUCCEEDED],
    ),
    "a missing primary is made again from its record": (
        SUCCEEDED,
        facts(target=SLEEPING, primary=None),
        [CreatePrimary(V1)],
    ),
    "missing routes are written again": (
        SUCCEEDED,
        facts(None, target=SLEEPING),
        [Phase.SUCCEEDED, SetSplit(Split())],
    ),
    "weights that somebody changed are set back": (
        SUCCEEDED,
        facts(30, target=SLEEPING),
        [Phase.SUCCEEDED, SetSplit(Split())],
    ),
    "other fields of ours are set back without a word": (
        SUCCEEDED,
        facts(target=SLEEPING, live=Live(Split(), stale=True)),
        [SetSplit(Split())],
    ),
    "a target that is gone is told, and the primary serves on": (
        SUCCEEDED,
        facts(target=None),
        [Phase.SUCCEEDED],
    ),
    "a target that was left awake for a revision that isn't to come goes to sleep": (
        ended(left_awake=True),
        facts(target=target(V1), traffic=QUIET),
        [Scale(up=False)],
    ),
    "nobody waits for one to sleep that can't": (
        ended(left_awake=True),
        facts(target=target(V1, sleeps=False)),
        [Phase.FAILED],
    ),
    "a target that somebody woke is left alone": (SUCCEEDED, facts(target=target(V1)), []),
    "traffic stays on the canary while the primary is broken": (
        STRANDED,
        facts(100, primary=primary(V1, DOWN)),
        [],
    ),
    "traffic leaves the canary when the primary is ready again": (
        STRANDED,
        facts(100),
        [Phase.FAILED, SetSplit(Split())],
    ),
    "the canary sleeps only when nothing reaches it": (STRANDED, facts(), [Ask.TRAFFIC]),
    "then it sleeps": (STRANDED, facts(traffic=QUIET), [Scale(up=False)]),
    "then nothing is left to do": (STRANDED, facts(target=NEW), [Phase.FAILED]),
    "a canary that is gone leaves its traffic to the primary": (
        at(
            Phase.FAILED,
            canary_weight=100,
            stalled="Deployment test/podinfo is gone; the primary goes on serving",
        ),
        facts(100, target=None),
        [Phase.FAILED, SetSplit(Split())],
    ),
    "a problem that is over is cleared": (
        at(Phase.SUCCEEDED, stalled="it was gone"),
        facts(target=SLEEPING),
        [Phase.SUCCEEDED],
    ),
    "a problem of a failed one that is over is cleared": (
        at(Phase.FAILED, stalled="it was gone"),
        facts(target=SLEEPING),
        [Phase.FAILED],
    ),
}


@pytest.mark.parametrize(("canary", "seen", "expected"), ROWS.values(), ids=ROWS)
def test_idle(canary: Canary, seen: Seen, expected: list[object]) -> None:
    assert brief(decide(canary, seen), seen.now) == expected


def test_drift_is_told_with_the_name_of_the_writer() -> None:
    live = Live(Split.to_canary(30), writer="kubectl-edit")
    text = words(decide(SUCCEEDED, facts(target=SLEEPING, live=live)))
    assert text == "kubectl-edit changed the traffic split to 70/30; it is set back to 100/0"


def test_the_hash_is_stored_when_the_run_starts_and_not_before() -> None:
    seen = facts(target=NEW, hooks=no(CONFIRM))
    assert written(decide(at(Phase.FAILED, GATE), seen)).last_applied_spec == V1
    assert written(decide(FAILED, facts(target=NEW))).last_applied_spec == V2


def test_a_canary_that_cannot_be_released_is_told_once_and_still_mended() -> None:
    canary = at(Phase.SUCCEEDED, podinfo(iterations=2, match=HEADER))
    actions = decide(canary, facts(target=NEW, abilities=Abilities()))
    assert "can't route by header" in words(actions)
    canary = canary.model_copy(update={"status": written(actions)})
    assert decide(canary, facts(target=NEW, abilities=Abilities())) == []
    drifted = facts(30, target=NEW, abilities=Abilities())
    assert SetSplit(Split()) in decide(canary, drifted)


def test_a_missing_target_is_told_once() -> None:
    actions = decide(SUCCEEDED, facts(target=None))
    assert [each.severity for each in told(actions)] == ["error"]
    again = SUCCEEDED.model_copy(update={"status": written(actions)})
    assert decide(again, facts(target=None)) == []


def test_a_broken_primary_that_recovers_ends_the_stranding() -> None:
    status = written(decide(STRANDED, facts(target=NEW)))
    assert (status.canary_weight, status.stalled, status.phase) == (0, "", Phase.FAILED)
    stalled = status.condition("Stalled")
    assert stalled
    assert stalled.status == "False"


def test_a_new_revision_after_a_failed_promotion_rolls_out_where_the_traffic_is() -> None:
    seen = facts(100, target=target(V3), primary=primary(V1, DOWN))
    actions = decide(STRANDED, seen)
    run = written(actions).run
    assert run
    assert (run.stranded, run.split, run.revision) == (True, Split.to_canary(100), V3)
    assert SetSplit(Split()) not in actions
    assert Scale(up=False) not in actions
