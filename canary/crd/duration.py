"""Go's duration syntax, kept as text and read as seconds."""

import re
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # the micro sign
    "\u03bcs": 10**3,  # the Greek letter
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
LONGEST = 2**63 - 1
"""Go counts nanoseconds in 64 bits, which is 292 years."""

_UNIT = "|".join(NANOSECONDS)
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_PART = re.compile(f"({_NUMBER})({_UNIT})")
PATTERN = rf"^(0|(({_NUMBER})({_UNIT}))+)?$".replace("(?:", "(")
"""The whole syntax for the CRD and for editors; the empty text stands for "not given"."""
_TEXT = re.compile(PATTERN)

# What people write instead, once blanks and capitals are gone.
_SLIPS = (
    (re.compile(r"(?<=\d)(seconds?|secs?)"), "s"),
    (re.compile(r"(?<=\d)(minutes?|mins?)"), "m"),
    (re.compile(r"(?<=\d)(hours?|hrs?)"), "h"),
    (re.compile(r"(?<=\d)(milliseconds?|millis)"), "ms"),
)
_DAYS = re.compile(r"(\d{1,5})(?:d|days?)")


class Duration(str):
    """A length of time such as `1m30s`. It stays the text that was written; `seconds` is its value.

    The empty text is allowed and false: it means that nothing was given. Raises `ValueError`
    for anything that Go's `time.ParseDuration` would refuse, and for negative durations.

    >>> Duration("1m30s").seconds, Duration("500ms").seconds
    (90.0, 0.5)
    """

    __slots__ = ("seconds",)

    seconds: float

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        self.seconds = _seconds(text)
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(strict=True),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": PATTERN}


def _seconds(text: str) -> float:
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 1m30s")
    # Added up in whole nanoseconds, as Go does, so that 1.1s is the float 1.1 and nothing beside.
    total = sum(round(float(n) * NANOSECONDS[unit]) for n, unit in _PART.findall(text))
    if total > LONGEST:
        raise ValueError(f"{text!r} is longer than 292 years")
    return total / 10**9


def meant(value: object) -> str:
    """The duration somebody probably meant with a bad one, or an empty string.

    >>> meant(10), meant("5 min"), meant("1d"), meant("soon")
    ('10s', '5m', '24h', '')
    """
    text = "".join(str(value).lower().split())
    for slip, unit in _SLIPS:
        text = slip.sub(unit, text)
    if days := _DAYS.fullmatch(text):
        return f"{int(days[1]) * 24}h"
    for guess in (text, f"{text}s"):
        try:
            return Duration(guess) if guess.isascii() and guess != "0" else ""
        except ValueError:
            continue
    return ""
