"""One Process: keeps its instances, brings them to what is wanted, tells how it goes."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from typing import Any

from canary.cluster.port import Manifest, Ref
from canary.core.revision import revision
from canary.crd.process import Process
from canary.errors import CanaryError, ClusterError, NotFound
from canary.local.ports import free_port
from canary.local.processes import logs, records
from canary.local.processes.instance import Instance, Tools
from canary.local.processes.rollout import Member, plan
from canary.local.processes.status import Progress, Serving, Told, due, status

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
AGAIN = 1.0
"""Seconds until a step that failed is tried again."""


class Group:
    """The instances of one Process. `run` it in a task; `update` and `remove` wake it."""

    def __init__(self, tools: Tools, manifest: Manifest) -> None:
        self._tools = tools
        self._wake = asyncio.Event()
        self._removed = False
        self._progress: Progress | None = None
        self._instances: dict[str, tuple[Instance, asyncio.Task[None]]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._doubtful: list[Ref] = []
        self._written: dict[str, Any] = manifest.get("status", {})
        self.update(manifest)

    def update(self, manifest: Manifest) -> None:
        """Take a newer version of the object."""
        self._process = Process.model_validate(manifest)
        self._template = manifest["spec"]["template"]
        self._revision = revision(self._template)
        for instance, _ in self._instances.values():
            instance.logs_kept = self._process.spec.logs
        self._wake.set()

    def remove(self) -> None:
        """The object is gone: drain and end everything, and then `run` ends."""
        self._removed = True
        self._wake.set()

    def adopt(self, instance: Instance) -> None:
        """Take up an instance of before, with or without its process."""
        instance.logs_kept = self._process.spec.logs
        self._care_for(instance)

    @property
    def changed(self) -> asyncio.Event:
        return self._wake

    async def run(self) -> None:
        while not self._removed or self._instances:
            self._wake.clear()
            try:
                await self._reconcile()
                pause = self._pause()
            except CanaryError as error:
                log.warning("%s: %s; trying again", self._process.key, error)
                pause = AGAIN
            except Exception:
                # A bug met by one Process must not stop the care for it, nor for the others.
                log.exception("%s failed", self._process.key)
                pause = AGAIN
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _reconcile(self) -> None:
        step = plan(self._members(), self._wanted, self._process.spec.max_surge)
        for name in step.end:
            self._instances[name][0].leave()
        await self._clear_doubtful()
        for _ in range(step.create):
            await self._create()
        # Only what is no endpoint any more is drained: first the word, then the deed.
        await self._publish()
        for name, (instance, task) in self._instances.items():
            if instance.leaving and name not in self._ending:
                self._ending[name] = asyncio.create_task(self._end(instance, task))

    @property
    def _wanted(self) -> int:
        spec = self._process.spec
        asleep = self._removed or self._process.deleting or spec.suspend
        return 0 if asleep else spec.replicas

    def _members(self) -> list[Member]:
        return [self._member(instance) for instance in self._staying()]

    def _staying(self) -> list[Instance]:
        return [each for each, _ in self._instances.values() if not each.leaving]

    def _member(self, instance: Instance) -> Member:
        current = instance.revision == self._revision
        available = instance.ready and self._lacks(instance) <= 0
        return Member(instance.name, current, instance.ready, available, instance.born)

    def _lacks(self, instance: Instance) -> float:
        """Seconds until a ready instance counts as available."""
        since = instance.ready_since or 0.0
        age = asyncio.get_running_loop().time() - since
        return self._process.spec.min_ready_seconds - age

    def _pause(self) -> float | None:
        """Seconds until something is due though nothing changes; None if nothing is."""
        waits = [self._lacks(each) for each in self._staying() if each.ready]
        deadline = due(self._process, self._progress) if self._progress else None
        if deadline:
            waits.append((deadline - datetime.now(UTC)).total_seconds())
        return min((wait + 0.01 for wait in waits if wait > 0), default=None)

    async def _create(self) -> None:
        """Record an instance, then start it: a crash in between leaves nothing unknown."""
        process = self._process
        spec = {
            "process": process.name,
            "revision": self._revision,
            "address": ADDRESS,
            "port": free_port(ADDRESS, frozenset(self._tools.ports)),
            "template": self._template,
        }
        manifest = records.manifest(process, records.new_name(process.name), spec)
        try:
            made = await self._tools.cluster.create(manifest)
        except ClusterError:
            # It may have been created, and only the answer was lost; nothing runs for it.
            self._doubtful.append(Ref.of(manifest))
            raise
        record = records.Record(self._tools.cluster, made)
        self._care_for(Instance(self._tools, record, process.spec.logs, self._wake.set))

    async def _clear_doubtful(self) -> None:
        while self._doubtful:
            with contextlib.suppress(NotFound):
                await self._tools.cluster.delete(self._doubtful[-1])
            self._doubtful.pop()

    def _care_for(self, instance: Instance) -> None:
        task = asyncio.create_task(instance.run(), name=f"instance {instance.name}")
        self._instances[instance.name] = instance, task

    async def _publish(self) -> None:
        now, members = datetime.now(UTC), self._members()
        before = self._progress or Progress.restored(
            self._process, self._revision, self._wanted, now
        )
        self._progress = before.follow(members, self._wanted, self._revision, now)
        staying = self._staying()
        serving = [Serving(each.name, each.address, each.port) for each in staying if each.ready]
        troubles = sorted({each.trouble for each in staying if each.trouble})
        told = Told(troubles, self._written.get("conditions", ()))
        new = status(self._process, self._progress, members, serving, told, now)
        if self._removed or new == self._written:
            return
        ref = Ref(records.PROCESS, self._process.namespace, self._process.name)
        patch = {"metadata": {"uid": self._process.uid}, "status": new}
        with contextlib.suppress(NotFound):
            await self._tools.cluster.patch(ref, patch, manager=records.MANAGER, status=True)
        self._written = new

    async def _end(self, instance: Instance, task: "asyncio.Task[None]") -> None:
        while True:
            if await _ended(instance, task, wait=True):
                break
            await asyncio.sleep(AGAIN)
        del self._instances[instance.name], self._ending[instance.name]
        self._forget_old_logs()
        self._wake.set()

    def _forget_old_logs(self) -> None:
        """Of ended instances as many logs stay as there are files put aside of a running one."""
        process = self._process
        files = logs.files_of(self._tools.state_dir, process.namespace, process.name)
        ended = [file for file in files if file.stem not in self._instances]
        for file in ended[: max(0, len(ended) - max(1, process.spec.logs.keep))]:
            logs.forget(file)

    async def stop(self, *, keep: bool) -> None:
        """End all instances at once, undrained, or with `keep` let them run on."""
        for ending in tuple(self._ending.values()):
            ending.cancel()
        await asyncio.gather(*self._ending.values(), return_exceptions=True)
        if not keep:
            for instance, _ in self._instances.values():
                instance.leave()
            with contextlib.suppress(CanaryError):  # a state that can't be written ends nothing
                await self._publish()
        await asyncio.gather(*(self._stop(*each, keep=keep) for each in self._instances.values()))

    @staticmethod
    async def _stop(instance: Instance, task: "asyncio.Task[None]", *, keep: bool) -> None:
        if not keep:
            await _ended(instance, task, wait=False)
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        instance.release()


async def _ended(instance: Instance, task: "asyncio.Task[None]", *, wait: bool) -> bool:
    """End it; whether that went through. What is left half done may be done again."""
    try:
        await instance.end(task, wait=wait)
    except CanaryError as error:
        log.warning("%s was not cleared away: %s", instance.name, error)
    except Exception:
        log.exception("%s was not cleared away", instance.name)
    else:
        return True
    return False
