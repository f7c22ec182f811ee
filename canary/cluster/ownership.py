"""Who wrote a field: `metadata.managedFields`, as Kubernetes keeps it.

Each entry belongs to one writer and holds the set of fields it owns as a `fieldsV1` tree:
`{"f:spec": {"f:weight": {}}}` owns `spec.weight`. What the embedded cluster writes names only
leaves, and a list is a leaf; what a real API server writes may also go into lists
(`k:{"name":"app"}`, `v:"item"`, `i:0`) and may own a map itself (`.`). Both can be read.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from canary.cluster.fields import Fields, Path, Touched, excluding, including

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and how. Applying and updating under one name are two writers, as there."""

    manager: str
    operation: str
    """`Apply` or `Update`."""
    subresource: str = ""

    def wrote(self, entry: Entry) -> bool:
        return (
            entry.get("manager") == self.manager
            and entry.get("operation") == self.operation
            and entry.get("subresource", "") == self.subresource
        )

    def entry(self, api_version: str, time: str, fields: Fields) -> Entry:
        entry = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def writer(manifest: Mapping[str, Any], path: Path) -> str:
    """The manager that owns a field, or an empty string; of several the one that wrote last.

    A path into a list counts from "0". For a map the answer is who last wrote anything in it.

    >>> entry = Writer("kubectl", "Update").entry("v1", "", {"f:spec": {"f:weight": {}}})
    >>> writer({"metadata": {"managedFields": [entry]}}, ("spec", "weight"))
    'kubectl'
    """
    best, found = (0, "", 0), ""
    for place, entry in enumerate(manifest.get("metadata", {}).get("managedFields", ())):
        depth = _depth(entry.get("fieldsV1", {}), manifest, path)
        # Who names the field itself comes before who owns the whole map or list around it.
        rank = (depth, entry.get("time") or "", place)
        if depth and rank > best:
            best, found = rank, entry.get("manager", "")
    return found


def _depth(fields: Fields, value: Any, path: Path) -> int:
    """How far down the path the set names it; 0 if it doesn't own it."""
    for depth, name in enumerate(path):
        if not fields:
            return depth
        key, value = _step(fields, value, name)
        if key not in fields:
            return 0
        fields = fields[key]
    return len(path)


def _step(fields: Fields, value: Any, name: str) -> tuple[str, Any]:
    if not isinstance(value, list):
        return f"f:{name}", value.get(name) if isinstance(value, dict) else None
    if not name.isdigit() or int(name) >= len(value):
        return "", None
    item = value[int(name)]
    return next((key for key in fields if _names(key, item, name)), ""), item


def _names(key: str, item: Any, index: str) -> bool:
    mark, _, rest = key.partition(":")
    if mark == "k":
        wanted = json.loads(rest)
        return isinstance(item, dict) and all(item.get(k) == v for k, v in wanted.items())
    return bool(json.loads(rest) == item) if mark == "v" else key == f"i:{index}"


def owned_by(entries: Iterable[Entry], who: Writer) -> Fields:
    return next((entry["fieldsV1"] for entry in entries if who.wrote(entry)), {})


def settle(
    entries: list[Entry], who: Writer, fields: Fields, touched: Touched, stamp: tuple[str, str]
) -> list[Entry]:
    """The entries after a write: this writer owns `fields`, nobody else what was touched.

    `stamp` is the API version written in, and when. The latest writer stands last. Where
    nothing was touched and this writer owns what it owned, the very same list comes back.
    """
    if not touched and fields == owned_by(entries, who):
        return entries
    others = [_left(entry, touched) for entry in entries if not who.wrote(entry)]
    mine = [who.entry(*stamp, fields)] if fields else []
    return [entry for entry in others if entry["fieldsV1"]] + mine


def _left(entry: Entry, touched: Touched) -> Entry:
    fields = entry["fieldsV1"]
    for path in touched.written + touched.removed:
        fields = excluding(fields, path)
    return entry if fields is entry["fieldsV1"] else {**entry, "fieldsV1": fields}


def updated(
    entries: list[Entry], who: Writer, touched: Touched, stamp: tuple[str, str]
) -> list[Entry]:
    """The entries after a plain write: it adds what it wrote to what it owned before."""
    fields = owned_by(entries, who)
    for path in touched.removed:
        fields = excluding(fields, path)
    for path in touched.written:
        fields = including(fields, path)
    return settle(entries, who, fields, touched, stamp)
