"""Which labels and annotations of a target its copies get."""

from collections.abc import Iterable, Mapping

FLUX = "toolkit.fluxcd.io"
GUARDS = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""Flux leaves an object with these annotations alone, even if it finds it in its own set."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BOOKKEEPING = (
    LAST_APPLIED,
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "autoscaling.alpha.kubernetes.io/",
)
"""What tools and controllers note about one object; on a copy it would be wrong."""

Words = Mapping[str, str]


def without_flux(words: Words | None) -> dict[str, str]:
    """Without what would make Flux take the copy for its own, and delete it."""
    return {key: value for key, value in (words or {}).items() if FLUX not in key}


def without_bookkeeping(words: Words | None) -> dict[str, str]:
    """Everything a person may have written."""
    return {k: v for k, v in without_flux(words).items() if not k.startswith(BOOKKEEPING)}


def included(words: Words | None, prefixes: Iterable[str]) -> dict[str, str]:
    """Those with one of the prefixes of `include-label-prefix`; `*` keeps all.

    >>> included({"app": "web", "team": "shop"}, ["te", ""])
    {'team': 'shop'}
    """
    wanted = tuple(prefix for prefix in prefixes if prefix)
    kept = without_bookkeeping(words)
    return {k: v for k, v in kept.items() if "*" in wanted or k.startswith(wanted)}
