"""Deeds: how each is carried out. All may be repeated; the last tick may have died halfway."""

from typing import Any, assert_never

from canary.cluster.port import Kind, Ref
from canary.core.actions import (
    ClearIntent,
    CreatePrimary,
    Deed,
    Promote,
    Release,
    Remember,
    Scale,
    SetFinalizer,
    SetSplit,
    SetStatus,
)
from canary.core.intents import ANNOTATION
from canary.core.terminate import FINALIZER
from canary.core.transition import FINAL
from canary.crd import Canary
from canary.crd.resource import Metadata
from canary.crd.status import CanaryStatus
from canary.engine.manifests import MANAGER, reading
from canary.engine.parts import Parts


async def act(parts: Parts, canary: Canary, deed: Deed) -> Canary:
    """Carry out one deed and return the Canary as it is afterwards.

    Raises `Conflict` when somebody else wrote the Canary first: what was decided is stale then.
    """
    match deed:
        case SetStatus(status):
            return await _set_status(parts, canary, status)
        case CreatePrimary(revision):
            await parts.workloads.create_primary(canary, revision)
        case Remember(revision, known_good):
            await parts.workloads.remember(canary, revision, known_good)
        case SetSplit(split):
            alone = parts.routing.alone(canary)
            await parts.workloads.route(canary, split, alone=alone)
            await parts.routing.set(canary, split)
        case Promote(revision):
            await parts.workloads.promote(canary, revision)
        case Scale(up):
            await parts.workloads.scale(canary, up=up)
        case ClearIntent():
            return await _patch(parts, canary, {"metadata": {"annotations": {ANNOTATION: None}}})
        case SetFinalizer(present):
            others = [each for each in canary.finalizers if each != FINALIZER]
            finalizers = [*others, FINALIZER] if present else others
            return await _patch(parts, canary, {"metadata": {"finalizers": finalizers}})
        case Release():
            await parts.routing.release(canary)
            await parts.workloads.release(canary)
        case _:
            assert_never(deed)
    return canary


def ref_of(canary: Canary) -> Ref:
    return Ref(Kind(canary.api_version, canary.kind), canary.namespace, canary.name)


async def _set_status(parts: Parts, canary: Canary, status: CanaryStatus) -> Canary:
    """Write what changed, and only if nobody wrote since it was read.

    What the last transition had to tell is told before it is replaced.
    """
    await parts.recorder.tell(canary)
    old = canary.status.model_dump(mode="json", by_alias=True)
    new = status.model_dump(mode="json", by_alias=True)
    made = await _patch(parts, canary, {"status": difference(old, new)}, status=True)
    parts.recorder.status_changed(canary, made)
    if parts.stopped and _judged(made) and not _judged(canary):
        await parts.stopped(made.key)
    return made


def _judged(canary: Canary) -> bool:
    """Whether nothing more is to be found out in this run."""
    run = canary.status.run
    return canary.status.phase in FINAL or (run is not None and run.verdict is not None)


async def _patch(
    parts: Parts, canary: Canary, patch: dict[str, Any], *, status: bool = False
) -> Canary:
    manifest = await parts.cluster.patch(
        ref_of(canary),
        patch,
        manager=MANAGER,
        resource_version=canary.resource_version,
        status=status,
    )
    parts.cache.note(manifest)
    # Whoever made it invalid meanwhile is told by the controller; this goes on as it was decided.
    return reading(manifest, canary).canary or canary.model_copy(
        update={"metadata": Metadata.model_validate(manifest["metadata"])}
    )


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The merge patch from one JSON object to another; a key that is gone becomes None.

    >>> difference({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}})
    {'b': {'d': None, 'c': 4}}
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key in old and old[key] == value:
            continue
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            patch[key] = difference(before, value)
        else:
            patch[key] = value
    return patch
