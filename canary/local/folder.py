"""A folder of manifests, followed: what its files say is what is in the cluster.

A file that can't be read as it is keeps what it said before, and says why: an edit that went wrong
must not take anything down that runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog
from watchfiles import Change, awatch

from canary.cluster.port import Cluster, Kind, Ref
from canary.crd import KINDS, Canary, Loaded, dump, load_path, version_of
from canary.errors import CanaryError, LocalError, NotFound, SpecError

log = structlog.get_logger(__name__)

MANAGER = "files"
SOURCE = "local.canary/source"
"""Annotation: the file, relative to the folder, that an object came from."""
LOOK_AGAIN = 1.0
"""Seconds between looks for a folder that has vanished."""

Tell = Callable[[str], None]


class Folder:
    """Keeps a cluster at what the YAML files of a folder say."""

    def __init__(self, cluster: Cluster, path: Path, tell: Tell = log.warning) -> None:
        self._cluster, self._path, self._tell = cluster, path, tell
        self._said: dict[Path, str] = {}

    async def load(self) -> int:
        """Bring the cluster to the files as they are now; returns how many objects they hold.

        Raises `LocalError` if the folder isn't there.
        """
        if not self._path.is_dir():
            raise LocalError(f"{self._path} is not a folder; name one with Canary and Process YAML")
        return await self._sync()

    async def follow(self) -> None:
        """Take over every edit, until cancelled. A folder that vanishes changes nothing."""
        async for _ in self._edits():
            await self._sync()

    async def _edits(self) -> AsyncIterator[None]:
        while True:
            if not self._path.is_dir():
                self._complain(
                    self._path, f"{self._path} has vanished; what runs goes on as it was"
                )
                await asyncio.sleep(LOOK_AGAIN)
                continue
            if self._said.pop(self._path, None):
                self._tell(f"{self._path} is back")
                yield
            async for changes in awatch(
                self._path, watch_filter=_is_manifest, debounce=200, step=20, yield_on_timeout=True
            ):
                if changes:
                    yield
                elif not self._path.is_dir():
                    break

    async def _sync(self) -> int:
        loaded, kept = self._read()
        wanted = {}
        for source, resource in zip(loaded.sources, loaded.objects, strict=True):
            manifest = dump(resource)
            where = {SOURCE: str(Path(source).relative_to(self._path))}
            meta = manifest.setdefault("metadata", {})
            meta["namespace"] = resource.namespace
            meta["annotations"] = {**meta.get("annotations", {}), **where}
            wanted[Ref.of(manifest)] = manifest
        # Targets come before the Canaries that name them, as people would apply them.
        for ref in sorted(wanted, key=lambda ref: ref.kind.name == Canary.__name__):
            try:
                await self._cluster.apply(wanted[ref], manager=MANAGER)
            except CanaryError as error:
                self._tell(f"{ref} was not applied: {error}")
        await self._remove(set(wanted), kept)
        return len(wanted)

    def _read(self) -> tuple[Loaded, set[str]]:
        """All that can be read; and the files, relative, that keep what they said before."""
        files = sorted(
            file
            for pattern in ("*.yaml", "*.yml")
            for file in self._path.rglob(pattern)
            if not any(part.startswith(".") for part in file.relative_to(self._path).parts)
        )
        good: list[Path] = []
        kept: set[str] = set()
        loaded = Loaded((), ())
        for file in files:
            try:
                # Together with those before it: names and targets must be unique among them all.
                loaded = load_path(*good, file)
            except (SpecError, LocalError) as error:
                kept.add(str(file.relative_to(self._path)))
                self._complain(file, str(error))
            else:
                good.append(file)
                self._said.pop(file, None)
        return loaded, kept

    def _complain(self, file: Path, text: str) -> None:
        if self._said.get(file) != text:
            self._said[file] = text
            self._tell(text)

    async def _remove(self, wanted: set[Ref], kept: set[str]) -> None:
        """Delete what no file says any more, Canaries first so that they can let go."""
        for kind in sorted(_kinds(), key=lambda kind: kind.name != Canary.__name__):
            for manifest in (await self._cluster.list(kind)).items:
                source = manifest["metadata"].get("annotations", {}).get(SOURCE)
                ref = Ref.of(manifest)
                if source is None or source in kept or ref in wanted:
                    continue
                try:
                    await self._cluster.delete(ref)
                except NotFound:
                    continue


def _kinds() -> list[Kind]:
    return [Kind(version_of(model), name) for name, model in KINDS.items()]


def _is_manifest(_change: Change, path: str) -> bool:
    name = Path(path).name
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")
