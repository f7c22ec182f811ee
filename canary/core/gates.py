"""Gates: asked once an interval while they are closed, announced when they change."""

from canary.core.actions import Action, AskHooks
from canary.core.facts import HookAnswer, HookType, Seen
from canary.core.transition import Say, has_hooks
from canary.crd import Canary
from canary.crd.status import GateRecord, Run


def ask(canary: Canary, seen: Seen, hook: HookType, attempt: str) -> list[Action]:
    """The question, if there is somebody to ask and nobody has yet."""
    if not has_hooks(canary, hook) or hook in seen.hooks:
        return []
    return [AskHooks(hook, attempt)]


def closed(answers: tuple[HookAnswer, ...]) -> HookAnswer | None:
    """The hook that said no, if one did."""
    return next((each for each in answers if not each.passed), None)


def opened(answers: tuple[HookAnswer, ...]) -> tuple[Say, ...]:
    return tuple(Say(f"{each.name} approved") for each in answers)


def note(seen: Seen, run: Run, hook: HookType) -> tuple[Run, tuple[Say, ...]]:
    """The run with this gate's state recorded, and what there is to tell if it changed."""
    answers = seen.hooks.get(hook)
    if answers is None:
        return run, ()
    shut = closed(answers)
    old = run.gates.get(hook)
    if old and old.open == (shut is None):
        return run, ()
    record = GateRecord(
        open=shut is None,
        since=seen.now,
        hook=shut.name if shut else answers[0].name if answers else "",
        detail=shut.detail if shut else "",
    )
    run = run.model_copy(update={"gates": {**run.gates, str(hook): record}})
    if shut is None:
        return run, opened(answers)
    detail = f": {shut.detail}" if shut.detail else ""
    text = f"{shut.name} holds the release ({hook} is not approved{detail})"
    return run, (Say(text, "Warning", "" if shut.muted else "warn"),)
