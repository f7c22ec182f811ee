"""What all routers have in common: their objects are fetched, compared and written here."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from canary.cluster.cache import Cache
from canary.cluster.ownership import writer
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.core.facts import Abilities, Live
from canary.core.revision import revision
from canary.crd import Canary
from canary.crd.status import Split
from canary.errors import NotFound, SpecError
from canary.routers.base import Current, Router
from canary.routers.registry import router

MANAGER = "canary"
RENDERED = "flagger.app/rendered"
"""Annotation with a hash of all that we wrote, so that a field we no longer write is missed."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The routing objects of any Canary; `default` is the provider of those that name none."""

    cluster: Cluster
    cache: Cache
    default: str

    def router(self, canary: Canary) -> Router:
        where = f"Canary {canary.key}"
        return router(canary.spec.provider or self.default, where)

    def abilities(self, canary: Canary) -> Abilities:
        return self.router(canary).abilities

    def refs(self, canary: Canary) -> list[Ref]:
        made = self.router(canary)
        return [*made.owns(canary), *made.reads(canary)]

    def alone(self, canary: Canary) -> bool:
        """Whether no object routes, so that the apex Service by itself decides who is reached."""
        return not self.router(canary).owns(canary)

    def look(self, canary: Canary) -> Live:
        """The split as it is, whether other fields of ours are stale, and who wrote it.

        Raises `SpecError` for what can't be rendered, but not while traffic is on the canary:
        nothing that is wrong with the manifest may keep it there.
        """
        made, current = self.router(canary), self._current(canary)
        split = made.read(canary, current)
        if split is None:
            return Live(None)
        stale, foreign, problem = False, "", ""
        try:
            for manifest in _signed(made.render(canary, current, split), canary):
                live = current.get(Ref.of(manifest))
                stale = stale or live is None or not _within(manifest, live)
        except SpecError as error:
            if split == Split():
                raise
            problem = str(error)
        for ref in made.owns(canary):
            if live := current.get(ref):
                foreign = foreign or _foreign(live)
        return Live(split, stale, foreign, problem or made.pending(canary, current))

    async def set(self, canary: Canary, split: Split) -> None:
        """Write every owned object for this split; what is as it should be is not written.

        Raises `Conflict` where what was rendered from is not what is there any more.
        """
        made, current = self.router(canary), self._current(canary)
        for manifest in _signed(made.render(canary, current, split), canary):
            live = current.get(Ref.of(manifest))
            if live is not None and made.blends:
                manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            self.cache.note(await self.cluster.apply(manifest, manager=MANAGER))

    async def release(self, canary: Canary) -> None:
        """Leave the objects to whoever refers to them: they are no longer the Canary's.

        Without a target there is nobody to leave them to, so they go with the Canary.
        """
        named = canary.spec.target_ref
        target = self.cache.get(
            Ref(Kind(named.api_version, named.kind), canary.namespace, named.name)
        )
        if target is None:
            return
        for ref in self.router(canary).owns(canary):
            if self.cache.get(ref) is None:
                continue
            patch = {"metadata": {"ownerReferences": _heirs(ref, target)}}
            with suppress(NotFound):
                await self.cluster.patch(ref, patch, manager=MANAGER)

    def _current(self, canary: Canary) -> Current:
        found = {ref: self.cache.get(ref) for ref in self.refs(canary)}
        return {ref: manifest for ref, manifest in found.items() if manifest is not None}


def _heirs(ref: Ref, target: Manifest) -> list[Manifest] | None:
    """The owners of an object that a Canary has let go of.

    A Route of local mode serves nothing but its Process, and its port has to be free again once
    that is gone. What belongs to a mesh may be of use to others, and is theirs to remove.
    """
    if _group(ref.kind.api_version) != _group(target["apiVersion"]):
        return None
    meta = target["metadata"]
    return [
        {
            "apiVersion": target["apiVersion"],
            "kind": target["kind"],
            "name": meta["name"],
            "uid": meta["uid"],
        }
    ]


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _signed(manifests: list[Manifest], canary: Canary) -> list[Manifest]:
    """Add what every object of ours carries: its owner, and a hash of what was written."""
    signed = []
    for manifest in manifests:
        meta = manifest["metadata"]
        annotations = {**meta.get("annotations", {}), RENDERED: revision(manifest)}
        owner = {
            "apiVersion": canary.api_version,
            "kind": canary.kind,
            "name": canary.name,
            "uid": canary.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        meta = {**meta, "annotations": annotations, "ownerReferences": [owner]}
        signed.append({**manifest, "metadata": meta})
    return signed


def _within(wanted: Any, live: Any) -> bool:
    """Whether every field of ours is as it should be; fields of others don't matter."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(key in live and _within(value, live[key]) for key, value in wanted.items())
    return bool(wanted == live)


def _foreign(live: Manifest) -> str:
    """Who wrote `spec` last, if it wasn't us."""
    last = writer(live, ("spec",))
    return "" if last == MANAGER else last
