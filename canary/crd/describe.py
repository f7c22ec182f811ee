"""What a field expects and what was found there, in words."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from canary.crd.base import Nothing, Says, model_of, unwrapped
from canary.crd.duration import Duration

LONGEST = 60
"""Characters of a found text that are shown."""


WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    datetime: "a time such as 2030-01-31T12:00:00Z",
    Duration: "a duration such as 30s or 1m30s",
}


def expects(annotation: Any) -> str:
    """What a person has to write where this type is."""
    for words in _said(annotation):
        return words
    inner = unwrapped(annotation)
    if names := choices(inner):
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    if model := model_of(inner):
        return _object(model)
    if get_origin(inner) is tuple:
        return "a list"
    if get_origin(inner) is dict:
        return "names and values, as in `name: value`"
    return WORDS.get(inner, "another value")


def _said(annotation: Any) -> list[str]:
    if get_origin(annotation) is not Annotated:
        return []
    inner, *extras = get_args(annotation)
    # The outermost words are the most particular ones.
    return [each.text for each in reversed(extras) if isinstance(each, Says)] or _said(inner)


def choices(annotation: Any) -> list[str]:
    """The words that may be written, if only some may; the empty one goes without saying."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation) if word != ""]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(each.value) for each in annotation if each.value != ""]
    return []


def _object(model: type[BaseModel]) -> str:
    fields = [f.alias or name for name, f in model.model_fields.items()]
    required = [f.alias or name for name, f in model.model_fields.items() if f.is_required()]
    shown = required or (fields if len(fields) <= 4 else [])
    return f"an object with {', '.join(shown)}" if shown else "an object"


def found(value: Any) -> str:
    """What was written, short enough for one line.

    >>> found({}), found(None), found(True), found("isto")
    ('an object', 'nothing', 'true', "'isto'")
    """
    if value is None or isinstance(value, Nothing):
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return repr(str(value) if len(value) <= LONGEST else value[: LONGEST - 1] + "…")
    return str(value).lower() if isinstance(value, bool) else str(value)


def field_named(model: type[BaseModel], alias: str) -> FieldInfo | None:
    """The field that is called so outside."""
    return next((f for f in model.model_fields.values() if f.alias == alias), None)


def names(model: type[BaseModel]) -> list[str]:
    """All fields by their names outside."""
    return [field.alias or name for name, field in model.model_fields.items()]


def type_of(field: FieldInfo) -> Any:
    """The field's type with everything that was said about it."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def step(annotation: Any, key: str | int) -> Any:
    """The type found under a key or an index of this one; None where the way ends."""
    inner = unwrapped(annotation)
    if model := model_of(inner):
        field = field_named(model, str(key))
        return type_of(field) if field else None
    if get_origin(inner) is tuple:
        return get_args(inner)[0]
    return get_args(inner)[1] if get_origin(inner) is dict else None
