"""From objects to views."""

from typing import Any

from canary.cluster.port import Manifest
from canary.crd import Canary
from canary.crd.status import Phase
from canary.web.lookup import parsed, wait_of
from canary.web.service import Service
from canary.web.views import CanaryDetailView, CanaryView, NextView, TargetView


def canary_view(service: Service, manifest: Manifest) -> CanaryView:
    """One Canary; of one that can't be read at all, at least its name and what is wrong."""
    canary, problems = parsed(service, manifest)
    wrong = [str(problem) for problem in problems]
    if canary is None:
        return _unreadable(manifest, wrong)
    wait = wait_of(service, canary)
    return CanaryView(
        **_spec(service, canary),
        **_progress(canary),
        next=NextView(at=wait.until, why=wait.why) if wait else None,
        problems=wrong,
    )


def detail_view(service: Service, manifest: Manifest) -> CanaryDetailView:
    meta = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
    view = canary_view(service, manifest)
    fields = {name: getattr(view, name) for name in CanaryView.model_fields}
    return CanaryDetailView(**fields, manifest={**manifest, "metadata": meta})


def _spec(service: Service, canary: Canary) -> dict[str, Any]:
    spec, analysis = canary.spec, canary.spec.analysis
    return {
        "namespace": canary.namespace,
        "name": canary.name,
        "uid": canary.uid,
        "target": TargetView(kind=spec.target_ref.kind, name=spec.target_ref.name),
        "provider": spec.provider or service.provider,
        "strategy": analysis.strategy,
        "threshold": analysis.effective_threshold,
        "interval": analysis.interval or "1m",
        "suspended": spec.suspend,
    }


def _progress(canary: Canary) -> dict[str, Any]:
    status, run = canary.status, canary.status.run
    return {
        "phase": status.phase,
        "weight": status.canary_weight,
        "failed_checks": status.failed_checks,
        "iterations": status.iterations,
        "stalled": status.stalled,
        "last_transition_time": status.last_transition_time,
        "revision": run.revision if run else status.last_applied_spec,
        "images": list(run.images) if run else [],
        "paused": bool(run and run.paused),
        "started_at": run.started_at if run else None,
        "verdict": run.verdict if run else None,
        "checks": list(run.checks) if run else [],
    }


def _unreadable(manifest: Manifest, problems: list[str]) -> CanaryView:
    meta, status = manifest["metadata"], manifest.get("status")
    phase = status.get("phase") if isinstance(status, dict) else ""
    return CanaryView(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta["uid"],
        target=TargetView(),
        phase=Phase(phase) if phase in set(Phase) else Phase.NEW,
        problems=problems,
    )
