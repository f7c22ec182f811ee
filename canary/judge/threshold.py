"""Is a number within its bounds, and is a breach already certain?"""

from dataclasses import dataclass
from math import isfinite

from canary.crd.analysis import Metric
from canary.crd.status import CheckRecord, Outcome
from canary.judge.words import label, requests, shown, span

SUCCESS_RATE = "request-success-rate"
LATENCY = "request-duration"
QUANTILE = 0.99
"""The latency that `request-duration` means."""

FEWEST = 20
"""Samples below which nothing is certain before the interval is over."""
FASTER = 2.0
"""How much more traffic than so far the rest of an interval may bring before we'd be wrong."""
WHOLE = 0.95
"""The part of an interval that counts as all of it; ticks are never on time to the millisecond."""

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a source found, before anybody judges it."""

    value: float | None
    """None if there was nothing to compute it from."""
    samples: int | None = None
    """Requests behind the value, where the source can tell."""
    failures: int | None = None
    """Of a success rate: failed requests. Of a latency: requests slower than its upper bound."""
    window: float = 0.0
    """Seconds of traffic behind the value."""
    unit: str = ""
    """`%`, `ms`, or empty."""
    query: str = ""
    """What was asked, so that somebody can ask it again."""
    partial: str = ""
    """Why the window is shorter than what was asked for, in words; empty if it isn't."""


def bounds(metric: Metric, *, builtin: bool = True) -> Bounds:
    """The inclusive bounds, as (low, high); None doesn't bind.

    Without `thresholdRange` the older `threshold` (0 if absent) is a minimum for the built-in
    success rate and a maximum for everything else. `builtin` is false for a query or template,
    whatever its metric is called.
    """
    if metric.threshold_range is not None:
        return metric.threshold_range.min, metric.threshold_range.max
    threshold = metric.threshold or 0
    return (threshold, None) if builtin and metric.name == SUCCESS_RATE else (None, threshold)


def judge(
    name: str,
    measured: Measurement,
    bounds: Bounds,
    *,
    elapsed: float,
    interval: float,
) -> CheckRecord:
    """The verdict on one measurement. `elapsed` and `interval` are seconds of the interval.

    Too little to judge by is `INCONCLUSIVE`, never a failure. So is a good value from a window
    that lost a part of the interval, while a bad one counts: what was lost can't mend it.
    """
    outcome, reason = _verdict(name, measured, bounds, interval)
    value = measured.value
    return CheckRecord(
        name=name,
        outcome=outcome,
        reason=reason,
        query=measured.query,
        value=value if value is not None and isfinite(value) else None,
        unit=measured.unit,
        low=bounds[0],
        high=bounds[1],
        samples=measured.samples,
        window=measured.window,
        certain=outcome is Outcome.FAIL and certain(name, measured, bounds, elapsed, interval),
    )


def certain(
    name: str, measured: Measurement, bounds: Bounds, elapsed: float, interval: float
) -> bool:
    """Whether a breach stays one even if all requests still to come are good.

    Believed from 20 samples on, and for as long as traffic does not more than double.
    """
    low, high = bounds
    span = measured.window or elapsed
    if measured.failures is None or (measured.samples or 0) < FEWEST or span <= 0:
        return False
    rest = max(0.0, interval - elapsed)
    most = (measured.samples or 0) * (1 + FASTER * rest / span)
    if name == SUCCESS_RATE and low is not None:
        return 100 * (most - measured.failures) / most < low
    if name == LATENCY and high is not None:
        return measured.failures > (1 - QUANTILE) * most
    return False


def _verdict(
    name: str, measured: Measurement, bounds: Bounds, interval: float
) -> tuple[Outcome, str]:
    low, high = bounds
    value, unit = measured.value, measured.unit
    if value is None or not isfinite(value) or measured.samples == 0:
        return Outcome.INCONCLUSIVE, _nothing(name, measured)
    said = f"{label(name)} {shown(value, unit, low, high)}{_size(measured)}"
    if low is not None and value < low:
        return Outcome.FAIL, f"{said} is below {shown(low, unit, value)}"
    if high is not None and value > high:
        return Outcome.FAIL, f"{said} is above {shown(high, unit, value)}"
    if measured.partial and measured.window < WHOLE * interval:
        seen = f"{span(measured.window)} of {span(interval)}"
        return (
            Outcome.INCONCLUSIVE,
            f"{said} is fine, but only {seen} were seen: {measured.partial}",
        )
    return Outcome.PASS, f"{said} is {_within(bounds, value, unit)}"


def _size(measured: Measurement) -> str:
    return f" of {requests(measured.samples)}" if measured.samples is not None else ""


def _within(bounds: Bounds, value: float, unit: str) -> str:
    low, high = (shown(bound, unit, value) if bound is not None else "" for bound in bounds)
    if low and high:
        return f"between {low} and {high}"
    if low:
        return f"not below {low}"
    return f"not above {high}" if high else "fine: it has no bounds"


def _nothing(name: str, measured: Measurement) -> str:
    last = f" in the last {span(measured.window)}" if measured.window > 0 else ""
    if measured.samples == 0:
        return f"no requests reached the canary{last}"
    if measured.value is None:
        return f"{label(name)} has no value{last}"
    return f"{label(name)} is {shown(measured.value)}, which is not a number to judge by"
