"""Server-side apply as a pure function: the forced kind, with lists as wholes."""

from collections.abc import Iterator
from typing import Any

from canary.cluster.fields import Fields, Path, Touched, fields_of, node, paths, tracked
from canary.cluster.merge import same
from canary.cluster.ownership import Writer, owned_by, settle
from canary.cluster.port import Manifest


def applied(live: Manifest, wanted: Manifest, manager: str, time: str) -> Manifest:
    """The live object after this manager has applied what it wants; `live` itself if no change.

    Neither argument is changed, and the result shares their parts. A status is ignored: it has
    its own way in. A `None` in the manifest means the field isn't wanted.
    """
    who = Writer(manager, "Apply")
    config = without_nulls({k: v for k, v in tracked(wanted).items() if k != "status"})
    entries = live.get("metadata", {}).get("managedFields", [])
    before, now = owned_by(entries, who), fields_of(config)
    kept_by = [now, *(entry["fieldsV1"] for entry in entries if not who.wrote(entry))]

    new = _merge(live, config)
    for path in paths(before):
        if all(node(fields, path) is None for fields in kept_by):
            new = _drop(new, path, kept_by)
    touched = Touched.between(live, new)
    owned = settle(entries, who, now, touched, (wanted["apiVersion"], time))
    if owned is entries:
        return live
    return {**new, "metadata": {**new["metadata"], "managedFields": owned}}


def without_nulls(value: Any) -> Any:
    """A map without the fields that are `None`, at every depth; lists stay as they are."""
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}


def _merge(live: Any, config: Any) -> Any:
    """Maps are merged, everything else is replaced; what doesn't change is shared."""
    if not isinstance(config, dict):
        return live if same(live, config) else config
    merged = live if isinstance(live, dict) else {}
    for name, wanted in config.items():
        had = merged.get(name)
        value = _merge(had, wanted)
        if value is not had:
            merged = {**merged, name: value}
    return merged


def _drop(value: Manifest, path: Path, kept_by: list[Fields]) -> Manifest:
    """Remove a leaf, then the maps around it that are left empty and that nobody keeps."""
    found = _at(value, path)
    if found is None or (isinstance(found, dict) and found):
        return value  # gone already, or others have moved into the map
    value = _without(value, path)
    around = path[:-1]
    while around and _at(value, around) == {} and not any(_members(kept_by, around)):
        value, around = _without(value, around), around[:-1]
    return value


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _without(value: Manifest, path: Path) -> Manifest:
    if len(path) == 1:
        return {name: inner for name, inner in value.items() if name != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}


def _members(sets: list[Fields], path: Path) -> Iterator[bool]:
    for fields in sets:
        found = node(fields, path)
        yield found is not None and (not found or "." in found)
