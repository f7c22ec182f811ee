"""Durations are Go's: what it takes is taken, what it refuses is refused."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.crd import Duration
from canary.crd.duration import NANOSECONDS, meant

SECONDS = {
    "10s": 10.0,
    "1m30s": 90.0,
    "500ms": 0.5,
    "1h1m1s": 3661.0,
    "1.5h": 5400.0,
    ".5s": 0.5,
    "1.s": 1.0,
    "1.1s": 1.1,
    "10us": 1e-5,
    "10\u00b5s": 1e-5,
    "10\u03bcs": 1e-5,
    "7ns": 7e-9,
    "1s1m": 61.0,
    "0": 0.0,
    "": 0.0,
}
REFUSED = ["10", "10sx", "s", "1d", "1m 30s", "-1s", "+1s", "1m30", ".s", "1S", "\u0661s", "1s\n"]


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items())
def test_reads(text: str, seconds: float) -> None:
    assert Duration(text).seconds == seconds


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        Duration(text)


def test_refuses_what_go_could_not_count() -> None:
    with pytest.raises(ValueError, match="292 years"):
        Duration("9999999h")


parts = st.tuples(st.integers(0, 4 * 10**5), st.sampled_from(sorted(NANOSECONDS)))


@given(st.lists(parts, min_size=1, max_size=6))
def test_is_the_sum_of_its_parts_and_stays_the_text(written: list[tuple[int, str]]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in written)
    duration = Duration(text)
    assert duration == text
    assert duration.seconds == sum(count * NANOSECONDS[unit] for count, unit in written) / 10**9


@given(st.text(alphabet="0123456789.smhnu d-", max_size=8))
def test_either_reads_or_refuses(text: str) -> None:
    try:
        assert Duration(text).seconds >= 0
    except ValueError:
        assert text


@given(st.one_of(st.text(max_size=8), st.integers(), st.floats()))
def test_a_suggestion_is_always_a_duration(written: object) -> None:
    Duration(meant(written))


def test_survives_copies() -> None:
    duration = Duration("1m30s")
    assert copy.deepcopy(duration).seconds == 90.0
    assert pickle.loads(pickle.dumps(duration)).seconds == 90.0
