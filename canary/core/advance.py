"""A step went well: the next one, if its gates agree, and promotion after the last."""

from canary.core.actions import Action, SetSplit
from canary.core.facts import HookType, Seen, Workloads
from canary.core.gates import ask, closed, note
from canary.core.interval import again, hook_failed, watch_again, watching_traffic
from canary.core.promote import promote
from canary.core.safety import safe
from canary.core.start import cookies
from canary.core.steps import Stop, iterations, next_stop, strategy
from canary.core.takeback import end
from canary.core.transition import Say, gate_deadline, move, overdue, stall
from canary.core.waiting import on_timeout
from canary.crd import Canary
from canary.crd.status import Ending, Phase, Run


def advance(canary: Canary, seen: Seen, run: Run, say: tuple[Say, ...]) -> list[Action]:
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
    same = again(seen, run).model_copy(update={"wanted": ""})
    if not watching_traffic(canary, run):
        return [move(canary, seen, *say, run=same)]
    return watch_again(canary, seen, same, *say)


def _step(canary: Canary, seen: Seen, run: Run, stop: Stop, say: tuple[Say, ...]) -> list[Action]:
    """Move traffic. Its rollout hooks go first, so that a load test they start finds it moved."""
    after = again(seen, run)
    if question := ask(canary, seen, HookType.ROLLOUT, f"{run.id}-{after.interval}"):
        return question
    if shut := closed(seen.hooks.get(HookType.ROLLOUT, ())):
        return hook_failed(canary, seen, run, HookType.ROLLOUT, f"{shut.name}: {shut.detail}")
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
        run = again(seen, run).model_copy(update={"wanted": ""})
        return watch_again(canary, seen, run, *say, *told, phase=Phase.WAITING_PROMOTION)
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
