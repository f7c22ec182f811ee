"""Objects in memory: immutable texts, and indexes for the questions a cluster is asked."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

from canary.cluster.port import Kind, Manifest, Ref

EVENT = Kind("v1", "Event")
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object.

    The object itself is kept as JSON: no caller can change it, and parsing makes the copy that
    each of them gets anyway, faster than anything that walks it in Python.
    """

    ref: Ref
    uid: str
    version: int
    body: str
    labels: dict[str, str]
    owners: tuple[str, ...]
    about: tuple[str, str, str] | None
    """For an Event: namespace, kind and name of the object it tells about."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Raises `KeyError`, `TypeError` or `ValueError` if that isn't a stored object."""
        ref, meta = Ref.of(manifest), manifest["metadata"]
        about = manifest.get("involvedObject", {}) if ref.kind == EVENT else None
        return cls(
            ref=ref,
            uid=meta["uid"],
            version=int(meta["resourceVersion"]),
            body=json.dumps(manifest, separators=(",", ":"), allow_nan=False),
            labels=meta.get("labels") or {},
            owners=tuple(owner["uid"] for owner in meta.get("ownerReferences") or ()),
            about=_about(about) if about is not None else None,
        )

    def load(self) -> Manifest:
        """A copy of the object that is the caller's own."""
        manifest: Manifest = json.loads(self.body)
        return manifest

    def load_metadata(self) -> Manifest:
        """The same without its content."""
        return {k: v for k, v in self.load().items() if k in {"apiVersion", "kind", "metadata"}}


def _about(involved: Any) -> tuple[str, str, str]:
    return (
        involved.get("namespace", ""),
        involved.get("kind", ""),
        involved.get("name", ""),
    )


@dataclass(frozen=True, slots=True)
class Write:
    """One change that is to be made or was made; a `DELETED` one carries the last state."""

    type: ChangeType
    stored: Stored


class Objects:
    """What exists. Keeps who owns whom, and which Events tell about one object, oldest first."""

    def __init__(self, events_kept: int) -> None:
        self._events_kept = events_kept
        self._kinds: dict[Kind, dict[Ref, Stored]] = {}
        self._uids: dict[str, Ref] = {}
        self._owned: dict[str, set[Ref]] = {}
        self._events: dict[tuple[str, str, str], dict[Ref, None]] = {}

    def get(self, ref: Ref) -> Stored | None:
        return self._kinds.get(ref.kind, {}).get(ref)

    def all(self, kind: Kind, namespace: str = "") -> list[Stored]:
        """Objects of a kind, by namespace and name."""
        found = self._kinds.get(kind, {}).values()
        chosen = [stored for stored in found if namespace in ("", stored.ref.namespace)]
        return sorted(chosen, key=lambda stored: (stored.ref.namespace, stored.ref.name))

    def __iter__(self) -> Iterator[Stored]:
        for objects in self._kinds.values():
            yield from objects.values()

    def take(self, write: Write) -> None:
        new = write.stored
        objects = self._kinds.setdefault(new.ref.kind, {})
        if old := objects.pop(new.ref, None):
            self._forget(old)
        if write.type == "DELETED":
            return
        objects[new.ref] = new
        self._uids[new.uid] = new.ref
        for owner in new.owners:
            self._owned.setdefault(owner, set()).add(new.ref)
        if new.about:
            self._events.setdefault(new.about, {})[new.ref] = None

    def _forget(self, old: Stored) -> None:
        del self._uids[old.uid]
        for owner in old.owners:
            self._owned[owner].discard(old.ref)
            if not self._owned[owner]:
                del self._owned[owner]
        if old.about:
            del self._events[old.about][old.ref]
            if not self._events[old.about]:
                del self._events[old.about]

    def doomed_by(self, write: Write) -> Iterable[Stored]:
        """What has to go because of a write: the orphans it made, and Events beyond the limit."""
        stored = write.stored
        if write.type == "DELETED":
            refs = tuple(self._owned.get(stored.uid, ()))
        elif stored.about:
            told = self._events[stored.about]
            surplus = len(told) - self._events_kept
            refs = tuple(told)[:surplus] if surplus > 0 else ()
            return [found for ref in refs if (found := self.get(ref))]
        else:
            refs = (stored.ref,) if stored.owners else ()
        return [found for ref in refs if (found := self.get(ref)) and self._orphan(found)]

    def _orphan(self, stored: Stored) -> bool:
        owners = (self._uids.get(uid) for uid in stored.owners)
        # An owner in another namespace counts as absent, as it does for the real collector.
        return not any(ref and ref.namespace in ("", stored.ref.namespace) for ref in owners)
