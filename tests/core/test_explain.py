"""What a person is told about a canary: each row is a situation, its key what has to be said."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core.actions import SetStatus, Wait
from canary.core.explain import Explanation, explain
from canary.core.facts import Abilities, Live, Primary, Readiness, Seen, Target, Workloads
from canary.core.intents import ANNOTATION, VERBS, heed
from canary.core.situation import span
from canary.crd import Canary, parse
from canary.crd.status import Ending, Phase

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
OLD, NEW = "c1-0000000000000001", "c1-0000000000000002"


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def canary(
    phase: str = "Progressing",
    *,
    run: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    analysis: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    **status: Any,
) -> Canary:
    record = {"id": "r1", "revision": NEW, "knownGood": OLD, "startedAt": ago(300), **(run or {})}
    made = parse(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "podinfo", "namespace": "test", "uid": "u1", **(meta or {})},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "service": {"port": 80},
                "analysis": {
                    "interval": "30s",
                    "threshold": 5,
                    "stepWeight": 10,
                    "maxWeight": 50,
                    **(analysis or {}),
                },
                **(spec or {}),
            },
            "status": {
                "phase": phase,
                "enteredAt": ago(250),
                "lastAppliedSpec": NEW,
                "lastPromotedSpec": OLD,
                **({"run": record} if run is not None else {}),
                **status,
            },
        }
    )
    assert isinstance(made, Canary)
    return made


AT_20 = {"split": {"primary": 80, "canary": 20}, "since": ago(7), "step": 2, "prepared": True}
GATE = {"url": "http://gate.test/", "name": "release board"}
FAILED_CHECK = {
    "name": "request-success-rate",
    "outcome": "fail",
    "reason": "success rate 89.9% of 120 requests is below 99%",
    "query": "envoy: cluster.podinfo-canary",
    "value": 89.9,
    "unit": "%",
    "low": 99,
    "samples": 120,
}
NO_TRAFFIC = {**FAILED_CHECK, "outcome": "inconclusive", "reason": "no requests reached the canary"}
VERDICT = {"outcome": "failed", "reason": "success rate 89.9% is below 99%", "at": ago(60)}


@dataclass(frozen=True)
class Row:
    canary: Canary
    summary: str
    because: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    can: tuple[str, ...] = ()
    wait: Wait | None = None
    error: str = ""


def in_(seconds: float, why: str) -> Wait:
    return Wait(NOW + timedelta(seconds=seconds), why)


ROWS = {
    "one that nobody has looked at": Row(
        canary("", lastAppliedSpec="", lastPromotedSpec="", enteredAt=None),
        "test/podinfo is new and has not been looked at yet.",
        ("the controller has not come to it yet",),
        ("now: it is looked at as soon as the controller comes to it",),
    ),
    "one whose primary is being made": Row(
        canary("Initializing", deadline=ago(-350)),
        "test/podinfo has been Initializing for 4 min: the Deployment gets a primary, which then "
        "takes over its traffic.",
        ("the primary is not ready: 0 of 2 endpoints",),
        (
            "in 5 min: the primary is not ready: 0 of 2 endpoints",
            "in 5 min: if the primary is not ready by then, people are told; users are not hit",
        ),
        wait=in_(350, "the primary is not ready: 0 of 2 endpoints"),
    ),
    "one whose target is missing": Row(
        canary("Initializing", stalled="Deployment test/podinfo does not exist"),
        "test/podinfo has been Initializing for 4 min: the Deployment gets a primary, which then "
        "takes over its traffic.",
        ("it needs a person's attention: Deployment test/podinfo does not exist",),
        ("now: it is looked at as soon as the controller comes to it",),
    ),
    "one that is set up": Row(
        canary("Initialized"),
        f"test/podinfo has been Initialized for 4 min: the primary serves revision {OLD} and has "
        "all traffic.",
        ("the target runs what was promoted, so there is nothing to release",),
        ("nothing, until Deployment podinfo changes",),
    ),
    "one that waits for approval to start, at whose gate and since when": Row(
        canary(
            "Waiting",
            run={"since": ago(5)},
            analysis={
                "webhooks": [{**GATE, "type": "confirm-rollout", "onTimeout": "reject"}],
            },
            deadline=ago(-3000),
        ),
        f"test/podinfo has been Waiting for 4 min: revision {NEW} waits for approval to start and "
        "gets no traffic.",
        (
            "release board has not approved the start; first asked 4 min ago",
            "the release began 5 min ago",
        ),
        (
            "in 25 s: asking again for approval to start",
            "once the start is approved, the canary is woken up and tested",
            "in 50 min: without an answer the release is taken back",
        ),
        ("promote", "abort"),
        wait=in_(25, "asking again for approval to start"),
    ),
    "one whose canary is not ready yet": Row(
        canary(run={"unreadySince": ago(100), "trigger": "a new revision"}, deadline=ago(-9000)),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} is being made ready and "
        "gets no traffic yet.",
        (
            (
                "both sides have to be ready, waited for since 100 s ago (the canary is not ready: "
                "1 of 2 endpoints)"
            ),
            "the release began 5 min ago: a new revision",
        ),
        (
            "in 8 min: the canary is not ready: 1 of 2 endpoints",
            "once both sides are ready, the canary gets 10% of the traffic",
            "in 8 min: if a side is still not ready, the release is taken back",
            "in 2 h 30 min: if the release has not ended by then, people are told",
        ),
        ("promote", "abort", "pause", "skip-step"),
        wait=in_(500, "the canary is not ready: 1 of 2 endpoints"),
    ),
    "one that is watched at a weight": Row(
        canary(run={**AT_20, "images": ["podinfo:2"]}),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} (podinfo:2) gets 20% of the "
        "traffic while it is analysed.",
        ("the release began 5 min ago",),
        (
            "in 23 s: watching 20%, then the checks decide",
            "in 23 s: if every check passes, the canary gets 30% of the traffic",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "pause", "skip-step"),
        wait=in_(23, "watching 20%, then the checks decide"),
    ),
    "one at its last weight that has one failed check left": Row(
        canary(
            run={
                **AT_20,
                "split": {"primary": 50, "canary": 50},
                "checks": [FAILED_CHECK],
            },
            failedChecks=4,
            analysis={"webhooks": [{**GATE, "type": "confirm-promotion"}]},
        ),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets 50% of the traffic "
        "while it is analysed.",
        (
            "request-success-rate (fail): success rate 89.9% of 120 requests is below 99%",
            "4 failed checks so far; at 5 it is taken back",
            "the release began 5 min ago",
        ),
        (
            (
                "in 23 s: if every check passes, approval to promote is asked for, then the "
                "revision is copied to the primary"
            ),
            "in 23 s: if a check fails, the release is taken back (5 failed checks)",
        ),
        ("promote", "abort", "pause", "skip-step"),
    ),
    "one that is held because there is no traffic": Row(
        canary(run={**AT_20, "heldSince": ago(600), "checks": [NO_TRAFFIC]}),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets 20% of the traffic "
        "while it is analysed.",
        (
            "the checks say neither yes nor no, since 10 min ago; that counts against nobody",
            "request-success-rate (inconclusive): no requests reached the canary",
            "the release began 5 min ago",
        ),
        (
            "in 23 s: if every check passes, the canary gets 30% of the traffic",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
            "in 50 min: if there is still no conclusion, people are told",
        ),
        ("promote", "abort", "pause", "skip-step"),
    ),
    "one that somebody paused, and why": Row(
        canary(
            run={**AT_20, "paused": {"who": "ann", "why": "looking at logs", "since": ago(240)}}
        ),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} is paused and gets 20% of "
        "the traffic.",
        ("paused by ann 4 min ago: looking at logs", "the release began 5 min ago"),
        (
            "the weight stays until the release is resumed; failed checks still count",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "resume", "skip-step"),
    ),
    "one at a gate for more traffic": Row(
        canary(
            run={
                **AT_20,
                "gates": {
                    "confirm-traffic-increase": {
                        "open": False,
                        "since": ago(180),
                        "hook": "release board",
                        "detail": "HTTP 403",
                    }
                },
            },
            analysis={"webhooks": [{**GATE, "type": "confirm-traffic-increase"}]},
        ),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets 20% of the traffic "
        "while it is analysed.",
        (
            "release board has not approved more traffic, since 3 min ago: HTTP 403",
            "the release began 5 min ago",
        ),
        (
            (
                "in 23 s: if every check passes and more traffic is approved, the canary gets 30% "
                "of the traffic"
            ),
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "pause", "skip-step"),
    ),
    "one that waits for approval to be promoted": Row(
        canary(
            "WaitingPromotion",
            run={
                **AT_20,
                "gates": {
                    "confirm-promotion": {
                        "open": False,
                        "since": ago(180),
                        "hook": "release board",
                    }
                },
            },
            deadline=ago(-7200),
        ),
        f"test/podinfo has been WaitingPromotion for 4 min: revision {NEW} gets 20% of the "
        "traffic and waits for approval to be promoted.",
        (
            "release board has not approved promotion, since 3 min ago",
            "the release began 5 min ago",
        ),
        (
            (
                "in 23 s: if promotion is approved and every check passes, the revision is copied "
                "to the primary"
            ),
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
            "in 2 h: without an answer people are told, and it goes on waiting",
        ),
        ("promote", "abort", "pause"),
    ),
    "one in an A/B test": Row(
        canary(
            run={**AT_20, "split": {"primary": 0, "canary": 100, "matched": True}},
            analysis={
                "stepWeight": None,
                "maxWeight": None,
                "iterations": 10,
                "match": [{"headers": {"x-user": {"exact": "insider"}}}],
            },
            iterations=3,
        ),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets the requests that "
        "match while it is analysed (iteration 3 of 10).",
        ("the release began 5 min ago",),
        (
            "in 23 s: if every check passes, iteration 4 begins",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "pause", "skip-step"),
    ),
    "one with a broken primary that the release repairs": Row(
        canary(
            run={**AT_20, "split": {"primary": 0, "canary": 100}, "stranded": True},
        ),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets all traffic while it "
        "is analysed.",
        (
            (
                "it began with a broken primary and all traffic on the canary: promoting it is "
                "what repairs the primary"
            ),
            "the release began 5 min ago",
        ),
        (
            "in 23 s: if every check passes, the revision is copied to the primary",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "pause", "skip-step"),
    ),
    "one whose primary has to be restored first": Row(
        canary(
            "Promoting",
            run={**AT_20, "verdict": VERDICT, "restoring": True},
            deadline=ago(-10),
        ),
        f"test/podinfo has been Promoting for 4 min: revision {NEW} is on its way back and gets "
        "20% of the traffic.",
        (
            "decided to take it back 60 s ago: success rate 89.9% is below 99%",
            (
                f"the primary had the new version already: it gets {OLD} back, and traffic follows "
                "once that is ready"
            ),
            "waiting for the primary to be ready again: 0 of 2 endpoints",
            "the release began 5 min ago",
        ),
        (
            "in 9 min: waiting for the primary to be ready again: 0 of 2 endpoints",
            "in 9 min: if the primary can't serve by then, traffic stays where it is",
        ),
        wait=in_(540, "waiting for the primary to be ready again: 0 of 2 endpoints"),
    ),
    "one that is being promoted": Row(
        canary(
            "Promoting",
            run={**AT_20, "verdict": {**VERDICT, "outcome": "promoted", "reason": "all passed"}},
            deadline=ago(-300),
        ),
        f"test/podinfo has been Promoting for 4 min: revision {NEW} is being copied to the "
        "primary; the canary gets 20% of the traffic.",
        ("decided to promote it 60 s ago: all passed", "the release began 5 min ago"),
        ("in 5 min: if the primary is not ready by then, the release is taken back",),
        ("abort",),
    ),
    "one whose canary is put to sleep": Row(
        canary(
            "Finalising",
            run={"verdict": {**VERDICT, "outcome": "promoted", "reason": "all passed"}},
            deadline=ago(-300),
        ),
        f"test/podinfo has been Finalising for 4 min: revision {NEW} is on the primary, which "
        "gets all traffic; the canary is put to sleep.",
        (
            "decided to promote it 60 s ago: all passed",
            "letting the last requests end",
            "the release began 5 min ago",
        ),
        (
            "in 3 s: letting the last requests end",
            "in 5 min: if the primary does not serve by then, the release is taken back",
        ),
        wait=in_(3, "letting the last requests end"),
    ),
    "one that is promoted": Row(
        canary(
            "Succeeded",
            run={"verdict": {**VERDICT, "outcome": "promoted", "reason": "all passed"}},
            lastPromotedSpec=NEW,
        ),
        f"test/podinfo has been Succeeded for 4 min: revision {NEW} is promoted; the primary "
        "serves it and has all traffic.",
        ("decided to promote it 60 s ago: all passed",),
        ("nothing, until Deployment podinfo changes",),
    ),
    "one whose release was cancelled": Row(
        canary(
            "Succeeded",
            run={"verdict": {**VERDICT, "outcome": "cancelled", "reason": "it was set back"}},
            lastAppliedSpec=OLD,
        ),
        f"test/podinfo has been Succeeded for 4 min: the release of revision {NEW} was "
        f"cancelled; the primary serves {OLD}.",
        ("cancelled 60 s ago: it was set back",),
        ("nothing, until Deployment podinfo changes",),
    ),
    "one that failed": Row(
        canary("Failed", run={"verdict": VERDICT, "checks": [FAILED_CHECK]}),
        f"test/podinfo has been Failed for 4 min: revision {NEW} was taken back; the primary has "
        "all traffic.",
        ("decided to take it back 60 s ago: success rate 89.9% is below 99%",),
        ("nothing, until Deployment podinfo changes or the release is retried",),
        ("retry",),
    ),
    "one that somebody aborted": Row(
        canary(
            "Failed",
            run={"verdict": {**VERDICT, "outcome": "aborted", "reason": "abort by ann: errors"}},
        ),
        f"test/podinfo has been Failed for 4 min: revision {NEW} was stopped and taken back; the "
        "primary has all traffic.",
        ("stopped 60 s ago: abort by ann: errors",),
        ("nothing, until Deployment podinfo changes or the release is retried",),
        ("retry",),
    ),
    "one that could not be taken back": Row(
        canary(
            "Failed",
            run={"verdict": VERDICT},
            canaryWeight=100,
            stalled="the primary is not ready: it crashes",
        ),
        f"test/podinfo has been Failed for 4 min: revision {NEW} failed, and 100% of the traffic "
        "is still on it.",
        (
            "it needs a person's attention: the primary is not ready: it crashes",
            "decided to take it back 60 s ago: success rate 89.9% is below 99%",
        ),
        ("nothing, until Deployment podinfo changes or the release is retried",),
        ("retry",),
    ),
    "one that another program took back": Row(
        canary("Failed"),
        "test/podinfo has been Failed for 4 min: the primary serves revision c1-0000000000000001.",
        ("there is no record of why it failed: another program took it back",),
        ("nothing, until Deployment podinfo changes or the release is retried",),
        ("retry",),
    ),
    "one that another program is releasing": Row(
        canary(canaryWeight=30),
        "test/podinfo has been Progressing for 4 min: the canary gets 30% of the traffic, and "
        "there is no record of the release.",
        ("another program began this release and left no record: it is taken over as it is",),
        ("now: it is looked at as soon as the controller comes to it",),
    ),
    "one that is suspended in the middle": Row(
        canary(run=AT_20, spec={"suspend": True}, suspended=True, deadline=ago(-10)),
        f"test/podinfo is suspended in phase Progressing: revision {NEW} gets 20% of the traffic "
        "while it is analysed.",
        (
            "spec.suspend is set: weights, replicas and status stay as they are",
            "the release began 5 min ago",
        ),
        ("nothing, until spec.suspend is taken back",),
    ),
    "one that is being deleted": Row(
        canary(
            "Terminating",
            meta={"deletionTimestamp": "2026-03-04T11:59:00Z"},
            deadline=ago(-300),
        ),
        "test/podinfo has been Terminating for 4 min: the Deployment takes its traffic back, and "
        "what was made for it is removed.",
        (
            "the Canary is being deleted: the target takes over before anything is removed",
            "the target is not ready to take over: starting",
        ),
        (
            "in 5 min: the target is not ready to take over: starting",
            "in 5 min: if the target is not ready by then, people are told, and it goes on",
        ),
        wait=in_(300, "the target is not ready to take over: starting"),
    ),
    "one whose last look failed": Row(
        canary(run=AT_20),
        f"test/podinfo has been Progressing for 4 min: revision {NEW} gets 20% of the traffic "
        "while it is analysed.",
        (
            "the last look ended with an error and is repeated: the API server is away",
            "the release began 5 min ago",
        ),
        (
            "in 2 s: trying again",
            "in 23 s: if every check passes, the canary gets 30% of the traffic",
            "in 23 s: if a check fails, that is failed check 1 of 5, and the weight stays",
        ),
        ("promote", "abort", "pause", "skip-step"),
        wait=in_(2, "trying again"),
        error="the API server is away",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_explains(row: Row) -> None:
    said = explain(row.canary, NOW, row.wait, error=row.error)
    assert said.summary == row.summary
    assert said.because == row.because
    assert tuple(map(str, said.next)) == row.next
    assert said.can == row.can


def test_shows_checks_as_they_were_recorded() -> None:
    made = canary(run={**AT_20, "checks": [FAILED_CHECK]})
    assert made.status.run
    assert explain(made, NOW).checks == made.status.run.checks


def test_tells_what_became_of_intents_with_the_newest_first() -> None:
    records = [
        {"id": "a", "verb": "pause", "who": "ann", "why": "logs", "at": ago(240), "cleared": True},
        {"id": "b", "verb": "resume", "at": ago(30), "applied": False, "detail": "not paused"},
    ]
    asked = {"annotations": {ANNOTATION: '{"verb": "abort", "id": "c", "who": "bob"}'}}
    said = explain(canary(run=AT_20, intents=records, meta=asked), NOW)
    assert said.intents == (
        "abort by bob - waits to be read",
        "resume - ignored: not paused, 30 s ago",
        "pause by ann: logs - done, 4 min ago",
    )
    assert str(said.next[0]) == "now: what was asked for is looked at: abort by bob"


def test_an_intent_that_was_consumed_already_is_told_once() -> None:
    records = [{"id": "a", "verb": "pause", "at": ago(2)}]
    asked = {"annotations": {ANNOTATION: '{"verb": "pause", "id": "a"}'}}
    said = explain(canary(run=AT_20, intents=records, meta=asked), NOW)
    assert said.intents == ("pause - done, 2 s ago",)


def test_a_place_without_weights_says_what_it_does_instead() -> None:
    said = explain(canary(run={}), NOW, abilities=Abilities(weights=False))
    assert str(said.next[0]) == "if every check passes, iteration 1 begins"


READY = Readiness(ready=True, serving=2, desired=2)
SEEN = Seen(
    now=NOW,
    workloads=Workloads(Target(NEW, READY), Primary(OLD, READY), frozenset({OLD, NEW})),
    live=Live(None),
)
RUNS: dict[str, dict[str, Any] | None] = {
    "no run": None,
    "watching": AT_20,
    "paused": {**AT_20, "paused": {"since": ago(1)}},
    **{f"{end}": {**AT_20, "verdict": {**VERDICT, "outcome": str(end)}} for end in Ending},
}
RUNNING = {Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION}
STATES = [
    (phase, name)
    for phase, name in product(Phase, RUNS)
    # Only a run that is under way can be paused.
    if name != "paused" or phase in {Phase.PROGRESSING, Phase.WAITING_PROMOTION}
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("phase", "run"), STATES)
def test_offers_exactly_what_would_not_be_refused(phase: Phase, run: str, verb: str) -> None:
    made = canary(str(phase), run=RUNS[run])
    asked = canary(str(phase), run=RUNS[run], meta={"annotations": {ANNOTATION: verb}})
    written = next(each for each in heed(asked, SEEN) if isinstance(each, SetStatus))
    assert (verb in explain(made, NOW).can) == written.status.intents[-1].applied


@given(
    phase=st.sampled_from(Phase),
    run=st.sampled_from(sorted(RUNS)),
    flags=st.fixed_dictionaries(
        {
            "suspend": st.booleans(),
            "deleting": st.booleans(),
            "stranded": st.booleans(),
            "restoring": st.booleans(),
            "unready": st.booleans(),
            "held": st.booleans(),
            "wait": st.booleans(),
            "clock": st.integers(-400, 10**7),
        }
    ),
)
def test_whatever_the_situation_there_is_a_sentence_a_reason_and_an_outlook(
    phase: Phase, run: str, flags: dict[str, Any]
) -> None:
    record = RUNS[run]
    if record is not None:
        record = {
            **record,
            "stranded": flags["stranded"],
            "restoring": flags["restoring"],
            "unreadySince": ago(50) if flags["unready"] else None,
            "heldSince": ago(50) if flags["held"] else None,
        }
    made = canary(
        str(phase),
        run=record,
        spec={"suspend": flags["suspend"]},
        meta={"deletionTimestamp": ago(5)} if flags["deleting"] else {},
    )
    wait = in_(5, "something") if flags["wait"] else None
    said = explain(made, NOW + timedelta(seconds=flags["clock"]), wait)
    assert said.summary.startswith("test/podinfo ")
    assert said.summary.endswith(".")
    assert said.because
    assert said.next
    assert all("None" not in line for line in words(said))
    assert not (flags["suspend"] and said.can)


def words(said: Explanation) -> list[str]:
    return [said.summary, *said.because, *map(str, said.next), *said.intents]


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_time_never_reads_shorter(one: float, other: float) -> None:
    short, long = sorted((one, other))
    assert _seconds(span(short)) <= _seconds(span(long))


def _seconds(text: str) -> int:
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}
    parts = text.split()
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return sum(int(number) * units[unit] for number, unit in pairs)
