"""What came of a load: counts that add up, latencies, and whether the rate was kept."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from canary.loadtest.histogram import Histogram

KEPT = 0.99
"""The part of the requests due that must be sent, and on time, for the rate to count as kept."""
LATE = 0.1
"""Seconds after which a request was not sent on time; it is then this program that is slow."""
MAX_VALUES = 100
"""Values told apart in one captured header. A request id has as many as there are requests."""
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished request."""

    intended_at: float
    """When it was due, in seconds on the clock of `time.monotonic`."""
    latency: float
    """Seconds from then until the response was complete, or until the request failed."""
    status: int
    """0 when no response came; with an `error`, the status of a response that never ended."""
    error: str
    """Empty when a complete response came."""
    headers: Mapping[str, str]
    """Those of the plan's `capture` that the response had, by their lower-case names."""

    @property
    def failed(self) -> bool:
        """As the success-rate metric has it: no complete response, or a status from 500 on."""
        return bool(self.error) or self.status >= 500


@dataclass(slots=True)
class Tally:
    """The finished requests whose response had one particular header value."""

    requests: int = 0
    failures: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class Report:
    """Where a load stands, or how it ended. Times are in seconds, rates in requests a second.

    `requests` were sent; each is in flight, completed or counted in `errors`. `latency` is of
    those that completed or timed out: a request that was refused at once was not fast.
    """

    asked: float | None
    """None in a closed loop, which asks for nothing in particular."""
    achieved: float
    duration: float
    requests: int
    completed: int
    in_flight: int
    statuses: Mapping[int, int]
    """Of the completed ones."""
    errors: Mapping[str, int]
    """Requests without a complete response, by what went wrong."""
    captured: Mapping[str, Mapping[str, Tally]]
    """For each captured header, by its value; "" is for requests that got no such header."""
    dropped: int
    """Due, but not sent, because the ceiling was reached."""
    late: int
    """Sent, but over a tenth of a second after they were due."""
    unsent: int
    """Due, but not sent by the end, because the generator itself was too slow."""
    reconnects: int
    """Resent once, because a kept connection turned out to be closed. No failures."""
    connections: int
    ceiling: int
    cpu: float
    """What the generator's thread used, as a fraction of one core."""
    latency: Histogram

    @property
    def classes(self) -> dict[str, int]:
        """How many completed with 2xx, 3xx, 4xx and so on; only those that occurred."""
        found: Counter[str] = Counter()
        for status, number in sorted(self.statuses.items()):
            found[f"{status // 100}xx"] += number
        return dict(found)

    @property
    def failures(self) -> dict[str, int]:
        """Failed requests by kind; responses from 500 on are the kind `5xx`."""
        broken = sum(number for status, number in self.statuses.items() if status >= 500)
        return {**self.errors, "5xx": broken} if broken else dict(self.errors)

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def client_errors(self) -> int:
        """Responses with 4xx, which are no failures: the service did answer."""
        return self.classes.get("4xx", 0)

    @property
    def kept_rate(self) -> bool:
        due = self.requests + self.dropped + self.unsent
        return self.asked is None or self.requests - self.late >= KEPT * due

    @property
    def shortfall(self) -> str:
        """Why the rate was not kept, in words; empty when it was."""
        if self.kept_rate:
            return ""
        causes = []
        if self.dropped:
            causes.append(
                f"{self.dropped:,} requests were due while {self.ceiling:,} were in flight, "
                f"which is the ceiling; responses took {self.latency.mean:.3g} s on average"
            )
        if self.late or self.unsent:
            causes.append(
                f"{self.late:,} requests were sent over {LATE:g} s late and {self.unsent:,} not at "
                f"all, because this program got no time for them "
                f"(it used {self.cpu:.0%} of a core)"
            )
        return f"{self.achieved:,.1f} requests/s instead of {self.asked:,.1f}: {'; '.join(causes)}"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a load has taken so far: seconds in all, seconds of sending, CPU seconds, sockets."""

    took: float = 0.0
    window: float = 0.0
    cpu: float = 0.0
    connections: int = 0
    reconnects: int = 0


class Ledger:
    """Counts requests as they are sent, dropped and finished, in bounded memory."""

    def __init__(self, capture: tuple[str, ...]) -> None:
        self.requests = 0
        self.dropped = 0
        self.late = 0
        self.unsent = 0
        self._completed = 0
        self._statuses: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._latency = Histogram()
        self._captured: dict[str, dict[str, Tally]] = {name.lower(): {} for name in capture}

    def add(self, sample: Sample, *, timed_out: bool) -> None:
        measured = timed_out or not sample.error
        if sample.error:
            self._errors[sample.error] += 1
        else:
            self._completed += 1
            self._statuses[sample.status] += 1
        if measured:
            self._latency.record(sample.latency)
        for name, tallies in self._captured.items():
            tally = _tally(tallies, sample.headers.get(name, ""))
            tally.requests += 1
            tally.failures += sample.failed
            if measured:
                tally.latency.record(sample.latency)

    def report(self, asked: float | None, ceiling: int, spent: Spent) -> Report:
        # A closed loop is measured by what it gets done, an open one by what it sends.
        number = self._completed if asked is None else self.requests
        return Report(
            asked=asked,
            achieved=number / spent.window if spent.window > 0 else 0.0,
            duration=spent.took,
            requests=self.requests,
            completed=self._completed,
            in_flight=self.requests - self._completed - self._errors.total(),
            statuses=dict(self._statuses),
            errors=dict(self._errors),
            captured={name: _copied(tallies) for name, tallies in self._captured.items()},
            dropped=self.dropped,
            late=self.late,
            unsent=self.unsent,
            reconnects=spent.reconnects,
            connections=spent.connections,
            ceiling=ceiling,
            cpu=spent.cpu / spent.took if spent.took > 0 else 0.0,
            latency=self._latency.copy(),
        )


def _copied(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    return {value: replace(t, latency=t.latency.copy()) for value, t in tallies.items()}


def _tally(tallies: dict[str, Tally], value: str) -> Tally:
    if value not in tallies and len(tallies) >= MAX_VALUES:
        value = OTHERS
    if value not in tallies:
        tallies[value] = Tally()
    return tallies[value]
