"""The part of the query language that needs no more than names: `{{ target }}`, `{{ interval }}`.

Everything else of Go's templates is refused with its place, since a query that is sent half
rendered gives a number, only not the one that was meant.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.errors import Problem, SpecError, nearest

_OPEN = re.compile(r"\{\{(-(?=\s))?")
_CLOSE = re.compile(r"((?<=\s)-)?\}\}")
_VARIABLE = re.compile(r"variables\.([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a query is written, for error messages."""

    where: str
    """The object, as in `MetricTemplate default/errors`."""
    field: str
    """The path of the field."""


def query_of(canary: Canary, metric: Metric, text: str, place: Place) -> str:
    """The query as it is sent, on one line. Raises `SpecError`."""
    return " ".join(render(text, values(canary, metric), metric.template_variables, place).split())


def values(canary: Canary, metric: Metric) -> dict[str, str]:
    """What a query may ask for."""
    spec, target = canary.spec, canary.target_name
    return {
        "name": canary.name,
        "namespace": canary.namespace,
        "target": target,
        "service": canary.apex,
        "ingress": spec.ingress_ref.name if spec.ingress_ref else target,
        "route": spec.route_ref.name if spec.route_ref else target,
        # Empty means a minute, for templates as well as for everything else.
        "interval": str(metric.interval) or "1m",
    }


def render(text: str, values: Mapping[str, str], variables: Mapping[str, str], place: Place) -> str:
    """The text with every `{{ … }}` replaced. Raises `SpecError` with line and column.

    >>> render("a {{- target -}} b {{ variables.x }}", {"target": "T"}, {"x": "1"}, Place("", ""))
    'aTb 1'
    """
    return "".join(_parts(text, values, variables, place))


def _parts(
    text: str, values: Mapping[str, str], variables: Mapping[str, str], place: Place
) -> Iterator[str]:
    at, trim = 0, False
    while start := _OPEN.search(text, at):
        before = text[at : start.start()]
        before = before.lstrip() if trim else before
        yield before.rstrip() if start[1] else before
        end = _CLOSE.search(text, start.end())
        if end is None:
            raise _error(place, text, start.start(), "'{{' without an end", "'}}' after it")
        yield _value(text, start, end, (values, variables), place)
        at, trim = end.end(), bool(end[1])
    yield text[at:].lstrip() if trim else text[at:]


def _value(
    text: str,
    start: re.Match[str],
    end: re.Match[str],
    known: tuple[Mapping[str, str], Mapping[str, str]],
    place: Place,
) -> str:
    values, variables = known
    said = text[start.end() : end.start()].strip()
    if said in values:
        return values[said]
    variable = _VARIABLE.fullmatch(said)
    if variable and variable[1] in variables:
        return variables[variable[1]]
    names = [*values, *(f"variables.{key}" for key in variables)]
    raise _error(place, text, start.start(), f"{said!r}", f"one of {', '.join(names)}", said, names)


def _error(
    place: Place,
    text: str,
    at: int,
    found: str,
    expected: str,
    said: str = "",
    names: list[str] | None = None,
) -> SpecError:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    spot = f"{place.field}, line {line}, column {column}"
    return SpecError(Problem(place.where, spot, found, expected, nearest(said, names or [])))
