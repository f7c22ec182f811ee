"""A folder of manifests, followed: what its files say is what is in the cluster.

A file that can't be read as it is keeps what it said before, and says why: an edit that went wrong
must not take anything down that runs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, awatch

from canary.cluster.port import Cluster, Kind, Manifest, Ref
from canary.crd import KINDS, Canary, Loaded, dump, version_of
from canary.errors import CanaryError, LocalError, NotFound
from canary.local.files import found, identity, is_manifest, understood

MANAGER = "files"
SOURCE = "local.canary/source"
"""Annotation: the file, relative to the folder, that an object came from."""
LOOK_AGAIN = 1.0
"""Seconds between looks for what can't be done just now: a folder that has vanished, an object
that is still on its way out."""

ABSENT = 1.0
"""Seconds for which a file has to be away before it counts as deleted: some editors save by
deleting it first, and the service must not end for that."""

Tell = Callable[[str], None]


class Folder:
    """Keeps a cluster at what the YAML files of a folder say."""

    def __init__(self, cluster: Cluster, path: Path, tell: Tell) -> None:
        self._cluster, self._path, self._tell = cluster, path, tell
        self._said: dict[object, str] = {}
        self._away: dict[str, float] = {}
        """Since when a file is missing from which there are objects, by the loop's clock."""
        self._changed = asyncio.Event()

    async def load(self) -> int:
        """Bring the cluster to the files as they are now; returns how many objects they hold.

        Raises `LocalError` if the folder isn't there.
        """
        if not self._path.is_dir():
            what = "is a file" if self._path.exists() else "does not exist"
            raise LocalError(f"{self._path} {what}; name a folder with Canary and Process YAML")
        await self._sync()
        count = 0
        for kind in _kinds():
            items = (await self._cluster.list(kind)).items
            count += sum(_source(each) is not None for each in items)
        if not count:
            self._tell(f"there is nothing to run in {self._path} yet; it waits for YAML files")
        return count

    async def follow(self) -> None:
        """Take over every edit, until cancelled. A folder that vanishes changes nothing."""
        settled = not self._away
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name=f"watch {self._path}")
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if settled else LOOK_AGAIN):
                        await self._changed.wait()
                self._changed.clear()
                settled = await self._sync()

    async def _watch(self) -> None:
        """Notice edits, until cancelled; another folder in the place of this one is an edit."""
        while True:
            here = identity(self._path)
            if here is None:
                text = f"{self._path} has vanished; what runs goes on as it was"
                self._complain(self._path, text)
            else:
                if self._said.pop(self._path, None):
                    self._tell(f"{self._path} is back")
                # Called when this task first waits, and by then it watches: what was edited
                # while nobody did is not missed.
                asyncio.get_running_loop().call_soon(self._changed.set)
                try:
                    await self._watch_this(here)
                except (OSError, RuntimeError) as error:  # both are raised by the library
                    if identity(self._path) is not None:
                        self._complain("watch", f"{self._path} can't be watched: {error}")
            await asyncio.sleep(LOOK_AGAIN)

    async def _watch_this(self, here: object) -> None:
        def concerns(_change: Change, path: str) -> bool:
            return is_manifest(Path(path)) or Path(path) == self._path

        watching = awatch(
            self._path, watch_filter=concerns, debounce=200, step=20, yield_on_timeout=True
        )
        async for changes in watching:
            if identity(self._path) != here:
                return
            if changes:
                self._changed.set()

    async def _sync(self) -> bool:
        """Bring the cluster to the files; False if it has to be looked at again."""
        existing = [each for kind in _kinds() for each in (await self._cluster.list(kind)).items]
        try:
            files = await asyncio.to_thread(found, self._path)
        except OSError as error:
            if identity(self._path) is not None:
                self._complain(self._path, f"{self._path} can't be read: {error.strerror}")
            return True
        # Of two files that contradict each other, the one that is in force stays so.
        files.sort(key=lambda file: (self._name(file) not in set(map(_source, existing)), file))
        loaded, problems = await asyncio.to_thread(understood, files)
        for file in files:
            self._complain(file, problems.get(file, ""))
        if loaded.others:
            left = ", ".join(loaded.others)
            self._complain("others", f"not run here, only in a cluster: {left}")
        wanted = self._wanted(loaded)
        leaving = {Ref.of(each) for each in existing if each["metadata"].get("deletionTimestamp")}
        settled = await self._apply(wanted, leaving)
        kept = {self._name(file) for file in problems} | self._just_left(files, existing)
        await self._remove(existing, set(wanted), kept)
        return settled and not self._away

    def _just_left(self, files: Sequence[Path], existing: Sequence[Manifest]) -> set[str]:
        """Files that have gone only now, and may be back in a moment."""
        now = asyncio.get_running_loop().time()
        gone = {source for each in existing if (source := _source(each))} - set(
            map(self._name, files)
        )
        since = {source: self._away.get(source, now) for source in gone}
        self._away = {source: at for source, at in since.items() if now - at < ABSENT}
        return set(self._away)

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self._path))

    def _wanted(self, loaded: Loaded) -> dict[Ref, Manifest]:
        """What the files say. Targets come before the Canaries that name them."""
        wanted = {}
        for source, resource in zip(loaded.sources, loaded.objects, strict=True):
            manifest = dump(resource)
            meta = manifest.setdefault("metadata", {})
            meta["namespace"] = resource.namespace
            where = {SOURCE: self._name(Path(source))}
            meta["annotations"] = {**meta.get("annotations", {}), **where}
            wanted[Ref.of(manifest)] = manifest
        return dict(sorted(wanted.items(), key=lambda item: item[0].kind.name == Canary.__name__))

    async def _apply(self, wanted: Mapping[Ref, Manifest], leaving: set[Ref]) -> bool:
        """Write what is wanted; False if some of that has to wait.

        An object that is on its way out has to be gone before it can come back.
        """
        settled = not leaving & set(wanted)
        for ref, manifest in wanted.items():
            if ref in leaving:
                continue
            try:
                await self._cluster.apply(manifest, manager=MANAGER)
            except CanaryError as error:
                self._complain(ref, f"{ref} was not applied: {error}")
                settled = False
            else:
                self._said.pop(ref, None)
        return settled

    async def _remove(self, existing: Sequence[Manifest], wanted: set[Ref], kept: set[str]) -> None:
        """Delete what no file says any more, Canaries first so that they can let go."""
        for manifest in sorted(existing, key=lambda each: each["kind"] != Canary.__name__):
            source, ref = _source(manifest), Ref.of(manifest)
            if source is None or source in kept or ref in wanted:
                continue
            with suppress(NotFound):
                await self._cluster.delete(ref)

    def _complain(self, about: object, text: str) -> None:
        """Tell it once; an empty text means that there is nothing to tell any more."""
        if text and self._said.get(about) != text:
            self._tell(text)
        if text:
            self._said[about] = text
        elif self._said.pop(about, ""):
            self._tell(f"{about} is understood again")


def _source(manifest: Manifest) -> str | None:
    source: str | None = manifest["metadata"].get("annotations", {}).get(SOURCE)
    return source


def _kinds() -> list[Kind]:
    return [Kind(version_of(model), name) for name, model in KINDS.items()]
