"""From one manifest to one resource and back, with all of its problems at once."""

import re
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from canary.crd.base import DNS_NAME
from canary.crd.canary import Canary
from canary.crd.checking import check, check_shape
from canary.crd.describe import found, names
from canary.crd.finding import Place
from canary.crd.problems import problems
from canary.crd.process import Process
from canary.crd.resource import Metadata, Resource
from canary.crd.templates import AlertProvider, MetricTemplate
from canary.errors import Problem, SpecError, nearest

KINDS: dict[str, type[Resource]] = {
    "AlertProvider": AlertProvider,
    "Canary": Canary,
    "MetricTemplate": MetricTemplate,
    "Process": Process,
}

OTHER_METADATA = (
    "clusterName",
    "deletionGracePeriodSeconds",
    "generateName",
    "managedFields",
    "selfLink",
)
"""Kubernetes' metadata that `Metadata` does not name."""


class Read(NamedTuple):
    resource: Resource | None
    """None if too much is wrong; otherwise without the parts that are."""
    errors: list[Problem]
    warnings: list[Problem]


def parse(manifest: dict[str, Any], where: str = "") -> Resource:
    """One object, as an API server or a file has it.

    `where` is put before the kind and name in problems, as in `app.yaml`. Raises `SpecError`
    with everything that is wrong; `check` tells what is right but doubtful.
    """
    resource, errors, _ = read(manifest, where)
    if resource is None or errors:
        raise SpecError(*errors)
    return resource


def dump(resource: Resource) -> dict[str, Any]:
    """The object as it was written, without defaults; a null counts as not written."""
    return resource.model_dump(mode="json", by_alias=True, exclude_unset=True)


def version_of(kind: type[Resource]) -> str:
    """The only apiVersion of a kind."""
    return str(kind.model_fields["api_version"].default)


def read(manifest: Any, source: str, place: str = "", *, written: bool = False) -> Read:
    """Like `parse`, but what is wrong is returned. `place` stands for an object without name.

    Of what people have `written`, unknown keys in the metadata are wrong, too; an API server
    may know more of them than we do.
    """
    place = place or source or "an object"
    if not isinstance(manifest, dict):
        return Read(None, [Problem(place, "", found(manifest), "an object with a kind")], [])
    kind = manifest.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return Read(None, [_unknown_kind(kind, place)], [])
    name = _named(manifest)
    where = ": ".join(filter(None, (source, f"{kind} {name}"))) if name else place
    if manifest.get("apiVersion") != version_of(model):
        version = found(manifest.get("apiVersion"))
        problem = Problem(where, "apiVersion", version, repr(version_of(model)))
        return Read(None, [problem], [])
    resource, errors, unread = _validated(manifest, model, where)
    errors += check_shape(manifest, model, where, unread).errors
    if written:
        errors += _metadata_problems(manifest, where)
    errors += _name_problems(manifest, where)
    if resource is None:
        return Read(None, errors, [])
    checked = check(resource, where, unread)
    return Read(resource, [*errors, *checked.errors], list(checked.warnings))


def foreign(manifest: Any) -> bool:
    """Whether this is somebody else's object, such as the Deployment that a Canary releases.

    What is in a group of ours, or called nearly like a kind of ours, is ours and mistyped.
    """
    if not isinstance(manifest, dict):
        return False
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
        return False
    ours = {version_of(model).split("/", maxsplit=1)[0] for model in KINDS.values()}
    return version.split("/", maxsplit=1)[0] not in ours and not nearest(kind, list(KINDS))


def _unknown_kind(kind: Any, place: str) -> Problem:
    near = nearest(kind, list(KINDS)) if isinstance(kind, str) else ""
    return Problem(place, "kind", found(kind), f"one of {', '.join(KINDS)}", near)


def _named(manifest: dict[Any, Any]) -> str:
    meta = manifest.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        return ""
    return f"{meta.get('namespace') or 'default'}/{meta['name']}"


def _metadata_problems(manifest: dict[Any, Any], where: str) -> list[Problem]:
    meta, known = manifest.get("metadata"), [*names(Metadata), *OTHER_METADATA]
    return [
        Problem(
            where,
            f"metadata.{key}",
            "an unknown field",
            "a field of metadata",
            nearest(str(key), known),
        )
        for key in (meta if isinstance(meta, dict) else ())
        if key not in known
    ]


def _name_problems(manifest: dict[Any, Any], where: str) -> list[Problem]:
    meta = manifest.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    # Metadata that is no object and a name that is no text have been complained about already.
    if not isinstance(meta, dict) or not isinstance(name, str | None):
        return []
    if name and len(name) <= 253 and re.fullmatch(DNS_NAME, name):
        return []
    wanted = "a name of letters a-z, digits, hyphens and dots"
    return [Problem(where, "metadata.name", found(name), wanted)]


def _validated(
    manifest: dict[Any, Any], model: type[BaseModel], where: str
) -> tuple[Any, list[Problem], tuple[Place, ...]]:
    """The object without what is wrong in it, so that the rest can be checked all the same.

    Also what is wrong, and the places that had to be left out. What gives offence is taken out
    until the rest is valid: a field, or the whole object around a missing one.
    """
    errors: list[Problem] = []
    unread: tuple[Place, ...] = ()
    rest: Any = manifest
    while True:
        try:
            return model.model_validate(rest, by_alias=True, by_name=False), errors, unread
        except ValidationError as error:
            errors = errors or problems(error, model, manifest, where)
            lost = [_offending(each["loc"], each["type"]) for each in error.errors()]
        smaller = rest
        for place in lost:
            smaller = _without(smaller, place)
        if smaller == rest:
            return None, errors, unread
        rest, unread = smaller, (*unread, *lost)


def _offending(loc: Place, error: str) -> Place:
    if error == "missing" or loc[-1:] == ("[key]",):
        loc = loc[:-1]
    # Never a single element of a list: the others would change their numbers.
    while loc and isinstance(loc[-1], int):
        loc = loc[:-1]
    return loc


def _without(value: Any, place: Place) -> Any:
    """A copy without one place; the value itself where there is no such place."""
    if not place or not isinstance(value, dict | list):
        return value
    key, *rest = place
    if isinstance(value, list):
        index = key if isinstance(key, int) else -1
        return [_without(v, tuple(rest)) if i == index else v for i, v in enumerate(value)]
    if rest:
        return {k: _without(v, tuple(rest)) if k == key else v for k, v in value.items()}
    return {k: v for k, v in value.items() if k != key}
