"""What all models share: strict, frozen, camelCase outside and snake_case inside."""

from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Says:
    """What a field expects, in the words a person is told."""

    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Of these fields, by their names outside, exactly one or at most one may be written."""

    fields: tuple[str, ...]
    exactly: bool = True

    @property
    def schema(self) -> list[dict[str, Any]]:
        """The same as JSON schema."""
        each: list[dict[str, Any]] = [{"required": [field]} for field in self.fields]
        return each if self.exactly else [{"not": {"anyOf": each}}, *each]


def cel(rule: str, message: str) -> dict[str, Any]:
    """A rule for the API server, in the Common Expression Language, for `json_schema_extra`."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


class Model(BaseModel):
    """Unknown fields are errors, and a scalar of the wrong type is never converted."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        # Compiling all validators takes longer than `canary --help` may; the first use pays.
        defer_build=True,
    )

    one_of: ClassVar[tuple[OneOf, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_means_not_written(cls, data: Any) -> Any:
        """Leave out nulls, as the API server does, except where a whole object is missing.

        An object that is null is nearly always one whose fields were not indented; leaving it
        out could drop a threshold without a word.
        """
        if not isinstance(data, dict) or None not in data.values():
            return data
        objects = _objects(cls)
        return {
            key: NOTHING if value is None else value
            for key, value in data.items()
            if value is not None or key in objects
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        for one_of in cls.one_of:
            handler.resolve_ref_schema(schema)["oneOf"] = one_of.schema
        return schema


class Nothing:
    """Stands for a null where an object was expected, and is refused as one."""


NOTHING = Nothing()


@cache
def _objects(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.values()
    return frozenset(
        f.alias or "" for f in fields if model_of(f.annotation) and f.alias != "status"
    )


def unwrapped(annotation: Any) -> Any:
    """The type inside `Annotated[...]` and `... | None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType) and type(None) in get_args(annotation):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, if it holds one."""
    inner = unwrapped(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _whole(value: Any) -> Any:
    # JSON has one kind of number, and the API server takes 5.0 for an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any) -> Any:
    # As written: an int stays one, so that 99 doesn't come back as 99.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        raise ValueError("not a finite number")
    return value


def _not_negative(value: Any) -> Any:
    if _number(value) < 0:
        raise ValueError("negative")
    return value


def _int_or_text(value: Any) -> Any:
    value = _whole(value)
    port = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65535
    if not port and not isinstance(value, str):
        raise ValueError("neither a port nor text")
    return value


Flag = Annotated[bool, Strict()]

_AS_WRITTEN = PlainSerializer(lambda value: value, return_type=Any)

# The bounds come before the conversion, or pydantic leaves them out of the JSON schema.
Int = Annotated[
    int,
    Strict(),
    Field(ge=-INT32 - 1, le=INT32),
    BeforeValidator(_whole),
    Says("a whole number"),
]
Natural = Annotated[
    int,
    Strict(),
    Field(ge=0, le=INT32),
    BeforeValidator(_whole),
    Says("a whole number, 0 or more"),
]
Positive = Annotated[
    int,
    Strict(),
    Field(ge=1, le=INT32),
    BeforeValidator(_whole),
    Says("a whole number, 1 or more"),
]
Percent = Annotated[
    int,
    Strict(),
    Field(ge=0, le=100),
    BeforeValidator(_whole),
    Says("a whole number from 0 to 100"),
]
Port = Annotated[
    int,
    Strict(),
    Field(ge=1, le=65535),
    BeforeValidator(_whole),
    Says("a port from 1 to 65535"),
]
PortOrName = Annotated[
    int | str,
    PlainValidator(_int_or_text),
    _AS_WRITTEN,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    ),
    Says("a port number or the name of a port"),
]
Number = Annotated[
    float,
    PlainValidator(_number),
    _AS_WRITTEN,
    WithJsonSchema({"type": "number"}),
    Says("a number"),
]
Seconds = Annotated[
    float,
    PlainValidator(_not_negative),
    _AS_WRITTEN,
    WithJsonSchema({"type": "number", "minimum": 0}),
    Says("a number of seconds, 0 or more"),
]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_LABEL = f"^{_LABEL}$"
DNS_NAME = rf"^{_LABEL}(\.{_LABEL})*$"
_DNS = "letters a-z, digits, hyphens{}, starting and ending with a letter or digit"

Text = Annotated[str, Field(min_length=1), Says("text")]
Name = Annotated[str, Field(min_length=1), Says("a name")]
ApiVersion = Annotated[str, Field(min_length=1), Says("an API version such as apps/v1")]
DnsLabel = Annotated[
    str,
    Field(pattern=DNS_LABEL, min_length=1, max_length=63),
    Says(f"a name of at most 63 characters ({_DNS.format('')})"),
]
DnsName = Annotated[
    str,
    Field(pattern=DNS_NAME, min_length=1, max_length=253),
    Says(f"a name of at most 253 characters ({_DNS.format(', dots')})"),
]
Url = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#]+\S*$"), Says("a URL such as http://example.test/path")
]
