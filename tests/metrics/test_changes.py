from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.errors import NoValues
from canary.metrics.admin import Counts
from canary.metrics.changes import changes
from canary.metrics.histogram import quantile, slower


def counts(uptime: float = 100, *, fast: int = 0, **counters: int) -> Counts:
    full = {
        {"reset": "upstream_cx_destroy_remote_with_active_rq"}.get(k, f"upstream_rq_{k}"): v
        for k, v in counters.items()
    }
    return Counts(full, {(1.0, 0.1): fast} if fast else {}, uptime)


# Each is looked at again after ten seconds: counts then, counts now, (answered, failed, restarted).
ROWS: dict[str, tuple[Counts, Counts, tuple[int, int, bool]]] = {
    "nothing happened": (counts(100, completed=5), counts(110, completed=5), (0, 0, False)),
    "answers are counted from the first look on": (
        counts(100, completed=5), counts(110, completed=25), (20, 0, False),
    ),
    "answers with 5xx failed": (
        counts(100, completed=5), counts(110, completed=25, **{"5xx": 3}), (20, 3, False),
    ),
    "a refused connection is answered with 503 and counts once": (
        counts(), counts(110, completed=9, reset=2, **{"5xx": 2, "503": 2}), (9, 2, False),
    ),
    "a reset that a retry has mended is no failure": (
        counts(), counts(110, completed=9, reset=2, retry=2), (9, 0, False),
    ),
    "an answer that broke off is a failure, whatever its status was": (
        counts(), counts(110, completed=9, reset=2), (9, 2, False),
    ),
    "the end of an upgraded connection is not": (
        counts(**{"101": 2}), counts(110, completed=9, reset=2, **{"101": 2}), (9, 0, False),
    ),
    "a timeout before the answer is a 504 and counts once": (
        counts(), counts(110, completed=9, timeout=2, **{"5xx": 2, "504": 2}), (9, 2, False),
    ),
    "a timeout in the middle of an answer is a failure": (
        counts(), counts(110, completed=9, timeout=2), (9, 2, False),
    ),
    "there are never more failures than answers": (
        counts(), counts(110, completed=1, reset=5), (1, 1, False),
    ),
    "a younger Envoy has counted everything since its start": (
        counts(100, completed=5), counts(4, completed=25, **{"5xx": 1}), (25, 1, True),
    ),
    "a cluster that was put back counts from there": (
        counts(100, completed=50), counts(110, completed=20), (20, 0, True),
    ),
    "a histogram that shrank was begun anew": (
        counts(100, fast=5), counts(110, completed=7, fast=4), (7, 0, True),
    ),
    "an uptime that is late by its flush is not a restart": (
        counts(100, completed=5), counts(105, completed=6), (1, 0, False),
    ),
    "a cluster that came since has counted everything since": (
        Counts(known=False), counts(110, completed=7), (7, 0, False),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("then", "now", "expected"), ROWS.values(), ids=ROWS)
def test_changes(then: Counts, now: Counts, expected: tuple[int, int, bool]) -> None:
    then, now = replace(then, at=1000), replace(now, at=1010)
    seen = changes(then, now)
    assert (seen.answered, seen.failed, seen.restarted) == expected


small = st.integers(0, 50)
any_counts: Any = st.builds(
    counts,
    st.floats(0, 1000),
    fast=small,
    completed=small,
    reset=small,
    retry=small,
    timeout=small,
)


@given(any_counts, any_counts)
def test_nothing_is_ever_negative(then: Counts, now: Counts) -> None:
    seen = changes(then, now)
    assert 0 <= seen.failed <= seen.answered
    assert all(count >= 0 for count in seen.bins.values())


bins = st.dictionaries(
    st.integers(1, 90).map(lambda low: (float(low), 1.0)), st.integers(0, 100), min_size=1
)


@given(bins, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_quantile_is_never_lower(bins: Any, p: float, q: float) -> None:
    if sum(bins.values()):
        low, high = quantile(min(p, q), bins), quantile(max(p, q), bins)
        assert low <= high
        assert min(low for low, _ in bins) <= low <= 91


@given(bins, st.integers(1, 90))
def test_a_p99_above_a_bound_has_more_than_a_hundredth_above_it(bins: Any, bound: int) -> None:
    total = sum(bins.values())
    if total and slower(bound, bins) > 0.01 * total:
        assert quantile(0.99, bins) > bound
    elif total and slower(bound, bins) < 0.01 * total:
        assert quantile(0.99, bins) <= bound


def test_no_requests_have_no_quantile() -> None:
    with pytest.raises(NoValues):
        quantile(0.99, {})
