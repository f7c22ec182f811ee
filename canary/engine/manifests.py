"""Canaries as they are read: one that is no longer valid goes on with its last valid spec.

The API server refuses most of what is wrong, but not all, and not what was there before its rules.
A running release must neither stop nor change its mind because of an edit that nobody can read.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from canary.cluster.port import Manifest, Ref
from canary.core.transition import conditions
from canary.crd import Canary, dump
from canary.crd.manifest import read
from canary.crd.resource import Metadata
from canary.crd.status import CanaryStatus, Condition
from canary.engine.parts import Parts

MANAGER = "canary"
REASON = "InvalidManifest"
"""Of the conditions Ready and Stalled, while a Canary can't be acted on as it is written."""


@dataclass(frozen=True, slots=True)
class Reading:
    canary: Canary | None
    """As it is acted on; None if no valid spec of it is known."""
    problem: str = ""
    """What is wrong with the manifest; empty for a valid one."""


def reading(manifest: Manifest, last: Canary | None, problem: str = "") -> Reading:
    """Read a Canary; `last` is how it was read before, whose spec stands in for one that is wrong.

    `problem` is what was wrong with it then. One that is being deleted goes by whatever can be
    read of it, so that it can go.
    """
    if last is not None and (same := _same_spec(manifest, last)):
        return Reading(same, problem)
    found, errors, _ = read(manifest, "")
    canary = found if isinstance(found, Canary) else None
    if not errors:
        return Reading(canary, "" if canary else f"{Ref.of(manifest)} is not a Canary")
    problem = "\n".join(str(each) for each in errors)
    if last is not None:
        standing_in, wrong, _ = read({**manifest, "spec": dump(last)["spec"]}, "")
        if isinstance(standing_in, Canary) and not wrong:
            return Reading(standing_in, problem)
    return Reading(canary if canary and canary.deleting else None, problem)


def _same_spec(manifest: Manifest, last: Canary) -> Canary | None:
    """Nearly all that ever changes is the status, and then the spec need not be checked again."""
    try:
        meta = Metadata.model_validate(manifest["metadata"], by_alias=True, by_name=False)
        if not meta.generation or (meta.uid, meta.generation) != (last.uid, last.generation):
            return None
        status = CanaryStatus.model_validate(manifest.get("status") or {})
    except ValidationError:
        return None
    return last.model_copy(update={"metadata": meta, "status": status})


async def show(parts: Parts, ref: Ref, canary: Canary | None, problem: str) -> None:
    """Have the conditions say what is wrong with a Canary, or no longer say it.

    Writes, and tells, only what is new. Raises `ClusterError`.
    """
    manifest = parts.cache.get(ref)
    if manifest is None:
        return
    status = CanaryStatus.model_validate({"conditions": _conditions(manifest)})
    wanted = _wanted(parts, status, problem)
    if not problem:
        if canary is None or not any(each.reason == REASON for each in status.conditions):
            return
        mended = canary.status.model_copy(update={"conditions": wanted})
        wanted = conditions(canary, mended, parts.now())
    elif not _new(status, wanted):
        return
    said = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in wanted]
    meta = manifest["metadata"]
    patch = {"conditions": said, "observedGeneration": meta.get("generation", 0)}
    made = await parts.cluster.patch(
        ref,
        {"status": patch},
        manager=MANAGER,
        resource_version=meta["resourceVersion"],
        status=True,
    )
    parts.cache.note(made)
    if problem:
        await parts.recorder.refuse(made, problem)


def _conditions(manifest: Manifest) -> object:
    status = manifest.get("status")
    return (status.get("conditions") if isinstance(status, dict) else None) or ()


def _wanted(parts: Parts, status: CanaryStatus, problem: str) -> tuple[Condition, ...]:
    """The conditions without ours of before and, if there is a problem, with those of now."""
    now = parts.now()
    ours = {"Ready", "Stalled"} if problem else set()
    others = [each for each in status.conditions if each.type not in ours and each.reason != REASON]
    if not problem:
        return tuple(others)
    made = [
        Condition(
            type=kind,
            status=state,
            reason=REASON,
            message=problem,
            last_update_time=now,
            last_transition_time=now,
        )
        for kind, state in (("Ready", "False"), ("Stalled", "True"))
    ]
    return (*others, *made)


def _new(status: CanaryStatus, wanted: tuple[Condition, ...]) -> bool:
    return {_said(each) for each in status.conditions} != {_said(each) for each in wanted}


def _said(condition: Condition) -> tuple[str, ...]:
    return condition.type, condition.status, condition.reason, condition.message
