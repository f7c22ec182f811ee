"""The way back: the primary as it was, then the traffic, then the canary to sleep."""

from canary.core.actions import Action, Ask, Promote, Scale
from canary.core.facts import Seen, Workloads
from canary.core.safety import bring, drained
from canary.core.start import cookies
from canary.core.transition import Say, move, progress_deadline, wait, warn
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Run, Split, Verdict


def end(
    canary: Canary, seen: Seen, run: Run, ending: Ending, reason: str, *say: Say
) -> list[Action]:
    """Decide that this run goes back. From here on every tick carries it further."""
    target = seen.workloads.target if seen.workloads else None
    primary = seen.workloads.primary if seen.workloads else None
    restoring = primary is not None and primary.revision != run.known_good
    verdict = Verdict(outcome=ending, reason=reason, at=seen.now)
    split = Split()
    if restoring:
        # The primary's new template is what failed. Until the old one is back, what was analysed
        # is the better place for traffic, if it is still what runs there.
        sound = target and target.revision == run.revision and target.readiness.ready
        split = Split.to_canary(100) if sound else run.split
    changes = {
        "verdict": verdict,
        "restoring": restoring,
        "split": split,
        "since": seen.now,
        "paused": None,
        "wanted": "",
    }
    if not say and ending != Ending.CANCELLED:
        say = (warn(f"taking {canary.target_name} back: {reason}", "error"),)
    return [
        move(
            canary,
            seen,
            *say,
            run=run.model_copy(update=changes),
            canary_weight=split.canary,
            deadline=seen.now + progress_deadline(canary),
            **cookies(canary, split),
        )
    ]


def take_back(canary: Canary, seen: Seen, run: Run, verdict: Verdict) -> list[Action]:
    """Carry a decided way back out; the first line that applies wins."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    workloads, live = seen.workloads, seen.live
    primary, target = workloads.primary, workloads.target
    if primary is None or primary.revision != run.known_good:
        restoring = run.model_copy(update={"restoring": True, "since": seen.now})
        mark = [] if run.restoring else [move(canary, seen, run=restoring)]
        return [*mark, Promote(run.known_good)]
    if run.restoring and not primary.readiness.ready:
        return bring(canary, seen, live, workloads, run.split) or _until_ready(
            canary, seen, run, workloads
        )
    if run.restoring:
        say = Say("the primary is as it was before the release; traffic goes back to it")
        changes = {"restoring": False, "split": Split(), "since": seen.now}
        return [
            move(
                canary,
                seen,
                say,
                run=run.model_copy(update=changes),
                canary_weight=0,
                **cookies(canary, Split()),
            )
        ]
    if primary.readiness.serving == 0 and target and target.readiness.serving:
        return bring(canary, seen, live, workloads, Split.to_canary(100)) or _until_ready(
            canary, seen, run, workloads
        )
    if actions := bring(canary, seen, live, workloads, Split()):
        return actions
    # A newer revision needs the target awake, so it isn't put to sleep in between.
    superseded = target is not None and target.revision not in {
        run.revision,
        canary.status.last_promoted_spec,
    }
    if target is not None and target.awake and not superseded:
        return drained(canary, seen) or [Scale(up=False)]
    return [finished(canary, seen, run, verdict, weight=0)]


def _until_ready(canary: Canary, seen: Seen, run: Run, workloads: Workloads) -> list[Action]:
    """Traffic only goes back to a primary that can take it; there is an end to waiting for that."""
    verdict, primary = run.verdict, workloads.primary
    reason = primary.readiness.reason if primary else "it is gone"
    begun = verdict.at if verdict else seen.now
    limit = begun + progress_deadline(canary)
    serving = workloads.target.readiness.serving if workloads.target else 0
    if seen.now >= limit and verdict:
        weight = 100 if serving else 0
        return [finished(canary, seen, run, verdict, weight=weight, why=reason or "still starting")]
    return wait(canary, seen, limit, f"waiting for the primary to be ready again: {reason}")


def left_awake(seen: Seen) -> bool:
    target = seen.workloads.target if seen.workloads else None
    return target is not None and target.awake


def finished(
    canary: Canary, seen: Seen, run: Run, verdict: Verdict, *, weight: int, why: str = ""
) -> Action:
    """The end of a run that was taken back, as far as it could be."""
    cancelled = verdict.outcome == Ending.CANCELLED
    if cancelled:
        say = Say(f"the release of {canary.target_name} was cancelled: {verdict.reason}")
    elif why:
        stays = "so its traffic stays on the canary" if weight else "and neither is the canary"
        say = warn(
            f"{canary.target_name} could not be taken back: the primary is not ready ({why}), "
            f"{stays}",
            "error",
        )
    else:
        say = warn(f"{canary.target_name} was taken back and put to sleep: {verdict.reason}")
    hooks = Say("", hooks="post-rollout")
    return move(
        canary,
        seen,
        say,
        *(() if cancelled else (hooks,)),
        phase=Phase.SUCCEEDED if cancelled else Phase.FAILED,
        run=run.model_copy(
            update={
                "split": Split.to_canary(weight),
                "since": None,
                "left_awake": left_awake(seen),
            }
        ),
        canary_weight=weight,
        failed_checks=0,
        iterations=0,
        last_applied_spec=(canary.status.last_promoted_spec if cancelled else run.revision),
        stalled=f"the primary is not ready: {why}" if why else "",
    )
