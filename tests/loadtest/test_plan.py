from collections.abc import Callable
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.errors import SpecError
from canary.loadtest.http1 import encode
from canary.loadtest.plan import Plan

URL = "http://localhost:8080/"

BAD: dict[str, tuple[Callable[[], Plan], str]] = {
    "an unbounded load": (lambda: Plan(URL, rate=1), "duration"),
    "no rate at all": (lambda: Plan(URL, rate=0, count=1), "rate"),
    "an endless rate": (lambda: Plan(URL, rate=inf, count=1), "rate"),
    "a duration that is no number": (lambda: Plan(URL, duration=nan), "duration"),
    "an empty count": (lambda: Plan(URL, count=0), "count"),
    "a ceiling of nothing": (lambda: Plan(URL, count=1, ceiling=0), "ceiling"),
    "a negative timeout": (lambda: Plan(URL, count=1, timeout=-1), "timeout"),
    "another scheme": (lambda: Plan("ftp://localhost/", count=1), "url"),
    "no scheme": (lambda: Plan("localhost:8080", count=1), "url"),
    "a port that is none": (lambda: Plan("http://localhost:http/", count=1), "url"),
    "a line break in the address": (lambda: Plan("http://localhost/\r\nX: y", count=1), "url"),
    "a method in two words": (lambda: Plan(URL, count=1, method="GET /"), "method"),
    "a header that smuggles another": (
        lambda: Plan(URL, count=1, headers={"X": "a\r\nY: b"}),
        "headers['X']",
    ),
    "a header name with a blank": (
        lambda: Plan(URL, count=1, headers={"X Y": ""}),
        "headers['X Y']",
    ),
}


@pytest.mark.parametrize(("make", "field"), BAD.values(), ids=BAD)
def test_refuses(make: Callable[[], Plan], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert [problem.field for problem in caught.value.problems] == [field]


def test_names_every_problem_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        Plan("nowhere", rate=-1)
    assert [problem.field for problem in caught.value.problems] == ["url", "duration", "rate"]


@given(st.floats(0.5, 5_000), st.floats(0.1, 2))
def test_uniform_arrivals_keep_the_rate_and_never_drift(rate: float, duration: float) -> None:
    offsets = list(Plan(URL, rate=rate, duration=duration).offsets())
    assert len(offsets) == pytest.approx(rate * duration, abs=1)
    assert offsets == [number / rate for number in range(len(offsets))]


@given(st.integers(1, 200), st.sampled_from(["uniform", "poisson"]))
def test_a_count_ends_the_arrivals(count: int, arrivals: str) -> None:
    plan = Plan(URL, rate=1e6, count=count, arrivals="poisson" if arrivals[0] == "p" else "uniform")
    assert len(list(plan.offsets())) == count


def test_poisson_arrivals_repeat_with_their_seed_and_average_to_the_rate() -> None:
    plan = Plan(URL, rate=100, duration=100, arrivals="poisson", seed=7)
    offsets = list(plan.offsets())
    assert offsets == list(plan.offsets())
    assert offsets != list(Plan(URL, rate=100, duration=100, arrivals="poisson", seed=8).offsets())
    assert len(offsets) == pytest.approx(10_000, rel=0.05)
    gaps = [after - before for before, after in pairwise(offsets)]
    # The standard deviation of exponential gaps is their mean; uniform ones have none.
    assert sum(gap > 0.02 for gap in gaps) / len(gaps) == pytest.approx(0.135, abs=0.02)


WIRE = {
    "the defaults": (
        Plan("http://h:1/p?q=1#part", count=1),
        b"GET /p?q=1 HTTP/1.1\r\nHost: h:1\r\nUser-Agent: canary-loadtest\r\nAccept: */*\r\n\r\n",
    ),
    "a body and headers of one's own": (
        Plan("http://h", count=1, method="POST", body=b"hi", headers={"HOST": "x", "A": "b"}),
        (
            b"POST / HTTP/1.1\r\nHOST: x\r\nUser-Agent: canary-loadtest\r\nAccept: */*\r\nA: b\r\n"
            b"Content-Length: 2\r\n\r\nhi"
        ),
    ),
    "a length that would not be true": (
        Plan("http://h", count=1, method="PUT", headers={"content-length": "9"}),
        (
            b"PUT / HTTP/1.1\r\nHost: h\r\nUser-Agent: canary-loadtest\r\nAccept: */*\r\n"
            b"Content-Length: 0\r\n\r\n"
        ),
    ),
    "a user in the address, and letters beyond ASCII": (
        Plan("http://a%40b:c@h/ü", count=1, keep_alive=False),
        (
            b"GET /%C3%BC HTTP/1.1\r\nHost: h\r\nUser-Agent: canary-loadtest\r\nAccept: */*\r\n"
            b"Authorization: Basic YUBiOmM=\r\nConnection: close\r\n\r\n"
        ),
    ),
}


@pytest.mark.parametrize(("plan", "wire"), WIRE.values(), ids=WIRE)
def test_encode(plan: Plan, wire: bytes) -> None:
    assert encode(plan) == wire
