"""Both sides of a Canary in the cluster: looked at through the cache, changed through the port.

What a kind of workload looks like is its own file's business; what is the same for all of them
(recorded templates, configs, Services, owners, annotations) comes together here.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.core.facts import Primary, Readiness, Target
from canary.core.facts import Workloads as Facts
from canary.core.revision import revision
from canary.crd import Canary
from canary.crd.status import Ending, Split
from canary.errors import Conflict, NotFound, SpecError
from canary.targets import scalers
from canary.targets.base import CONFIGS, REVISION, TargetKind
from canary.targets.owners import owner
from canary.targets.pods import TargetSettings, selector
from canary.targets.readiness import joined, of_primary
from canary.targets.reasons import explained, selects
from canary.targets.records import Records
from canary.targets.registry import target_kind
from canary.targets.sending import MANAGER, send
from canary.targets.surroundings import Surroundings
from canary.targets.tracking import Tracking
from canary.targets.writes import Write

POD = Kind("v1", "Pod")


class Workloads:
    """Target and primary of any Canary. Raises `ClusterError` where the cluster says no."""

    def __init__(
        self, cluster: Cluster, cache: Cache, settings: TargetSettings | None = None
    ) -> None:
        self.cluster, self.cache = cluster, cache
        self.settings = settings or TargetSettings()
        self.records = Records(cluster, cache)
        self.configs = Tracking(cluster, cache, self.settings)
        self.around = Surroundings(cache, self.settings)

    def refs(self, canary: Canary) -> list[Ref]:
        """Target and primary, and everything else whose changes concern this Canary."""
        kind, target = self._kind(canary), self.cache.get(_target_ref(canary))
        found = [_target_ref(canary), kind.primary_ref(canary), *self.around.refs(canary, kind)]
        if target and kind.pods:
            found += self.configs.refs(canary, kind.template(target))
        return found

    def kinds(self, canary: Canary) -> list[Kind]:
        """What has to be watched besides, though no single change of it is worth a look."""
        return [POD] if self._kind(canary).pods else []

    async def learn(self, canary: Canary) -> None:
        """Read what `look` can't find in the cache: configs that changed."""
        kind, target = self._kind(canary), self.cache.get(_target_ref(canary))
        if target and kind.pods:
            await self.configs.learn(canary, kind.template(target))

    def look(self, canary: Canary, now: datetime) -> Facts:
        kind = self._kind(canary)
        target = self.cache.get(_target_ref(canary))
        primary = self.cache.get(kind.primary_ref(canary))
        return Facts(
            target=self._target(kind, canary, target, now) if target else None,
            primary=self._primary(kind, canary, primary, now) if primary else None,
            recorded=frozenset(self.records.of(canary)),
            alike=bool(target and primary and kind.same(canary, target, primary)),
        )

    async def remember(self, canary: Canary, wanted: str, known_good: str) -> None:
        """Record the target's template under its revision, and the primary's as it is.

        Raises `Conflict` if one of them is at another revision by now.
        """
        kind, records = self._kind(canary), self.records.of(canary)
        if wanted not in records:
            template = kind.template(await self.cluster.get(_target_ref(canary)))
            if revision(template) != wanted:
                raise Conflict(f"{_target_ref(canary)} is no longer at revision {wanted}")
            await self.records.write(canary, wanted, template)
        if known_good and known_good not in records:
            place = kind.primary_ref(canary)
            primary = await self.cluster.get(place)
            if _made_from(kind, primary) != known_good:
                raise Conflict(f"{place} is no longer at {known_good}")
            await self.records.write(canary, known_good, kind.template(primary))
        await self.records.forget(canary, {wanted, known_good, canary.status.last_promoted_spec})

    async def create_primary(self, canary: Canary, wanted: str) -> None:
        """Make the primary from a recorded revision, or from the target if it is at that one."""
        if wanted not in self.records.of(canary):
            await self.remember(canary, wanted, "")
        await self.promote(canary, wanted)
        if workload := self._workload(canary):
            await self._send(self.around.early(canary, self._kind(canary), workload))

    async def promote(self, canary: Canary, wanted: str) -> None:
        """Give the primary a recorded template. Never reads what the target has by now.

        Raises `Conflict` if its configs are not those that were analysed.
        """
        base = await self._base(canary)
        template = await self.records.template(canary, wanted)
        tracked = await self._copied(canary, base, template, wanted)
        kind = self._kind(canary, tracked)
        live = await self._live(kind.primary_ref(canary))
        manifest = kind.primary(canary, base, template, live)
        meta, notes = manifest["metadata"], {REVISION: wanted}
        if kind.pods and self.settings.config_tracking:
            notes[CONFIGS] = json.dumps(tracked, sort_keys=True)
        manifest["metadata"] = {
            **meta,
            "labels": meta.get("labels", {}),
            "annotations": {**meta.get("annotations", {}), **notes},
            "ownerReferences": [owner(canary)],
        }
        await self._send(kind.changes(manifest, live))
        await self._send(self.around.promoted(canary))

    def drifted(self, canary: Canary, split: Split, *, alone: bool) -> bool:
        """Whether `route` would have something to write for the split that there is."""
        workload, kind = self._workload(canary), self._kind(canary)
        return bool(workload and self.around.writes(canary, kind, workload, split, alone=alone))

    async def route(self, canary: Canary, split: Split, *, alone: bool) -> None:
        """Bring the Services to a split, before the router's own objects.

        `alone` says that there are none, so that the apex Service alone decides.
        """
        if workload := self._workload(canary):
            kind = self._kind(canary)
            await self._send(self.around.writes(canary, kind, workload, split, alone=alone))

    async def scale(self, canary: Canary, *, up: bool) -> None:
        """Wake the target or put it to sleep, with its autoscaler out of the way first."""
        kind, ref = self._kind(canary), _target_ref(canary)
        target = self.cache.get(ref)
        if target is None:
            raise NotFound(f"{ref} does not exist")
        scaler, primary = self.around.scaler(canary), self.cache.get(kind.primary_ref(canary))
        least = scalers.least(scaler) if scaler else None
        await self._send(self.around.paused(canary, pause=not up))
        if patch := kind.scale(target, primary, up=up, least=least):
            self.cache.note(await self.cluster.patch(ref, patch, manager=MANAGER))

    async def release(self, canary: Canary) -> None:
        """Let go of what was made for this Canary, once nothing needs it any more."""
        kind = self._kind(canary)
        if target := self.cache.get(_target_ref(canary)):
            await self._send(self.around.release(canary, kind, target))
        for ref in [kind.primary_ref(canary), *self.records.of(canary).values()]:
            try:
                await self.cluster.delete(ref)
            except NotFound:
                continue

    def _kind(self, canary: Canary, tracked: Mapping[str, str] | None = None) -> TargetKind:
        return target_kind(canary, self.settings, tracked)

    async def _send(self, writes: Iterable[Write]) -> None:
        await send(self.cluster, self.cache, writes)

    def _workload(self, canary: Canary) -> Manifest | None:
        """What tells labels and ports: the target or, where it is gone, its primary."""
        target = self.cache.get(_target_ref(canary))
        return target or self.cache.get(self._kind(canary).primary_ref(canary))

    async def _base(self, canary: Canary) -> Manifest:
        """Where the fields outside the template come from: the target, while there is one."""
        try:
            return await self.cluster.get(_target_ref(canary))
        except NotFound:
            return await self.cluster.get(self._kind(canary).primary_ref(canary))

    async def _live(self, ref: Ref) -> Manifest | None:
        try:
            return await self.cluster.get(ref)
        except NotFound:
            return None

    async def _copied(
        self, canary: Canary, base: Manifest, template: Manifest, wanted: str
    ) -> dict[str, str]:
        """Copy the configs that a template names; returns their checksums."""
        if not self._kind(canary).pods:
            return {}
        chosen = selector(canary, base, self.settings.selector_labels)
        labels = (template.get("metadata") or {}).get("labels") or {}
        analysed = canary.status.tracked_configs if _promotes(canary, wanted) else None
        if labels.get(chosen.key) == chosen.primary:
            # Recorded from a primary that somebody else made: it names copies already.
            return dict(analysed or {})
        return await self.configs.copy(canary, str(_target_ref(canary)), template, analysed)

    def _target(
        self, kind: TargetKind, canary: Canary, manifest: Manifest, now: datetime
    ) -> Target:
        percent, template = canary.spec.analysis.canary_ready_threshold, kind.template(manifest)
        readiness = self._explained(kind, manifest, kind.readiness(manifest, percent, now, None))
        configs = None
        try:
            if kind.pods:
                configs = self.configs.checksums(canary, str(Ref.of(manifest)), template)
        except SpecError as error:
            # New pods can't start, but those that run go on: no reason to do nothing at all.
            reason = joined(readiness.reason, str(error))
            readiness = replace(readiness, ready=False, reason=reason)
        return Target(
            revision=revision(template),
            readiness=readiness,
            images=kind.images(manifest),
            configs=configs,
            idle=kind.idle(manifest),
            sleeps=kind.sleeps,
        )

    def _primary(
        self, kind: TargetKind, canary: Canary, manifest: Manifest, now: datetime
    ) -> Primary:
        percent = canary.spec.analysis.primary_ready_threshold
        readiness = kind.readiness(manifest, percent, now, None)
        if kind.pods:
            readiness = of_primary(canary, readiness)
        tracks = kind.pods and self.settings.config_tracking
        return Primary(
            revision=_made_from(kind, manifest),
            readiness=self._explained(kind, manifest, readiness),
            configs=_copied_with(manifest) if tracks else None,
        )

    def _explained(self, kind: TargetKind, workload: Manifest, readiness: Readiness) -> Readiness:
        if readiness.ready or not kind.pods:
            return readiness
        pods = self.cache.items(POD, workload["metadata"]["namespace"])
        return explained(readiness, [each for each in pods if selects(workload, each)])


def _target_ref(canary: Canary) -> Ref:
    ref = canary.spec.target_ref
    return Ref(Kind(ref.api_version, ref.kind), canary.namespace, ref.name)


def _promotes(canary: Canary, wanted: str) -> bool:
    """Whether this is what a run was decided to promote, and not what is put back."""
    run = canary.status.run
    if run is None or run.verdict is None or run.revision != wanted:
        return False
    return run.verdict.outcome == Ending.PROMOTED


def _made_from(kind: TargetKind, primary: Manifest) -> str:
    made_from: str = primary["metadata"].get("annotations", {}).get(REVISION, "")
    # One that somebody else made goes by what it runs.
    return made_from or revision(kind.template(primary))


def _copied_with(primary: Manifest) -> dict[str, str]:
    said = (primary["metadata"].get("annotations") or {}).get(CONFIGS, "{}")
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
