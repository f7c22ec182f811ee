"""Envoy's own log: what it says when it refuses something."""

import re
from pathlib import Path
from typing import BinaryIO

LARGE = 10 * 1024 * 1024
_REFUSAL = re.compile(r"Filesystem config update (?:rejected|failure): (.*?)(?=\n\[|\Z)", re.DOTALL)
_PREFIX = re.compile(r"^(?:\[[^\]]*\])+ (?:\[[^\]]*\] )?")


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> BinaryIO:
        return self.path.open("ab")

    def end(self) -> int:
        """Where the next line will begin."""
        return self.path.stat().st_size if self.path.exists() else 0

    def refusals(self, since: int) -> str:
        """Why updates were rejected after this place, in Envoy's words."""
        found = _REFUSAL.findall(self._text(since))
        return "; ".join(dict.fromkeys(" ".join(each.split()) for each in found))

    def last(self) -> str:
        """The last thing it said."""
        lines = self._text(max(0, self.end() - 10_000)).strip().splitlines()
        return _PREFIX.sub("", lines[-1]) if lines else ""

    def rotate(self) -> bool:
        """Put a large file aside; whoever has it open goes on with that until told."""
        if self.end() <= LARGE:
            return False
        self.path.replace(self.path.with_suffix(".log.1"))
        return True

    def _text(self, since: int) -> str:
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")
