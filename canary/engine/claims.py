"""Which Canaries name the same target, and which of them came first."""

from typing import Any, NamedTuple

from canary.cluster.port import Manifest
from canary.crd import Canary

Target = tuple[str, str, str]
"""Namespace, kind and name."""


class Claim(NamedTuple):
    """Claims are in the order in which their Canaries were made."""

    created: str
    key: str


class Claims:
    """Kept from manifests as they are: a Canary that can't be read still has its target.

    Were it otherwise, a typing mistake would hand its target to another one.
    """

    def __init__(self) -> None:
        self._by_target: dict[Target, set[Claim]] = {}
        self._by_key: dict[str, tuple[Target, Claim]] = {}

    def take(self, key: str, manifest: Manifest) -> set[str]:
        """Note what a Canary (`namespace/name`) claims now; returns the others this concerns."""
        made = _target(manifest), Claim(manifest["metadata"].get("creationTimestamp", ""), key)
        if self._by_key.get(key) == made:
            return set()
        concerned = self.drop(key)
        self._by_key[key] = made
        claims = self._by_target.setdefault(made[0], set())
        concerned |= {each.key for each in claims}
        claims.add(made[1])
        return concerned

    def drop(self, key: str) -> set[str]:
        """Forget a Canary; returns the others that named its target."""
        if key not in self._by_key:
            return set()
        target, claim = self._by_key.pop(key)
        claims = self._by_target[target]
        claims.discard(claim)
        if not claims:
            del self._by_target[target]
        return {each.key for each in claims}

    def older(self, canary: Canary) -> str:
        """The Canary that was first to name the same target; empty if it is this one."""
        ref = canary.spec.target_ref
        claims = self._by_target.get((canary.namespace, ref.kind, ref.name))
        first = min(claims).key if claims else ""
        return "" if first == canary.key else first


def _target(manifest: Manifest) -> Target:
    spec: Any = manifest.get("spec")
    ref = spec.get("targetRef") if isinstance(spec, dict) else None
    said = ref if isinstance(ref, dict) else {}
    namespace = manifest["metadata"].get("namespace", "")
    return namespace, str(said.get("kind", "")), str(said.get("name", ""))
