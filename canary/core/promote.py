"""From a good verdict to a primary that carries the new version and a canary that sleeps."""

from datetime import timedelta

from canary.core.actions import Action, Ask, Promote, Remember, Scale, SetSplit
from canary.core.facts import Primary, Seen, Target, Workloads
from canary.core.idle import configs_changed
from canary.core.safety import bring, drained, safe
from canary.core.start import cookies
from canary.core.takeback import end, left_awake
from canary.core.transition import Say, deadline, interval, move, overdue, wait
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Run, Split, Verdict


def promote(canary: Canary, seen: Seen, run: Run, reason: str, *say: Say) -> list[Action]:
    """Decide to promote what was analysed. The template comes from the record, not the target."""
    changes = {
        "since": seen.now,
        "paused": None,
        "wanted": "",
        "held_since": None,
        "verdict": Verdict(outcome=Ending.PROMOTED, reason=reason, at=seen.now),
    }
    primary = canary.primary_workload
    text = Say(f"copying {canary.target_name} to {primary} in {canary.namespace}: {reason}")
    return [
        move(
            canary,
            seen,
            *say,
            text,
            phase=Phase.PROMOTING,
            run=run.model_copy(update=changes),
        ),
        Promote(run.revision),
    ]


def promoting(canary: Canary, seen: Seen, run: Run) -> list[Action]:
    """Copy, wait for the primary, shift back; the first line that applies wins."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    workloads, live = seen.workloads, seen.live
    target, primary = workloads.target, workloads.primary
    if primary is None or not _carries(canary, primary, run):
        return _copy(canary, seen, run, workloads)
    if primary.readiness.hopeless or (overdue(canary, seen) and not primary.readiness.ready):
        reason = f"the primary does not become ready: {primary.readiness.reason}"
        return end(canary, seen, run, Ending.FAILED, reason)
    if _untested(run, target) and run.split != Split() and primary.readiness.serving:
        # The canary no longer runs what was analysed, so it gets no traffic, ready or not.
        return _shift(canary, seen, run, Split(), "the target changed; the primary takes over")
    if actions := bring(canary, seen, live, workloads, run.split):
        return actions
    if not primary.readiness.ready:
        until = canary.status.deadline or seen.now
        return wait(canary, seen, until, f"the primary rolls out: {primary.readiness.reason}")
    return _back(canary, seen, run, workloads)


def _copy(canary: Canary, seen: Seen, run: Run, workloads: Workloads) -> list[Action]:
    """Give the primary what was analysed, from the record that was made of it."""
    target = workloads.target
    recorded = canary.status.tracked_configs
    if target and not _untested(run, target) and configs_changed(recorded, target):
        reason = "a tracked config changed after the analysis, before it was copied"
        return end(canary, seen, run, Ending.FAILED, reason)
    if run.revision in workloads.recorded:
        return [Promote(run.revision)]
    if _untested(run, workloads.target):
        return end(canary, seen, run, Ending.FAILED, "what was analysed is recorded nowhere")
    return [Remember(run.revision, run.known_good)]


def _carries(canary: Canary, primary: Primary, run: Run) -> bool:
    """Whether the primary has what was analysed. Only the configs of a release may be new."""
    if primary.revision != run.revision:
        return False
    recorded = canary.status.tracked_configs
    return recorded is None or primary.configs is None or dict(primary.configs) == recorded


def _untested(run: Run, target: Target | None) -> bool:
    return target is None or target.revision != run.revision


def _back(canary: Canary, seen: Seen, run: Run, workloads: Workloads) -> list[Action]:
    """The primary is ready: traffic goes back to it, at once or in steps."""
    analysis, weight = canary.spec.analysis, run.split.canary
    step = analysis.step_weight_promotion or 0
    stepping = step > 0 and weight > 0 and not run.split.matched
    target_ok = workloads.target is not None and workloads.target.readiness.serving > 0
    if stepping and target_ok and not _untested(run, workloads.target):
        due = (run.since or seen.now) + timedelta(seconds=interval(canary, seen))
        if run.step_back and seen.now < due:
            return wait(canary, seen, due, f"watching the primary at {100 - weight}%")
        if weight > step:
            text = f"the primary gets {100 - weight + step}%"
            return _shift(canary, seen, run, Split.to_canary(weight - step), text)
    run = run.model_copy(update={"split": Split(), "since": seen.now})
    say = Say(f"all traffic of {canary.apex} goes to the primary")
    return [
        move(
            canary,
            seen,
            say,
            phase=Phase.FINALISING,
            run=run,
            canary_weight=0,
            **cookies(canary, Split()),
        ),
        SetSplit(Split()),
    ]


def _shift(canary: Canary, seen: Seen, run: Run, split: Split, text: str) -> list[Action]:
    run = run.model_copy(update={"split": split, "since": seen.now, "step_back": True})
    return [
        move(
            canary,
            seen,
            Say(text),
            run=run,
            canary_weight=split.canary,
            # Each step is progress, so the time for the next one begins anew.
            deadline=deadline(canary, Phase.PROMOTING, seen),
            **cookies(canary, split),
        ),
        SetSplit(split),
    ]


def finalising(canary: Canary, seen: Seen, run: Run) -> list[Action]:
    """Make sure nothing reaches the canary, put it to sleep, and say that it is done."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    workloads, target = seen.workloads, seen.workloads.target
    primary = workloads.primary
    if primary is None or not _carries(canary, primary, run):
        return _copy(canary, seen, run, workloads)
    broken = primary.readiness.serving == 0
    if primary.readiness.hopeless or (broken and overdue(canary, seen)):
        reason = f"the primary broke: {primary.readiness.reason}"
        return end(canary, seen, run, Ending.FAILED, reason)
    if actions := bring(canary, seen, seen.live, workloads, Split()):
        return actions
    if safe(Split(), workloads) != Split():
        until = canary.status.deadline or seen.now
        return wait(canary, seen, until, f"the primary has to serve: {primary.readiness.reason}")
    # A newer revision needs the target awake, so it isn't put to sleep in between.
    if target is not None and target.awake and target.revision == run.revision:
        return drained(canary, seen) or [Scale(up=False)]
    return [_succeeded(canary, seen, run)]


def _succeeded(canary: Canary, seen: Seen, run: Run) -> Action:
    skipped = " without analysis" if canary.spec.skip_analysis else ""
    say = Say(f"{canary.target_name} is promoted{skipped}; its canary sleeps", severity="info")
    return move(
        canary,
        seen,
        say,
        Say("", hooks="post-rollout"),
        phase=Phase.SUCCEEDED,
        run=run.model_copy(
            update={"split": Split(), "since": None, "left_awake": left_awake(seen)}
        ),
        canary_weight=0,
        iterations=0,
        failed_checks=0,
        last_promoted_spec=run.revision,
        last_applied_spec=run.revision,
    )
