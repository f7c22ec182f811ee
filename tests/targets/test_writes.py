"""Patches that lead exactly to what is wanted, whatever was there."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.merge import merge_patch
from canary.targets.writes import exact, lacks

leaves = st.booleans() | st.integers(0, 2) | st.sampled_from(["x", "y"])
objects = st.recursive(
    st.dictionaries(st.sampled_from("abc"), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | leaves | st.lists(leaves)),
    max_leaves=10,
)


@given(objects, objects)
def test_the_patch_leads_to_what_is_wanted(live: Any, wanted: Any) -> None:
    assert merge_patch(live, exact(live, wanted)) == wanted


@given(objects)
def test_where_nothing_differs_nothing_is_written(live: Any) -> None:
    assert exact(live, live) == {}


@given(objects, objects)
def test_nothing_is_lacking_once_it_is_merged(live: Any, wanted: Any) -> None:
    assert not lacks(merge_patch(live, wanted), wanted)
