"""From what pydantic says to what people are told."""

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from canary.crd.base import INT32, Nothing, model_of, unwrapped
from canary.crd.describe import choices, expects, field_named, found, names, step
from canary.crd.duration import Duration, meant
from canary.errors import Problem, nearest

Loc = tuple[str | int, ...]


def problems(error: ValidationError, model: type[BaseModel], raw: Any, where: str) -> list[Problem]:
    """One problem for each thing that pydantic complains about, in the order it met them."""
    return [
        _unknown(where, each["loc"], model, raw)
        if each["type"] == "extra_forbidden"
        else _wrong(where, each, model)
        for each in error.errors(include_url=False)
    ]


def path(loc: Sequence[str | int]) -> str:
    """A place as people write it.

    >>> path(("spec", "analysis", "stepWeights", 2)), path(("metadata", "labels", "a/b"))
    ('spec.analysis.stepWeights[2]', 'metadata.labels[a/b]')
    """
    text = ""
    for key in loc:
        plain = isinstance(key, str) and key.replace("_", "a").replace("-", "a").isalnum()
        text += f".{key}" if plain else f"[{key}]"
    return text.removeprefix(".")


def _wrong(where: str, error: Any, model: type[BaseModel]) -> Problem:
    loc, value = error["loc"], error["input"]
    if error["type"] == "invalid_key" or loc[-1:] == ("[key]",):
        parent = [key for key in loc if key != "[key]"][:-1]
        return Problem(where, path(parent), f"the key {found(value)}", "text as a key, in quotes")
    annotation: Any = model
    for key in loc:
        annotation = step(annotation, key)
    if error["type"] == "missing":
        return Problem(where, path(loc), "nothing", expects(annotation))
    if error["type"] == "too_long" and not isinstance(value, str):
        most = error["ctx"]["max_length"]
        return Problem(where, path(loc), f"{len(value)} entries", f"at most {most}")
    expected = expects(annotation) + _quotes(annotation, value)
    if error["type"] == "less_than_equal" and error["ctx"]["le"] == INT32:
        expected = f"a whole number, at most {INT32}"
    return Problem(where, path(loc), found(value), expected, _meant(annotation, value))


def _quotes(annotation: Any, value: Any) -> str:
    """What to do about quotes when they alone are wrong."""
    inner = unwrapped(annotation)
    if isinstance(value, dict | list | Nothing):
        return ""
    if inner is str:
        return "" if isinstance(value, str) else ", in quotes"
    if inner not in (bool, int, float) or not isinstance(value, str):
        return ""
    try:
        written = yaml.safe_load(value)
    except yaml.YAMLError:
        return ""
    right = isinstance(written, bool) == (inner is bool) and isinstance(written, int | float)
    return ", without quotes" if right else ""


def _meant(annotation: Any, value: Any) -> str:
    inner = unwrapped(annotation)
    if inner is Duration and not isinstance(value, dict | list | bool | Nothing):
        return meant(value)
    known = choices(inner)
    return nearest(value, known) if known and isinstance(value, str) else ""


def _unknown(where: str, loc: Loc, model: type[BaseModel], raw: Any) -> Problem:
    """An unknown field: misspelt, or in the wrong place because of its indentation."""
    *parents, key = loc
    chain: list[tuple[Loc, type[BaseModel], Any]] = [((), model, raw)]
    annotation: Any = model
    for i, each in enumerate(parents):
        annotation, raw = step(annotation, each), raw[each]
        if inner := model_of(annotation):
            chain.append((tuple(parents[: i + 1]), inner, raw))
    *above, (_, parent, siblings) = chain

    def problem(expected: str, near: str = "") -> Problem:
        return Problem(where, path(loc), "an unknown field", expected, near)

    if owner := _owner(parent, siblings, str(key)):
        return problem(f"it under {owner}, indented further")
    for place, outer, written in reversed(above):
        if field_named(outer, str(key)) and key not in written:
            return problem(f"it {f'in {path(place)}' if place else 'at the top'}, indented less")
    known = names(parent)
    if near := nearest(str(key), known):
        return problem(f"a field of {path(parents) or 'the object'}", near)
    return problem(f"one of {', '.join(known)}" if known else "none")


def _owner(parent: type[BaseModel], siblings: dict[Any, Any], key: str) -> str:
    """The one field beside the unknown one that would know it."""
    owners = [
        field.alias or name
        for name, field in parent.model_fields.items()
        if (inner := model_of(field.annotation)) and field_named(inner, key)
    ]
    # One that was left empty is the likeliest: its fields were not indented.
    empty = [owner for owner in owners if owner in siblings and siblings[owner] is None]
    likely = empty or owners
    return likely[0] if len(likely) == 1 else ""
