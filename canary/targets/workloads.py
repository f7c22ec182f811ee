"""Both sides of a Canary in the cluster: looked at through the cache, changed through the port.

What a kind of workload looks like is its own file's business; what is the same for all of them
(recorded templates, owners, annotations) is here.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.core.facts import Primary, Target
from canary.core.facts import Workloads as Facts
from canary.core.revision import revision
from canary.crd import Canary
from canary.errors import Conflict, NotFound
from canary.targets.base import REVISION, TargetKind
from canary.targets.registry import target_kind

MANAGER = "canary"
RECORDS = Kind("apps/v1", "ControllerRevision")
RECORD_LABEL = "flagger.app/canary"
"""Label of a recorded template: the Canary it was recorded for."""
KEPT = 6
"""Recorded templates a Canary keeps beside those it still needs."""


class Workloads:
    """Target and primary of any Canary. Raises `ClusterError` where the cluster says no."""

    def __init__(self, cluster: Cluster, cache: Cache) -> None:
        self.cluster, self.cache = cluster, cache
        self._recorded: dict[tuple[str, str], dict[str, Ref]] = {}
        """By namespace and Canary: a look costs the same however many Canaries there are."""
        cache.subscribe(RECORDS, self._record_changed)

    def refs(self, canary: Canary) -> list[Ref]:
        """Target and primary."""
        return [self._target_ref(canary), self._primary_ref(canary)]

    def look(self, canary: Canary, now: datetime) -> Facts:
        kind = target_kind(canary)
        target = self.cache.get(self._target_ref(canary))
        primary = self.cache.get(self._primary_ref(canary))
        return Facts(
            target=_target(kind, canary, target, now) if target else None,
            primary=_primary(kind, canary, primary, now) if primary else None,
            recorded=frozenset(self._records(canary)),
            alike=bool(target and primary) and _alike(kind, canary, target, primary),
        )

    async def remember(self, canary: Canary, wanted: str, known_good: str) -> None:
        """Record the target's template under its revision, and the primary's as it is.

        Raises `Conflict` if one of them is at another revision by now.
        """
        kind, records = target_kind(canary), self._records(canary)
        if wanted not in records:
            template = kind.template(await self.cluster.get(self._target_ref(canary)))
            if revision(template) != wanted:
                raise Conflict(f"{self._target_ref(canary)} is no longer at revision {wanted}")
            await self._record(canary, wanted, template)
        if known_good and known_good not in records:
            primary = await self.cluster.get(self._primary_ref(canary))
            if _made_from(kind, primary) != known_good:
                raise Conflict(f"{self._primary_ref(canary)} is no longer at {known_good}")
            await self._record(canary, known_good, kind.template(primary))
        await self._forget(canary, {wanted, known_good, canary.status.last_promoted_spec})

    async def create_primary(self, canary: Canary, wanted: str) -> None:
        """Make the primary from a recorded revision, or from the target if it is at that one."""
        if wanted not in self._records(canary):
            await self.remember(canary, wanted, "")
        await self.promote(canary, wanted)

    async def promote(self, canary: Canary, wanted: str) -> None:
        """Give the primary a recorded template. Never reads what the target has by now."""
        kind = target_kind(canary)
        base = await self._base(canary)
        template = await self._template(canary, wanted)
        manifest = kind.primary(canary, base, template)
        manifest["metadata"] = {
            "name": canary.primary_workload,
            "namespace": canary.namespace,
            "labels": manifest["metadata"].get("labels", {}),
            "annotations": {**manifest["metadata"].get("annotations", {}), REVISION: wanted},
            "ownerReferences": [owner(canary)],
        }
        self.cache.note(await self.cluster.apply(manifest, manager=MANAGER))

    async def scale(self, canary: Canary, *, up: bool) -> None:
        kind, ref = target_kind(canary), self._target_ref(canary)
        target = self.cache.get(ref)
        if target is None:
            raise NotFound(f"{ref} does not exist")
        patch = kind.scale(target, self.cache.get(self._primary_ref(canary)), up=up)
        self.cache.note(await self.cluster.patch(ref, patch, manager=MANAGER))

    async def release(self, canary: Canary) -> None:
        """Let go of what was made for this Canary, once nothing needs it any more."""
        for ref in [self._primary_ref(canary), *self._records(canary).values()]:
            try:
                await self.cluster.delete(ref)
            except NotFound:
                continue

    def _target_ref(self, canary: Canary) -> Ref:
        ref = canary.spec.target_ref
        return Ref(Kind(ref.api_version, ref.kind), canary.namespace, ref.name)

    def _primary_ref(self, canary: Canary) -> Ref:
        ref = canary.spec.target_ref
        return Ref(Kind(ref.api_version, ref.kind), canary.namespace, canary.primary_workload)

    async def _base(self, canary: Canary) -> Manifest:
        """Where the fields outside the template come from: the target, while there is one."""
        try:
            return await self.cluster.get(self._target_ref(canary))
        except NotFound:
            return await self.cluster.get(self._primary_ref(canary))

    def _records(self, canary: Canary) -> dict[str, Ref]:
        """Revisions whose templates are recorded for this Canary, oldest first."""
        return self._recorded.get((canary.namespace, canary.name), {})

    def _record_changed(self, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        for manifest, known in ((old, False), (new, change != "DELETED")):
            meta = manifest["metadata"] if manifest else {}
            owner, name = (meta.get(each) or {} for each in ("labels", "annotations"))
            if RECORD_LABEL not in owner or REVISION not in name:
                continue  # StatefulSets and DaemonSets keep theirs here, too
            records = self._recorded.setdefault((meta["namespace"], owner[RECORD_LABEL]), {})
            if known:
                records[name[REVISION]] = Ref.of(new)
            else:
                records.pop(name[REVISION], None)
            if not records:
                del self._recorded[meta["namespace"], owner[RECORD_LABEL]]

    async def _record(self, canary: Canary, name: str, template: Manifest) -> None:
        ref = _record_ref(canary, name)
        manifest = ref.manifest(
            metadata={
                "labels": {RECORD_LABEL: canary.name},
                "annotations": {REVISION: name},
                "ownerReferences": [owner(canary)],
            },
            data=template,
            revision=1,
        )
        self.cache.note(await self.cluster.apply(manifest, manager=MANAGER))

    async def _template(self, canary: Canary, name: str) -> Manifest:
        data: Manifest = (await self.cluster.get(_record_ref(canary, name)))["data"]
        return data

    async def _forget(self, canary: Canary, needed: set[str]) -> None:
        records = self._records(canary)
        spare = [ref for name, ref in records.items() if name not in needed]
        for ref in spare[: max(0, len(spare) - KEPT)]:
            with suppress(NotFound):
                await self.cluster.delete(ref)


def owner(canary: Canary) -> Mapping[str, Any]:
    """The owner reference that ties an object of ours to its Canary."""
    return {
        "apiVersion": canary.api_version,
        "kind": canary.kind,
        "name": canary.name,
        "uid": canary.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _record_ref(canary: Canary, name: str) -> Ref:
    short = name.lower().replace(":", "-")
    return Ref(RECORDS, canary.namespace, f"{canary.name}-{short}")


def _target(kind: TargetKind, canary: Canary, manifest: Manifest, now: datetime) -> Target:
    percent = canary.spec.analysis.canary_ready_threshold
    return Target(
        revision=revision(kind.template(manifest)),
        readiness=kind.readiness(manifest, percent, now, None),
        images=kind.images(manifest),
        idle=kind.idle(manifest),
    )


def _primary(kind: TargetKind, canary: Canary, manifest: Manifest, now: datetime) -> Primary:
    percent = canary.spec.analysis.primary_ready_threshold
    return Primary(
        revision=_made_from(kind, manifest),
        readiness=kind.readiness(manifest, percent, now, None),
    )


def _made_from(kind: TargetKind, primary: Manifest) -> str:
    made_from: str = primary["metadata"].get("annotations", {}).get(REVISION, "")
    # One that somebody else made goes by what it runs.
    return made_from or revision(kind.template(primary))


def _alike(
    kind: TargetKind, canary: Canary, target: Manifest | None, primary: Manifest | None
) -> bool:
    """Whether copying the target would leave the primary as it is."""
    if target is None or primary is None:
        return False
    copied = kind.primary(canary, target, kind.template(target))
    return kind.template(copied) == kind.template(primary)
