"""The embedded cluster against a model so simple that it is obviously right.

Any order of writes, stale and fresh, by two managers; after each of them the lists, a watch from
the very beginning, and a second one that began in between have to agree with the model.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from canary.cluster.embedded import Embedded
from canary.cluster.port import Change, Kind, Manifest, Ref
from canary.errors import AlreadyExists, Conflict, NotFound

KIND = Kind("flagger.app/v1beta1", "Canary")
T = TypeVar("T")

names = st.sampled_from(["a", "b", "c"])
fields = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2), max_size=3)
patches = st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers(0, 2), max_size=3)


def ref(name: str) -> Ref:
    return Ref(KIND, "default", name)


class Expected:
    """What is to be seen of one object."""

    def __init__(self, spec: dict[str, int]) -> None:
        self.spec = dict(spec)
        self.status: dict[str, int] = {}
        self.generation = 1
        self.kept = self.dying = False
        self.version = "0"
        self.applied: dict[str, set[str]] = {}
        self.updated: set[str] = set()
        """The fields each manager applied, and those that somebody wrote otherwise."""

    def write(self, spec: dict[str, int]) -> None:
        self.generation += spec != self.spec
        self.spec = spec


class EmbeddedMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.cluster = self.run(Embedded.open(Path(self.folder.name) / "state.db"))
        self.model: dict[str, Expected] = {}
        self.views: list[tuple[AsyncIterator[Change], dict[Ref, Manifest]]] = []
        self.watch()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def wrote(self, name: str, manifest: Manifest) -> None:
        version = manifest["metadata"]["resourceVersion"]
        assert int(version) >= int(self.model[name].version)
        self.model[name].version = version

    @precondition(lambda self: len(self.views) < 4)
    @rule()
    def watch(self) -> None:
        self.views.append((self.cluster.watch(KIND), {}))

    @rule(name=names, spec=fields)
    def create(self, name: str, spec: dict[str, int]) -> None:
        work = self.cluster.create(ref(name).manifest(spec=spec))
        if name in self.model:
            with pytest.raises(AlreadyExists):
                self.run(work)
            return
        self.model[name] = Expected(spec)
        self.model[name].updated = set(spec)
        self.wrote(name, self.run(work))

    @rule(name=names, patch=patches, fresh=st.booleans())
    def patch(self, name: str, patch: dict[str, int | None], fresh: bool) -> None:
        known = self.model.get(name)
        version = known.version if known and fresh else "1000000"
        work = self.cluster.patch(
            ref(name), {"spec": patch}, manager="editor", resource_version=version
        )
        if known is None or not fresh:
            with pytest.raises(NotFound if known is None else Conflict):
                self.run(work)
            return
        new = {k: v for k, v in {**known.spec, **patch}.items() if v is not None}
        for field in patch:
            if new.get(field) != known.spec.get(field):
                self.lose(known, field)
                known.updated |= {field} & new.keys()
        known.write(new)
        self.wrote(name, self.run(work))

    @rule(name=names, spec=fields, manager=st.sampled_from(["one", "two"]))
    def apply(self, name: str, spec: dict[str, int], manager: str) -> None:
        known = self.model.setdefault(name, Expected({}))
        new_object = known.version == "0"
        before = known.applied.get(manager, set())
        new = {**known.spec, **spec}
        for field, value in spec.items():
            if known.spec.get(field) != value:
                self.lose(known, field)
        known.applied[manager] = set(spec)
        owned = known.updated.union(*known.applied.values())
        new = {k: v for k, v in new.items() if k in owned or k not in before}
        if new_object:
            known.spec = new
        else:
            known.write(new)
        self.wrote(
            name, self.run(self.cluster.apply(ref(name).manifest(spec=spec), manager=manager))
        )

    @staticmethod
    def lose(known: Expected, field: str) -> None:
        for owned in (known.updated, *known.applied.values()):
            owned.discard(field)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), status=fields)
    def report(self, data: st.DataObject, status: dict[str, int]) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        work = self.cluster.patch(
            ref(name), {"status": status, "spec": None}, manager="reporter", status=True
        )
        self.model[name].status |= status
        self.wrote(name, self.run(work))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), keep=st.booleans())
    def finalizer(self, data: st.DataObject, keep: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        known = self.model[name]
        keep = keep and not known.dying
        finalizers = {"finalizers": ["example.com/keep"] if keep else None}
        result = self.run(self.cluster.patch(ref(name), {"metadata": finalizers}, manager="keeper"))
        known.kept = keep
        if known.dying:
            del self.model[name]
        else:
            self.wrote(name, result)

    @rule(name=names)
    def delete(self, name: str) -> None:
        known = self.model.get(name)
        if known is None:
            with pytest.raises(NotFound):
                self.run(self.cluster.delete(ref(name)))
            return
        self.run(self.cluster.delete(ref(name)))
        if not known.kept:
            del self.model[name]
        elif not known.dying:
            known.dying = True
            known.generation += 1
            self.wrote(name, self.run(self.cluster.get(ref(name))))

    @rule()
    def reopen(self) -> None:
        self.run(self.cluster.close())
        self.cluster = self.run(Embedded.open(Path(self.folder.name) / "state.db"))
        self.views.clear()
        self.watch()

    @invariant()
    def lists_and_watches_agree_with_the_model(self) -> None:
        listing = self.run(self.cluster.list(KIND))
        listed = {Ref.of(item): item for item in listing.items}
        assert {known.name for known in listed} == self.model.keys()
        for name, known in self.model.items():
            found = listed[ref(name)]
            assert found.get("spec", {}) == known.spec
            assert found.get("status", {}) == known.status
            assert found["metadata"]["generation"] == known.generation
            assert found["metadata"]["resourceVersion"] == known.version
            assert ("deletionTimestamp" in found["metadata"]) == known.dying
        for watch, view in self.views:
            self.run(follow(watch, view))
            assert view == listed

    def teardown(self) -> None:
        self.run(self.cluster.close())
        self.runner.close()
        self.folder.cleanup()


async def follow(watch: AsyncIterator[Change], view: dict[Ref, Manifest]) -> None:
    """Carry the changes of a watch over to its view until nothing more is to come."""
    while (change := await soon(watch)) is not None:
        seen = Ref.of(change.object)
        version = int(change.object["metadata"]["resourceVersion"])
        newest = max((int(m["metadata"]["resourceVersion"]) for m in view.values()), default=0)
        if change.type == "ADDED":
            assert seen not in view, "told twice"
        else:
            assert version > newest, "out of order"
            assert seen in view, "missed its beginning"
        if change.type == "DELETED":
            del view[seen]
        else:
            view[seen] = change.object


async def soon(watch: AsyncIterator[Change]) -> Any:
    """The next change, or nothing: what happened before is published, so none is on its way."""
    step = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    if step.done():
        return step.result()
    step.cancel()
    await asyncio.wait({step})
    return None


TestEmbedded = EmbeddedMachine.TestCase
TestEmbedded.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
