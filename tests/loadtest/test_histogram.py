from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.loadtest.histogram import SIZE, Histogram, bucket, lower

latencies = st.floats(min_value=1e-5, max_value=7_000)
many = st.lists(latencies, min_size=1, max_size=300)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(many, st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values: list[float], q: float) -> None:
    exact = sorted(values)[max(1, ceil(q * len(values))) - 1]
    assert filled(values).quantile(q) == pytest.approx(exact, rel=0.01)


@given(many, many)
def test_merging_is_recording_both(one: list[float], other: list[float]) -> None:
    assert filled(one).merged(filled(other)) == filled(one + other)


@given(*[st.lists(latencies, max_size=30)] * 3)
def test_merging_does_not_care_for_the_order(
    a: list[float], b: list[float], c: list[float]
) -> None:
    one, two, three = filled(a), filled(b), filled(c)
    assert one.merged(two).merged(three) == one.merged(two.merged(three))
    assert one.merged(two) == two.merged(one)


@given(latencies)
def test_a_bucket_holds_what_falls_in_it(value: float) -> None:
    assert lower(bucket(value)) <= value < lower(bucket(value) + 1)


@given(many)
def test_the_rows_hold_everything_once_and_in_order(values: list[float]) -> None:
    rows = list(filled(values).rows(12))
    assert sum(number for _, _, number in rows) == len(values)
    assert rows == sorted(rows)
    assert len(rows) <= 12


@given(st.lists(st.floats(allow_nan=False, min_value=0, max_value=1e9)))
def test_takes_the_same_memory_whatever_is_recorded(values: list[float]) -> None:
    assert len(filled(values).counts) == SIZE


@given(many, many)
def test_a_copy_stays_as_it_was(values: list[float], more: list[float]) -> None:
    histogram = filled(values)
    copy = histogram.copy()
    for value in more:
        histogram.record(value)
    assert copy == filled(values)


def test_is_zero_when_nothing_was_recorded() -> None:
    empty = Histogram()
    assert (empty.quantile(0.99), empty.mean, empty.max, list(empty.rows(5))) == (0, 0, 0, [])
