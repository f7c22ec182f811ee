"""Values in the words of people: times, weights, phases and outcomes."""

from datetime import UTC, datetime

from canary.cli.output import Styled

PHASES = {"Succeeded": "green", "Initialized": "green", "Failed": "red"}
OUTCOMES = {
    "pass": "green",
    "promoted": "green",
    "fail": "red",
    "failed": "red",
    "aborted": "red",
    "inconclusive": "yellow",
    "error": "magenta",
}
BAR = 40
"""Characters of the bar that shows a split."""


def phase(word: str) -> str:
    return Styled(word or "New", PHASES.get(word, "yellow"))


def outcome(word: str) -> str:
    return Styled(word, OUTCOMES.get(word, ""))


def moment(text: str | None) -> datetime | None:
    """A time of the API; None if there is none, or it is no time."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


def stamp(text: str | None) -> str:
    """A time to the second, as Kubernetes writes it.

    >>> stamp("2026-01-02T03:04:05.678+00:00")
    '2026-01-02T03:04:05Z'
    """
    at = moment(text)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def long(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> long(8), long(90), long(7200), long(90061), long(0.25)
    ('8s', '1m30s', '2h', '1d1h', '0.2s')
    """
    if 0 < seconds < 1:
        return f"{seconds:.1f}s"
    rest, parts = round(seconds), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2]) or "0s"


def between(start: str | None, end: str | None) -> str:
    first, last = moment(start), moment(end)
    return long((last - first).total_seconds()) if first and last else ""


def away(text: str | None, now: datetime | None = None) -> str:
    """How far a time is from now: `in 30s`, `2m ago`, `now`."""
    at = moment(text)
    if at is None:
        return ""
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {long(seconds)}" if seconds > 0 else f"{long(-seconds)} ago"


def so_far(start: str | None) -> str:
    at = moment(start)
    return f"{long((datetime.now(UTC) - at).total_seconds())} so far" if at else ""


def number(value: float | None, unit: str = "") -> str:
    """A value with as many digits as matter.

    >>> number(99.4321, "%"), number(500.0, "ms"), number(None)
    ('99.43%', '500 ms', '')
    """
    if value is None:
        return ""
    digits = f"{value:.4g}" if abs(value) < 10000 else f"{value:,.0f}"
    return f"{digits}{unit}" if unit in ("", "%") else f"{digits} {unit}"


def bounds(low: float | None, high: float | None, unit: str = "") -> str:
    """The range of values that is fine.

    >>> bounds(99, None, "%"), bounds(1, 2), bounds(None, 500, "ms")
    ('>= 99%', '1 to 2', '<= 500 ms')
    """
    if low is not None and high is not None:
        return f"{number(low)} to {number(high, unit)}"
    if low is not None:
        return f">= {number(low, unit)}"
    return f"<= {number(high, unit)}" if high is not None else "any"


def bar(canary: int, *, mirrored: bool = False) -> str:
    """A split as a picture.

    >>> bar(25)
    'primary 75% ██████████████████████████████░░░░░░░░░░ 25% canary'
    """
    filled = round(BAR * (100 - canary) / 100)
    picture = "█" * filled + "░" * (BAR - filled)
    copy = " (a copy of the primary's requests)" if mirrored else ""
    return f"primary {100 - canary}% {picture} {canary}% canary{copy}"
