"""A run in progress: wake the canary, move traffic step by step, watch each step, decide."""

from datetime import datetime, timedelta

from canary.core.actions import Action, Ask, CreatePrimary, Remember, Scale, SetSplit
from canary.core.advance import advance
from canary.core.facts import HookType, Seen, Target, Workloads
from canary.core.gates import ask, closed
from canary.core.idle import changed
from canary.core.intents import Intent
from canary.core.interval import again, budget, hook_failed, watch_again, watching_traffic
from canary.core.promote import promote
from canary.core.safety import bring, safe
from canary.core.start import begin, cookies
from canary.core.takeback import end
from canary.core.transition import (
    HOLD,
    Say,
    interval,
    move,
    overdue,
    progress_deadline,
    stall,
    wait,
    warn,
)
from canary.crd import Canary
from canary.crd.status import CheckRecord, Ending, Outcome, Phase, Run, Split

GLANCES = 5
"""How often within an interval a breach that is already certain is looked for."""


def progress(canary: Canary, seen: Seen, run: Run) -> list[Action]:
    """Is the world as the run wants it? Only then does time count, and are steps taken."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    workloads, target = seen.workloads, seen.workloads.target
    if target is None:
        return end(canary, seen, run, Ending.FAILED, "the target is gone")
    if target.revision != run.revision or _configs_changed(canary, target):
        return _overtaken(canary, seen, run, target)
    if run.revision not in workloads.recorded:
        return [Remember(run.revision, run.known_good)]
    if workloads.primary is None:
        return [CreatePrimary(run.known_good)]
    if target.idle:
        return [Scale(up=True)]
    if actions := bring(canary, seen, seen.live, workloads, run.split):
        return actions
    return _unready(canary, seen, run, workloads, target) or _watch(canary, seen, run)


def _configs_changed(canary: Canary, target: Target) -> bool:
    recorded = canary.status.tracked_configs
    return target.configs is not None and dict(target.configs) != (recorded or {})


def _overtaken(canary: Canary, seen: Seen, run: Run, target: Target) -> list[Action]:
    """The target changed under the run: traffic leaves it at once, then the new one begins."""
    if not changed(canary.status, target):
        return end(canary, seen, run, Ending.CANCELLED, "the target was set back")
    actions = begin(canary, seen, target, "a newer revision")
    status = actions[0]
    fresh = getattr(getattr(status, "status", None), "run", None)
    split = fresh.split if isinstance(fresh, Run) else run.split
    return [status, SetSplit(safe(split, seen.workloads or Workloads(None, None))), *actions[1:]]


def _unready(
    canary: Canary, seen: Seen, run: Run, workloads: Workloads, target: Target
) -> list[Action]:
    """What there is to do while a side isn't ready; an empty list when both are."""
    primary = workloads.primary
    if target.readiness.hopeless:
        return end(canary, seen, run, Ending.FAILED, target.readiness.reason)
    alone = run.stranded or canary.spec.skip_analysis  # nothing is compared, or nothing to lose
    if target.readiness.ready and primary and (primary.readiness.ready or alone):
        if run.unready_since is None or run.since is None:
            return []
        # The interval was not spent as it was meant to be, so it begins again.
        run = run.model_copy(update={"unready_since": None, "since": seen.now})
        return [move(canary, seen, run=run)]
    if run.unready_since is None:
        return [move(canary, seen, run=run.model_copy(update={"unready_since": seen.now}))]
    side, readiness = "canary", target.readiness
    if readiness.ready and primary:
        side, readiness = "primary", primary.readiness
    limit = run.unready_since + progress_deadline(canary)
    if seen.now < limit:
        return wait(canary, seen, limit, f"the {side} is not ready: {readiness.reason}")
    took = f"{progress_deadline(canary).total_seconds():g} s"
    reason = f"the {side} did not become ready in {took}: {readiness.reason}"
    if side == "canary":
        return end(canary, seen, run, Ending.FAILED, reason)
    if readiness.serving == 0:
        return _stranded(canary, seen, run, reason)
    # The canary is not to blame for its primary, but it can't be compared with it either.
    return end(canary, seen, run, Ending.ABORTED, reason)


def _stranded(canary: Canary, seen: Seen, run: Run, reason: str) -> list[Action]:
    """The primary is dead and won't come back by itself; only promoting something repairs it.

    The canary carries all traffic anyway, so it is watched there and promoted if it is sound.
    """
    split = Split.to_canary(100)
    changes = {"stranded": True, "split": split, "unready_since": None, "since": seen.now}
    say = warn(f"{reason}; the canary carries all traffic, and promoting it is the repair", "error")
    return [
        move(
            canary,
            seen,
            say,
            run=run.model_copy(update=changes),
            canary_weight=100,
            **cookies(canary, split, run),
        )
    ]


