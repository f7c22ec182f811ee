"""Brings every Process object to running processes, and finds them again after a restart."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Manifest, Ref
from canary.cluster.store import ChangeType
from canary.crd.process import Logs
from canary.errors import NotFound
from canary.local.processes.drain import Drained
from canary.local.processes.group import Group
from canary.local.processes.instance import Instance, Tools
from canary.local.processes.marks import Marked, marked
from canary.local.processes.os_process import OsProcess, started
from canary.local.processes.records import INSTANCE, PROCESS, Limits, Record, owner_uid

log = logging.getLogger(__name__)


class Supervisor:
    """Local mode's kubelet and Deployment controller.

    `state_dir` holds the logs and tells its processes from those of others. Working directories
    are relative to `base_dir`. `drained` says whether the data plane has no request under way
    to an address and port; without it only `limits.settle` is waited for.
    """

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        state_dir: Path,
        *,
        base_dir: Path,
        drained: Drained | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._tools = Tools(
            cluster, state_dir.resolve(), base_dir.resolve(), limits or Limits(), drained
        )
        self._cache = cache
        self._groups: dict[str, tuple[Group, asyncio.Task[None] | None]] = {}
        self._started = False
        self._orphans: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Adopt what runs and begin to look after all Processes; returns once that is under way."""
        await self._cache.start(PROCESS)
        await self._cache.wait_synced(PROCESS)
        self._unsubscribe = self._cache.subscribe(PROCESS, self._heard)
        await self._adopt()
        self._started = True
        for uid in tuple(self._groups):
            self._care_for(uid)

    async def run(self) -> None:
        """`start`, and go on until `stop` is called."""
        if not self._started:
            await self.start()
        await self._stopped.wait()

    async def stop(self, *, keep: bool = False) -> None:
        """End all processes gracefully, or with `keep` let them run on to be adopted later."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        groups = tuple(self._groups.values())
        tasks = [task for _, task in groups if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(group.stop(keep=keep) for group, _ in groups))
        await asyncio.gather(*self._orphans)
        self._groups.clear()
        self._stopped.set()

    def _heard(self, change: ChangeType, old: Manifest | None, new: Manifest) -> None:
        meta = new["metadata"]
        if change == "DELETED":
            self._removed(meta["uid"])
        elif old is None or meta["generation"] != old["metadata"]["generation"]:
            self._updated(new)

    def _updated(self, manifest: Manifest) -> None:
        uid = manifest["metadata"]["uid"]
        try:
            if known := self._groups.get(uid):
                known[0].update(manifest)
                return
            self._groups[uid] = Group(self._tools, manifest), None
        except ValidationError as error:
            # Files are validated where they are read; who writes past that keeps what runs.
            log.error("%s can't be run as written: %s", Ref.of(manifest), error)  # noqa: TRY400
            return
        if self._started:
            self._care_for(uid)

    def _removed(self, uid: str) -> None:
        if known := self._groups.get(uid):
            known[0].remove()

    def _care_for(self, uid: str) -> None:
        group, _ = self._groups[uid]
        task = asyncio.create_task(self._run(uid, group))
        self._groups[uid] = group, task

    async def _run(self, uid: str, group: Group) -> None:
        await group.run()
        del self._groups[uid]

    async def _adopt(self) -> None:
        """Match records with running processes, and end what belongs to nothing any more."""
        tools = self._tools
        found = await asyncio.to_thread(marked, str(tools.state_dir))
        listing = await tools.cluster.list(INSTANCE)
        strays = {each.instance: each for each in found if each.leader}
        orphans = []
        for manifest in listing.items:
            record = Record(tools.cluster, manifest)
            process = _process_of(record, strays)
            known = self._groups.get(owner_uid(manifest))
            stray = strays.pop(record.uid, None)
            instance = self._instance(record, process, known[0] if known else None)
            if known and instance:
                known[0].adopt(instance)
            else:
                orphans.append(self._end_orphan(record, process, stray))
        unknown = {each.instance for each in strays.values()}
        orphans += [_end_marked(each) for each in found if each.instance in unknown]
        # Started, not waited for: whoever takes its time to end must not keep the others waiting.
        self._orphans.update(asyncio.create_task(each) for each in orphans)

    def _instance(
        self, record: Record, process: OsProcess | None, group: Group | None
    ) -> Instance | None:
        if group is None:
            return None
        try:
            instance = Instance(self._tools, record, Logs(), group.changed.set)
        except (ValidationError, KeyError):  # written by a version that saw things differently
            return None
        if process is not None:
            instance.adopt(process)
        return instance

    async def _end_orphan(
        self, record: Record, process: OsProcess | None, stray: Marked | None
    ) -> None:
        """Its Process was deleted while nobody was here: nothing routes to it any more."""
        template = record.spec.get("template", {})
        grace = template.get("terminationGracePeriodSeconds", 10)
        if process is not None:
            await process.end(grace)
        if stray is not None:
            await _end_marked(stray)
        with contextlib.suppress(NotFound):
            await record.delete()


def _process_of(record: Record, strays: dict[str, Marked]) -> OsProcess | None:
    """By pid and start time; or by the mark, if the crash came before those were recorded."""
    pid, since = record.status.get("pid"), record.status.get("started")
    if pid and since and (process := OsProcess.adopt(int(pid), str(since))):
        return process
    stray = strays.get(record.uid)
    begun = started(stray.process.pid) if stray else None
    return OsProcess.adopt(stray.process.pid, begun) if stray and begun else None


async def _end_marked(found: Marked) -> None:
    begun = started(found.process.pid)
    process = OsProcess.adopt(found.process.pid, begun) if begun else None
    if process is not None:
        await process.end(GRACE)


GRACE = 10.0
"""Seconds for a process whose record is gone."""
