"""Where a release goes next, for every strategy."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core.facts import Abilities
from canary.core.steps import Stop, next_stop, next_weight, planned_stops
from canary.crd import Canary
from canary.crd.status import Split
from tests.core.rows import HEADER, running
from tests.core.world import FULL, podinfo

WEIGHTS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "step 20, max 50": ({"stepWeight": 20, "maxWeight": 50}, [20, 40, 60]),
    "step 50, max 100": ({"stepWeight": 50, "maxWeight": 100}, [50, 100]),
    "step 30 without a maximum": ({"stepWeight": 30}, [30, 60, 90, 100]),
    "a maximum of 0 is none": ({"stepWeight": 50, "maxWeight": 0}, [50, 100]),
    "a list": ({"stepWeights": [1, 2, 10, 80]}, [1, 2, 10, 80]),
    "a list past 100": ({"stepWeights": [1, 2, 10, 200]}, [1, 2, 10, 100]),
    "a list wins over the maximum": ({"stepWeights": [1, 80], "maxWeight": 50}, [1, 80]),
    "one step": ({"stepWeight": 100}, [100]),
}


@pytest.mark.parametrize(("analysis", "expected"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(analysis: dict[str, Any], expected: list[int]) -> None:
    spec = podinfo(**analysis).spec.analysis
    weights, weight = [], next_weight(spec, 0)
    while weight is not None:
        weights.append(weight)
        weight = next_weight(spec, weight)
    assert weights == expected
    assert planned_stops(spec, FULL) == len(expected)


EDITED: dict[str, tuple[int, int | None]] = {
    "between two entries it goes to the next larger one": (7, 10),
    "at an entry it goes to the one after": (10, 80),
    "past the last one it promotes": (90, None),
}


@pytest.mark.parametrize(("weight", "expected"), EDITED.values(), ids=EDITED)
def test_a_list_that_was_edited_during_the_run(weight: int, expected: int | None) -> None:
    assert next_weight(podinfo(stepWeights=[5, 10, 80]).spec.analysis, weight) == expected


BESIDE, MIRRORED, ALL = Split(), Split(mirrored=True), Split.to_canary(100)
MATCHED = Split.to_canary(100, matched=True)
AB = podinfo(iterations=2, match=HEADER)
BLUE_GREEN = podinfo(iterations=2)
MIRROR = podinfo(stepWeight=10, mirror=True)
NO_WEIGHTS = Abilities(weights=False, mirror_iterations=True)


def done(canary: Canary, iterations: int, split: Split = BESIDE) -> Canary:
    return running(canary, split=split, status={"iterations": iterations})


STOPS: dict[str, tuple[Canary, Abilities, Stop | None]] = {
    "traffic is mirrored first": (running(MIRROR), FULL, Stop(MIRRORED)),
    "then weighted without mirroring": (
        running(MIRROR, split=MIRRORED),
        FULL,
        Stop(Split.to_canary(10)),
    ),
    "where nothing is mirrored that step is skipped": (
        running(MIRROR),
        Abilities(mirror_iterations=True),
        Stop(Split.to_canary(10)),
    ),
    "an A/B test starts with its first iteration": (done(AB, 0), FULL, Stop(MATCHED, 1)),
    "an A/B test goes on": (done(AB, 1, MATCHED), FULL, Stop(MATCHED, 2)),
    "an A/B test ends": (done(AB, 2, MATCHED), FULL, None),
    "an A/B test whose iterations were lowered ends": (done(AB, 5, MATCHED), FULL, None),
    "blue/green stays beside the primary": (done(BLUE_GREEN, 1), FULL, Stop(Split(), 2)),
    "blue/green then takes all traffic": (done(BLUE_GREEN, 2), FULL, Stop(ALL, 3)),
    "blue/green ends after that": (done(BLUE_GREEN, 3, ALL), FULL, None),
    "blue/green whose iterations were lowered still takes all traffic once": (
        done(BLUE_GREEN, 5),
        FULL,
        Stop(ALL, 6),
    ),
    "blue/green is mirrored where that can be": (
        done(podinfo(iterations=2, mirror=True), 0),
        FULL,
        Stop(MIRRORED, 1),
    ),
    "and not where it can't": (
        done(podinfo(iterations=2, mirror=True), 0),
        Abilities(mirror=True),
        Stop(Split(), 1),
    ),
    "without weights, all traffic can't be moved": (done(BLUE_GREEN, 2), NO_WEIGHTS, None),
    "without weights, steps become ten iterations": (
        done(podinfo(), 9),
        NO_WEIGHTS,
        Stop(Split(), 10),
    ),
    "and no more": (done(podinfo(), 10), NO_WEIGHTS, None),
    "without weights, an A/B test is blue/green": (done(AB, 0), NO_WEIGHTS, Stop(Split(), 1)),
}


@pytest.mark.parametrize(("canary", "can", "expected"), STOPS.values(), ids=STOPS)
def test_next_stop(canary: Canary, can: Abilities, expected: Stop | None) -> None:
    assert next_stop(canary, can) == expected


@given(
    st.one_of(
        st.fixed_dictionaries(
            {"stepWeight": st.integers(1, 150), "maxWeight": st.integers(0, 100)}
        ),
        st.fixed_dictionaries(
            {
                "stepWeights": st.lists(st.integers(1, 99), unique=True).map(
                    lambda each: [*sorted(each), 200]
                )
            }
        ),
    )
)
def test_weights_only_grow_and_come_to_an_end(analysis: dict[str, Any]) -> None:
    spec = podinfo(**analysis).spec.analysis
    weight, steps = next_weight(spec, 0), 0
    while weight is not None:
        following = next_weight(spec, weight)
        assert 0 < weight <= 100
        assert following is None or following > weight
        weight, steps = following, steps + 1
    assert 1 <= steps <= 101
