"""What to send, where to and when; a plan that can't be carried out is refused in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from itertools import count as from_zero
from math import inf, isfinite
from random import Random
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from canary.errors import Problem, SpecError

WHERE = "load test"


@dataclass(frozen=True)
class Plan:
    """One load test. Times are in seconds, and `duration`, `count` or both must bound it.

    With a `rate`, in requests a second, the load is an open loop. Without one it is a closed
    loop: each of `concurrency` workers sends its next request when the last one is answered.
    """

    url: str
    rate: float | None = None
    duration: float | None = None
    count: int | None = None
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 10.0
    """Counted from the moment the request is sent, connecting included."""
    ceiling: int = 256
    """In flight at most. What is due beyond it is not sent but counted as dropped."""
    insecure: bool = False
    """Talk to HTTPS servers whose certificate does not check out."""
    arrivals: Literal["uniform", "poisson"] = "uniform"
    seed: int = 0
    capture: tuple[str, ...] = ()
    """Response headers to count by, as in `("x-version",)`."""
    concurrency: int = 50
    keep_alive: bool = True
    address: tuple[str, int] | None = None
    """Where to connect instead of the URL's host and port; the Host header stays the URL's."""

    def __post_init__(self) -> None:
        if problems := tuple(_problems(self)):
            raise SpecError(*problems)

    @property
    def target(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        return self.target.port or (443 if self.target.scheme == "https" else 80)

    @property
    def server_name(self) -> str:
        """Whom TLS is to be spoken with: the Host header's name where one is set, as in hey."""
        hosts = [value for name, value in self.headers.items() if name.lower() == "host"]
        return urlsplit(f"//{hosts[-1]}").hostname or "" if hosts else self.target.hostname or ""

    @property
    def summary(self) -> str:
        """What it does, in words.

        >>> Plan("http://localhost/", rate=20, duration=60).summary
        '20 requests/s for 60 s to http://localhost/'
        """
        pace = f"{self.rate:g} requests/s" if self.rate else f"{self.concurrency} workers at once"
        number = f", {self.count:,} requests in all," if self.count else ""
        time = f" for {self.duration:g} s" if self.duration else ""
        return f"{pace}{number}{time} to {self.url}"

    @property
    def most_in_flight(self) -> int:
        return self.concurrency if self.rate is None else self.ceiling

    def offsets(self) -> Iterator[float]:
        """When each request is due, in seconds from the start; only with a rate.

        >>> list(Plan("http://localhost/", rate=4, duration=1).offsets())
        [0.0, 0.25, 0.5, 0.75]
        """
        end = inf if self.duration is None else self.duration
        due = takewhile(lambda offset: offset < end, self._unbounded())
        return (offset for offset, _ in zip(due, self._numbers(), strict=False))

    def _numbers(self) -> Iterator[int]:
        return iter(from_zero() if self.count is None else range(self.count))

    def _unbounded(self) -> Iterator[float]:
        rate = self.rate or 0.0
        if self.arrivals == "uniform":
            # Not a running sum: over millions of requests its rounding would bend the rate.
            return (number / rate for number in from_zero())
        # Seeded for repeatable runs, not for secrets.
        draw = Random(self.seed)  # noqa: S311
        return accumulate(draw.expovariate(rate) for _ in from_zero())


def _problems(plan: Plan) -> Iterator[Problem]:
    yield from _url_problems(plan)
    if plan.duration is None and plan.count is None:
        yield Problem(WHERE, "duration", "neither a duration nor a count", "at least one of them")
    for name in ("rate", "duration", "count", "timeout", "ceiling", "concurrency"):
        value = getattr(plan, name)
        if value is not None and not (isfinite(value) and value > 0):
            yield Problem(WHERE, name, str(value), "a number above 0")
    if not plan.method.isascii() or not plan.method.isalpha():
        yield Problem(WHERE, "method", repr(plan.method), "an HTTP method such as GET")
    for key, value in plan.headers.items():
        # A line break would end the header and let its rest pass for another one.
        if not _is_token(key) or any(char in value for char in "\r\n\0"):
            yield Problem(
                WHERE, f"headers[{key!r}]", repr(value), "a header's name and a value on one line"
            )


def _url_problems(plan: Plan) -> Iterator[Problem]:
    expected = "an address such as http://localhost:8080/path"
    try:
        target = plan.target
        complete = target.scheme in {"http", "https"} and target.hostname and target.port != 0
    except ValueError:  # urlsplit's answer to a port that is no number, or a broken IPv6 host
        complete = None
    if not complete or any(char.isspace() or not char.isprintable() for char in plan.url):
        yield Problem(WHERE, "url", repr(plan.url), expected)


def _is_token(text: str) -> bool:
    return bool(text) and all(
        char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~") for char in text
    )
