"""What Deployment and DaemonSet share: the pod template, and how it becomes that of a primary."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from canary.cluster.port import Manifest, Ref
from canary.core.revision import revision
from canary.crd import Canary
from canary.errors import Problem, SpecError
from canary.targets import scheduling
from canary.targets.metadata import included, without_bookkeeping, without_flux
from canary.targets.references import SUFFIX, back_to, names, renamed, to_copies
from canary.targets.writes import Apply, Patch, Write, exact

POD_ID = "flagger-id"
"""Annotation of a primary's pods: another value makes the workload replace them."""
_IDS = UUID("5a0a4a56-3b0e-4a5e-9d0c-6d0f7f3e5c11")


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """What is the same for all Canaries that one controller looks after."""

    selector_labels: tuple[str, ...] = ("app", "name", "app.kubernetes.io/name")
    """Labels that tell the pods of a workload; the first one found counts."""
    include_label_prefix: tuple[str, ...] = ()
    """Which labels and annotations are copied to primaries; `*` means all."""
    config_tracking: bool = True


@dataclass(frozen=True, slots=True)
class Selector:
    """The label that tells the two sides apart: `key=value` is the target's."""

    key: str
    value: str

    @property
    def primary(self) -> str:
        """The label's value on the pods of the primary."""
        return f"{self.value}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What has to be known to turn a target's template into that of its primary."""

    selector: Selector
    target: str
    settings: TargetSettings
    tracked: Mapping[str, str]
    """Checksums of tracked configs, by key as in `status.trackedConfigs`."""

    def template(self, template: Manifest) -> Manifest:
        """The primary's template. One that is a primary's already stays as it is.

        Such a one was recorded from a primary that somebody else had made. What it names are
        copies, and a name that ends in `-primary` may also be an original, so that only the pod
        label can tell.
        """
        meta, spec = template.get("metadata") or {}, template.get("spec") or {}
        labels = without_flux(meta.get("labels"))
        annotations = without_flux(meta.get("annotations"))
        if labels.get(self.selector.key) == self.selector.primary:
            return self._labelled(template, labels, {POD_ID: self.pod_id(template), **annotations})
        copied = renamed(template, to_copies(self._followed()))
        spec = scheduling.rewritten(copied["spec"], self.settings.selector_labels, self._own)
        annotations[POD_ID] = self.pod_id(template)
        return self._labelled({**copied, "spec": spec}, labels, annotations)

    def pod_id(self, template: Manifest) -> str:
        """The same for the same template and configs, and another for any other.

        A random one would replace all pods whenever a template is written twice, as after a
        crash. What must replace them is a new template, or an old one with new configs, and those
        are what this is made from: the checksums stand where a counter would.
        """
        followed = self._followed()
        return str(uuid5(_IDS, revision([template, dict(followed)])))

    def _followed(self) -> Mapping[str, str]:
        return self.tracked if self.settings.config_tracking else {}

    def _labelled(
        self, template: Manifest, labels: dict[str, str], annotations: dict[str, str]
    ) -> Manifest:
        labels = {**labels, self.selector.key: self.selector.primary}
        meta = {**(template.get("metadata") or {}), "labels": labels, "annotations": annotations}
        return {**template, "metadata": meta}

    def _own(self, value: str) -> str:
        """Selectors of people name the workload by its label or, where they differ, its name."""
        return f"{value}{SUFFIX}" if value in (self.selector.value, self.target) else value

    def undone(self, template: Manifest, original: Manifest) -> Manifest:
        """A template without the known rewrites, to be compared with the original's."""
        meta = template.get("metadata") or {}
        labels = {**without_flux(meta.get("labels")), self.selector.key: self.selector.value}
        annotations = without_flux(meta.get("annotations"))
        annotations.pop(POD_ID, None)
        spec = renamed(template, back_to(names(original))).get("spec") or {}
        spec = scheduling.rewritten(spec, self.settings.selector_labels, self._others)
        meta = {**meta, "labels": labels, "annotations": annotations}
        return {**template, "metadata": meta, "spec": spec}

    def _others(self, value: str) -> str:
        own = (f"{self.selector.value}{SUFFIX}", f"{self.target}{SUFFIX}")
        return value.removesuffix(SUFFIX) if value in own else value


