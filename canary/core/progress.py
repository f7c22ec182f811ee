"""A run in progress: wake the canary, move traffic step by step, watch each step, decide."""

from datetime import datetime, timedelta
from typing import Any

from canary.core.actions import Action, Ask, CreatePrimary, Remember, Scale, SetSplit
from canary.core.facts import HookType, Seen, Target, Workloads
from canary.core.gates import ask, closed, note
from canary.core.idle import changed
from canary.core.intents import Intent
from canary.core.promote import promote
from canary.core.safety import bring, safe
from canary.core.start import begin, cookies
from canary.core.steps import Stop, iterations, next_stop, strategy
from canary.core.takeback import end
from canary.core.transition import (
    HOLD,
    Say,
    gate_deadline,
    interval,
    move,
    overdue,
    progress_deadline,
    stall,
    wait,
    warn,
)
from canary.core.waiting import on_timeout
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
    watching = _watching(canary, run)
    if run.since is not None and seen.now < due and not run.wanted:
        return _glance(canary, seen, run, due, watching=watching)
    attempt = f"{run.id}-{run.interval}"
    if question := ask(canary, seen, HookType.ROLLBACK, attempt):
        return question
    if any(each.passed for each in seen.hooks.get(HookType.ROLLBACK, ())):
        return end(canary, seen, run, Ending.ABORTED, "a rollback hook asked for it")
    if run.paused and not run.wanted and not watching:
        return [move(canary, seen, run=_again(seen, run))]
    if not run.prepared:
        return _prepare(canary, seen, run, attempt)
    if not watching or run.wanted:
        return _advance(canary, seen, run, ())
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


def _watching(canary: Canary, run: Run) -> bool:
    """Whether requests reach the canary, so that there is something to judge."""
    return bool(run.split.canary or run.split.mirrored or canary.status.iterations)


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
        return _hook_failed(canary, seen, run, HookType.PRE_ROLLOUT, f"{shut.name}: {shut.detail}")
    say = [Say(f"{each.name} passed") for each in answers]
    say.append(Say(f"the analysis of {canary.target_name} begins"))
    prepared = run.model_copy(update={"prepared": True})
    if run.stranded:
        # All traffic is here already, on the revision before: watch what this one makes of it.
        return _restart_interval(canary, seen, _again(seen, prepared), *say)
    return _advance(canary, seen, prepared, tuple(say))


def _hook_failed(canary: Canary, seen: Seen, run: Run, hook: HookType, detail: str) -> list[Action]:
    text = f"{hook} hook failed: {detail}"
    failed = canary.status.failed_checks + 1
    if failed >= canary.spec.analysis.effective_threshold:
        return end(canary, seen, run, Ending.FAILED, f"{_budget(canary, failed)}; {text}")
    run = _again(seen, run)
    return [move(canary, seen, warn(text), run=run, failed_checks=failed)]


def _again(seen: Seen, run: Run, checks: tuple[CheckRecord, ...] | None = None) -> Run:
    """The same step, watched for another interval."""
    changes: dict[str, object] = {
        "since": seen.now,
        "looked_at": None,
        "interval": run.interval + 1,
        "unready_since": None,
    }
    if checks is not None:
        changes["checks"] = checks
    return run.model_copy(update=changes)


def _budget(canary: Canary, failed: int) -> str:
    return f"failed check {failed} of {canary.spec.analysis.effective_threshold}"


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
        return _restart_interval(canary, seen, _again(seen, passed, checks), stalled="")
    return _advance(canary, seen, passed, ())


def _failed(canary: Canary, seen: Seen, run: Run, checks: tuple[CheckRecord, ...]) -> list[Action]:
    failing = [each for each in checks if each.outcome == Outcome.FAIL]
    text = "; ".join(each.reason for each in failing)
    failed = canary.status.failed_checks + 1
    if failed >= canary.spec.analysis.effective_threshold:
        run = run.model_copy(update={"checks": checks})
        return end(canary, seen, run, Ending.FAILED, f"{text} ({_budget(canary, failed)})")
    say = warn(f"{text} ({_budget(canary, failed)})")
    again = _again(seen, run, checks).model_copy(update={"held_since": None})
    return _restart_interval(canary, seen, again, say, failures=1)


def _held(canary: Canary, seen: Seen, run: Run, checks: tuple[CheckRecord, ...]) -> list[Action]:
    """Unknown is not a verdict: the step is watched for another interval, at no one's cost."""
    unknown = [each for each in checks if each.outcome != Outcome.PASS]
    text = "; ".join(each.reason for each in unknown)
    again = _again(seen, run, checks)
    again = again.model_copy(update={"since": run.since, "looked_at": seen.now})
    if run.held_since is None:
        say = warn(f"held at {run.split.canary}%: {text}")
        again = again.model_copy(update={"held_since": seen.now})
        return _restart_interval(canary, seen, again, say)
    if seen.now >= run.held_since + HOLD and not canary.status.stalled:
        why = f"no conclusion for {HOLD.total_seconds() / 60:g} minutes: {text}"
        return _restart_interval(canary, seen, again, warn(why, "error"), stalled=why)
    return _restart_interval(canary, seen, again)


