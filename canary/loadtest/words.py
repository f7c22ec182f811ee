"""Command lines as people write them in manifests, taken apart without a shell."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from canary.errors import Problem, SpecError, nearest

WHERE = "load-test command"

CONTINUED = re.compile(r"""\\\n|(\\.|"(?:\\.|[^"\\])*"|'[^']*')""", re.DOTALL)
"""A line that goes on behind its end; or, in the group, what has to be left as it is."""

OPERATORS = {
    "|": "a pipe",
    "&": "a background job or a second command (a URL with & belongs in quotes)",
    ";": "a second command",
    "<": "a redirection",
    ">": "a redirection",
    "(": "a subshell",
    ")": "a subshell",
    "\n": "a second line",
}


def split(command: str) -> list[str]:
    """The words of one plain command. Raises `SpecError` for what only a shell could do."""
    text = CONTINUED.sub(lambda found: found[1] or " ", command).strip()
    if shell := next(_shell_parts(text), None):
        raise problem("", shell, "one plain command: there is no shell here")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise problem("", f"{text!r} ({error})", "quotes that are closed again") from None
    if not words:
        raise problem("", "nothing", "a command such as hey -z 1m -q 10 -c 2 http://app.test/")
    return words


def _shell_parts(text: str) -> Iterator[str]:
    """What a shell would act on, quotes considered: nothing in single ones, `$` in double ones."""
    quote, at = "", 0
    while at < len(text):
        char, following = text[at], text[at + 1 : at + 2]
        if char == "\\" and quote != "'":
            at += 1
        elif char in "'\"" and quote in {"", char}:
            quote = "" if quote else char
        elif quote != "'" and (char == "`" or (char == "$" and _expands(following))):
            yield f"{text[at : at + 12]!r}, an expansion"
        elif not quote and char in OPERATORS:
            yield f"{text[at : at + 12]!r}, {OPERATORS[char]}"
        at += 1


def _expands(following: str) -> bool:
    return following.isalnum() or following in {"(", "{", "_", "?", "$", "!", "@", "*"}


class UnsupportedError(SpecError):
    """Only the program that the command names can do this, not our generator."""


def problem(field: str, found: str, expected: str, suggestion: str = "") -> SpecError:
    return SpecError(Problem(WHERE, field, found, expected, suggestion))


def unknown_flag(flag: str, known: Sequence[str]) -> SpecError:
    return problem(flag, "an unknown flag", f"one of {', '.join(known)}", nearest(flag, known))


@dataclass(frozen=True)
class Options:
    """The flags of one command line by name, and the words that are no flags."""

    given: Mapping[str, Sequence[str]]
    words: Sequence[str]

    def text(self, flag: str, default: str = "") -> str:
        """The last value given wins, as it does for those who wrote the programs."""
        return self.given.get(flag, [default])[-1]

    def number(self, flag: str, default: float, *, least: float = 0) -> float:
        try:
            value = float(self.text(flag, str(default)))
        except ValueError:
            value = -1
        if not least <= value < float("inf"):
            raise problem(f"-{flag}", repr(self.text(flag)), f"a number from {least:g} on")
        return value

    def whole(self, flag: str, default: int, *, least: int = 0) -> int:
        value = self.number(flag, default, least=least)
        if value != int(value):
            raise problem(f"-{flag}", repr(self.text(flag)), "a whole number")
        return int(value)

    def headers(self, flag: str) -> dict[str, str]:
        found = {}
        for line in self.given.get(flag, ()):
            name, colon, value = line.partition(":")
            if not colon:
                raise problem(f"-{flag}", repr(line), "a header such as 'name: value'")
            found[name.strip()] = value.strip()
        return found

    def url(self) -> str:
        if len(self.words) != 1:
            found = " and ".join(map(repr, self.words)) or "no address"
            raise problem("", found, "one address, as in http://app.test/")
        return self.words[0]
