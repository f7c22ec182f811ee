"""What the rows of the core's specification are made of: canaries, facts, decisions in brief."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from canary.core.actions import Action, SetStatus, Wait
from canary.core.facts import (
    HookAnswer,
    HookType,
    Live,
    Primary,
    Readiness,
    Seen,
    Target,
    Traffic,
    Workloads,
)
from canary.crd import Canary
from canary.crd.status import (
    Announcement,
    CanaryStatus,
    CheckRecord,
    Outcome,
    Phase,
    Run,
    Split,
)
from tests.core.world import FULL, START, podinfo, rev

NOW = START
V1, V2, V3 = rev("v1"), rev("v2"), rev("v3")
MINUTE = timedelta(minutes=1)
UP = Readiness(ready=True, serving=2, desired=2)
PARTLY = Readiness(ready=False, serving=1, desired=2, reason="1 of 2 pods is ready")
DOWN = Readiness(ready=False, serving=0, desired=2, reason="0 of 2 pods are ready")
BROKEN = Readiness(ready=False, serving=0, desired=2, hopeless=True, reason="it crashes")
ASLEEP = Readiness(ready=True)

PASS = CheckRecord(name="success", outcome=Outcome.PASS)
FAIL = CheckRecord(name="success", outcome=Outcome.FAIL, reason="90% is below 99%")
CERTAIN = FAIL.model_copy(update={"certain": True})
NO_DATA = CheckRecord(name="success", outcome=Outcome.INCONCLUSIVE, reason="no requests")
NO_ANSWER = CheckRecord(name="success", outcome=Outcome.ERROR, reason="the source is down")

HEADER = [{"headers": {"x": {"exact": "y"}}}]


def hook(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": kind or "load", "type": kind, "url": "http://localhost/", **fields}


def yes(kind: HookType) -> dict[HookType, tuple[HookAnswer, ...]]:
    return {kind: (HookAnswer(str(kind), passed=True),)}


def no(kind: HookType, *, muted: bool = False) -> dict[HookType, tuple[HookAnswer, ...]]:
    return {kind: (HookAnswer(str(kind), passed=False, detail="not yet", muted=muted),)}


# ---------------------------------------------------------------------- canaries


def at(phase: Phase, canary: Canary | None = None, **fields: Any) -> Canary:
    """A Canary in a phase, promoted once at v1; `fields` are those of its status."""
    status: dict[str, Any] = {
        "phase": phase,
        "last_applied_spec": V1,
        "last_promoted_spec": V1,
        "last_transition_time": NOW,
        "entered_at": NOW,
        "deadline": NOW + timedelta(days=1),
    }
    if phase in {Phase.NEW, Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED}:
        status["deadline"] = None
    made = canary or podinfo()
    return made.model_copy(update={"status": CanaryStatus(**{**status, **fields})})


def running(
    canary: Canary | None = None,
    weight: int = 0,
    *,
    phase: Phase = Phase.PROGRESSING,
    status: dict[str, Any] | None = None,
    **run: Any,
) -> Canary:
    """Releasing v2, an interval after the last step; `run` overrides the record of the run."""
    record: dict[str, Any] = {
        "id": "run",
        "revision": V2,
        "started_at": NOW - 10 * MINUTE,
        "since": NOW - MINUTE,
        "interval": 1,
        "prepared": True,
        "known_good": V1,
        "split": Split.to_canary(weight),
    }
    fields = {"last_applied_spec": V2, "canary_weight": weight, **(status or {})}
    return at(phase, canary, run=Run(**{**record, **run}), **fields)


def gated(kind: str, analysis: dict[str, Any] | None = None, **fields: Any) -> Canary:
    """A Canary with one webhook; `fields` are those of the webhook."""
    return podinfo(webhooks=[hook(kind, **fields)], **(analysis or {}))


# ------------------------------------------------------------------------- facts


def target(revision: str = V2, readiness: Readiness = UP, **fields: Any) -> Target:
    return Target(revision, readiness, **fields)


def primary(revision: str = V1, readiness: Readiness = UP, **fields: Any) -> Primary:
    return Primary(revision, readiness, **fields)


TARGET, PRIMARY = target(), primary()
SLEEPING = target(V1, ASLEEP, idle=True)


def facts(
    weight: int | Split | None = 0,
    *checks: CheckRecord,
    target: Target | None = TARGET,
    primary: Primary | None = PRIMARY,
    recorded: frozenset[str] = frozenset({V1, V2}),
    live: Live | None = None,
    alike: bool = False,
    traffic: Traffic | None = None,
    **seen: Any,
) -> Seen:
    """Both sides up, v2 beside v1, with this weight on the canary."""
    split = Split.to_canary(weight) if isinstance(weight, int) else weight
    return Seen(
        **{
            "now": NOW,
            "abilities": FULL,
            "workloads": Workloads(target, primary, recorded, alike),
            "live": live or Live(split),
            "checks": checks or None,
            "traffic": traffic,
            **seen,
        }
    )


def later(seen: Seen, **delta: float) -> Seen:
    return replace(seen, now=seen.now + timedelta(**delta))


# --------------------------------------------------------------------- decisions


@dataclass(frozen=True)
class After:
    """A wait, in seconds from the moment of the decision."""

    seconds: float


def brief(actions: Sequence[Action], now: datetime = NOW) -> list[object]:
    """Decisions for comparison: a status write is its phase, a wait is how long it takes."""
    return [_brief(each, now) for each in actions]


def _brief(action: Action, now: datetime) -> object:
    match action:
        case SetStatus(status):
            return status.phase
        case Wait(until):
            return After((until - now).total_seconds())
        case _:
            return action


def written(actions: Sequence[Action]) -> CanaryStatus:
    """The status after these actions."""
    return [each.status for each in actions if isinstance(each, SetStatus)][-1]


def run_of(actions: Sequence[Action]) -> Run:
    run = written(actions).run
    assert run is not None
    return run


def told(actions: Sequence[Action]) -> tuple[Announcement, ...]:
    return written(actions).announcements


def words(actions: Sequence[Action]) -> str:
    return "; ".join(each.text for each in told(actions))
