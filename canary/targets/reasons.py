"""Why pods are not ready, in their own words: what `kubectl describe` would be asked for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from canary.cluster.port import Manifest
from canary.core.facts import Readiness
from canary.targets.readiness import condition, joined

TOLD = 2
"""Different reasons that are told; the first one is nearly always the cause."""
LONGEST = 300
"""Characters of a message."""
REVISION_LABELS = ("pod-template-hash", "controller-revision-hash")
STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Waiting for these is nothing to worry about."""


@dataclass(frozen=True, slots=True)
class _Reason:
    rank: int
    """Causes come first, then what may pass by waiting."""
    text: str


def explained(readiness: Readiness, pods: Iterable[Manifest]) -> Readiness:
    """The readiness of a workload with the reasons of its pods."""
    if readiness.ready or not (found := why(pods)):
        return readiness
    return replace(readiness, reason=joined(readiness.reason, found))


def selects(workload: Manifest, pod: Manifest) -> bool:
    """Whether a workload selects this pod."""
    selector = workload["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_matches(each, labels) for each in selector.get("matchExpressions") or ())


def why(pods: Iterable[Manifest]) -> str:
    """What keeps the newest pods of one workload from being ready; empty if nothing is known.

    >>> waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "web:2"'}
    >>> status = {"containerStatuses": [{"name": "web", "state": {"waiting": waiting}}]}
    >>> why([{"metadata": {"name": "web-1"}, "status": status}])
    'ImagePullBackOff: Back-off pulling image "web:2"'
    """
    newest = _newest(pods)
    found = Counter(reason for pod in newest if (reason := _reason(pod)))
    ranked = sorted(found, key=lambda each: (each.rank, -found[each], each.text))
    return "; ".join(_counted(each.text, found[each], len(newest)) for each in ranked[:TOLD])


def _counted(text: str, times: int, of: int) -> str:
    return text if of == 1 else f"{text} ({times} of {of} pods)"


def _newest(pods: Iterable[Manifest]) -> list[Manifest]:
    """Those of the latest revision that are not on their way out."""
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if not alive:
        return []
    last = max(alive, key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    return [pod for pod in alive if _revision(pod) == _revision(last)]


def _revision(pod: Manifest) -> str:
    labels = pod["metadata"].get("labels") or {}
    return next((labels[key] for key in REVISION_LABELS if key in labels), "")


def _reason(pod: Manifest) -> _Reason | None:
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason"):
        return _Reason(0, _said(status["reason"], status.get("message")))
    scheduled = condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return _Reason(
            0, _said(scheduled.get("reason") or "NotScheduled", scheduled.get("message"))
        )
    started = [*_containers(status, "initContainerStatuses", "init container ")]
    started += _containers(status, "containerStatuses", "container ")
    reasons = [reason for name, each in started if (reason := _container(name, each, started))]
    if reasons:
        return min(reasons, key=lambda each: each.rank)
    return _gates(pod, status)


def _containers(
    status: Mapping[str, Any], field: str, words: str
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return [(f"{words}{each.get('name', '')}", each) for each in status.get(field) or ()]


def _container(
    name: str, status: Mapping[str, Any], all_of_them: list[tuple[str, Mapping[str, Any]]]
) -> _Reason | None:
    state = status.get("state") or {}
    # In a pod of a single container its name says nothing.
    named = f"{name}: " if len(all_of_them) > 1 else ""
    if waiting := state.get("waiting"):
        return _waiting(named, waiting, status)
    if (ended := state.get("terminated")) and ended.get("exitCode"):
        return _Reason(0, f"{named}{_said(ended.get('reason') or 'Error', _exit(ended))}")
    if "running" in state and not status.get("ready") and not name.startswith("init"):
        if (ended := _last(status)) and status.get("restartCount"):
            words = f"{_exit(ended)}, {_restarts(status)}"
            return _Reason(1, f"{named}{_said('NotReady', words)}")
        return _Reason(2, f"{named}NotReady: it runs, but its readiness probe has not passed")
    return None


def _waiting(named: str, waiting: Mapping[str, Any], status: Mapping[str, Any]) -> _Reason | None:
    reason = str(waiting.get("reason") or "")
    if reason in STARTING and not waiting.get("message"):
        return None
    # What the process printed may hold a secret, so its termination message is not repeated.
    if reason == "CrashLoopBackOff" and (ended := _last(status)):
        return _Reason(0, f"{named}{_said(reason, f'{_exit(ended)}, {_restarts(status)}')}")
    rank = 1 if reason in STARTING else 0
    return _Reason(rank, f"{named}{_said(reason or 'Waiting', waiting.get('message'))}")


def _gates(pod: Manifest, status: Mapping[str, Any]) -> _Reason | None:
    """Readiness gates: conditions that somebody outside the pod has to set."""
    for gate in pod.get("spec", {}).get("readinessGates") or ():
        kind = gate.get("conditionType", "")
        found = condition(status, kind)
        if found.get("status") != "True":
            message = found.get("message") or f"readiness gate {kind} is not met"
            return _Reason(1, _said("ReadinessGatesNotReady", message))
    return None


def _last(status: Mapping[str, Any]) -> Mapping[str, Any]:
    ended: Mapping[str, Any] = (status.get("lastState") or {}).get("terminated") or {}
    return ended


def _exit(ended: Mapping[str, Any]) -> str:
    if signal := ended.get("signal"):
        words = f"ended by signal {signal}"
    else:
        words = f"exited with code {ended.get('exitCode', 0)}"
    reason = ended.get("reason")
    return words if reason in (None, "", "Error", "Completed") else f"{words} ({reason})"


def _restarts(status: Mapping[str, Any]) -> str:
    times = int(status.get("restartCount") or 0)
    return f"{times} {'restart' if times == 1 else 'restarts'}"


def _said(reason: str, message: str | None) -> str:
    text = " ".join((message or "").split())
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"{reason}: {short}" if short else reason


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
