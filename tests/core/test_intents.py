"""What people and pipelines ask of a run: applied, or refused with the reason, once each."""

import json
from typing import Any

import pytest

from canary.core.actions import Ask, AskHooks, ClearIntent, Promote, SetSplit
from canary.core.decide import decide
from canary.core.facts import Abilities, HookType, Seen
from canary.core.intents import ANNOTATION, KEPT, Intent, parse
from canary.crd import Canary
from canary.crd.status import Ending, IntentRecord, Pause, Phase, Split, Verdict
from tests.core.rows import (
    HEADER,
    NOW,
    PASS,
    V1,
    V2,
    V3,
    at,
    brief,
    facts,
    gated,
    later,
    no,
    primary,
    run_of,
    running,
    target,
    told,
    words,
    written,
)
from tests.core.world import podinfo

PROMOTED = Verdict(outcome=Ending.PROMOTED, reason="every check passed", at=NOW)
LOST = Verdict(outcome=Ending.FAILED, reason="it is slow", at=NOW)

IDLE = at(Phase.SUCCEEDED)
FAILED = at(Phase.FAILED, last_applied_spec=V2)
WAITING = running(gated("confirm-rollout"), phase=Phase.WAITING)
PROGRESSING = running(weight=20)
PAUSED = running(weight=20, paused=Pause(since=NOW))
APPROVAL = running(weight=60, phase=Phase.WAITING_PROMOTION)
PROMOTING = running(weight=60, phase=Phase.PROMOTING, verdict=PROMOTED)
FINALISING = running(phase=Phase.FINALISING, verdict=PROMOTED)
GOING_BACK = running(verdict=LOST)


def asked(canary: Canary, text: str) -> Canary:
    meta = canary.metadata.model_copy(update={"annotations": {ANNOTATION: text}})
    return canary.model_copy(update={"metadata": meta})


def answer(canary: Canary, text: str, seen: Seen | None = None) -> IntentRecord:
    actions = decide(asked(canary, text), seen or facts(20))
    assert isinstance(actions[-1], ClearIntent)
    return written(actions).intents[-1]


NO_RUN = "no run is under way"
REFUSED: dict[str, tuple[Canary, str, str]] = {
    "nothing to promote between releases": (IDLE, "promote", f"{NO_RUN} that could be promoted"),
    "promoting twice": (PROMOTING, "promote", f"{NO_RUN} that could be promoted"),
    "promoting what is on its way back": (
        GOING_BACK,
        "promote",
        f"{NO_RUN} that could be promoted",
    ),
    "nothing to abort between releases": (IDLE, "abort", NO_RUN),
    "aborting what is promoted": (
        FINALISING,
        "abort",
        "the revision is promoted already; set the target back to undo it",
    ),
    "aborting twice": (GOING_BACK, "abort", "the run is on its way back already"),
    "nothing to pause between releases": (IDLE, "pause", f"{NO_RUN} that could be paused"),
    "pausing before the start": (WAITING, "pause", f"{NO_RUN} that could be paused"),
    "pausing a promotion": (PROMOTING, "pause", f"{NO_RUN} that could be paused"),
    "pausing twice": (PAUSED, "pause", "the run is paused already"),
    "resuming what isn't paused": (PROGRESSING, "resume", "the run is not paused"),
    "resuming between releases": (IDLE, "resume", "the run is not paused"),
    "skipping between releases": (
        IDLE,
        "skip-step",
        "no step is being watched that could be skipped",
    ),
    "skipping an approval": (
        APPROVAL,
        "skip-step",
        "no step is being watched that could be skipped",
    ),
    "retrying a run that goes on": (
        PROGRESSING,
        "retry",
        "only a release that failed can be tried again",
    ),
    "retrying a success": (IDLE, "retry", "only a release that failed can be tried again"),
    "an unknown verb": (
        PROGRESSING,
        "promot",
        "there is no verb 'promot'; did you mean 'promote'?",
    ),
    "a verb like no other": (
        PROGRESSING,
        "xyzzy",
        "there is no verb 'xyzzy'; known are promote, abort, pause, resume, skip-step, retry",
    ),
    "broken JSON": (
        PROGRESSING,
        "{nonsense",
        "there is no verb '{nonsense'; known are promote, abort, pause, resume, skip-step, retry",
    ),
    "a promotion of another revision": (
        PROGRESSING,
        json.dumps({"verb": "promote", "revision": V3}),
        f"it is meant for revision {V3}, which is not the current one",
    ),
    "an abort of another revision, even if the target is there already": (
        PROGRESSING,
        json.dumps({"verb": "abort", "revision": V3}),
        f"it is meant for revision {V3}, which is not the current one",
    ),
}


