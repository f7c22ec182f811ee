"""Waiting for approval to start: the gate is asked once an interval, for the newest revision."""

from datetime import timedelta

from canary.core.actions import Action, Ask, CreatePrimary
from canary.core.facts import HookType, Live, Seen, Target, Workloads
from canary.core.gates import ask, closed, opened
from canary.core.idle import changed
from canary.core.safety import bring
from canary.core.start import begin, new_run
from canary.core.transition import Say, deadline, interval, move, overdue, stall, wait, warn
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Run, Split, Verdict


def waiting(canary: Canary, seen: Seen) -> list[Action]:
    """Follow the target, poll the gate, begin or wait on; the first line that applies wins."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    run, target = canary.status.run, seen.workloads.target
    if target is None:
        return decline(canary, seen, run, Ending.FAILED, "the target is gone")
    if run is None or run.revision != target.revision:
        return _follow(canary, seen, target)
    if actions := _hold(canary, seen, run, seen.live, seen.workloads):
        return actions
    if run.wanted == "promote":
        return begin(canary, seen, target, run.trigger)
    due = (run.since or seen.now) + timedelta(seconds=interval(canary, seen))
    late = overdue(canary, seen)
    if not late and seen.now < due:
        return wait(canary, seen, due, "asking again for approval to start")
    attempt = f"{run.id}-{run.interval}"
    if question := ask(canary, seen, HookType.ROLLBACK, attempt):
        return question
    if any(each.passed for each in seen.hooks.get(HookType.ROLLBACK, ())):
        return decline(canary, seen, run, Ending.ABORTED, "a rollback hook asked for it")
    if question := ask(canary, seen, HookType.CONFIRM_ROLLOUT, attempt):
        return question
    answers = seen.hooks.get(HookType.CONFIRM_ROLLOUT, ())
    if closed(answers) is None:
        return begin(canary, seen, target, run.trigger, opened(answers))
    if late:
        return _late(canary, seen, run, target)
    again = run.model_copy(update={"since": seen.now, "interval": run.interval + 1})
    return [move(canary, seen, run=again)]


def _hold(canary: Canary, seen: Seen, run: Run, live: Live, workloads: Workloads) -> list[Action]:
    """Traffic stays where it was: on the primary, or on the canary while that alone can serve."""
    primary = workloads.primary
    if primary is None:
        return [CreatePrimary(run.known_good)]
    if not run.stranded or not primary.readiness.ready:
        return bring(canary, seen, live, workloads, run.split)
    run = run.model_copy(update={"split": Split(), "stranded": False})
    say = Say("the primary is ready again and gets all traffic", severity="info")
    return [move(canary, seen, say, run=run, canary_weight=0)]


def _follow(canary: Canary, seen: Seen, target: Target) -> list[Action]:
    """The target changed while waiting: what is approved must be what is there."""
    if not changed(canary.status, target):
        return decline(canary, seen, canary.status.run, Ending.CANCELLED, "the target was set back")
    run = new_run(canary, seen, target, "a new revision")
    # Asked at once: since the beginning of time, as far as the poll is concerned.
    run = run.model_copy(update={"since": seen.now - timedelta(seconds=interval(canary, seen))})
    say = Say(f"a newer revision of {canary.target_name} waits for approval instead")
    until = deadline(canary, Phase.WAITING, seen)
    return [move(canary, seen, say, run=run, deadline=until, stalled="")]


def _late(canary: Canary, seen: Seen, run: Run, target: Target) -> list[Action]:
    """Nobody answered in time; the hook says what that means."""
    match on_timeout(canary, HookType.CONFIRM_ROLLOUT):
        case "approve":
            return begin(canary, seen, target, run.trigger)
        case "reject":
            return decline(canary, seen, run, Ending.FAILED, "approval did not come in time")
        case _:
            return stall(canary, seen, "approval to start has not come in time")


def on_timeout(canary: Canary, hook: HookType) -> str:
    """What the hooks of a gate say about their deadline: `wait`, `approve` or `reject`."""
    hooks = canary.spec.analysis.webhooks or ()
    return next(
        (each.on_timeout for each in hooks if each.type == hook and each.on_timeout), "wait"
    )


def decline(
    canary: Canary, seen: Seen, run: Run | None, ending: Ending, reason: str
) -> list[Action]:
    """Nothing was started, so there is nothing to take back."""
    cancelled = ending == Ending.CANCELLED
    verdict = Verdict(outcome=ending, reason=reason, at=seen.now)
    record = run.model_copy(update={"verdict": verdict}) if run else None
    revision = canary.status.last_promoted_spec if cancelled or run is None else run.revision
    return [
        move(
            canary,
            seen,
            warn(f"the release of {canary.target_name} did not start: {reason}"),
            phase=Phase.SUCCEEDED if cancelled else Phase.FAILED,
            run=record,
            last_applied_spec=revision,
        )
    ]
