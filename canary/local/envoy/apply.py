"""Brings Envoy to what is wanted, and finds out whose part it refused."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from canary.errors import ProviderError
from canary.local.envoy.admin import Admin
from canary.local.envoy.clusters import with_endpoints
from canary.local.envoy.config import Resources
from canary.local.envoy.files import Files
from canary.local.envoy.names import SHARDS, Json, Key, shard_of, typed
from canary.local.envoy.routes import route_configuration
from canary.local.envoy.sending import Batch, Sender

State = dict[Key, Resources]
Endpoints = Mapping[str, list[Json]]
"""By cluster."""

IN_USE = "Address already in use"
AGAIN = 20.0
"""Seconds after which what was refused is tried again: a missing certificate may be there now."""


@dataclass(frozen=True, slots=True)
class Refusal:
    resources: Resources
    words: str
    """Envoy's own."""
    until: float
    """On the monotonic clock."""

    def holds(self, wanted: Resources | None) -> bool:
        # A port is looked at before it is asked for, so a new try costs nothing.
        lasting = IN_USE not in self.words and time.monotonic() < self.until
        return lasting and wanted == self.resources


class Applier:
    """Knows what Envoy has. A Route that it refuses keeps what it had before."""

    def __init__(self, files: Files, sender: Sender) -> None:
        self._files, self._sender = files, sender
        self.applied: State = files.load()
        self._refused: dict[Key, Refusal] = {}
        self._endpoints: Endpoints = {}
        self._unsure = True
        """What Envoy has may not be `applied`: every file has to be compared."""

    async def apply(self, admin: Admin, wanted: State, endpoints: Endpoints) -> dict[Key, str]:
        """Routes that are not wanted are removed. Returns who was refused, in Envoy's words.

        Endpoints hold also for Routes whose own change is refused. Raises `ProviderError` if
        Envoy does not answer in time; the next call tries again.
        """
        self._refused = {k: each for k, each in self._refused.items() if each.holds(wanted.get(k))}
        state = {key: each for key, each in wanted.items() if key not in self._refused}
        state |= {key: self.applied[key] for key in self._refused if key in self.applied}
        moved, self._endpoints = endpoints != self._endpoints, endpoints
        await self._reach(admin, state, moved=moved)
        return {key: each.words for key, each in self._refused.items()}

    async def check(self, admin: Admin) -> None:
        """After a start: forget what Envoy has not got, so that it is sent again."""
        opened, has = await admin.listeners(), await admin.versions()
        have = {key for key, each in self.applied.items() if opened >= set(each.listeners)}
        self.applied = {key: self.applied[key] for key in have}
        self._unsure = True
        for kind, shard in (("lds", ""), ("cds", ""), *(("rds", str(i)) for i in range(SHARDS))):
            name = f"{kind}-{shard}" if shard else kind
            if self._files.version(kind, shard) not in has.get(name, ()):
                self._files.forget(kind, shard)

    async def _reach(self, admin: Admin, state: State, *, moved: bool) -> None:
        """All changes at once; what is refused is divided until it is clear whose fault it is."""
        good = {key: each for key, each in self.applied.items() if key in state}
        groups, refused = [[key for key in state if state[key] != good.get(key)]], ""
        while groups:
            group = groups.pop()
            trial = {**good, **{key: state[key] for key in group}}
            refused = await self._push(admin, trial, moved=moved)
            if not refused:
                good = trial
            elif not group:
                raise ProviderError(f"Envoy refused what it had taken before: {refused}")
            elif len(group) == 1:
                self._refuse(group[0], state, refused)
            else:
                groups += _divided(group, refused)
        if refused and (words := await self._push(admin, good, moved=moved)):
            raise ProviderError(f"Envoy refused what it had taken before: {words}")

    def _refuse(self, key: Key, state: State, words: str) -> None:
        self._refused[key] = Refusal(state[key], words, time.monotonic() + AGAIN)

    async def _push(self, admin: Admin, state: State, *, moved: bool = False) -> str:
        """Send one state; returns why it was refused, in which case part of it may be there.

        First what is sent to, then who sends, then away with what nobody sends to any more.
        """
        old = self.applied
        keys = [key for key in {**old, **state} if old.get(key) != state.get(key)]
        everything = self._unsure
        if not (keys or moved or everything):
            return ""
        self._unsure = True
        clusters = moved or everything or _differ(old, state, keys, "clusters")
        listeners = everything or _differ(old, state, keys, "listeners")
        # Nobody listens to the routes of a shard whose last Route has gone.
        shards = {shard_of(key) for key in state}
        if not everything:
            shards &= {shard_of(key) for key in keys}

        batches: list[Batch] = []
        if clusters:
            batches.append(self._clusters({**old, **state}, old))
        batches.append(
            {("rds", shard): [_routes(shard, state)] for shard in sorted(shards)}
            | ({("lds", ""): list(_all(state, "listeners").values())} if listeners else {})
        )
        if clusters:
            batches.append(self._clusters(state))
        for batch in batches:
            if words := await self._sender.send(admin, batch):
                return words
        self.applied = dict(state)
        self._unsure = False
        return ""

    def _clusters(self, state: State, more: State | None = None) -> Batch:
        named = {**_all(more or {}, "clusters"), **_all(state, "clusters")}
        rows = [
            with_endpoints(each, self._endpoints.get(name, [])) if _static(each) else each
            for name, each in named.items()
        ]
        return {("cds", ""): rows}


def _divided(keys: list[Key], words: str) -> list[list[Key]]:
    """Those that Envoy names apart from the others; two halves if that doesn't help."""
    named = [key for key in keys if f"{key}/" in words]
    if 0 < len(named) < len(keys):
        return [named, [key for key in keys if key not in named]]
    half = len(keys) // 2
    return [keys[:half], keys[half:]]


def _static(cluster: Json) -> bool:
    return bool(cluster["type"] == "STATIC")


def _routes(shard: str, state: State) -> Json:
    hosts = [each.host for key, each in state.items() if shard_of(key) == shard]
    kind = "envoy.config.route.v3.RouteConfiguration"
    return typed(kind, **route_configuration(shard, hosts))


def _differ(old: State, new: State, keys: Iterable[Key], part: str) -> bool:
    """Whether the list of all Routes' parts is another one now."""
    nothing = Resources()
    return any(
        getattr(old.get(key, nothing), part) != getattr(new.get(key, nothing), part) for key in keys
    )


def _all(state: State, part: str) -> dict[str, Json]:
    return {name: each for one in state.values() for name, each in getattr(one, part).items()}
