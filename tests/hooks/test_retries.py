from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.hooks.retries import PATIENCE, pause, worth_repeating
from canary.http import Reply, TransportError

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def reply(status: int, after: str | None = None) -> Reply:
    return Reply(status, {} if after is None else {"Retry-After": after}, b"")


WORTH = {
    "a broken connection": (TransportError("hung up"), True),
    "a certificate that is not trusted": (TransportError("no", again=False), False),
    "429": (reply(429), True),
    "400": (reply(400), False),
    "403": (reply(403), False),
    "500": (reply(500), True),
    "501": (reply(501), False),
    "503": (reply(503), True),
    "a redirect that leads nowhere": (reply(304), False),
    "success": (reply(204), False),
}


@pytest.mark.parametrize(("result", "expected"), WORTH.values(), ids=WORTH)
def test_worth_repeating(result: Reply | TransportError, expected: bool) -> None:
    assert worth_repeating(result) is expected


PAUSES = {
    "seconds are honoured on 429": (1, reply(429, "7"), 7),
    "seconds are honoured on 503": (5, reply(503, "0"), 0),
    "a date is honoured, too": (1, reply(503, "Thu, 01 Jan 2026 12:00:09 GMT"), 9),
    "a date without a zone is one of Greenwich": (1, reply(503, "Thu, 01 Jan 2026 12:00:09"), 9),
    "a date in the past means now": (1, reply(503, "Thu, 01 Jan 2026 11:00:00 GMT"), 0),
    "patience ends": (1, reply(429, "86400"), PATIENCE),
    "other answers may not ask for time": (2, reply(500, "7"), 2),
    "nonsense counts as nothing": (3, reply(503, "soon"), 4),
    "a negative number is nonsense": (3, reply(503, "-1"), 4),
}


@pytest.mark.parametrize(("attempt", "result", "expected"), PAUSES.values(), ids=PAUSES)
def test_pauses(attempt: int, result: Reply, expected: float) -> None:
    assert pause(attempt, result, NOW) == expected


@given(st.integers(1, 10**6), st.integers(100, 599), st.text())
def test_no_pause_is_negative_or_endless(attempt: int, status: int, header: str) -> None:
    assert 0 <= pause(attempt, reply(status, header), NOW) <= PATIENCE
