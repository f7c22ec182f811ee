"""How a live object is brought to what is wanted: as values, for somebody else to send."""

from dataclasses import dataclass
from typing import Any

from canary.cluster.merge import same
from canary.cluster.port import Manifest, Ref


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of our fields of an object; creates it."""

    manifest: Manifest

    @property
    def ref(self) -> Ref:
        return Ref.of(self.manifest)


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch, compare-and-swap where a version is given."""

    ref: Ref
    patch: Manifest
    resource_version: str = ""

    @classmethod
    def of(cls, live: Manifest, patch: Manifest) -> "Patch":
        return cls(Ref.of(live), patch, live["metadata"].get("resourceVersion", ""))


Write = Apply | Patch


def exact(live: Manifest, wanted: Manifest) -> Manifest:
    """The merge patch that leaves nothing but what is wanted; empty if that is so already.

    Server-side apply alone would leave the fields that another program wrote there before.

    >>> exact({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": 3}})
    {'a': None, 'b': {'c': 4}}
    """
    patch: Manifest = {key: None for key in live if key not in wanted}
    for key, value in wanted.items():
        had = live.get(key)
        if isinstance(had, dict) and isinstance(value, dict):
            if inner := exact(had, value):
                patch[key] = inner
        elif key not in live or not same(had, value):
            patch[key] = value
    return patch


def lacks(live: Any, wanted: Any) -> bool:
    """Whether something wanted is missing or different; what else is there doesn't matter.

    >>> lacks({"a": 1, "b": 2}, {"a": 1}), lacks({"a": 1}, {"a": 2})
    (False, True)
    """
    if isinstance(live, dict) and isinstance(wanted, dict):
        return any(key not in live or lacks(live[key], value) for key, value in wanted.items())
    return not same(live, wanted)
