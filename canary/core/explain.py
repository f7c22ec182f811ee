"""Why a canary is where it is, for a person who has never seen the code.

`reasons.py` says why, `outlook.py` what would happen next; both read a `Situation`. Everything is
made from what was recorded, so it can be explained long after, and by another process.
"""

from dataclasses import dataclass, field
from datetime import datetime

from canary.core.actions import Wait
from canary.core.facts import Abilities
from canary.core.intents import ANNOTATION, RUNNING, VERBS, parse
from canary.core.outlook import Next, outlook
from canary.core.reasons import reasons
from canary.core.situation import Situation, iteration, share, span
from canary.core.transition import FINAL
from canary.crd import Canary
from canary.crd.status import CheckRecord, Ending, IntentRecord, Phase, Run, Split


@dataclass(frozen=True, slots=True)
class Explanation:
    summary: str
    """One sentence: phase, weight, revision, since when."""
    because: tuple[str, ...]
    """The reasons, the most important one first; never empty."""
    checks: tuple[CheckRecord, ...] = ()
    """The last checks of the run, as they were recorded."""
    next: tuple[Next, ...] = ()
    """What would happen next; never empty."""
    can: tuple[str, ...] = ()
    """The intents that would not be refused now."""
    intents: tuple[str, ...] = field(default=())
    """What was asked for and what became of it, newest first."""


def explain(
    canary: Canary,
    now: datetime,
    wait: Wait | None = None,
    *,
    abilities: Abilities | None = None,
    minimum_interval: float = 10.0,
    error: str = "",
) -> Explanation:
    """Explain a Canary from its status.

    `wait` is what its last look decided to wait for, `error` what that look failed with;
    `abilities` and `minimum_interval` (seconds) are those it was looked at with.
    """
    s = Situation(canary, now, wait, abilities or Abilities(), minimum_interval, error)
    return Explanation(
        summary=_summary(s),
        because=reasons(s),
        checks=s.run.checks if s.run else (),
        next=outlook(s),
        can=tuple(verb for verb in VERBS if _possible(s, verb)),
        intents=tuple(_intents(s)),
    )


def _summary(s: Situation) -> str:
    key, phase, entered = s.canary.key, s.phase, s.status.entered_at
    if phase == Phase.NEW:
        return f"{key} is new and has not been looked at yet."
    if s.canary.spec.suspend and not s.canary.deleting:
        return f"{key} is suspended in phase {phase}: {_state(s)}."
    if entered is None:
        return f"{key} is {phase}: {_state(s)}."
    return f"{key} has been {phase} for {span((s.now - entered).total_seconds())}: {_state(s)}."


def _state(s: Situation) -> str:
    kind, promoted = s.canary.spec.target_ref.kind, s.status.last_promoted_spec
    match s.phase:
        case Phase.INITIALIZING:
            return f"the {kind} gets a primary, which then takes over its traffic"
        case Phase.TERMINATING | Phase.TERMINATED:
            return f"the {kind} takes its traffic back, and what was made for it is removed"
        case Phase.INITIALIZED:
            return f"the primary serves revision {promoted} and has all traffic"
        case _:
            return _released(s, s.run) if s.run else _unrecorded(s)


def _unrecorded(s: Situation) -> str:
    """The state of a release that another program made."""
    if s.phase in FINAL:
        return f"the primary serves revision {s.status.last_promoted_spec}"
    weight = s.status.canary_weight
    return (
        f"the canary gets {share(Split.to_canary(weight))}, and there is no record of the release"
    )


def _released(s: Situation, run: Run) -> str:
    """Where the release is; the phase is one that has a run."""
    name, gets = _subject(run), share(run.split)
    if s.going_back:
        return f"{name} is on its way back and gets {gets}"
    match s.phase:
        case Phase.SUCCEEDED:
            return _succeeded(s, run)
        case Phase.FAILED:
            return _failed(s, run)
        case Phase.WAITING:
            return f"{name} waits for approval to start and gets no traffic"
        case Phase.WAITING_PROMOTION:
            pause = "is paused and " if run.paused else ""
            return f"{name} {pause}gets {gets} and waits for approval to be promoted"
        case Phase.PROMOTING:
            return f"{name} is being copied to the primary; the canary gets {gets}"
        case Phase.FINALISING:
            return f"{name} is on the primary, which gets all traffic; the canary is put to sleep"
        case _:
            return _progressing(s, run)


def _progressing(s: Situation, run: Run) -> str:
    name, gets = _subject(run), share(run.split)
    if run.paused:
        return f"{name} is paused and gets {gets}{iteration(s)}"
    if run.split.canary or run.split.mirrored or s.status.iterations:
        return f"{name} gets {gets} while it is analysed{iteration(s)}"
    return f"{name} is being made ready and gets no traffic yet"


def _succeeded(s: Situation, run: Run) -> str:
    if run.verdict and run.verdict.outcome == Ending.CANCELLED:
        promoted = s.status.last_promoted_spec
        return f"the release of {_subject(run)} was cancelled; the primary serves {promoted}"
    return f"{_subject(run)} is promoted; the primary serves it and has all traffic"


def _failed(s: Situation, run: Run) -> str:
    if weight := s.status.canary_weight:
        return f"{_subject(run)} failed, and {weight}% of the traffic is still on it"
    how = {Ending.ABORTED: "was stopped and taken back"}
    words = how.get(run.verdict.outcome if run.verdict else Ending.FAILED, "was taken back")
    return f"{_subject(run)} {words}; the primary has all traffic"


def _subject(run: Run) -> str:
    images = f" ({', '.join(run.images)})" if run.images else ""
    return f"revision {run.revision}{images}"


def _possible(s: Situation, verb: str) -> bool:
    """Whether an intent would be acted on; `heed` has the last word, and knows the target."""
    if s.canary.spec.suspend or s.canary.deleting:
        return False
    run = s.run
    match verb:
        case "promote":
            return s.live is not None
        case "abort":
            abortable = s.phase in RUNNING | {Phase.PROMOTING, Phase.WAITING}
            decided = run and run.verdict and run.verdict.outcome != Ending.PROMOTED
            return bool(run and abortable and not decided)
        case "pause":
            return bool(s.live and s.phase in RUNNING and not s.live.paused)
        case "resume":
            return bool(run and run.paused)
        case "skip-step":
            return bool(s.live and s.phase == Phase.PROGRESSING)
        case "retry":
            promoted = s.status.last_applied_spec == s.status.last_promoted_spec
            return s.phase == Phase.FAILED and not promoted
        case _:
            return False


def _intents(s: Situation) -> list[str]:
    told = [_told(s, each) for each in reversed(s.status.intents)]
    text = s.canary.annotations.get(ANNOTATION, "")
    if not text or any(each.id == parse(text).id for each in s.status.intents):
        return told
    until = "until it is no longer suspended" if s.canary.spec.suspend else "to be read"
    return [f"{parse(text).words()} - waits {until}", *told]


def _told(s: Situation, record: IntentRecord) -> str:
    by = f" by {record.who}" if record.who else ""
    why = f": {record.why}" if record.why else ""
    became = "done" if record.applied else f"ignored: {record.detail}"
    return f"{record.verb}{by}{why} - {became}, {s.ago(record.at)}"
