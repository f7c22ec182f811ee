"""Label selectors inside a pod template: pods of a primary keep apart from each other.

Spread constraints and anti-affinity that mean the target's own pods have to mean the primary's
own pods in its copy. Affinity to others is nobody's business but the author's.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy

from canary.cluster.port import Manifest

Rename = Callable[[str], str]


def rewritten(spec: Manifest, keys: Iterable[str], rename: Rename) -> Manifest:
    """The pod spec with the values of these label keys renamed; the original is not changed."""
    copied, known = deepcopy(spec), frozenset(keys)
    for selector in _selectors(copied):
        labels = selector.get("matchLabels") or {}
        for key in known & labels.keys():
            labels[key] = rename(labels[key])
        for expression in selector.get("matchExpressions") or ():
            if expression.get("key") in known:
                _rename_first(expression, rename)
    return copied


def _rename_first(expression: Manifest, rename: Rename) -> None:
    values = expression.get("values") or []
    for i, value in enumerate(values):
        if (new := rename(value)) != value:
            values[i] = new
            return


def _selectors(spec: Manifest) -> Iterator[Manifest]:
    constraints = spec.get("topologySpreadConstraints") or ()
    apart = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    required = apart.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    preferred = apart.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    terms = [*constraints, *required, *(each.get("podAffinityTerm") or {} for each in preferred)]
    yield from (term["labelSelector"] for term in terms if term.get("labelSelector"))
