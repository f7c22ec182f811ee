"""Why a canary is where it is: one rule for each reason, the most important ones first."""

from collections.abc import Callable, Iterator

from canary.core.facts import HookType
from canary.core.situation import Situation, count
from canary.core.transition import FINAL
from canary.crd.status import Ending, Outcome, Phase

_DECIDED = {
    Ending.PROMOTED: "decided to promote it",
    Ending.FAILED: "decided to take it back",
    Ending.ABORTED: "stopped",
    Ending.CANCELLED: "cancelled",
    Ending.SUPERSEDED: "given up for a newer revision",
}
_GATES = {
    HookType.CONFIRM_TRAFFIC_INCREASE: "more traffic",
    HookType.CONFIRM_PROMOTION: "promotion",
}


def reasons(s: Situation) -> tuple[str, ...]:
    """At least one sentence without a full stop, whatever the situation."""
    found = tuple(line for rule in RULES for line in rule(s))
    return found or (_nothing(s),)


def _suspended(s: Situation) -> Iterator[str]:
    if s.canary.spec.suspend and not s.canary.deleting:
        yield "spec.suspend is set: weights, replicas and status stay as they are"


def _deleted(s: Situation) -> Iterator[str]:
    if s.canary.deleting:
        yield "the Canary is being deleted: the target takes over before anything is removed"


def _stalled(s: Situation) -> Iterator[str]:
    if s.status.stalled:
        yield f"it needs a person's attention: {s.status.stalled}"


def _error(s: Situation) -> Iterator[str]:
    if s.error:
        yield f"the last look ended with an error and is repeated: {s.error}"


def _verdict(s: Situation) -> Iterator[str]:
    verdict = s.run.verdict if s.run else None
    if verdict:
        yield f"{_DECIDED[verdict.outcome]} {s.ago(verdict.at)}: {verdict.reason}"
    elif s.phase == Phase.FAILED:
        yield "there is no record of why it failed: another program took it back"


def _restoring(s: Situation) -> Iterator[str]:
    run = s.run
    if run and run.restoring and s.going_back:
        yield (
            f"the primary had the new version already: it gets {run.known_good} back, "
            "and traffic follows once that is ready"
        )


def _no_record(s: Situation) -> Iterator[str]:
    if s.run is None and s.phase in {Phase.PROGRESSING, Phase.WAITING_PROMOTION, Phase.PROMOTING}:
        yield "another program began this release and left no record: it is taken over as it is"


def _paused(s: Situation) -> Iterator[str]:
    pause = s.live.paused if s.live else None
    if pause:
        by = f" by {pause.who}" if pause.who else ""
        yield f"paused{by} {s.ago(pause.since)}" + (f": {pause.why}" if pause.why else "")


def _start_gate(s: Situation) -> Iterator[str]:
    if s.phase == Phase.WAITING and s.live:
        hooks = s.canary.spec.analysis.webhooks or ()
        names = [each.name for each in hooks if each.hook == "confirm-rollout"]
        asked = ", ".join(names) or "the gate"
        yield f"{asked} has not approved the start; first asked {s.ago(s.status.entered_at)}"


def _gates(s: Situation) -> Iterator[str]:
    for kind, what in _GATES.items():
        gate = s.live.gates.get(kind) if s.live else None
        if gate and not gate.open:
            detail = f": {gate.detail}" if gate.detail else ""
            yield f"{gate.hook or kind} has not approved {what}, since {s.ago(gate.since)}{detail}"


def _unready(s: Situation) -> Iterator[str]:
    if s.phase == Phase.PROGRESSING and s.live and s.live.unready_since:
        said = f" ({s.wait.why})" if s.wait and "not ready" in s.wait.why else ""
        yield f"both sides have to be ready, waited for since {s.ago(s.live.unready_since)}{said}"


def _held(s: Situation) -> Iterator[str]:
    if s.live and s.live.held_since:
        since = s.ago(s.live.held_since)
        yield f"the checks say neither yes nor no, since {since}; that counts against nobody"


def _checks(s: Situation) -> Iterator[str]:
    for check in s.live.checks if s.live else ():
        if check.outcome != Outcome.PASS:
            yield f"{check.name} ({check.outcome}): {check.reason or 'no reason was recorded'}"


def _failures(s: Situation) -> Iterator[str]:
    if s.live and s.status.failed_checks:
        limit = s.canary.spec.analysis.effective_threshold
        yield f"{count(s.status.failed_checks, 'failed check')} so far; at {limit} it is taken back"


def _stranded(s: Situation) -> Iterator[str]:
    if s.live and s.live.stranded:
        yield (
            "it began with a broken primary and all traffic on the canary: "
            "promoting it is what repairs the primary"
        )


def _wanted(s: Situation) -> Iterator[str]:
    if s.live and s.live.wanted:
        yield f"{s.live.wanted} was asked for, and is done as soon as that is safe"


def _skipped(s: Situation) -> Iterator[str]:
    if s.live and s.canary.spec.skip_analysis:
        yield "spec.skipAnalysis is set: it is promoted without checks"


def _waited_for(s: Situation) -> Iterator[str]:
    explained = s.live or s.phase in FINAL or s.canary.spec.suspend
    if s.wait and not explained and not s.error:
        yield s.wait.why


def _trigger(s: Situation) -> Iterator[str]:
    if s.run and s.phase not in FINAL:
        why = f": {s.run.trigger}" if s.run.trigger else ""
        yield f"the release began {s.ago(s.run.started_at)}{why}"


RULES: tuple[Callable[[Situation], Iterator[str]], ...] = (
    _suspended,
    _deleted,
    _stalled,
    _error,
    _verdict,
    _restoring,
    _no_record,
    _paused,
    _start_gate,
    _gates,
    _unready,
    _held,
    _checks,
    _failures,
    _stranded,
    _wanted,
    _skipped,
    _waited_for,
    _trigger,
)


def _nothing(s: Situation) -> str:
    match s.phase:
        case Phase.NEW:
            return "the controller has not come to it yet"
        case Phase.INITIALIZING:
            return f"a new {s.canary.spec.target_ref.kind} was found"
        case Phase.TERMINATING | Phase.TERMINATED:
            return "this is left from an object of the same name; it is set up anew"
        case _:
            return "the target runs what was promoted, so there is nothing to release"
