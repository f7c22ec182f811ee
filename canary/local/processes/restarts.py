"""When a process that ended is started again, and what people are told about it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from canary.local.processes.records import Limits

PORT_TAKEN = ("address already in use", "eaddrinuse")
MOVES = 5
"""Starts on another port, because one was in use, before that counts as a crash."""


@dataclass(slots=True)
class Restarts:
    """Counts crashes in a row. `text` says what happened last; it is empty once all is well."""

    limits: Limits
    count: int = 0
    """Crashes in the whole life of the instance."""
    text: str = ""
    pause: float = 0.0
    """Seconds until the next start."""
    row: int = 0
    moves: int = 0

    def ran(self, seconds: float) -> None:
        if seconds >= self.limits.forgiven:
            self.row = 0

    def worked(self) -> None:
        """It became ready. The back-off goes on growing, for it may crash right after."""
        self.text, self.moves = "", 0

    def ended(self, what: str, last_lines: Sequence[str]) -> None:
        """The process ended, though nobody asked it to."""
        taken = any(hint in line.lower() for line in last_lines for hint in PORT_TAKEN)
        if taken and self.moves < MOVES:
            self.moves, self.pause = self.moves + 1, 0.0
            return
        self._again()
        last = f"; last lines: {' / '.join(last_lines)}" if last_lines else ""
        self.text = f"{what}{_times(self.row)}{last}"

    def not_started(self, why: str) -> None:
        self._again()
        self.text = why

    def _again(self) -> None:
        self.count, self.row = self.count + 1, self.row + 1
        # The exponent is bounded, or the power would outgrow every number before the minimum.
        wait = self.limits.back_off * 2 ** min(self.row - 1, 16)
        # Spread by a tenth, so that what crashed together doesn't start together.
        self.pause = min(wait, self.limits.back_off_most) * (0.9 + secrets.randbelow(200) / 1000)


def _times(count: int) -> str:
    """How often it happened in a row, as words.

    >>> _times(1), _times(2), _times(3), _times(4)
    ('', ' twice', ' three times', ' 4 times')
    """
    return {1: "", 2: " twice", 3: " three times"}.get(count, f" {count} times")
