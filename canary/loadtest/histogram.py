"""Latencies in logarithmic buckets: fixed memory, a known error, and parts that add up."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, frexp, ldexp
from typing import Self

SUB = 64
"""Buckets for each doubling. An answer is a bucket's middle, so it is off by under 0.8%."""
LOWEST = -19
"""The first doubling starts at 2**-20 s, about a microsecond; what is less counts as that."""
DOUBLINGS = 33
"""The last one ends at 2**13 s, a little over two hours; what is more counts as that."""
SIZE = SUB * DOUBLINGS


def _no_counts() -> "array[int]":
    return array("Q", bytes(8 * SIZE))


@dataclass(slots=True)
class Histogram:
    """Latencies in seconds. Takes 17 kB, however many were recorded.

    >>> latencies = Histogram()
    >>> for ms in range(1, 101):
    ...     latencies.record(ms / 1000)
    >>> round(latencies.quantile(0.5), 3), latencies.max, round(latencies.mean, 4)
    (0.05, 0.1, 0.0505)
    """

    count: int = 0
    min: float = 0.0
    max: float = 0.0
    total: int = 0
    """The sum in nanoseconds, as whole ones so that merging in any order gives the same."""
    counts: "array[int]" = field(default_factory=_no_counts, repr=False)

    def record(self, seconds: float) -> None:
        self.counts[bucket(seconds)] += 1
        if not self.count or seconds < self.min:
            self.min = seconds
        self.max = max(self.max, seconds)
        self.count += 1
        self.total += int(seconds * 1e9)

    @property
    def mean(self) -> float:
        return self.total / self.count / 1e9 if self.count else 0.0

    def quantile(self, q: float) -> float:
        """The latency, in seconds, that the fraction `q` of the requests did not exceed.

        The nearest-rank definition, to within half a bucket. 0.0 when nothing was recorded.
        """
        rank, below = max(1, ceil(q * self.count)), 0
        for index, number in enumerate(self.counts):
            below += number
            if below >= rank:
                return min(max(middle(index), self.min), self.max)
        return 0.0

    def copy(self) -> Self:
        return type(self)(self.count, self.min, self.max, self.total, self.counts[:])

    def merged(self, other: Self) -> Self:
        """Both together, as if one histogram had recorded everything."""
        if not self.count or not other.count:
            return (self if self.count else other).copy()
        return type(self)(
            self.count + other.count,
            min(self.min, other.min),
            max(self.max, other.max),
            self.total + other.total,
            array("Q", (a + b for a, b in zip(self.counts, other.counts, strict=True))),
        )

    def rows(self, parts: int) -> Iterator[tuple[float, float, int]]:
        """Split what was recorded into bands of equal ratio: pairs of bounds (s) and a count."""
        used = [index for index, number in enumerate(self.counts) if number]
        if not used:
            return
        step = ceil((used[-1] + 1 - used[0]) / parts)
        for start in range(used[0], used[-1] + 1, step):
            yield lower(start), lower(start + step), sum(self.counts[start : start + step])


def bucket(seconds: float) -> int:
    """The index of the bucket that holds a latency."""
    fraction, exponent = frexp(seconds)
    index = (exponent - LOWEST) * SUB + int((fraction - 0.5) * 2 * SUB)
    return 0 if index < 0 or seconds <= 0 else min(index, SIZE - 1)


def lower(index: int) -> float:
    """The lower bound of a bucket, in seconds."""
    return ldexp(0.5 + (index % SUB) / (2 * SUB), index // SUB + LOWEST)


def middle(index: int) -> float:
    return (lower(index) + lower(index + 1)) / 2