def selector(canary: Canary, workload: Manifest, keys: Iterable[str]) -> Selector:
    """The label of a target's pods, read from it or, when it is gone, from its primary.

    Raises `SpecError` if the workload selects its pods by none of the known labels.
    """
    labels = ((workload["spec"].get("selector") or {}).get("matchLabels")) or {}
    ordered = tuple(keys)
    key = next((each for each in ordered if each in labels), "")
    if not key:
        found = ", ".join(sorted(labels)) or "no labels"
        raise SpecError(
            Problem(
                str(Ref.of(workload)),
                "spec.selector.matchLabels",
                found,
                f"one of {', '.join(ordered)}, or another list in selector-labels",
            )
        )
    is_primary = workload["metadata"]["name"] == canary.primary_workload
    value: str = labels[key]
    return Selector(key, value.removesuffix(SUFFIX) if is_primary else value)


def template(workload: Manifest) -> Manifest:
    """The pod template as the API has it, without what only some versions of the API write."""
    found: Manifest = _without_nulls(workload["spec"]["template"])
    if (found.get("metadata") or {}).get("creationTimestamp"):
        del found["metadata"]["creationTimestamp"]
    return found


def images(workload: Manifest) -> tuple[str, ...]:
    containers = (workload["spec"]["template"].get("spec") or {}).get("containers") or ()
    return tuple(dict.fromkeys(each["image"] for each in containers if each.get("image")))


def primary_metadata(
    target: Manifest, live: Manifest | None, chosen: Selector, settings: TargetSettings
) -> Manifest:
    """Labels and annotations of the primary itself.

    Where there is none yet it gets all annotations of the target; a promotion leaves only the
    included ones, as it always did in the compatible controller.
    """
    meta, prefixes = target["metadata"], settings.include_label_prefix
    labels = {**included(meta.get("labels"), prefixes), chosen.key: chosen.primary}
    if live is None:
        annotations = without_bookkeeping(meta.get("annotations"))
    else:
        annotations = included(meta.get("annotations"), prefixes)
    return {"labels": labels, **({"annotations": annotations} if annotations else {})}


def primary(
    canary: Canary, target: Manifest, wanted: Manifest, live: Manifest | None, rewrite: Rewrite
) -> Manifest:
    """The primary without what each kind has to say itself: `spec` has selector and template."""
    chosen = rewrite.selector
    pods = rewrite.template(wanted)
    match = {chosen.key: chosen.primary}
    if live is not None:
        # A selector can't be changed, and it may have been made with another list of labels.
        match = dict(live["spec"]["selector"].get("matchLabels") or match)
        labels = {**pods["metadata"]["labels"], **match}
        pods = {**pods, "metadata": {**pods["metadata"], "labels": labels}}
    ref = Ref(Ref.of(target).kind, canary.namespace, canary.primary_workload)
    metadata = primary_metadata(target, live, chosen, rewrite.settings)
    return ref.manifest(
        metadata=metadata, spec={"selector": {"matchLabels": match}, "template": pods}
    )


def changes(wanted: Manifest, live: Manifest | None) -> list[Write]:
    """What gives a primary its template, and nothing but this template.

    The patch comes first, so that pods are replaced once: apply alone would leave the containers
    and variables that another controller put there, and that are gone since.
    """
    if live is None:
        return [Apply(wanted)]
    template_now, template_then = template(live), wanted["spec"]["template"]
    patch = exact(template_now, template_then)
    if not patch:
        return [Apply(wanted)]
    annotations = wanted["metadata"].get("annotations", {})
    both = {"metadata": {"annotations": annotations}, "spec": {"template": patch}}
    return [Patch.of(live, both), Apply(wanted)]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(inner) for k, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
