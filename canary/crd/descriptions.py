"""The texts beside the fields of the models, for `kubectl explain` and for editors.

Read from the source when they are asked for: pydantic could collect them for every class as it
is made, but that would more than double the time of every start.
"""

import ast
import inspect
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from canary.crd import (
    analysis,
    canary,
    process,
    resource,
    service,
    status,
    templates,
    traffic_policy,
)

MODULES: tuple[ModuleType, ...] = (
    analysis,
    canary,
    process,
    resource,
    service,
    status,
    templates,
    traffic_policy,
)


def describe(definitions: dict[str, dict[str, Any]]) -> None:
    """Put the texts into JSON schemas, given by the names of their models."""
    for module in MODULES:
        for name, texts in _texts(module).items():
            model = getattr(module, name)
            if name in definitions and issubclass(model, BaseModel):
                properties = definitions[name].get("properties", {})
                for field, text in texts.items():
                    alias = model.model_fields[field].alias or field
                    properties[alias]["description"] = text


def _texts(module: ModuleType) -> dict[str, dict[str, str]]:
    """For each class of a module, the texts that stand below its fields."""
    classes = (n for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.ClassDef))
    return {each.name: dict(_below(each)) for each in classes}


def _below(body: ast.ClassDef) -> list[tuple[str, str]]:
    return [
        (field.target.id, " ".join(inspect.cleandoc(text.value.value).split()))
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
