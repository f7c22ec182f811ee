from math import inf, nan
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from canary.crd.analysis import Metric
from canary.crd.status import CheckRecord, Outcome
from canary.judge.threshold import Measurement, bounds, judge

RATE, LATENCY = "request-success-rate", "request-duration"
NOTHING, ANY = Outcome.INCONCLUSIVE, (None, None)


def rate(value: float | None, samples: int | None = 1203, **more: Any) -> Measurement:
    return Measurement(value, samples, **{"window": 10.0, "unit": "%", **more})


def latency(value: float | None, samples: int | None = 1203, **more: Any) -> Measurement:
    return Measurement(value, samples, **{"window": 10.0, "unit": "ms", **more})


def verdict(name: str, measured: Measurement, low: float | None, high: float | None) -> CheckRecord:
    return judge(name, measured, (low, high), elapsed=10, interval=10)


ROWS = {
    "a rate on the bound passes, since bounds are inclusive": (
        RATE, rate(99.0), (99, None), Outcome.PASS,
        "success rate 99% of 1,203 requests is not below 99%",
    ),
    "a rate below the minimum fails and says how many requests": (
        RATE, rate(89.9), (99, None), Outcome.FAIL,
        "success rate 89.9% of 1,203 requests is below 99%",
    ),
    "a rate hardly below the minimum is not shown as the minimum": (
        RATE, rate(98.9999), (99, None), Outcome.FAIL,
        "success rate 98.9999% of 1,203 requests is below 99%",
    ),
    "a rate that isn't whole is not shown as whole": (
        RATE, rate(99.999), (99, None), Outcome.PASS,
        "success rate 99.999% of 1,203 requests is not below 99%",
    ),
    "a rate above the maximum fails": (
        RATE, rate(60, 1), (None, 50), Outcome.FAIL,
        "success rate 60% of 1 request is above 50%",
    ),
    "a latency above the maximum fails, in seconds from a second on": (
        LATENCY, latency(1500), (None, 500), Outcome.FAIL,
        "p99 latency 1.5s of 1,203 requests is above 500ms",
    ),
    "a bound below a millisecond counts (it was cut to 0 elsewhere)": (
        LATENCY, latency(0.4), (None, 0.5), Outcome.PASS,
        "p99 latency 0.4ms of 1,203 requests is not above 0.5ms",
    ),
    "a latency above a fraction of a millisecond fails": (
        LATENCY, latency(0.6), (None, 0.5), Outcome.FAIL,
        "p99 latency 0.6ms of 1,203 requests is above 0.5ms",
    ),
    "a latency hardly above the maximum is not shown as the maximum": (
        LATENCY, latency(500.2), (None, 500), Outcome.FAIL,
        "p99 latency 500.2ms of 1,203 requests is above 500ms",
    ),
    "a number of somebody else's has no unit and maybe no sample size": (
        "errors", Measurement(12345.678), (None, 3), Outcome.FAIL,
        "errors 12,345.68 is above 3",
    ),
    "both bounds are named when both hold": (
        "ratio", Measurement(2), (1, 3), Outcome.PASS, "ratio 2 is between 1 and 3",
    ),
    "without bounds everything passes": (
        RATE, rate(1), ANY, Outcome.PASS,
        "success rate 1% of 1,203 requests is fine: it has no bounds",
    ),
    "no traffic is not a failure": (
        RATE, rate(None, 0), (99, None), NOTHING,
        "no requests reached the canary in the last 10 s",
    ),
    "no traffic is not a failure, even if some number was made of it": (
        RATE, rate(0.0, 0), (99, None), NOTHING,
        "no requests reached the canary in the last 10 s",
    ),
    "a missing value is not a failure": (
        "errors", Measurement(None, window=60), (None, 0), NOTHING,
        "errors has no value in the last 60 s",
    ),
    "NaN is no value": (
        "errors", Measurement(nan), (None, 0), NOTHING,
        "errors is nan, which is not a number to judge by",
    ),
    "infinity is no value, not a good success rate": (
        RATE, rate(inf), (99, None), NOTHING,
        "success rate is inf, which is not a number to judge by",
    ),
    "a good value after lost evidence is not enough": (
        RATE, rate(100, window=3.0, partial="restarted"), (99, None), NOTHING,
        "success rate 100% of 1,203 requests is fine, but only 3 s of 10 s were seen: restarted",
    ),
    "a good value is enough once a whole interval was seen again": (
        RATE, rate(100, window=9.9, partial="restarted"), (99, None),
        Outcome.PASS, "success rate 100% of 1,203 requests is not below 99%",
    ),
    "a bad value after lost evidence is still bad": (
        RATE, rate(50, window=3.0, partial="restarted"), (99, None),
        Outcome.FAIL, "success rate 50% of 1,203 requests is below 99%",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "measured", "limits", "outcome", "reason"), ROWS.values(), ids=ROWS
)
def test_verdicts(
    name: str,
    measured: Measurement,
    limits: tuple[float | None, float | None],
    outcome: Outcome,
    reason: str,
) -> None:
    record = verdict(name, measured, *limits)
    assert (record.outcome, record.reason) == (outcome, reason)


