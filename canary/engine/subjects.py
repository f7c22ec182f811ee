"""The Canaries that are looked after, and which objects' changes concern each of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from canary.cluster.port import Ref
from canary.crd import Canary
from canary.engine.manifests import Reading


@dataclass(frozen=True, slots=True)
class Subject:
    """One Canary. `canary` is None while no valid spec of it is known."""

    ref: Ref
    canary: Canary | None
    problem: str
    refs: frozenset[Ref]
    """Its target and primary, and the Services, configs and routing objects around them."""


class Subjects:
    """By `namespace/name`. Each change costs what it touches, however many Canaries there are."""

    def __init__(self) -> None:
        self._known: dict[str, Subject] = {}
        self._interested: dict[Ref, set[str]] = {}
        self._counts = Counter[str]()

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Subject:
        return self._known[key]

    def get(self, key: str) -> Subject | None:
        return self._known.get(key)

    def count(self, namespace: str) -> int:
        """How many there are in a namespace."""
        return self._counts[namespace]

    def concerned(self, ref: Ref) -> tuple[str, ...]:
        """Who has to hear of a change of this object."""
        return tuple(self._interested.get(ref, ()))

    def take(self, key: str, ref: Ref, read: Reading, refs: Iterable[Ref]) -> None:
        """Note a Canary as it is now."""
        old = self._known.get(key)
        made = Subject(ref, read.canary, read.problem, frozenset(refs))
        self._known[key] = made
        self._counts[ref.namespace] += old is None
        self._follow(key, old.refs if old else frozenset(), made.refs)

    def follow(self, key: str, refs: frozenset[Ref]) -> None:
        """Note that other objects concern a Canary now."""
        old = self._known.get(key)
        if old is None or old.refs == refs:
            return
        self._known[key] = replace(old, refs=refs)
        self._follow(key, old.refs, refs)

    def drop(self, key: str) -> Canary | None:
        """Forget one; returns it as it was acted on last."""
        old = self._known.pop(key, None)
        if old is None:
            return None
        self._counts[old.ref.namespace] -= 1
        self._follow(key, old.refs, frozenset())
        return old.canary

    def _follow(self, key: str, before: frozenset[Ref], after: frozenset[Ref]) -> None:
        for ref in after - before:
            self._interested.setdefault(ref, set()).add(key)
        for ref in before - after:
            self._interested[ref].discard(key)
            if not self._interested[ref]:
                del self._interested[ref]
