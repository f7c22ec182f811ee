"""What must hold for server-side apply, whoever applies what in whatever order."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.apply import applied
from canary.cluster.fields import Touched, fields_of, node, paths
from canary.cluster.merge import merge_patch, same
from canary.cluster.ownership import Writer, updated, writer
from canary.cluster.port import Kind, Manifest, Ref

REF = Ref(Kind("v1", "ConfigMap"), "default", "config")
TIME = "2026-01-01T00:00:00Z"

values = st.recursive(
    st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
specs = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
managers = st.sampled_from(["me", "them", "others"])
histories = st.lists(st.tuples(st.sampled_from(["apply", "update"]), managers, specs), max_size=6)


def apply(live: Manifest, manager: str, spec: Manifest) -> Manifest:
    return applied(live, REF.manifest(spec=spec), manager, TIME)


def update(live: Manifest, manager: str, patch: Manifest) -> Manifest:
    new = merge_patch(live, {"spec": patch})
    entries = live["metadata"].get("managedFields", [])
    stamp = (REF.kind.api_version, TIME)
    entries = updated(entries, Writer(manager, "Update"), Touched.between(live, new), stamp)
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def after(history: list[tuple[str, str, Manifest]]) -> Manifest:
    live = REF.manifest()
    for operation, manager, spec in history:
        live = (apply if operation == "apply" else update)(live, manager, spec)
    return live


def leaves(spec: Manifest) -> Iterator[tuple[tuple[str, ...], Any]]:
    for path in paths(fields_of({"spec": spec})):
        yield path, at({"spec": spec}, path)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def owned(live: Manifest, manager: str) -> set[tuple[str, ...]]:
    entries = live["metadata"].get("managedFields", [])
    mine = [entry for entry in entries if entry["manager"] == manager]
    return {path for entry in mine for path in paths(entry["fieldsV1"])}


def test_maps_that_were_made_for_a_field_go_with_it() -> None:
    live = apply(REF.manifest(), "me", {"a": {"b": {"c": 1}}, "x": 1})
    assert apply(live, "me", {"x": 1})["spec"] == {"x": 1}


def test_a_map_that_somebody_keeps_stays_when_it_is_emptied() -> None:
    live = apply(REF.manifest(), "them", {"a": {}})
    live = apply(live, "me", {"a": {"b": {"c": 1}}})
    assert apply(live, "me", {})["spec"] == {"a": {}}


def test_who_made_a_map_still_owns_it_after_writing_something_in_it() -> None:
    live = update(REF.manifest(), "me", {"a": {}})
    live = update(live, "me", {"a": {"b": 1}})
    live = update(live, "them", {"a": {"b": None}})
    assert live["spec"] == {"a": {}}
    assert writer(live, ("spec", "a")) == "me"


@given(histories, managers, specs)
def test_applying_twice_is_applying_once(
    history: list[tuple[str, str, Manifest]], manager: str, spec: Manifest
) -> None:
    once = apply(after(history), manager, spec)
    assert apply(once, manager, spec) is once


@given(histories, managers, specs)
def test_what_was_applied_is_there_and_is_the_appliers(
    history: list[tuple[str, str, Manifest]], manager: str, spec: Manifest
) -> None:
    live = apply(after(history), manager, spec)
    for path, value in leaves(spec):
        # Others may have fields in a map that was applied as an empty one.
        assert same(at(live, path), value) or (value == {} and isinstance(at(live, path), dict))
        assert path in owned(live, manager)


@given(histories, specs)
def test_fields_of_others_survive_what_does_not_name_them(
    history: list[tuple[str, str, Manifest]], spec: Manifest
) -> None:
    before = after(history)
    live = apply(before, "me", spec)
    named = [path for path, _ in leaves(spec)]
    for path in owned(before, "them") | owned(before, "others"):
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in named):
            now, then = at(live, path), at(before, path)
            # Who owns a map owns that it is there; what others had in it is theirs.
            assert same(now, then) or (isinstance(now, dict) and isinstance(then, dict))


@given(histories, specs, specs)
def test_a_dropped_field_goes_exactly_if_nobody_else_owns_it(
    history: list[tuple[str, str, Manifest]], first: Manifest, second: Manifest
) -> None:
    # "me" only applies: whoever also updates under the same name is somebody else to apply.
    before = apply(after([step for step in history if step[1] != "me"]), "me", first)
    live = apply(before, "me", second)
    others = owned(before, "them") | owned(before, "others")
    for path, _ in leaves(first):
        if node(fields_of({"spec": second}), path) is not None or at(before, path) is None:
            continue
        if any(path[:depth] in dict(leaves(second)) for depth in range(1, len(path))):
            continue  # a value now stands where the map around the field was
        kept = path in others or any(other[: len(path)] == path for other in others)
        assert (at(live, path) is not None) == kept, path


@given(histories, managers, specs)
def test_every_field_has_a_writer_and_owners_own_what_exists(
    history: list[tuple[str, str, Manifest]], manager: str, spec: Manifest
) -> None:
    live = apply(after(history), manager, spec)
    for path, value in leaves(live.get("spec", {})):
        # A map that somebody emptied, one field after the other, may be left to nobody.
        assert value == {} or writer(live, path)
    for name in ("me", "them", "others"):
        assert all(at(live, path) is not None for path in owned(live, name))


@given(histories, managers, specs)
def test_applying_changes_neither_of_its_arguments(
    history: list[tuple[str, str, Manifest]], manager: str, spec: Manifest
) -> None:
    live = after(history)
    before = copy.deepcopy((live, spec))
    apply(live, manager, spec)
    assert (live, spec) == before
