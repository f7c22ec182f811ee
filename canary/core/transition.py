"""How a decision is recorded: one status write carries the intention and what is told about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from canary.core.actions import Action, SetStatus, Wait
from canary.core.facts import HookType, Seen
from canary.core.steps import planned_stops
from canary.crd import Canary
from canary.crd.status import Announcement, CanaryStatus, Condition, Ending, Phase, Run

FINAL = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED})
"""Phases in which nothing is under way and nothing is waited for."""
SERVING = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED})
"""Of those, the ones in which all is as it should be."""
GATE_DEADLINE = timedelta(days=1)
HOLD = timedelta(hours=1)
"""How long a run may go without a conclusion before a person is asked to look."""
DEFAULT_PROGRESS_DEADLINE = 600


@dataclass(frozen=True, slots=True)
class Say:
    """Something to tell with a transition; see `Announcement`."""

    text: str
    type: Literal["Normal", "Warning"] = "Normal"
    severity: Literal["", "info", "warn", "error"] = ""
    hooks: str = ""
    phase: Phase | None = None
    """The phase readers are given; the one that the transition leads to unless said."""


def warn(text: str, severity: Literal["", "warn", "error"] = "") -> Say:
    return Say(text, "Warning", severity)


def move(
    canary: Canary,
    seen: Seen,
    *say: Say,
    phase: Phase | None = None,
    run: Run | None = None,
    **fields: Any,
) -> SetStatus:
    """Record a transition. What is not named stays as it is.

    Entering a phase starts its deadline and clears `stalled`; conditions follow from the result.
    """
    status = canary.status
    changes: dict[str, Any] = {
        **fields,
        "last_transition_time": seen.now,
        "observed_generation": canary.generation,
    }
    if run is not None:
        changes["run"] = run
    if phase is not None and phase != status.phase:
        changes |= {"phase": phase, "entered_at": seen.now}
        changes["deadline"] = deadline(canary, phase, seen)
        changes.setdefault("stalled", "")
    if say:
        changes["transition"] = status.transition + 1
        changes["announcements"] = tuple(
            _announcement(canary, status, phase or status.phase, index, each)
            for index, each in enumerate(say)
        )
    moved = status.model_copy(update=changes)
    if _shown(moved) != _shown(status) or (phase is not None and not status.conditions):
        moved = moved.model_copy(update={"conditions": conditions(canary, moved, seen.now)})
    return SetStatus(moved)


def _shown(status: CanaryStatus) -> tuple[Phase, str, bool]:
    """What conditions tell of a status: they are made anew only when this changes."""
    return status.phase, status.stalled, status.suspended


def _announcement(
    canary: Canary, status: CanaryStatus, phase: Phase, index: int, say: Say
) -> Announcement:
    return Announcement(
        key=f"{canary.uid[:8]}-{status.transition + 1}-{index}",
        text=say.text,
        type=say.type,
        severity=say.severity,
        phase=say.phase if say.phase is not None else phase,
        hooks=say.hooks,
    )


def progress_deadline(canary: Canary) -> timedelta:
    """How long a workload may take to become ready."""
    return timedelta(seconds=canary.spec.progress_deadline_seconds or DEFAULT_PROGRESS_DEADLINE)


def deadline(canary: Canary, phase: Phase, seen: Seen) -> datetime | None:
    """When a phase that begins now has to be over; None for the phases that may last."""
    match phase:
        case Phase.INITIALIZING | Phase.PROMOTING | Phase.FINALISING | Phase.TERMINATING:
            return seen.now + progress_deadline(canary)
        case Phase.WAITING:
            return seen.now + gate_deadline(canary, HookType.CONFIRM_ROLLOUT)
        case Phase.WAITING_PROMOTION:
            return seen.now + gate_deadline(canary, HookType.CONFIRM_PROMOTION)
        case Phase.PROGRESSING:
            stops = planned_stops(canary.spec.analysis, seen.abilities)
            analysis = timedelta(seconds=interval(canary, seen) * stops)
            return seen.now + 2 * analysis + progress_deadline(canary) + HOLD
        case _:
            return None


def gate_deadline(canary: Canary, hook: HookType) -> timedelta:
    """How long a gate may stay closed: the shortest deadline of its hooks, or a day."""
    named = [
        timedelta(seconds=each.deadline.seconds)
        for each in canary.spec.analysis.webhooks or ()
        if each.type == hook and each.deadline
    ]
    return min(named, default=GATE_DEADLINE)


def interval(canary: Canary, seen: Seen) -> float:
    """Seconds for which a step is watched."""
    return canary.spec.analysis.interval_seconds(seen.minimum_interval)


def wait(canary: Canary, seen: Seen, until: datetime, why: str) -> list[Action]:
    """Wait, but not past the deadline of the phase if that is still to come."""
    end = canary.status.deadline
    return [Wait(min(until, end) if end and end > seen.now else until, why)]


def has_hooks(canary: Canary, hook: HookType) -> bool:
    """Whether any webhook of this type is configured; one without a type is a rollout hook."""
    return any((each.type or "rollout") == hook for each in canary.spec.analysis.webhooks or ())


def overdue(canary: Canary, seen: Seen) -> bool:
    end = canary.status.deadline
    return end is not None and seen.now >= end


def stall(canary: Canary, seen: Seen, why: str) -> list[Action]:
    """A deadline has passed and nothing safe can be done: tell people, and look again later.

    The phase keeps all its other exits: facts that change, intents and new revisions.
    """
    again = deadline(canary, canary.status.phase, seen)
    return [move(canary, seen, warn(why, "error"), stalled=why, deadline=again)]


# The words of the condition for each phase: status, and message by target kind.
_PROMOTED: dict[Phase, tuple[Literal["True", "False", "Unknown"], str]] = {
    Phase.NEW: ("Unknown", "The {kind} has not been set up yet."),
    Phase.INITIALIZING: ("Unknown", "A new {kind} was found and is being set up."),
    Phase.INITIALIZED: ("True", "The {kind} is set up and its primary serves."),
    Phase.WAITING: ("Unknown", "A new revision waits for approval."),
    Phase.PROGRESSING: ("Unknown", "A new revision is being analysed."),
    Phase.WAITING_PROMOTION: ("Unknown", "The analysis went well; promotion waits for approval."),
    Phase.PROMOTING: ("Unknown", "The analysis is finished; the primary is being updated."),
    Phase.FINALISING: ("Unknown", "The primary is updated; traffic is going back to it."),
    Phase.SUCCEEDED: ("True", "The analysis went well and the revision was promoted."),
    Phase.FAILED: ("False", "The analysis failed; the {kind} was taken back."),
    Phase.TERMINATING: ("Unknown", "The {kind} is being given back."),
}


def conditions(canary: Canary, status: CanaryStatus, now: datetime) -> tuple[Condition, ...]:
    """What tools read of a status; those of other types are kept as they are."""
    if status.phase not in _PROMOTED:
        return status.conditions
    promoted, message = _PROMOTED[status.phase]
    verdict = status.run.verdict if status.run else None
    if status.phase == Phase.FAILED and verdict and verdict.outcome == Ending.ABORTED:
        message = "The release was aborted; the {kind} was taken back."
    message = message.format(kind=canary.spec.target_ref.kind)
    busy = status.phase not in {*FINAL, Phase.NEW}
    reason = "Suspended" if status.suspended else str(status.phase) or "New"
    stalled = status.stalled
    wanted = (
        Condition(
            type="Promoted", status=promoted, reason=str(status.phase) or "New", message=message
        ),
        Condition(
            type="Ready",
            status="Unknown" if busy else "True" if status.phase in SERVING else "False",
            reason=reason,
            message=stalled or message,
        ),
        Condition(
            type="Reconciling",
            status="True" if busy and not status.suspended else "False",
            reason=reason,
            message=message,
        ),
        Condition(
            type="Stalled",
            status="True" if stalled else "False",
            reason="NeedsAttention" if stalled else "Fine",
            message=stalled,
        ),
    )
    foreign = tuple(
        each for each in status.conditions if each.type not in {new.type for new in wanted}
    )
    return (*(_carried(status.condition(each.type), each, now) for each in wanted), *foreign)


def _carried(old: Condition | None, new: Condition, now: datetime) -> Condition:
    """Keep times that tell when something really changed, as readers of conditions expect."""
    if old and (old.status, old.reason, old.message) == (new.status, new.reason, new.message):
        return old
    since = old.last_transition_time if old and old.status == new.status else now
    return new.model_copy(update={"last_update_time": now, "last_transition_time": since})