BOUNDS = {
    "a range is taken as it is": ({"thresholdRange": {"min": 1, "max": 2}}, RATE, (1, 2)),
    "an absent bound does not bind": ({"thresholdRange": {"max": 2}}, RATE, (None, 2)),
    "an empty range has no bounds": ({"thresholdRange": {}}, "x", (None, None)),
    "a range wins over a threshold": (
        {"threshold": 9, "thresholdRange": {"min": 1}}, LATENCY, (1, None),
    ),
    "a threshold of a success rate is a minimum": ({"threshold": 99}, RATE, (99, None)),
    "a threshold of a latency is a maximum": ({"threshold": 500}, LATENCY, (None, 500)),
    "a threshold of anything else is a maximum": ({"threshold": 5}, "errors", (None, 5)),
    "a success rate without any threshold always passes": ({}, RATE, (0, None)),
    "others without any threshold fail for any positive value": ({}, "errors", (None, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "name", "expected"), BOUNDS.values(), ids=BOUNDS)
def test_bounds(fields: dict[str, Any], name: str, expected: tuple[Any, Any]) -> None:
    assert bounds(Metric.model_validate({"name": name, **fields})) == expected


def test_a_query_that_is_called_like_a_success_rate_has_a_maximum() -> None:
    metric = Metric.model_validate({"name": RATE, "threshold": 5})
    assert bounds(metric, builtin=False) == (None, 5)


CERTAIN = {
    "half of the interval, a tenth failed: nothing can mend it": (
        RATE, rate(90, 1000, failures=100, window=30.0), (99, None), 30, True,
    ),
    "a few failures early on can still be outnumbered": (
        RATE, rate(95, 100, failures=5, window=5.0), (99, None), 5, False,
    ),
    "the same failures at the end can't": (
        RATE, rate(95, 100, failures=5, window=60.0), (99, None), 60, True,
    ),
    "nineteen samples are never certain": (
        RATE, rate(0, 19, failures=19, window=60.0), (99, None), 60, False,
    ),
    "twenty are": (RATE, rate(0, 20, failures=20, window=60.0), (99, None), 60, True),
    "nobody counted the failures": (RATE, rate(0, 1000, window=60.0), (99, None), 60, False),
    "too many slow requests for any p99 that could still come": (
        LATENCY, latency(900, 1000, failures=100, window=30.0), (None, 500), 30, True,
    ),
    "slow requests that may still be outnumbered": (
        LATENCY, latency(900, 1000, failures=15, window=10.0), (None, 500), 10, False,
    ),
    "a number that nobody knows how to count": (
        "errors", Measurement(9, 1000, 900, 30.0), (None, 5), 30, False,
    ),
    "a breach of the other bound": (
        RATE, rate(90, 1000, failures=100, window=30.0), (None, 50), 30, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "measured", "limits", "elapsed", "expected"), CERTAIN.values(), ids=CERTAIN
)
def test_certainty(
    name: str,
    measured: Measurement,
    limits: tuple[float | None, float | None],
    elapsed: float,
    expected: bool,
) -> None:
    record = judge(name, measured, limits, elapsed=elapsed, interval=60)
    assert record.outcome is Outcome.FAIL
    assert record.certain is expected


numbers = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(-1e9, 1e9)
maybe = st.none() | finite


@given(numbers, maybe, maybe)
def test_a_value_within_its_bounds_never_fails_and_one_outside_never_passes(
    value: float, low: float | None, high: float | None
) -> None:
    outcome = verdict("x", Measurement(value), low, high).outcome
    inside = (low is None or low <= value) and (high is None or value <= high)
    if value - value != 0:
        assert outcome is NOTHING
    else:
        assert outcome is (Outcome.PASS if inside else Outcome.FAIL)


@given(finite, finite, finite)
def test_a_higher_success_rate_is_never_judged_worse(a: float, b: float, low: float) -> None:
    worse, better = sorted((a, b))
    if verdict(RATE, rate(worse), low, None).outcome is Outcome.PASS:
        assert verdict(RATE, rate(better), low, None).outcome is Outcome.PASS


@given(finite, maybe, maybe)
def test_a_reason_never_shows_a_value_like_the_bound_it_breaks(
    value: float, low: float | None, high: float | None
) -> None:
    record = verdict("x", Measurement(value), low, high)
    assume(record.outcome is Outcome.FAIL)
    said, bound = record.reason.removeprefix("x ").split(" is ")
    assert said != bound.removeprefix("below ").removeprefix("above ")


@given(
    samples=st.integers(20, 5000),
    share=st.floats(0, 1),
    elapsed=st.floats(1, 60),
    more=st.floats(0, 2),
    low=st.floats(1, 100),
)
@example(samples=1000, share=0.1, elapsed=30, more=2, low=99)
def test_a_certain_failure_stays_one_at_up_to_twice_the_traffic(
    samples: int, share: float, elapsed: float, more: float, low: float
) -> None:
    failures = round(samples * share)
    early = rate(100 * (samples - failures) / samples, samples, failures=failures, window=elapsed)
    if judge(RATE, early, (low, None), elapsed=elapsed, interval=60).certain:
        total = samples + int(samples * more * (60 - elapsed) / elapsed)
        late = rate(100 * (total - failures) / total, total, failures=failures, window=60.0)
        assert judge(RATE, late, (low, None), elapsed=60, interval=60).outcome is Outcome.FAIL


def test_the_record_keeps_what_is_needed_to_explain_it() -> None:
    measured = rate(89.9, query="a query")
    record = verdict(RATE, measured, 99, None)
    assert (record.query, record.value, record.unit) == ("a query", 89.9, "%")
    assert (record.low, record.high, record.samples, record.window) == (99, None, 1203, 10)


def test_infinity_is_not_kept_since_json_has_no_word_for_it() -> None:
    assert verdict(RATE, rate(inf), 99, None).value is None
