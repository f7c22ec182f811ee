"""Whether a call is worth repeating, and when."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from canary.http import Reply, TransportError

LONGEST = 30.0
"""Seconds between two attempts at most, where the service doesn't name a time itself."""
PATIENCE = 60.0
"""Seconds at most where it does: a hook may ask for time, but not for the whole release's."""

NOT_IMPLEMENTED, TOO_MANY = 501, 429


def worth_repeating(result: Reply | TransportError) -> bool:
    """Whether the same call may end differently."""
    if isinstance(result, TransportError):
        return result.again
    return result.status == TOO_MANY or (result.status >= 500 and result.status != NOT_IMPLEMENTED)


def pause(attempt: int, result: Reply | TransportError, now: datetime | None = None) -> float:
    """Seconds to wait after this attempt, the first of which is 1: 1, 2, 4 … 30.

    >>> [pause(n, TransportError("")) for n in (1, 2, 3, 6, 60)]
    [1.0, 2.0, 4.0, 30.0, 30.0]
    """
    if isinstance(result, Reply) and result.status in (TOO_MANY, 503):
        asked = _seconds(result.headers.get("Retry-After", ""), now or datetime.now(UTC))
        if asked is not None:
            return min(max(asked, 0.0), PATIENCE)
    return min(2.0 ** min(attempt - 1, 10), LONGEST)


def _seconds(header: str, now: datetime) -> float | None:
    """Of a Retry-After header, which holds seconds or a date."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
