"""Latencies from the bins in which Envoy counts durations."""

from collections.abc import Mapping

from canary.errors import NoValues

Bins = Mapping[tuple[float, float], int]
"""(lower bound, width), both in milliseconds, to the number of requests that took so long."""


def quantile(q: float, bins: Bins) -> float:
    """Estimate a latency in milliseconds; `q` is a fraction between 0 and 1.

    Interpolated within a bin, which Envoy makes about a twentieth of its lower bound wide. Raises
    `NoValues` if no request was counted.

    >>> quantile(0.5, {(10.0, 10.0): 8, (100.0, 10.0): 0})
    15.0
    """
    rank, below = q * sum(bins.values()), 0
    for (low, width), count in sorted(bins.items()):
        if count and below + count >= rank:
            return low + width * (rank - below) / count
        below += count
    raise NoValues("no request was timed")


def slower(bound: float, bins: Bins) -> int:
    """How many requests certainly took longer than `bound` milliseconds.

    >>> slower(100, {(95.0, 5.0): 3, (100.0, 10.0): 2})
    2
    """
    return sum(count for (low, _), count in bins.items() if low >= bound)


def difference(now: Bins, then: Bins) -> Bins:
    """What was counted in between.

    >>> difference({(1.0, 0.1): 5, (2.0, 0.1): 1}, {(1.0, 0.1): 2})
    {(1.0, 0.1): 3, (2.0, 0.1): 1}
    """
    return {key: count - then.get(key, 0) for key, count in now.items()}