def _watch(canary: Canary, seen: Seen, run: Run) -> list[Action]:
    """Both sides are ready and traffic is split as wanted."""
    if canary.spec.skip_analysis and not run.paused:
        return promote(canary, seen, run, "the analysis is skipped")
    if run.wanted == "promote":
        return promote(canary, seen, run, _wish(canary))
    if overdue(canary, seen) and canary.status.phase == Phase.PROGRESSING:
        since = run.started_at.isoformat(timespec="seconds")
        return stall(canary, seen, f"the run has not come to an end since {since}")
    due = _begun(seen, run) + timedelta(seconds=interval(canary, seen))
    watching = watching_traffic(canary, run)
    if run.since is not None and seen.now < due and not run.wanted:
        return _glance(canary, seen, run, due, watching=watching)
    attempt = f"{run.id}-{run.interval}"
    if question := ask(canary, seen, HookType.ROLLBACK, attempt):
        return question
    if any(each.passed for each in seen.hooks.get(HookType.ROLLBACK, ())):
        return end(canary, seen, run, Ending.ABORTED, "a rollback hook asked for it")
    if run.paused and not run.wanted and not watching:
        return [move(canary, seen, run=again(seen, run))]
    if not run.prepared:
        return _prepare(canary, seen, run, attempt)
    if not watching or run.wanted:
        return advance(canary, seen, run, ())
    if seen.checks is None:
        return [Ask.CHECKS]
    return _conclude(canary, seen, run, seen.checks)


def _wish(canary: Canary) -> str:
    """Who asked to promote it now, and why."""
    for each in reversed(canary.status.intents):
        if each.verb == "promote" and each.applied:
            return Intent(each.id, each.verb, who=each.who, why=each.why).words()
    return "somebody asked to promote it now"


def _begun(seen: Seen, run: Run) -> datetime:
    """When the interval began that is to be watched: not before there was anything to count."""
    if run.since is None:
        return seen.now
    return max(each for each in (run.since, run.looked_at, seen.watched_from) if each)


def _glance(canary: Canary, seen: Seen, run: Run, due: datetime, *, watching: bool) -> list[Action]:
    """Within an interval only one thing can be decided: that it is lost already."""
    if not watching:
        return wait(canary, seen, due, "trying again")
    weight = f"{run.split.canary}%" if run.split.canary else "the canary"
    why = f"watching {weight}, then the checks decide"
    last = canary.status.failed_checks + 1 >= canary.spec.analysis.effective_threshold
    if not last:
        return wait(canary, seen, due, why)
    if seen.checks is None:
        return [Ask.CHECKS]
    if any(each.certain and each.outcome == Outcome.FAIL for each in seen.checks):
        return _failed(canary, seen, run, seen.checks)
    glance = timedelta(seconds=max(1.0, interval(canary, seen) / GLANCES))
    return wait(canary, seen, min(due, seen.now + glance), why)


def _prepare(canary: Canary, seen: Seen, run: Run, attempt: str) -> list[Action]:
    """The pre-rollout hooks come before the first request; failing ones count as failed checks."""
    if question := ask(canary, seen, HookType.PRE_ROLLOUT, attempt):
        return question
    answers = seen.hooks.get(HookType.PRE_ROLLOUT, ())
    if shut := closed(answers):
        return hook_failed(canary, seen, run, HookType.PRE_ROLLOUT, f"{shut.name}: {shut.detail}")
    say = [Say(f"{each.name} passed") for each in answers]
    say.append(Say(f"the analysis of {canary.target_name} begins"))
    prepared = run.model_copy(update={"prepared": True})
    if run.stranded:
        # All traffic is here already, on the revision before: watch what this one makes of it.
        return watch_again(canary, seen, again(seen, prepared), *say)
    return advance(canary, seen, prepared, tuple(say))


def _conclude(
    canary: Canary, seen: Seen, run: Run, checks: tuple[CheckRecord, ...]
) -> list[Action]:
    """An interval is over. One failed check is a failed interval; not knowing is neither."""
    if any(each.outcome == Outcome.FAIL for each in checks):
        return _failed(canary, seen, run, checks)
    if any(each.outcome != Outcome.PASS for each in checks):
        return _held(canary, seen, run, checks)
    passed = run.model_copy(update={"checks": checks, "held_since": None})
    if run.paused:
        return watch_again(canary, seen, again(seen, passed, checks), stalled="")
    return advance(canary, seen, passed, ())


def _failed(canary: Canary, seen: Seen, run: Run, checks: tuple[CheckRecord, ...]) -> list[Action]:
    failing = [each for each in checks if each.outcome == Outcome.FAIL]
    text = "; ".join(each.reason for each in failing)
    failed = canary.status.failed_checks + 1
    if failed >= canary.spec.analysis.effective_threshold:
        run = run.model_copy(update={"checks": checks})
        return end(canary, seen, run, Ending.FAILED, f"{text} ({budget(canary, failed)})")
    say = warn(f"{text} ({budget(canary, failed)})")
    same = again(seen, run, checks).model_copy(update={"held_since": None})
    return watch_again(canary, seen, same, say, failures=1)


def _held(canary: Canary, seen: Seen, run: Run, checks: tuple[CheckRecord, ...]) -> list[Action]:
    """Unknown is not a verdict: the step is watched for another interval, at no one's cost."""
    unknown = [each for each in checks if each.outcome != Outcome.PASS]
    text = "; ".join(each.reason for each in unknown)
    same = again(seen, run, checks)
    same = same.model_copy(update={"since": run.since, "looked_at": seen.now})
    if run.held_since is None:
        say = warn(f"held at {run.split.canary}%: {text}")
        same = same.model_copy(update={"held_since": seen.now})
        return watch_again(canary, seen, same, say)
    if seen.now >= run.held_since + HOLD and not canary.status.stalled:
        why = f"no conclusion for {HOLD.total_seconds() / 60:g} minutes: {text}"
        return watch_again(canary, seen, same, warn(why, "error"), stalled=why)
    return watch_again(canary, seen, same)
