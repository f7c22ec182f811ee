"""One interval after another: the same step watched again, and what a failing hook means."""

from typing import Any

from canary.core.actions import Action
from canary.core.facts import HookType, Seen
from canary.core.gates import ask, closed
from canary.core.takeback import end
from canary.core.transition import Say, move, warn
from canary.crd import Canary
from canary.crd.status import CheckRecord, Ending, Run


def watching_traffic(canary: Canary, run: Run) -> bool:
    """Whether requests reach the canary, so that there is something to judge."""
    return bool(run.split.canary or run.split.mirrored or canary.status.iterations)


def hook_failed(canary: Canary, seen: Seen, run: Run, hook: HookType, detail: str) -> list[Action]:
    text = f"{hook} hook failed: {detail}"
    failed = canary.status.failed_checks + 1
    if failed >= canary.spec.analysis.effective_threshold:
        return end(canary, seen, run, Ending.FAILED, f"{budget(canary, failed)}; {text}")
    run = again(seen, run)
    return [move(canary, seen, warn(text), run=run, failed_checks=failed)]


def again(seen: Seen, run: Run, checks: tuple[CheckRecord, ...] | None = None) -> Run:
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


def budget(canary: Canary, failed: int) -> str:
    return f"failed check {failed} of {canary.spec.analysis.effective_threshold}"


def watch_again(
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
            return end(canary, seen, run, Ending.FAILED, f"{budget(canary, failed)}; {text}")
        say = (*say, warn(text))
    return [move(canary, seen, *say, run=run, failed_checks=failed, **fields)]
