"""Runtime verbs: what people and pipelines ask of a run, one at a time and once each.

An intent is an annotation of the Canary. By hand a word will do (`skip-step`, or
`abort: errors in the logs`); the API writes JSON with `verb`, `id`, `revision`, `who`, `why`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from canary.core.actions import Action, Ask, AskHooks, ClearIntent
from canary.core.facts import Seen
from canary.core.start import refused, start
from canary.core.takeback import end
from canary.core.transition import Say, move, warn
from canary.core.waiting import decline
from canary.crd import Canary
from canary.crd.status import Ending, IntentRecord, Pause, Phase, Run
from canary.errors import nearest

ANNOTATION = "flagger.app/intent"
KEPT = 10
"""How many consumed intents a status remembers."""
RUNNING = frozenset({Phase.PROGRESSING, Phase.WAITING_PROMOTION})


@dataclass(frozen=True, slots=True)
class Intent:
    id: str
    verb: str
    revision: str = ""
    """The revision it is meant for; empty for whichever is there."""
    who: str = ""
    why: str = ""

    def words(self) -> str:
        by = f" by {self.who}" if self.who else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.verb}{by}{why}"


def parse(text: str) -> Intent:
    """Read the annotation, in either of its forms. Never raises: nonsense is an unknown verb."""
    made = sha256(text.encode()).hexdigest()[:12]
    if text.lstrip().startswith("{"):
        try:
            said: dict[str, Any] = json.loads(text)
        except ValueError:
            return Intent(made, text.strip()[:40])
        names = ("verb", "revision", "who", "why")
        known = {name: str(said[name]) for name in names if said.get(name)}
        return Intent(str(said.get("id") or made), known.pop("verb", ""), **known)
    verb, _, why = text.partition(":")
    return Intent(made, verb.strip().lower(), why=why.strip())


def heed(canary: Canary, seen: Seen) -> list[Action]:
    """Act on an intent, or refuse it with a reason; an empty list when there is none."""
    text = canary.annotations.get(ANNOTATION, "")
    status = canary.status
    last = status.intents[-1] if status.intents else None
    if not text:
        if last is None or last.cleared:
            return []
        seen_gone = last.model_copy(update={"cleared": True})
        return [move(canary, seen, intents=(*status.intents[:-1], seen_gone))]
    intent = parse(text)
    if any(each.id == intent.id and not each.cleared for each in status.intents):
        return [ClearIntent(intent.id)]
    if intent.verb in NEEDS_FACTS and (seen.workloads is None or seen.live is None):
        return [Ask.WORKLOADS, Ask.LIVE]
    answer = _answer(canary, seen, intent)
    if answer.actions and isinstance(answer.actions[0], AskHooks):
        return answer.actions
    return [*_consume(canary, seen, intent, answer), ClearIntent(intent.id)]


NEEDS_FACTS = frozenset({"abort", "retry"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an intent: actions, or a change of the run, or the reason for neither."""

    refusal: str = ""
    run: Run | None = None
    actions: list[Action] = field(default_factory=list)


Verb = Callable[[Canary, Seen, Intent, Run | None], Answer]


def _answer(canary: Canary, seen: Seen, intent: Intent) -> Answer:
    run = canary.status.run
    if intent.verb not in VERBS:
        near = nearest(intent.verb, tuple(VERBS))
        hint = f"; did you mean {near!r}?" if near else f"; known are {', '.join(VERBS)}"
        return Answer(f"there is no verb {intent.verb!r}{hint}")
    target = seen.workloads.target if seen.workloads else None
    newest = target.revision if target else ""
    current = newest if intent.verb == "retry" else run.revision if run else ""
    if intent.revision and current and intent.revision != current:
        return Answer(f"it is meant for revision {intent.revision}, which is not the current one")
    return VERBS[intent.verb](canary, seen, intent, run)


def _promote(canary: Canary, _seen: Seen, _intent: Intent, run: Run | None) -> Answer:
    if run and canary.status.phase in RUNNING | {Phase.WAITING} and not run.verdict:
        return Answer(run=run.model_copy(update={"wanted": "promote", "paused": None}))
    return Answer("no run is under way that could be promoted")


def _abort(canary: Canary, seen: Seen, intent: Intent, run: Run | None) -> Answer:
    phase = canary.status.phase
    if run and phase in RUNNING | {Phase.PROMOTING, Phase.WAITING}:
        if run.verdict and run.verdict.outcome != Ending.PROMOTED:
            return Answer("the run is on its way back already")
        if phase == Phase.WAITING:
            return Answer(actions=decline(canary, seen, run, Ending.ABORTED, intent.words()))
        return Answer(actions=end(canary, seen, run, Ending.ABORTED, intent.words()))
    if phase == Phase.FINALISING:
        return Answer("the revision is promoted already; set the target back to undo it")
    return Answer("no run is under way")


def _pause(canary: Canary, seen: Seen, intent: Intent, run: Run | None) -> Answer:
    if run is None or canary.status.phase not in RUNNING or run.verdict:
        return Answer("no run is under way that could be paused")
    if run.paused:
        return Answer("the run is paused already")
    pause = Pause(who=intent.who, why=intent.why, since=seen.now)
    return Answer(run=run.model_copy(update={"paused": pause}))


def _resume(_canary: Canary, _seen: Seen, _intent: Intent, run: Run | None) -> Answer:
    if run is None or run.paused is None:
        return Answer("the run is not paused")
    return Answer(run=run.model_copy(update={"paused": None}))


def _skip_step(canary: Canary, _seen: Seen, _intent: Intent, run: Run | None) -> Answer:
    if run is None or canary.status.phase != Phase.PROGRESSING or run.verdict:
        return Answer("no step is being watched that could be skipped")
    return Answer(run=run.model_copy(update={"wanted": "skip-step"}))


def _retry(canary: Canary, seen: Seen, _intent: Intent, _run: Run | None) -> Answer:
    target = seen.workloads.target if seen.workloads else None
    if canary.status.phase != Phase.FAILED:
        return Answer("only a release that failed can be tried again")
    if target is None or target.revision == canary.status.last_promoted_spec:
        return Answer("the target is at the promoted version: there is nothing to try again")
    if refusal := refused(canary, seen):
        return Answer(refusal)
    return Answer(actions=start(canary, seen, target, "another try"))


VERBS: dict[str, Verb] = {
    "promote": _promote,
    "abort": _abort,
    "pause": _pause,
    "resume": _resume,
    "skip-step": _skip_step,
    "retry": _retry,
}


def _consume(canary: Canary, seen: Seen, intent: Intent, answer: Answer) -> list[Action]:
    """Record the intent in the very write that carries out what it asks for."""
    record = IntentRecord(
        id=intent.id,
        verb=intent.verb,
        who=intent.who,
        why=intent.why,
        at=seen.now,
        applied=not answer.refusal,
        detail=answer.refusal,
    )
    # Other words are there now, so those of the others are gone.
    earlier = (each.model_copy(update={"cleared": True}) for each in canary.status.intents)
    intents = (*earlier, record)[-KEPT:]
    if answer.refusal:
        say = warn(f"{intent.words()} is ignored: {answer.refusal}")
        return [move(canary, seen, say, intents=intents)]
    if answer.run is not None:
        return [move(canary, seen, Say(intent.words()), run=answer.run, intents=intents)]
    first, *rest = answer.actions
    status = getattr(first, "status", None)
    if status is None:
        return answer.actions
    return [type(first)(status.model_copy(update={"intents": intents})), *rest]  # type: ignore[call-arg]  # a SetStatus, as its status shows
