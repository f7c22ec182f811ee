"""Where a pod template names ConfigMaps and Secrets, and how these names are rewritten."""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from canary.cluster.port import Kind, Manifest, Ref

CONFIG_MAP = Kind("v1", "ConfigMap")
SECRET = Kind("v1", "Secret")
SUFFIX = "-primary"

Rename = Callable[[str, str], str]
"""From the key of a reference and the name it has to the name it gets."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One place that names a ConfigMap or a Secret."""

    kind: Kind
    name: str
    optional: bool
    field: str
    """Where, within the workload."""

    @property
    def key(self) -> str:
        """As `status.trackedConfigs` names it: `configmap/NAME` or `secret/NAME`."""
        return f"{self.kind.name.lower()}/{self.name}"

    def ref(self, namespace: str) -> Ref:
        return Ref(self.kind, namespace, self.name)


def references(template: Manifest) -> dict[str, Reference]:
    """What a pod template refers to, by key.

    Of several references to one object the last says whether it may be missing: first those of
    volumes, then of containers, then of init containers.
    """
    found = (slot.reference for slot in _slots(template))
    return {each.key: each for each in found}


def names(template: Manifest) -> list[str]:
    """The name in every place, in the order in which `renamed` asks for them."""
    return [slot.reference.name for slot in _slots(template)]


def renamed(template: Manifest, rename: Rename) -> Manifest:
    """The template with the names that `rename` gives; the original is not changed."""
    copied = deepcopy(template)
    for slot in _slots(copied):
        slot.holder[slot.name_field] = rename(slot.reference.key, slot.reference.name)
    return copied


def to_copies(keys: Iterable[str]) -> Rename:
    """Names of copies for what is tracked; everything else keeps its name."""
    known = frozenset(keys)
    return lambda key, name: f"{name}{SUFFIX}" if key in known else name


def back_to(originals: list[str]) -> Rename:
    """Undoes `to_copies` in the light of the template that was copied, place by place."""
    remaining = iter(originals)

    def rename(_key: str, name: str) -> str:
        original = next(remaining, "")
        return original if name == f"{original}{SUFFIX}" else name

    return rename


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place that holds a name, and which of its fields does."""

    holder: Manifest
    name_field: str
    reference: Reference


def _slots(template: Manifest) -> Iterator[_Slot]:
    spec = template.get("spec") or {}
    for i, volume in enumerate(spec.get("volumes") or ()):
        yield from _in_volume(volume, f"spec.template.spec.volumes[{i}]")
    for group in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(group) or ()):
            yield from _in_container(container, f"spec.template.spec.{group}[{i}]")


def _in_volume(volume: Manifest, at: str) -> Iterator[_Slot]:
    yield from _slot(volume, "configMap", CONFIG_MAP, at)
    yield from _slot(volume, "secret", SECRET, at, "secretName")
    sources = (volume.get("projected") or {}).get("sources") or ()
    for i, source in enumerate(sources):
        yield from _slot(source, "configMap", CONFIG_MAP, f"{at}.projected.sources[{i}]")
        yield from _slot(source, "secret", SECRET, f"{at}.projected.sources[{i}]")


def _in_container(container: Manifest, at: str) -> Iterator[_Slot]:
    for i, variable in enumerate(container.get("env") or ()):
        value, place = variable.get("valueFrom") or {}, f"{at}.env[{i}].valueFrom"
        yield from _slot(value, "configMapKeyRef", CONFIG_MAP, place)
        yield from _slot(value, "secretKeyRef", SECRET, place)
    for i, source in enumerate(container.get("envFrom") or ()):
        yield from _slot(source, "configMapRef", CONFIG_MAP, f"{at}.envFrom[{i}]")
        yield from _slot(source, "secretRef", SECRET, f"{at}.envFrom[{i}]")


def _slot(
    parent: Manifest, field: str, kind: Kind, at: str, name_field: str = "name"
) -> Iterator[_Slot]:
    holder = parent.get(field)
    if not isinstance(holder, dict) or not holder.get(name_field):
        return
    optional = bool(holder.get("optional"))
    place = f"{at}.{field}.{name_field}"
    yield _Slot(holder, name_field, Reference(kind, holder[name_field], optional, place))
