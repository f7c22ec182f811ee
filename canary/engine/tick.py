"""One look at one Canary: ask and act until there is nothing left to do but wait."""

from canary.core.actions import Action, Ask, AskHooks, Deed, Wait
from canary.core.decide import decide
from canary.core.facts import Seen
from canary.crd import Canary
from canary.engine.act import act
from canary.engine.look import first_look, look
from canary.engine.parts import Parts
from canary.errors import CanaryError

QUESTIONS = 12
"""More rounds of questions than the core can have; reaching it is a bug there."""
DECISIONS = 24
"""Decisions in a row within one tick, each from what the last one led to."""


async def tick(parts: Parts, canary: Canary) -> Wait | None:
    """Decide and act until the core says wait (how long) or rest (`None`).

    The first deed that fails ends the tick, and the next one starts from what the cluster says
    then. Nothing is remembered in between.
    """
    await parts.recorder.tell(canary)
    if canary.status.run and canary.status.run.since:
        await parts.checks.resume(canary, parts.now())
    for _ in range(DECISIONS):
        try:
            seen, actions = await _decide(parts, canary)
        except CanaryError as error:
            # Not even a decision: `explain` would otherwise know nothing of it.
            parts.journal.note(canary, Seen(now=parts.now()), [], error=str(error))
            raise
        deeds = [each for each in actions if not isinstance(each, Wait | Ask | AskHooks)]
        if not deeds:
            waiting = next((each for each in actions if isinstance(each, Wait)), None)
            parts.journal.note(canary, seen, actions)
            return waiting
        canary = await _carry_out(parts, canary, seen, actions, deeds)
    raise RuntimeError(f"{canary.key} had something to do {DECISIONS} times in a row")


async def _decide(parts: Parts, canary: Canary) -> tuple[Seen, list[Action]]:
    """Answer questions until there are none, and return what was seen with what was decided."""
    seen = first_look(parts, canary)
    for _ in range(QUESTIONS):
        actions = decide(canary, seen)
        questions = [each for each in actions if isinstance(each, Ask | AskHooks)]
        if not questions:
            return seen, actions
        for question in questions:
            seen = await look(parts, canary, seen, question)
    # A bug in the core, not a bad day in the cluster, hence no CanaryError.
    raise RuntimeError(f"{canary.key} still had questions after {QUESTIONS} rounds")


async def _carry_out(
    parts: Parts, canary: Canary, seen: Seen, actions: list[Action], deeds: list[Deed]
) -> Canary:
    """The deeds in order; then what they were about is told, and measuring begins if it should."""
    before, done = canary, 0
    try:
        for deed in deeds:
            canary = await act(parts, canary, deed)
            done += 1
    except CanaryError as error:
        parts.journal.note(before, seen, actions, done=done, error=str(error))
        raise
    parts.journal.note(before, seen, actions, done=done)
    await _begin_interval(parts, before, canary)
    await parts.recorder.tell(canary)
    return canary


async def _begin_interval(parts: Parts, before: Canary, after: Canary) -> None:
    """Take a baseline when a new interval has begun: after the deeds, so that it is only theirs."""
    old, new = before.status.run, after.status.run
    if new and new.since and (old is None or old.since != new.since):
        await parts.checks.begin(after, new.since)
