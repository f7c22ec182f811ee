"""JSON merge patch (RFC 7386), and what equality means for it. Nothing is changed in place."""

import json
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """The target as the patch wants it; `None` in a patch removes.

    Parts the patch doesn't touch are shared with the target, and where nothing changes the
    target itself comes back, so `merged is target` is the cheap test for a patch without effect.

    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None}})
    {'a': 1, 'b': {'d': 3}}
    """
    if not isinstance(patch, dict):
        return target if same(target, patch) else patch
    merged = target if isinstance(target, dict) else {}
    for key, wanted in patch.items():
        if wanted is None:
            if key in merged:
                merged = {name: value for name, value in merged.items() if name != key}
            continue
        had = merged.get(key)
        value = merge_patch(had, wanted)
        if value is not had:
            merged = {**merged, key: value}
    return merged


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: unlike `==`, it tells `true` from `1`."""
    if isinstance(one, dict | list):
        return bool(one == other) and _canonical(one) == _canonical(other)
    return type(one) is type(other) and bool(one == other)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
