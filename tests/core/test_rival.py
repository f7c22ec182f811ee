"""Two Canaries on one target, as the younger one decides."""

from dataclasses import replace

import pytest

from canary.core.actions import Ask, SetFinalizer
from canary.core.decide import decide
from canary.core.facts import Seen
from canary.core.terminate import FINALIZER
from canary.crd import Canary
from canary.crd.status import Phase
from tests.core.rows import NOW, at, brief, facts, running, told, written
from tests.core.world import podinfo

RIVAL = "test/older"
PHASES = [at(phase) for phase in Phase if phase != Phase.TERMINATED]


def deleted(canary: Canary, *finalizers: str) -> Canary:
    meta = canary.metadata.model_copy(
        update={"deletion_timestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}
    )
    return canary.model_copy(update={"metadata": meta})


@pytest.mark.parametrize("canary", [*PHASES, running(weight=50)])
def test_nothing_is_done_but_to_say_so_once(canary: Canary) -> None:
    seen = facts(rival=RIVAL)
    actions = decide(canary, seen)
    assert brief(actions) == [canary.status.phase]
    [say] = told(actions)
    assert RIVAL in say.text
    assert (say.type, say.severity) == ("Warning", "error")
    status = written(actions)
    assert status.run == canary.status.run
    assert status.canary_weight == canary.status.canary_weight
    assert decide(canary.model_copy(update={"status": status}), seen) == []


def test_no_finalizer_is_asked_for() -> None:
    fresh = podinfo()
    fresh = fresh.model_copy(
        update={"metadata": fresh.metadata.model_copy(update={"finalizers": ()})}
    )
    assert not any(isinstance(each, SetFinalizer) for each in decide(fresh, facts(rival=RIVAL)))


def test_it_goes_without_giving_anything_back() -> None:
    seen = facts(rival=RIVAL)
    for canary in PHASES:
        assert decide(deleted(canary, FINALIZER), seen) == [SetFinalizer(present=False)]
        assert decide(deleted(canary), seen) == []


def test_it_goes_on_where_it_was_once_it_is_alone() -> None:
    canary = running(weight=50)
    refused = written(decide(canary, facts(50, rival=RIVAL)))
    canary = canary.model_copy(update={"status": refused})
    actions = decide(canary, facts(50))
    status = written(actions)
    assert (status.stalled, status.run) == ("", canary.status.run)
    assert "no other Canary" in told(actions)[0].text
    assert decide(canary.model_copy(update={"status": status}), Seen(NOW)) == [
        Ask.WORKLOADS,
        Ask.LIVE,
    ]


def test_another_rival_is_told_anew() -> None:
    canary = podinfo()
    seen = facts(rival=RIVAL)
    canary = canary.model_copy(update={"status": written(decide(canary, seen))})
    assert "test/oldest" in told(decide(canary, replace(seen, rival="test/oldest")))[0].text
