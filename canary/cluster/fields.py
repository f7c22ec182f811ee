"""Sets of fields, in the `fieldsV1` form that Kubernetes keeps them in, and their algebra.

`{"f:spec": {"f:weight": {}}}` is the set of just `spec.weight`. Sets made here name only leaves:
values that aren't maps, and empty maps. Nothing is changed in place.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canary.cluster.merge import same

Path = tuple[str, ...]
Fields = dict[str, Any]

SERVER_OWNED = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""What only the server writes below `metadata`; in anybody's manifest it is ignored."""

_IDENTITY = frozenset({"name", "namespace"})


def tracked(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a manifest that can have an owner."""
    rest = {k: v for k, v in manifest.items() if k not in {"apiVersion", "kind", "metadata"}}
    skipped = SERVER_OWNED | _IDENTITY
    meta = {k: v for k, v in manifest.get("metadata", {}).items() if k not in skipped}
    return {"metadata": meta, **rest} if meta else rest


def fields_of(value: Mapping[str, Any]) -> Fields:
    """The set of all leaves of a value. An empty map and a list are leaves.

    >>> fields_of({"spec": {"weight": 5, "hosts": ["a"]}})
    {'f:spec': {'f:weight': {}, 'f:hosts': {}}}
    """
    return {
        f"f:{name}": fields_of(inner) if isinstance(inner, dict) else {}
        for name, inner in value.items()
    }


def paths(fields: Fields) -> Iterator[Path]:
    """The leaves of a set, as paths of plain field names."""
    for key, inner in fields.items():
        name = key.removeprefix("f:")
        if inner.keys() - {"."}:
            yield from ((name, *rest) for rest in paths(inner))
        elif key != ".":
            yield (name,)


def node(fields: Fields, path: Path) -> Fields | None:
    """What a set says at a path: `{}` for a leaf, `None` if the path isn't in it."""
    found: Fields | None = fields
    for name in path:
        found = found.get(f"f:{name}") if found is not None else None
    return found


def including(fields: Fields, path: Path) -> Fields:
    if not path:
        return fields
    key = f"f:{path[0]}"
    inner = fields.get(key, {})
    if inner == {} and key in fields and path[1:]:
        inner = {".": {}}  # the map itself stays owned when something in it is added
    return {**fields, key: including(inner, path[1:])}


def excluding(fields: Fields, path: Path) -> Fields:
    """The set without a path and what is below it; maps that are left empty go too."""
    key = f"f:{path[0]}"
    if key not in fields:
        return fields
    rest = {name: inner for name, inner in fields.items() if name != key}
    if len(path) == 1:
        return rest
    inner = excluding(fields[key], path[1:])
    if inner is fields[key]:
        return fields
    return {**rest, key: inner} if inner else rest


@dataclass(frozen=True, slots=True)
class Touched:
    """The leaves two states of an object differ in."""

    written: tuple[Path, ...]
    removed: tuple[Path, ...]

    @classmethod
    def between(cls, old: Mapping[str, Any], new: Mapping[str, Any]) -> "Touched":
        """What became of the tracked part; parts that are the same object are not looked into."""
        written: list[Path] = []
        removed: list[Path] = []
        _compare(tracked(old), tracked(new), (), written, removed)
        return cls(tuple(written), tuple(removed))

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


_ABSENT: Any = object()


def _compare(old: Any, new: Any, at: Path, written: list[Path], removed: list[Path]) -> None:
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() | new.keys():
            below = (*at, name)
            _compare(old.get(name, _ABSENT), new.get(name, _ABSENT), below, written, removed)
    elif not same(old, new):
        removed.extend(_leaves(old, at))
        written.extend(_leaves(new, at))


def _leaves(value: Any, at: Path) -> Iterable[Path]:
    if value is _ABSENT:
        return ()
    if isinstance(value, dict) and value:
        return ((*at, *path) for path in paths(fields_of(value)))
    return (at,)
