"""The three Services of a released workload: `<apex>`, `<apex>-primary` and `<apex>-canary`.

Apex and primary select the primary's pods, the canary's Service those of the target. A Service
that was there before keeps everything but its selector and its ports.
"""

import json
from collections.abc import Iterable
from typing import Any, Literal

from canary.cluster.merge import same
from canary.cluster.port import Kind, Manifest, Ref
from canary.core.revision import revision
from canary.crd import Canary
from canary.crd.service import CustomMetadata, Service
from canary.errors import Problem, SpecError
from canary.targets.metadata import GUARDS, LAST_APPLIED
from canary.targets.owners import controller, owned, owner, references, released
from canary.targets.pods import Selector
from canary.targets.ports import ports, same_ports, with_node_ports
from canary.targets.service import HEADLESS
from canary.targets.writes import Apply, Patch, Write, exact, lacks

KIND = Kind("v1", "Service")
RENDERED = "flagger.app/rendered"
"""Annotation: a hash of what we asked for; what we no longer ask for shows in nothing else."""

Role = Literal["apex", "primary", "canary"]


def ref(canary: Canary, role: Role) -> Ref:
    names = {
        "apex": canary.apex,
        "primary": canary.primary_service,
        "canary": canary.canary_service,
    }
    return Ref(KIND, canary.namespace, names[role])


def render(
    canary: Canary,
    role: Role,
    chosen: Selector,
    template: Manifest,
    live: Manifest | None,
    *,
    to_target: bool = False,
) -> Manifest:
    """Our fields of one Service. `template` is that of the target's pods, for their ports.

    With `to_target` the apex selects the target's pods instead of the primary's.

    `live` is the Service as it is now. Raises `SpecError` without `spec.service`.
    """
    service = _service(canary)
    wanted = ports(service, template)
    spec: Manifest = {
        "selector": _selects(role, chosen, to_target=to_target),
        "ports": with_node_ports(wanted, live) if live else wanted,
    }
    if _headless(service, live):
        spec["clusterIP"] = HEADLESS
    if service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    place = ref(canary, role)
    metadata = _metadata(service, getattr(service, role), {chosen.key: place.name}, live)
    metadata["ownerReferences"] = [owner(canary)]
    metadata["annotations"][RENDERED] = revision([metadata, spec])
    return place.manifest(metadata=metadata, spec=spec)


def changes(
    canary: Canary,
    role: Role,
    chosen: Selector,
    template: Manifest,
    live: Manifest | None,
    *,
    to_target: bool = False,
) -> list[Write]:
    """What brings one Service to what is wanted, in this order; nothing if it is there.

    The apex is only to be pointed at a primary that is ready. Raises `SpecError` for a Service
    that another Canary controls.
    """
    wanted = render(canary, role, chosen, template, live, to_target=to_target)
    if live is None:
        return [Apply(wanted)]
    _not_anothers(canary, live)
    patch = _spec_patch(live, wanted)
    ours = owned(canary, live)
    if ours and live["spec"].get("trafficDistribution") and not _distribution(wanted):
        patch["trafficDistribution"] = None
    writes: list[Write] = []
    if patch:
        guards = {"metadata": {"annotations": GUARDS}}
        writes.append(Patch.of(live, {**guards, "spec": patch}))
    if ours and lacks(_comparable(live), _comparable(wanted)):
        writes.append(Apply(wanted))
    return writes


def release(canary: Canary, chosen: Selector, live: Manifest) -> list[Write]:
    """Let the apex select the target's pods again, and outlive its Canary.

    To be sent before the owner goes, and once the target is ready.
    """
    patch: Manifest = {}
    if spec := exact(live["spec"].get("selector") or {}, _before(chosen, live)):
        patch["spec"] = {"selector": spec}
    if (left := released(canary, live)) != references(live):
        patch["metadata"] = {"ownerReferences": left}
    return [Patch.of(live, patch)] if patch else []


def _service(canary: Canary) -> Service:
    service = canary.spec.service
    if service is None:
        raise SpecError(Problem(f"Canary {canary.key}", "spec.service", "nothing", "a port"))
    return service


def _selects(role: Role, chosen: Selector, *, to_target: bool) -> dict[str, str]:
    target = role == "canary" or (role == "apex" and to_target)
    return {chosen.key: chosen.value if target else chosen.primary}


def _before(chosen: Selector, live: Manifest) -> dict[str, str]:
    """The selector that its author last applied, or that of the target's pods."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED, "")
    try:
        found: Any = json.loads(text)["spec"]["selector"]
    except (ValueError, KeyError, TypeError):
        found = None
    # One that was written with the primary in mind would select nothing once that is gone.
    useful = isinstance(found, dict) and found and found.get(chosen.key) != chosen.primary
    return dict(found) if useful else {chosen.key: chosen.value}


def _headless(service: Service, live: Manifest | None) -> bool:
    """It can't be changed later, so of a Service that exists it stays what it is."""
    return bool(live["spec"].get("clusterIP") == HEADLESS if live else service.headless)


def _metadata(
    service: Service, custom: CustomMetadata | None, label: dict[str, str], live: Manifest | None
) -> Manifest:
    found, unmanaged = (live or {}).get("metadata", {}), service.unmanaged_metadata
    labels = {**(custom.labels if custom else {}), **label}
    annotations = {**(custom.annotations if custom else {}), **GUARDS}
    keep = unmanaged.labels if unmanaged else ()
    keep_annotations = unmanaged.annotations if unmanaged else ()
    return {
        "labels": _unmanaged(labels, found.get("labels") or {}, keep),
        "annotations": _unmanaged(annotations, found.get("annotations") or {}, keep_annotations),
    }


def _unmanaged(wanted: dict[str, str], live: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    """Of keys that are not to be touched, the value that is there."""
    # Named with the live value: leaving out what was applied before would remove it.
    return {**wanted, **{key: live[key] for key in keys if key in wanted and key in live}}


def _not_anothers(canary: Canary, live: Manifest) -> None:
    found = controller(live)
    if found.get("kind") == canary.kind and found.get("name") != canary.name:
        raise SpecError(
            Problem(
                f"Canary {canary.key}",
                "spec.service.name",
                f"{Ref.of(live)}, which Canary {found.get('name')} controls",
                "a Service of its own",
            )
        )


def _spec_patch(live: Manifest, wanted: Manifest) -> Manifest:
    """Ports and selector as a whole: apply would merge them with those that others wrote."""
    patch: Manifest = {}
    if not same_ports(live, wanted["spec"]["ports"]):
        patch["ports"] = wanted["spec"]["ports"]
    had, selector = live["spec"].get("selector") or {}, wanted["spec"]["selector"]
    if not same(had, selector):
        patch["selector"] = exact(had, selector)
    return patch


def _distribution(manifest: Manifest) -> str:
    return str(manifest["spec"].get("trafficDistribution", ""))


def _comparable(manifest: Manifest) -> Manifest:
    """What is left to compare once ports and selector are right."""
    meta = manifest["metadata"]
    words = {key: meta.get(key) or {} for key in ("labels", "annotations")}
    return {**words, "distribution": _distribution(manifest)}
