"""How many decisions a second the core makes, on one core: `python -m benchmarks.decide`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

from rich.console import Console
from rich.table import Table

from canary.core.decide import decide
from canary.core.facts import Live, Primary, Readiness, Seen, Target, Workloads
from canary.core.revision import PREFIX
from canary.core.terminate import FINALIZER
from canary.core.transition import conditions
from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, CheckRecord, Outcome, Phase, Run, Split

REACH = 20_000
SECONDS = 1.0
"""For how long each row is measured; the best of `ROUNDS` counts, the others were disturbed."""
ROUNDS = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = PREFIX + "old", PREFIX + "new"


def progressing() -> Canary:
    """A release at 20%, twenty seconds into its interval, with one failed check so far."""
    canary = parse(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {
                "name": "podinfo",
                "namespace": "test",
                "uid": "0123456789",
                "finalizers": [FINALIZER],
            },
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "service": {"port": 9898},
                "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 5},
            },
        }
    )
    if not isinstance(canary, Canary):
        raise TypeError("the manifest above is one of a Canary")
    run = Run(
        id="run",
        revision=NEW,
        started_at=NOW - timedelta(minutes=5),
        since=NOW - timedelta(seconds=20),
        split=Split.to_canary(20),
        prepared=True,
        known_good=OLD,
    )
    status = CanaryStatus(
        phase=Phase.PROGRESSING,
        failed_checks=1,
        canary_weight=20,
        last_applied_spec=NEW,
        last_promoted_spec=OLD,
        last_transition_time=NOW,
        deadline=NOW + timedelta(hours=2),
        run=run,
    )
    status = status.model_copy(update={"conditions": conditions(canary, status, NOW)})
    return canary.model_copy(update={"status": status})


def looked() -> Seen:
    """Both sides are ready, traffic is where it should be, every check passes."""
    ready = Readiness(ready=True, serving=2, desired=2)
    return Seen(
        now=NOW,
        workloads=Workloads(Target(NEW, ready), Primary(OLD, ready), frozenset({OLD, NEW})),
        live=Live(Split.to_canary(20)),
        checks=tuple(CheckRecord(name=name, outcome=Outcome.PASS) for name in ("rate", "p99")),
    )


def rate(seen: Sequence[Seen], canary: Canary) -> float:
    """Decisions a second over these looks, the best of a few rounds."""
    return max(
        _round(lambda: [decide(canary, each) for each in seen], len(seen)) for _ in range(ROUNDS)
    )


def _round(batch: Callable[[], object], size: int) -> float:
    made, begun = 0, perf_counter()
    while perf_counter() - begun < SECONDS:
        batch()
        made += size
    return made / (perf_counter() - begun)


def main() -> None:
    canary, within = progressing(), looked()
    end = replace(within, now=NOW + timedelta(minutes=1))
    rows = {
        "decide: within an interval": [within],
        "decide: at the end of an interval, a step on": [end],
        "decide: five looks in an interval, then its end": [within] * 5 + [end],
    }
    table = Table("figure", "reach", "measured")
    for name, seen in rows.items():
        measured = rate(seen, canary)
        mark = "" if measured >= REACH else "  [red]missed[/red]"
        table.add_row(name, f"{REACH:,}/s", f"{measured:,.0f}/s{mark}")
    Console().print(table)


if __name__ == "__main__":
    main()
