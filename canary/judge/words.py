"""Numbers as people read them: 89.9%, 512ms, 1.5s, 1,203."""

from math import isfinite

LABELS = {"request-success-rate": "success rate", "request-duration": "p99 latency"}
MOST_DIGITS = 15


def label(metric: str) -> str:
    """What a metric is called in a sentence."""
    return LABELS.get(metric, metric)


def shown(value: float, unit: str = "", *others: float | None) -> str:
    """The value with its unit, as short as it can be without reading like one of the others.

    Whoever reads "99% is below 99%" trusts neither number. A success rate that isn't whole is
    never shown as 100%, either.

    >>> shown(89.9, "%"), shown(98.996, "%", 99), shown(512, "ms"), shown(1500, "ms")
    ('89.9%', '98.996%', '512ms', '1.5s')
    """
    rivals = [other for other in (*others, 100.0 if unit == "%" else None) if other is not None]
    for digits in range(2, MOST_DIGITS + 1):
        text = _text(value, unit, digits)
        if all(text != _text(other, unit, digits) for other in rivals if other != value):
            return text
    return f"{value!r}{unit}"


def span(seconds: float) -> str:
    """A length of time.

    >>> span(10), span(0.25), span(90)
    ('10 s', '0.25 s', '90 s')
    """
    return f"{_plain(seconds, 0 if seconds >= 10 else 2)} s"


def requests(count: int) -> str:
    """A sample size.

    >>> requests(1203), requests(1)
    ('1,203 requests', '1 request')
    """
    return f"{count:,} request{'' if count == 1 else 's'}"


def _text(value: float, unit: str, digits: int) -> str:
    if unit == "ms" and isfinite(value):
        if abs(value) >= 1000:
            return f"{_plain(value / 1000, digits)}s"
        return f"{_plain(value, digits - 2 if abs(value) >= 10 else digits - 1)}ms"
    return f"{_plain(value, digits)}{unit}"


def _plain(value: float, digits: int) -> str:
    """With at most so many decimals, none of them a trailing zero."""
    if not isfinite(value) or abs(value) >= 1e15:
        return f"{value:g}"
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
