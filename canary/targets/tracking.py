"""ConfigMaps and Secrets in the cluster: read once when they change, copied when promoted."""

from collections.abc import Mapping

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Manifest, Ref
from canary.crd import Canary
from canary.errors import Conflict, NotFound
from canary.targets.configs import changes, fingerprint, tracked
from canary.targets.pods import TargetSettings
from canary.targets.references import SUFFIX, Reference, references
from canary.targets.sending import send


class Tracking:
    """Checksums of what pod templates refer to, and the copies that primaries read.

    A watch only has to tell that an object changed: its content is read here, once a version,
    and nothing of it is kept but the checksum.
    """

    def __init__(self, cluster: Cluster, cache: Cache, settings: TargetSettings) -> None:
        self._cluster, self._cache, self._settings = cluster, cache, settings
        self._known: dict[Ref, tuple[str, str | None]] = {}
        """The version that was read, and its fingerprint."""

    def refs(self, canary: Canary, template: Manifest) -> list[Ref]:
        """What has to be watched for this template."""
        return [each.ref(canary.namespace) for each in self._wanted(template).values()]

    async def learn(self, canary: Canary, template: Manifest) -> None:
        """Read those that have changed since they were read last."""
        for ref in self.refs(canary, template):
            there = self._cache.get(ref)
            known, _ = self._known.get(ref, ("", None))
            if there is None:
                self._known.pop(ref, None)
            elif known != _version(there):
                await self._read(ref)

    def checksums(self, canary: Canary, where: str, template: Manifest) -> dict[str, str] | None:
        """Of what was learned, by key; None where nothing is tracked. Raises `SpecError`."""
        if not self._settings.config_tracking:
            return None
        wanted = self._wanted(template)
        places = {key: each.ref(canary.namespace) for key, each in wanted.items()}
        found = {key: self._known[ref][1] for key, ref in places.items() if ref in self._known}
        return tracked(where, wanted, found)

    async def copy(
        self,
        canary: Canary,
        where: str,
        template: Manifest,
        expected: Mapping[str, str] | None,
    ) -> dict[str, str]:
        """Bring the copies to what their sources have, and return the checksums by key.

        `expected` are those of the analysis; None if there was none. Raises `Conflict` if they
        are others by now, and `SpecError` for what is missing. Where only the copy is left, it
        stays as it is.
        """
        wanted = self._wanted(template)
        places = {key: each.ref(canary.namespace) for key, each in wanted.items()}
        sources = {key: await self._get(ref) for key, ref in places.items()}
        copies = {key: await self._get(_copy_ref(ref)) for key, ref in places.items()}
        newest = {key: sources[key] or copies[key] for key in wanted}
        found = {key: fingerprint(each) for key, each in newest.items() if each}
        made = tracked(where, wanted, found)
        if expected is not None and self._settings.config_tracking and made != dict(expected):
            raise Conflict(f"the configs of {where} are no longer those that were analysed")
        for key in made:
            if source := sources[key]:
                prefixes = self._settings.include_label_prefix
                writes = changes(canary, source, copies[key], prefixes)
                await send(self._cluster, self._cache, writes)
        return made

    def _wanted(self, template: Manifest) -> dict[str, Reference]:
        return references(template) if self._settings.config_tracking else {}

    async def _read(self, ref: Ref) -> None:
        config = await self._get(ref)
        if config is None:
            self._known.pop(ref, None)
            return
        self._known[ref] = (_version(config), fingerprint(config))

    async def _get(self, ref: Ref) -> Manifest | None:
        try:
            return await self._cluster.get(ref)
        except NotFound:
            return None


def _copy_ref(ref: Ref) -> Ref:
    return Ref(ref.kind, ref.namespace, f"{ref.name}{SUFFIX}")


def _version(config: Manifest) -> str:
    meta = config["metadata"]
    return f"{meta['uid']}/{meta['resourceVersion']}"
