"""Answers: each question of the core, and where its answer comes from."""

from dataclasses import replace

from canary.core.actions import Ask, AskHooks, Question
from canary.core.facts import HookType, Live, Seen, Traffic
from canary.crd import Canary
from canary.crd.status import Phase, Split
from canary.engine.parts import Parts
from canary.errors import SpecError


def first_look(parts: Parts, canary: Canary) -> Seen:
    """What is known before anything was asked: the time, who was first, what the place can do."""
    return Seen(
        now=parts.now(),
        abilities=parts.routing.abilities(canary),
        minimum_interval=parts.minimum_interval,
        rival=parts.claims.older(canary),
        watched_from=parts.checks.watched_from(canary),
    )


async def look(parts: Parts, canary: Canary, seen: Seen, question: Question) -> Seen:
    """Everything known so far, and the answer to this question."""
    match question:
        case Ask.WORKLOADS:
            await parts.workloads.learn(canary)
            return replace(seen, workloads=parts.workloads.look(canary, seen.now))
        case Ask.LIVE:
            return replace(seen, live=_live(parts, canary))
        case Ask.TRAFFIC:
            return replace(seen, traffic=Traffic(await parts.checks.traffic(canary)))
        case Ask.CHECKS:
            run = canary.status.run
            since = run.since if run and run.since else seen.now
            return replace(seen, checks=await parts.checks.check(canary, since, seen.now))
        case AskHooks(kind, attempt):
            # As users of the compatible API know it: only these two say where the Canary stands.
            current = kind in {HookType.CONFIRM_ROLLOUT, HookType.ROLLBACK}
            phase = canary.status.phase if current else Phase.PROGRESSING
            answers = await parts.hooks.ask(canary, kind, phase, attempt)
            return replace(seen, hooks={**seen.hooks, kind: answers})


def _live(parts: Parts, canary: Canary) -> Live:
    """The split, stale also where only a Service is not as it should be."""
    live = parts.routing.look(canary)
    if live.split is None or live.stale:
        return live
    try:
        alone = parts.routing.alone(canary)
        return replace(live, stale=parts.workloads.drifted(canary, live.split, alone=alone))
    except SpecError as error:
        if live.split == Split():
            raise
        # The way back has to stay open for traffic that is on the canary.
        return replace(live, pending=str(error))
