"""The examples of RFC 7386, appendix A, and what must hold for any patch."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.merge import merge_patch, same

ROWS: dict[str, tuple[Any, Any, Any]] = {
    "a value is replaced": ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    "a new field is added": ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    "null removes the only field": ({"a": "b"}, {"a": None}, {}),
    "null removes one of two": ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    "a list gives way to a value": ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    "a value gives way to a list": ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    "maps are merged below": ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    "lists are not merged": ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    "a list replaces a list": (["a", "b"], ["c", "d"], ["c", "d"]),
    "a list replaces a map": ({"a": "b"}, ["c"], ["c"]),
    "null replaces everything": ({"a": "foo"}, None, None),
    "a text replaces everything": ({"a": "foo"}, "bar", "bar"),
    "a null that is there stays": ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    "a map replaces a list": ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    "nulls in new maps are dropped": ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    "true is not one": ({"a": 1}, {"a": True}, {"a": True}),
}

leaves = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["x", "y"])
values = st.recursive(
    leaves,
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@pytest.mark.parametrize(("target", "patch", "expected"), ROWS.values(), ids=ROWS)
def test_merge_patch(target: Any, patch: Any, expected: Any) -> None:
    assert same(merge_patch(target, patch), expected)


@given(values, values)
def test_a_patch_changes_neither_of_its_arguments(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    assert same([target, patch], [*before])


@given(values, values)
def test_a_patch_applied_twice_is_applied_once_and_says_so(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) is once or not isinstance(patch, dict)
    assert same(merge_patch(once, patch), once)


@given(values, values)
def test_the_target_itself_comes_back_exactly_when_nothing_changes(target: Any, patch: Any) -> None:
    merged = merge_patch(target, patch)
    assert (merged is target) == same(merged, target)
