"""What would happen next to a canary, and when: what is waited for, then what ends the waiting."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from canary.core.facts import HookType
from canary.core.intents import ANNOTATION, parse
from canary.core.situation import Situation, count, share
from canary.core.steps import next_stop
from canary.core.transition import FINAL, HOLD, has_hooks, progress_deadline
from canary.core.waiting import on_timeout
from canary.crd.status import Phase, Run

_GATE_ENDS = {
    "approve": "without an answer it counts as approved",
    "reject": "without an answer the release is taken back",
    "wait": "without an answer people are told, and it goes on waiting",
}
_DEADLINES = {
    Phase.INITIALIZING: "if the primary is not ready by then, people are told; users are not hit",
    Phase.PROGRESSING: "if the release has not ended by then, people are told",
    Phase.PROMOTING: "if the primary is not ready by then, the release is taken back",
    Phase.FINALISING: "if the primary does not serve by then, the release is taken back",
    Phase.TERMINATING: "if the target is not ready by then, people are told, and it goes on",
}


@dataclass(frozen=True, slots=True)
class Next:
    """One thing that would happen. `when` is `at` in words; both are empty if nobody can tell."""

    what: str
    at: datetime | None = None
    when: str = ""

    def __str__(self) -> str:
        return f"{self.when}: {self.what}" if self.when else self.what


def outlook(s: Situation) -> tuple[Next, ...]:
    """What would happen, in the order of its weight for the reader; never empty."""
    if s.canary.spec.suspend and not s.canary.deleting:
        return (Next("nothing, until spec.suspend is taken back"),)
    found = (*_intent(s), *_waiting(s), *_course(s), *_limits(s), *_deadline(s))
    return tuple(found) or (_rest(s),)


def _at(s: Situation, at: datetime | None, what: str) -> Next:
    return Next(what, at, s.when(at)) if at else Next(what)


def _intent(s: Situation) -> Iterator[Next]:
    if text := s.canary.annotations.get(ANNOTATION, ""):
        yield _at(s, s.now, f"what was asked for is looked at: {parse(text).words()}")


def _waiting(s: Situation) -> Iterator[Next]:
    if s.wait:
        yield _at(s, s.wait.until, s.wait.why)


def _course(s: Situation) -> Iterator[Next]:
    """What the release does if it goes well, and if it doesn't."""
    run = s.live
    if run is None:
        return
    if s.phase == Phase.WAITING:
        yield Next("once the start is approved, the canary is woken up and tested")
    elif run.paused:
        yield Next("the weight stays until the release is resumed; failed checks still count")
    elif run.unready_since:
        yield Next(f"once both sides are ready, {_good(s)}")
    else:
        yield _at(s, s.due, f"if {_condition(s)}, {_good(s)}")
    watched = run.split.canary or run.split.mirrored or s.status.iterations
    if watched and s.phase != Phase.WAITING and not run.unready_since:
        yield _at(s, s.due, _bad(s))


def _condition(s: Situation) -> str:
    if s.phase == Phase.WAITING_PROMOTION:
        return "promotion is approved and every check passes"
    gated = has_hooks(s.canary, HookType.CONFIRM_TRAFFIC_INCREASE)
    return "every check passes" + (" and more traffic is approved" if gated else "")


def _good(s: Situation) -> str:
    stop = None
    if s.live and s.phase == Phase.PROGRESSING and not s.live.stranded:
        stop = next_stop(s.canary, s.abilities)
    if s.canary.spec.skip_analysis or stop is None:
        gated = has_hooks(s.canary, HookType.CONFIRM_PROMOTION) and s.phase == Phase.PROGRESSING
        asked = "approval to promote is asked for, then " if gated else ""
        return f"{asked}the revision is copied to the primary"
    if stop.iteration and (stop.split.matched or not stop.split.canary):
        return f"iteration {stop.iteration} begins"
    return f"the canary gets {share(stop.split)}"


def _bad(s: Situation) -> str:
    failed, limit = s.status.failed_checks + 1, s.canary.spec.analysis.effective_threshold
    if failed >= limit:
        return f"if a check fails, the release is taken back ({count(limit, 'failed check')})"
    return f"if a check fails, that is failed check {failed} of {limit}, and the weight stays"


def _limits(s: Situation) -> Iterator[Next]:
    """Deadlines that are the run's own, not the phase's."""
    run = s.run
    if run and run.verdict and s.going_back:
        limit = run.verdict.at + progress_deadline(s.canary)
        yield _at(s, limit, "if the primary can't serve by then, traffic stays where it is")
    if s.live:
        yield from _run_limits(s, s.live)


def _run_limits(s: Situation, run: Run) -> Iterator[Next]:
    if run.unready_since and s.phase == Phase.PROGRESSING:
        limit = run.unready_since + progress_deadline(s.canary)
        yield _at(s, limit, "if a side is still not ready, the release is taken back")
    if run.held_since and not s.status.stalled:
        yield _at(s, run.held_since + HOLD, "if there is still no conclusion, people are told")


def _deadline(s: Situation) -> Iterator[Next]:
    at = s.status.deadline
    if at is None or s.phase in FINAL or s.going_back:
        return
    if s.phase == Phase.WAITING:
        yield _at(s, at, _GATE_ENDS[on_timeout(s.canary, HookType.CONFIRM_ROLLOUT)])
    elif s.phase == Phase.WAITING_PROMOTION:
        yield _at(s, at, _GATE_ENDS[on_timeout(s.canary, HookType.CONFIRM_PROMOTION)])
    elif what := _DEADLINES.get(s.phase):
        yield _at(s, at, what)


def _rest(s: Situation) -> Next:
    target = f"{s.canary.spec.target_ref.kind} {s.canary.target_name}"
    match s.phase:
        case Phase.INITIALIZED | Phase.SUCCEEDED:
            return Next(f"nothing, until {target} changes")
        case Phase.FAILED:
            return Next(f"nothing, until {target} changes or the release is retried")
        case _:
            return Next("it is looked at as soon as the controller comes to it", s.now, "now")
