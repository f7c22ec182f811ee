"""From YAML text to documents, with every mistake of the syntax and where it is."""

import re
from typing import Any

import yaml

from canary.errors import Problem

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
DEEPEST = 100
"""Levels of nesting. Ours have a dozen; parsers give up, or crash, at some thousand."""


_INDENTED = (
    "an indentation that fits no line above",
    "as many spaces as the lines it belongs to",
)
_TAB = ("a tab", "spaces: YAML takes no tabs for indentation")


class _Trap(yaml.YAMLError):
    def __init__(self, problem: str, mark: Any) -> None:
        self.problem = problem
        self.problem_mark = mark


class _Loader(yaml.CSafeLoader):
    """Reads scalars as Kubernetes does and notes keys that are written twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[tuple[str, int, int]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                line = key.start_mark.line + 1
                if key.value in lines:
                    self.twice.append((key.value, lines[key.value], line))
                lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


# Kubernetes' parser knows neither dates nor numbers to the base of 60 (`12:30`).
_Loader.yaml_implicit_resolvers = {
    start: [(tag, regexp) for tag, regexp in resolvers if tag not in (_TIMESTAMP, _INT, _FLOAT)]
    for start, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _INT,
    re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"([-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def documents(text: str, source: str) -> tuple[list[Any], list[Problem]]:
    """All documents of a text that are not empty, and what is wrong with its syntax.

    After a syntax error nothing that follows can be read, so the documents before it are all.
    """
    loader = _Loader(text)
    found: list[Any] = []
    problems: list[Problem] = []
    try:
        _refuse_traps(text)
        while loader.check_data():  # type: ignore[no-untyped-call]  # so in its stubs
            document = loader.get_data()
            if document is not None:
                found.append(document)
    except yaml.YAMLError as error:
        problems.append(_syntax(error, text, source))
    finally:
        loader.dispose()
    for key, first, line in loader.twice:
        again = f"{key!r} a second time, first in line {first}"
        problems.append(Problem(f"{source}, line {line}", "", again, "every key once"))
    return found, problems


def _refuse_traps(text: str) -> None:
    """Look for what would exhaust the stack, before anything recursive sees it."""
    around: list[str | None] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(event.anchor)
            if len(around) > DEEPEST:
                raise _Trap(f"more than {DEEPEST} levels of nesting", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in around:
            raise _Trap(
                f"an alias '*{event.anchor}' inside of what it stands for", event.start_mark
            )


SAYINGS = {
    "mapping values are not allowed": (
        "a ':' where no field can begin",
        "fields indented alike, and quotes around text with ': ' in it",
    ),
    "did not find expected key": _INDENTED,
    "did not find expected '-' indicator": _INDENTED,
    "unexpected end of stream": ("a quote that never ends", "a closing quote"),
    "a tab character": _TAB,
    "undefined alias": ("an unknown alias", "quotes around text that begins with '*'"),
}
"""What the parser says, and what people are told: what was found and what was expected."""


def _syntax(error: yaml.YAMLError, text: str, source: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    said: str = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
    said = said.removeprefix("found ")
    known = (words for start, words in SAYINGS.items() if said.startswith(start))
    found, expected = next(known, (said, "valid YAML"))
    if mark and "cannot start any token" in said:
        sign = text[mark.index : mark.index + 1]
        found, expected = f"{sign!r} at the beginning of a value", "quotes around it"
        if sign == "\t":
            found, expected = _TAB
    return Problem(where, "", found, expected)
