"""Recorded templates: what was analysed and what is known to work, kept to be written again."""

from contextlib import suppress

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.crd import Canary
from canary.errors import NotFound
from canary.targets.base import REVISION
from canary.targets.owners import owner
from canary.targets.sending import send
from canary.targets.writes import Apply

RECORDS = Kind("apps/v1", "ControllerRevision")
RECORD_LABEL = "flagger.app/canary"
"""Label of a recorded template: the Canary it was recorded for."""
KEPT = 6
"""Recorded templates a Canary keeps beside those it still needs."""


class Records:
    """By namespace and Canary: a look costs the same however many Canaries there are."""

    def __init__(self, cluster: Cluster, cache: Cache) -> None:
        self._cluster, self._cache = cluster, cache
        self._known: dict[tuple[str, str], dict[str, Ref]] = {}
        cache.subscribe(RECORDS, self._changed)

    def of(self, canary: Canary) -> dict[str, Ref]:
        """Revisions whose templates are recorded for this Canary, oldest first."""
        return self._known.get((canary.namespace, canary.name), {})

    async def write(self, canary: Canary, name: str, template: Manifest) -> None:
        manifest = _ref(canary, name).manifest(
            metadata={
                "labels": {RECORD_LABEL: canary.name},
                "annotations": {REVISION: name},
                "ownerReferences": [owner(canary)],
            },
            data=template,
            revision=1,
        )
        await send(self._cluster, self._cache, [Apply(manifest)])

    async def template(self, canary: Canary, name: str) -> Manifest:
        """What was recorded under a revision. Raises `NotFound`."""
        data: Manifest = (await self._cluster.get(_ref(canary, name)))["data"]
        return data

    async def forget(self, canary: Canary, needed: set[str]) -> None:
        """Delete the oldest ones but for `KEPT` and those that are needed."""
        spare = [ref for name, ref in self.of(canary).items() if name not in needed]
        for ref in spare[: max(0, len(spare) - KEPT)]:
            with suppress(NotFound):
                await self._cluster.delete(ref)

    def _changed(self, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        for manifest, known in ((old, False), (new, change != "DELETED")):
            meta = manifest["metadata"] if manifest else {}
            labels, name = (meta.get(each) or {} for each in ("labels", "annotations"))
            if RECORD_LABEL not in labels or REVISION not in name:
                continue  # StatefulSets and DaemonSets keep theirs here, too
            records = self._known.setdefault((meta["namespace"], labels[RECORD_LABEL]), {})
            if known:
                records[name[REVISION]] = Ref.of(new)
            else:
                records.pop(name[REVISION], None)
            if not records:
                del self._known[meta["namespace"], labels[RECORD_LABEL]]


def _ref(canary: Canary, name: str) -> Ref:
    short = name.lower().replace(":", "-")
    return Ref(RECORDS, canary.namespace, f"{canary.name}-{short}")