def _restart_interval(
    canary: Canary, seen: Seen, run: Run, *say: Say, failures: int = 0, **fields: Any
) -> list[Action]:
    """Watch the same step again. The rollout hooks are called for it as for any interval."""
    if question := ask(canary, seen, HookType.ROLLOUT, f"{run.id}-{run.interval}"):
        return question
    failed = canary.status.failed_checks + failures
    if shut := closed(seen.hooks.get(HookType.ROLLOUT, ())):
        failed += 1
        text = f"rollout hook failed: {shut.name}: {shut.detail}"
        if failed >= canary.spec.analysis.effective_threshold:
            return end(canary, seen, run, Ending.FAILED, f"{_budget(canary, failed)}; {text}")
        say = (*say, warn(text))
    return [move(canary, seen, *say, run=run, failed_checks=failed, **fields)]


def _advance(canary: Canary, seen: Seen, run: Run, say: tuple[Say, ...]) -> list[Action]:
    """The step went well (or there was none): on to the next one, or to promotion."""
    weighted = strategy(canary.spec.analysis, seen.abilities) == "canary"
    attempt = f"{run.id}-{run.interval}"
    if weighted and not run.split.mirrored and canary.status.phase == Phase.PROGRESSING:
        if question := ask(canary, seen, HookType.CONFIRM_TRAFFIC_INCREASE, attempt):
            return question
        run, told = note(seen, run, HookType.CONFIRM_TRAFFIC_INCREASE)
        say = (*say, *told)
        if closed(seen.hooks.get(HookType.CONFIRM_TRAFFIC_INCREASE, ())):
            answer = _in_time(canary, seen, run)
            if answer == "reject":
                reason = "approval of more traffic did not come in time"
                return end(canary, seen, run, Ending.FAILED, reason)
            if answer == "wait":
                return _not_more(canary, seen, run, say)
    stop = None if run.stranded else next_stop(canary, seen.abilities)
    if stop is None:
        return _approve(canary, seen, run, say)
    return _step(canary, seen, run, stop, say)


def _in_time(canary: Canary, seen: Seen, run: Run) -> str:
    """What a closed gate for more traffic means: `wait` until its deadline, then what it says."""
    gate = run.gates.get(HookType.CONFIRM_TRAFFIC_INCREASE)
    limit = gate_deadline(canary, HookType.CONFIRM_TRAFFIC_INCREASE)
    if gate is None or seen.now < gate.since + limit:
        return "wait"
    return on_timeout(canary, HookType.CONFIRM_TRAFFIC_INCREASE)


def _not_more(canary: Canary, seen: Seen, run: Run, say: tuple[Say, ...]) -> list[Action]:
    """Watch the same weight for another interval, with the load that its hooks may bring."""
    again = _again(seen, run).model_copy(update={"wanted": ""})
    if not _watching(canary, run):
        return [move(canary, seen, *say, run=again)]
    return _restart_interval(canary, seen, again, *say)


def _step(canary: Canary, seen: Seen, run: Run, stop: Stop, say: tuple[Say, ...]) -> list[Action]:
    """Move traffic. Its rollout hooks go first, so that a load test they start finds it moved."""
    after = _again(seen, run)
    if question := ask(canary, seen, HookType.ROLLOUT, f"{run.id}-{after.interval}"):
        return question
    if shut := closed(seen.hooks.get(HookType.ROLLOUT, ())):
        return _hook_failed(canary, seen, run, HookType.ROLLOUT, f"{shut.name}: {shut.detail}")
    after = after.model_copy(update={"split": stop.split, "step": run.step + 1, "wanted": ""})
    return [
        move(
            canary,
            seen,
            *say,
            Say(_advance_words(canary, stop)),
            phase=Phase.PROGRESSING,
            run=after,
            canary_weight=0 if stop.split.matched else stop.split.canary,
            iterations=stop.iteration,
            stalled="",
            **cookies(canary, stop.split, run),
        ),
        SetSplit(safe(stop.split, seen.workloads or Workloads(None, None))),
    ]


def _advance_words(canary: Canary, stop: Stop) -> str:
    name = f"{canary.namespace}/{canary.name}"
    if stop.iteration and stop.split.canary == 100 and not stop.split.matched:
        return f"{name}: all traffic goes to the canary"
    if stop.iteration:
        count = iterations(canary.spec.analysis)
        return f"{name}: iteration {stop.iteration} of {count}"
    if stop.split.mirrored:
        return f"{name}: traffic is mirrored to the canary"
    return f"{name}: the canary gets {stop.split.canary}%"


def _approve(canary: Canary, seen: Seen, run: Run, say: tuple[Say, ...]) -> list[Action]:
    """Every step went well. Promote, if the gate agrees."""
    attempt = f"{run.id}-{run.interval}"
    if question := ask(canary, seen, HookType.CONFIRM_PROMOTION, attempt):
        return question
    run, told = note(seen, run, HookType.CONFIRM_PROMOTION)
    waiting = canary.status.phase == Phase.WAITING_PROMOTION
    if closed(seen.hooks.get(HookType.CONFIRM_PROMOTION, ())):
        if waiting and overdue(canary, seen):
            return _gate_late(canary, seen, run)
        run = _again(seen, run).model_copy(update={"wanted": ""})
        return _restart_interval(canary, seen, run, *say, *told, phase=Phase.WAITING_PROMOTION)
    return promote(canary, seen, run, "every check passed", *say, *told)


def _gate_late(canary: Canary, seen: Seen, run: Run) -> list[Action]:
    """Nobody answered in time; the hook says what that means."""
    match on_timeout(canary, HookType.CONFIRM_PROMOTION):
        case "approve":
            return promote(canary, seen, run, "approval was given by its deadline")
        case "reject":
            reason = "approval to promote did not come in time"
            return end(canary, seen, run, Ending.FAILED, reason)
        case _:
            return stall(canary, seen, "approval to promote has not come in time")
