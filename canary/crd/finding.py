"""What a rule says about a model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not go together. `field` is below the model that the rule looked at."""

    field: Place
    found: str
    expected: str
    nearest: str = ""
    warning: bool = False
    """It works, but not as its author may think."""
    absent: bool = False
    """It is about something that is not there, or that was there and could not be read."""


Rule = Callable[[Any], Iterator[Finding]]
