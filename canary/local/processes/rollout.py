"""Which instances come and go: the decision, as values."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """An instance that is meant to serve; those on their way out are no members."""

    name: str
    current: bool
    """It runs the template that is wanted now."""
    ready: bool
    available: bool
    """Ready for long enough."""
    born: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    create: int = 0
    end: frozenset[str] = frozenset()


def plan(members: Collection[Member], wanted: int, surge: int) -> Plan:
    """The next step towards `wanted` current instances.

    New ones fit into `wanted + surge`, and an old one that serves goes only while `wanted`
    others serve. Old ones that don't serve go first, but not before a new one stands in for
    them: they may have had but a bad moment.
    """
    current = [member for member in members if member.current]
    surplus = _first(current, len(current) - wanted)
    kept = [member for member in current if member not in surplus]
    old = [member for member in members if not member.current]
    silent = [member for member in old if not member.ready]
    serving = [member for member in old if member.ready]
    available = sum(member.available for member in kept)
    replaced = _first(silent, available + len(old) - wanted)
    spare = available + len(serving) - wanted
    doomed = surplus | replaced | _first(serving, spare)
    room = wanted + surge - (len(members) - len(doomed))
    names = frozenset(member.name for member in doomed)
    return Plan(max(0, min(wanted - len(kept), room)), names)


def _first(members: Collection[Member], count: int) -> set[Member]:
    """Those that serve least go first, and of equals the youngest, whose caches are coldest."""
    order = sorted(members, key=lambda each: (each.available, each.ready, -each.born, each.name))
    return set(order[: max(0, count)])