@pytest.mark.parametrize(("canary", "text", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(canary: Canary, text: str, reason: str) -> None:
    seen = facts(20, target=target(V3 if V3 in text else V2))
    record = answer(canary, text, seen)
    assert (record.applied, record.detail) == (False, reason)
    actions = decide(asked(canary, text), seen)
    assert [each.type for each in told(actions)] == ["Warning"]
    assert written(actions).run == canary.status.run


def test_a_retry_of_the_promoted_revision_has_nothing_to_try() -> None:
    record = answer(FAILED, "retry", facts(target=target(V1)))
    assert record.detail == "the target is at the promoted version: there is nothing to try again"


def test_a_retry_of_what_the_provider_cannot_do_is_refused() -> None:
    canary = at(Phase.FAILED, podinfo(iterations=2, match=HEADER), last_applied_spec=V2)
    record = answer(canary, "retry", facts(abilities=Abilities()))
    assert "can't route by header" in record.detail


APPLIED: dict[str, tuple[Canary, str, list[object]]] = {
    "promote approves a start": (WAITING, "promote", [Phase.WAITING]),
    "promote a run": (PROGRESSING, "promote", [Phase.PROGRESSING]),
    "promote what waits for approval": (APPROVAL, "promote", [Phase.WAITING_PROMOTION]),
    "abort before the start": (WAITING, "abort", [Phase.FAILED]),
    "abort a run": (PROGRESSING, "abort: errors in the logs", [Phase.PROGRESSING]),
    "abort what waits for approval": (APPROVAL, "abort", [Phase.WAITING_PROMOTION]),
    "abort a promotion": (PROMOTING, "abort", [Phase.PROMOTING]),
    "pause a run": (PROGRESSING, "pause", [Phase.PROGRESSING]),
    "pause what waits for approval": (APPROVAL, "pause", [Phase.WAITING_PROMOTION]),
    "resume a run": (PAUSED, "resume", [Phase.PROGRESSING]),
    "skip a step": (PROGRESSING, "skip-step", [Phase.PROGRESSING]),
    "a verb in capitals": (PROGRESSING, " Pause ", [Phase.PROGRESSING]),
    "a promotion of this very revision": (
        PROGRESSING,
        json.dumps({"verb": "promote", "revision": V2, "who": "ann", "why": "tested"}),
        [Phase.PROGRESSING],
    ),
}


@pytest.mark.parametrize(("canary", "text", "expected"), APPLIED.values(), ids=APPLIED)
def test_applied(canary: Canary, text: str, expected: list[object]) -> None:
    actions = decide(asked(canary, text), facts(20))
    *deeds, cleared = brief(actions)
    assert deeds == expected
    assert isinstance(cleared, ClearIntent)
    assert answer(canary, text).applied


def test_what_was_asked_is_recorded_in_the_write_that_does_it() -> None:
    text = json.dumps({"id": "7", "verb": "abort", "who": "ann", "why": "errors"})
    actions = decide(asked(PROGRESSING, text), facts(20))
    verdict = run_of(actions).verdict
    assert verdict
    assert (verdict.outcome, verdict.reason) == (Ending.ABORTED, "abort by ann: errors")
    (record,) = written(actions).intents
    assert (record.id, record.verb, record.who, record.why) == ("7", "abort", "ann", "errors")


def test_facts_are_asked_for_only_where_they_are_needed() -> None:
    assert decide(asked(PROGRESSING, "abort"), Seen(NOW)) == [Ask.WORKLOADS, Ask.LIVE]
    assert brief(decide(asked(PROGRESSING, "pause"), Seen(NOW)))[0] == Phase.PROGRESSING


def test_pause_and_resume_are_remembered_with_who_and_why() -> None:
    text = json.dumps({"verb": "pause", "who": "ann", "why": "lunch"})
    actions = decide(asked(PROGRESSING, text), facts(20))
    assert run_of(actions).paused == Pause(who="ann", why="lunch", since=NOW)
    assert words(actions) == "pause by ann: lunch"
    assert run_of(decide(asked(PAUSED, "resume"), facts(20))).paused is None


def test_promote_and_skip_are_done_as_soon_as_that_is_safe() -> None:
    for verb in ("promote", "skip-step"):
        assert run_of(decide(asked(PAUSED, verb), facts(20))).wanted == verb
    assert run_of(decide(asked(PAUSED, "promote"), facts(20))).paused is None


def test_a_retry_begins_another_run_of_the_same_revision() -> None:
    actions = decide(asked(FAILED, "retry"), facts())
    assert brief(actions)[0] == Phase.PROGRESSING
    assert run_of(actions).trigger == "another try"
    assert written(actions).intents[-1].applied


def test_a_retry_asks_for_approval_as_any_start_does() -> None:
    canary = asked(at(Phase.FAILED, gated("confirm-rollout"), last_applied_spec=V2), "retry")
    kind = HookType.CONFIRM_ROLLOUT
    assert decide(canary, facts()) == [AskHooks(kind, V2)]
    assert brief(decide(canary, facts(hooks=no(kind))))[0] == Phase.WAITING


def test_an_abort_in_the_middle_of_a_promotion_restores_the_primary() -> None:
    actions = decide(asked(PROMOTING, "abort"), facts(60, primary=primary(V2)))
    assert run_of(actions).restoring
    canary = PROMOTING.model_copy(update={"status": written(actions)})
    gone = written(decide(canary, facts(100)))
    canary = canary.model_copy(update={"status": gone})
    assert decide(canary, facts(100, primary=primary(V2)))[-1] == Promote(V1)


def test_an_intent_that_is_recorded_is_only_cleared() -> None:
    canary = asked(PROGRESSING, "pause")
    canary = canary.model_copy(update={"status": written(decide(canary, facts(20)))})
    assert brief(decide(canary, facts(20))) == [ClearIntent(parse("pause").id)]


def test_the_same_words_are_a_new_intent_once_the_annotation_was_gone() -> None:
    canary = asked(PROGRESSING, "skip-step")
    canary = canary.model_copy(update={"status": written(decide(canary, facts(20)))})
    gone = asked(canary, "")
    gone = gone.model_copy(update={"status": written(decide(gone, facts(20)))})
    again = written(decide(asked(gone, "skip-step"), later(facts(20), minutes=1)))
    assert [each.verb for each in again.intents] == ["skip-step", "skip-step"]


def test_the_same_words_are_a_new_intent_after_other_words() -> None:
    canary = PROGRESSING
    for text in ("pause", "resume", "pause"):
        canary = asked(canary, text)
        canary = canary.model_copy(update={"status": written(decide(canary, facts(20)))})
    assert [each.applied for each in canary.status.intents] == [True, True, True]


def test_only_the_last_few_are_kept() -> None:
    canary = PROGRESSING
    for number in range(KEPT + 5):
        canary = asked(canary, f"nonsense {number}")
        canary = canary.model_copy(update={"status": written(decide(canary, facts(20)))})
    assert len(canary.status.intents) == KEPT
    assert canary.status.intents[-1].verb == f"nonsense {KEPT + 4}"


def test_a_suspended_canary_keeps_what_is_asked_for_later() -> None:
    canary = asked(at(Phase.SUCCEEDED, podinfo(spec={"suspend": True}), suspended=True), "pause")
    assert decide(canary, facts()) == []


def test_an_intent_goes_before_the_next_step() -> None:
    actions = decide(asked(PROGRESSING, "abort"), facts(20, PASS))
    assert SetSplit(Split.to_canary(40)) not in actions


PARSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a word": ("pause", {"verb": "pause"}),
    "a word and why": ("abort: too slow: p99", {"verb": "abort", "why": "too slow: p99"}),
    "JSON": (
        '{"verb": "retry", "id": "1", "revision": "c1-a", "who": "ci", "why": "flaky"}',
        {"verb": "retry", "id": "1", "revision": "c1-a", "who": "ci", "why": "flaky"},
    ),
    "JSON with numbers": ('{"verb": "retry", "id": 1}', {"verb": "retry", "id": "1"}),
    "JSON without a verb": ("{}", {"verb": ""}),
}


@pytest.mark.parametrize(("text", "expected"), PARSED.values(), ids=PARSED)
def test_parse(text: str, expected: dict[str, Any]) -> None:
    made = parse(text)
    assert made == Intent(**{"id": made.id, **expected})
