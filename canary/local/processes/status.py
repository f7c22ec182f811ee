"""The status of a Process: how far it is, and in which words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from canary.crd.process import Process
from canary.local.processes.rollout import Member

COMPLETE = "NewInstancesAvailable"
UNDERWAY = "InstancesUpdated"
EXCEEDED = "ProgressDeadlineExceeded"
ENOUGH = "MinimumReplicasAvailable"
TOO_FEW = "MinimumReplicasUnavailable"

Condition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Serving:
    """An endpoint: a ready instance, and where it is reached."""

    instance: str
    address: str
    port: int

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "port": self.port,
            "instance": self.instance,
            "ready": True,
        }


@dataclass(frozen=True, slots=True)
class Told:
    """Why instances aren't ready, in their words, and the conditions written last."""

    troubles: Sequence[str]
    conditions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout has come at its best, so that going back and forth isn't progress."""

    revision: str
    wanted: int
    at: datetime
    """When it last got further."""
    updated: int = 0
    available: int = 0
    old: int = 0
    complete: bool = False

    def follow(
        self, members: Sequence[Member], wanted: int, revision: str, now: datetime
    ) -> "Progress":
        """What is known after a look at the members."""
        updated = sum(member.current for member in members)
        available = sum(member.current and member.available for member in members)
        old = len(members) - updated
        seen = Progress(revision, wanted, now, updated, available, old)
        whole = updated == wanted == available and not old
        if (self.revision, self.wanted) != (revision, wanted):
            return replace(seen, complete=whole)
        further = updated > self.updated or available > self.available or old < self.old
        best = replace(
            self,
            updated=max(updated, self.updated),
            available=max(available, self.available),
            old=min(old, self.old),
            complete=self.complete or whole,
        )
        return replace(best, at=now) if further or best.complete != self.complete else best

    @classmethod
    def restored(cls, process: Process, revision: str, wanted: int, now: datetime) -> "Progress":
        """What a supervisor before us had written; a rollout goes on where it was."""
        status = process.status
        known = _condition(status.conditions, "Progressing")
        fresh = status.observed_generation != process.generation
        if fresh or not known or status.replicas != wanted:
            return cls("", 0, now)
        at = _time(known.get("lastUpdateTime")) or now
        updated, available = status.updated_replicas, status.available_replicas
        done = known.get("reason") == COMPLETE
        return cls(revision, wanted, at, updated, available, status.replicas - updated, done)


def due(process: Process, progress: Progress) -> datetime | None:
    """When the rollout has had all of its time; None once it is complete."""
    limit = timedelta(seconds=process.spec.progress_deadline_seconds)
    return None if progress.complete else progress.at + limit


def status(
    process: Process,
    progress: Progress,
    members: Sequence[Member],
    serving: Sequence[Serving],
    told: Told,
    now: datetime,
) -> dict[str, Any]:
    """The status to write."""
    troubles, known = told.troubles, told.conditions
    available = sum(member.available for member in members)
    conditions = [
        _available(process, progress, available, troubles),
        _progressing(process, progress, troubles, now),
    ]
    return {
        "replicas": len(members),
        "readyReplicas": sum(member.ready for member in members),
        "updatedReplicas": sum(member.current for member in members),
        "availableReplicas": available,
        "observedGeneration": process.generation,
        "conditions": [_stamped(each, known, now) for each in conditions],
        "endpoints": [each.manifest for each in sorted(serving, key=lambda each: each.instance)],
    }


def _available(
    process: Process, progress: Progress, available: int, troubles: Sequence[str]
) -> Condition:
    wanted = progress.wanted
    if wanted == 0:
        text = "suspended" if process.spec.suspend else "no replicas are asked for"
    else:
        text = "; ".join([f"{available} of {wanted} available", *troubles])
    enough = available >= wanted
    return {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": ENOUGH if enough else TOO_FEW,
        "message": text,
    }


def _progressing(
    process: Process, progress: Progress, troubles: Sequence[str], now: datetime
) -> Condition:
    limit, seconds = due(process, progress), process.spec.progress_deadline_seconds
    late = limit is not None and now >= limit
    done = f"{progress.updated} of {progress.wanted} updated"
    why = "; ".join(troubles) or "no new instance has become available"
    text = f"no progress for {seconds:g} s: {why}" if late else "; ".join([done, *troubles])
    return {
        "type": "Progressing",
        "status": "False" if late else "True",
        "reason": EXCEEDED if late else COMPLETE if progress.complete else UNDERWAY,
        "message": "all instances run the current template" if progress.complete else text,
        "lastUpdateTime": _text(progress.at),
    }


def _stamped(condition: Condition, known: Sequence[Mapping[str, Any]], now: datetime) -> Condition:
    """With the times: of its last change, and of the last time its status became another one."""
    before = _condition(known, condition["type"])
    same = before.get("status") == condition["status"] and before.get("lastTransitionTime")
    stamped = {
        **condition,
        "lastTransitionTime": before["lastTransitionTime"] if same else _text(now),
    }
    stamped.setdefault("lastUpdateTime", stamped["lastTransitionTime"])
    return stamped


def _condition(conditions: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((each for each in conditions if each.get("type") == kind), {})


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
