"""Autoscalers: HorizontalPodAutoscaler and KEDA's ScaledObject, each with a copy for the primary.

Copies are made of whatever the target's scaler has, known here or not.
"""

import re
from copy import deepcopy

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary
from canary.crd.canary import AutoscalerRef
from canary.targets.metadata import included, without_bookkeeping
from canary.targets.owners import owner
from canary.targets.pods import TargetSettings
from canary.targets.writes import Apply, Patch, Write, exact, lacks

HPA = Kind("autoscaling/v2", "HorizontalPodAutoscaler")
KEDA = Kind("keda.sh/v1alpha1", "ScaledObject")
PAUSED = "autoscaling.keda.sh/paused-replicas"
"""Annotation of a ScaledObject: the replicas to keep while it is there."""
SUFFIX = "-primary"


def ref(canary: Canary) -> Ref | None:
    """The target's scaler; None without one. The version that is written doesn't matter."""
    found = canary.spec.autoscaler_ref
    return Ref(_kind(found), canary.namespace, found.name) if found else None


def primary_ref(canary: Canary) -> Ref | None:
    found = canary.spec.autoscaler_ref
    return Ref(_kind(found), canary.namespace, f"{found.name}{SUFFIX}") if found else None


def primary(
    canary: Canary, scaler: Manifest, settings: TargetSettings, live: Manifest | None = None
) -> Manifest:
    """The primary's scaler; `live` is that one as it is now."""
    found, meta = _reference(canary), scaler["metadata"]
    spec = deepcopy(scaler["spec"])
    spec["scaleTargetRef"] = {**spec.get("scaleTargetRef", {}), "name": canary.primary_workload}
    keda = _kind(found) == KEDA
    if keda:
        _own_hpa(spec)
        _own_queries(canary, found, spec)
    else:
        spec.setdefault("minReplicas", 1)
    _own_replicas(found, spec, keda=keda)
    labels = without_bookkeeping(meta.get("labels"))
    annotations = without_bookkeeping(meta.get("annotations"))
    if live is not None and keda:
        labels = included(labels, settings.include_label_prefix)
        annotations = included(annotations, settings.include_label_prefix)
    # The target sleeps, its primary must not.
    annotations.pop(PAUSED, None)
    words = {"labels": labels, "annotations": annotations}
    place = Ref(_kind(found), canary.namespace, f"{found.name}{SUFFIX}")
    return place.manifest(
        metadata={**{k: v for k, v in words.items() if v}, "ownerReferences": [owner(canary)]},
        spec=spec,
    )


def changes(
    canary: Canary, scaler: Manifest, settings: TargetSettings, live: Manifest | None
) -> list[Write]:
    """What brings the primary's scaler to what is wanted; nothing if it is there.

    Only what is written is compared, so that annotations of others are no difference.
    """
    wanted = primary(canary, scaler, settings, live)
    if live is None:
        return [Apply(wanted)]
    patch: Manifest = {}
    if spec := exact(live["spec"], wanted["spec"]):
        patch["spec"] = spec
    words = {k: wanted["metadata"].get(k, {}) for k in ("labels", "annotations")}
    if lacks({k: live["metadata"].get(k) or {} for k in words}, words):
        patch["metadata"] = words
    return [Patch.of(live, patch)] if patch else []


def pause(scaler: Manifest) -> Manifest:
    """The merge patch that lets a target sleep; empty where none is needed.

    An HPA stands still by itself while its target has no replicas.
    """
    paused = (scaler["metadata"].get("annotations") or {}).get(PAUSED) == "0"
    if scaler["kind"] != KEDA.name or paused:
        return {}
    return {"metadata": {"annotations": {PAUSED: "0"}}}


def resume(scaler: Manifest) -> Manifest:
    """The merge patch that undoes `pause`; empty where nothing is paused."""
    if PAUSED not in (scaler["metadata"].get("annotations") or {}):
        return {}
    return {"metadata": {"annotations": {PAUSED: None}}}


def least(scaler: Manifest) -> int:
    """Replicas that a target wakes up with."""
    spec = scaler["spec"]
    found = spec.get("minReplicaCount") if scaler["kind"] == KEDA.name else spec.get("minReplicas")
    return max(int(found or 1), 1)


def own_query(query: str, target: str) -> str:
    """A query about a workload, made one about its primary.

    The names of labels and metrics are left alone, even if they are those of the target.

    >>> own_query('sum(rate(web_total{app="web"}[1m]))', "web")
    'sum(rate(web_total{app="web-primary"}[1m]))'
    >>> own_query('up{app=~"web-canary|web-primary"}', "web")
    'up{app=~"web-primary|web-primary"}'
    """
    name = re.escape(target)
    label = r"\s*(=~|!~|!=|=)"
    found = rf"(?<![\w-]){name}(?:-canary|-primary)?(?!\w)(?!{label})(?!\s*[({{])"
    return re.sub(found, f"{target}{SUFFIX}".replace("\\", r"\\"), query)


def _kind(found: AutoscalerRef) -> Kind:
    return KEDA if found.kind == KEDA.name else HPA


def _reference(canary: Canary) -> AutoscalerRef:
    if canary.spec.autoscaler_ref is None:
        raise ValueError(f"Canary {canary.key} has no autoscalerRef")
    return canary.spec.autoscaler_ref


def _own_hpa(spec: Manifest) -> None:
    """KEDA makes an HPA of its own for each ScaledObject; two can't have one name."""
    advanced = spec.get("advanced") or {}
    config = advanced.get("horizontalPodAutoscalerConfig") or {}
    if config.get("name"):
        config = {**config, "name": f"{config['name']}{SUFFIX}"}
    spec["advanced"] = {**advanced, "horizontalPodAutoscalerConfig": config}


def _own_queries(canary: Canary, found: AutoscalerRef, spec: Manifest) -> None:
    queries = found.primary_scaler_queries
    for trigger in spec.get("triggers") or ():
        metadata = trigger.get("metadata") or {}
        if queries:
            if (name := trigger.get("name")) in queries:
                trigger["metadata"] = {**metadata, "query": queries[name]}
        elif "query" in metadata:
            query = own_query(metadata["query"], canary.target_name)
            trigger["metadata"] = {**metadata, "query": query}


def _own_replicas(found: AutoscalerRef, spec: Manifest, *, keda: bool) -> None:
    wanted = found.primary_scaler_replicas
    if wanted is None:
        return
    for key, value in (("min", wanted.min_replicas), ("max", wanted.max_replicas)):
        if value is not None:
            spec[f"{key}Replica{'Count' if keda else 's'}"] = value
