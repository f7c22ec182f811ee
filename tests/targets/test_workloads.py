"""Both sides of a Canary over a real cluster: what is recorded, promoted, scaled and let go."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.core.revision import revision
from canary.crd import Canary, parse
from canary.errors import Conflict, NotFound
from canary.targets.base import REVISION
from canary.targets.records import KEPT, RECORDS
from canary.targets.workloads import Workloads

PROCESS = Kind("local.canary/v1", "Process")
CANARY = Kind("flagger.app/v1beta1", "Canary")
TARGET, PRIMARY = (Ref(PROCESS, "test", name) for name in ("app", "app-primary"))


def process(v: str, **spec: Any) -> Manifest:
    template = {"command": ["serve"], "env": {"VERSION": v}}
    return TARGET.manifest(spec={"replicas": 2, "template": template, **spec})


def rev(v: str, replicas: int = 2) -> str:
    return revision({"replicas": replicas, "template": process(v)["spec"]["template"]})


class Place:
    def __init__(self, cluster: Embedded, canary: Canary) -> None:
        self.cluster, self.canary = cluster, canary
        self.cache = Cache(cluster)
        self.workloads = Workloads(cluster, self.cache)

    async def start(self) -> None:
        for kind in (PROCESS, RECORDS):
            await self.cache.start(kind)
            await self.cache.wait_synced(kind)

    async def target(self, v: str, **spec: Any) -> str:
        """People apply a version; returns its revision."""
        self.cache.note(await self.cluster.apply(process(v, **spec), manager="user"))
        return rev(v)

    async def primary(self) -> Manifest:
        return await self.cluster.get(PRIMARY)

    async def runs(self) -> str:
        """The version that the primary has."""
        found: str = (await self.primary())["spec"]["template"]["env"]["VERSION"]
        return found

    async def recorded(self) -> set[str]:
        items = (await self.cluster.list(RECORDS)).items
        return {item["metadata"]["annotations"][REVISION] for item in items}


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    cluster = await Embedded.open(None)
    spec = {
        "targetRef": {"apiVersion": PROCESS.api_version, "kind": "Process", "name": "app"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 1, "iterations": 1},
    }
    canary = parse(await cluster.create(Ref(CANARY, "test", "canary").manifest(spec=spec)))
    assert isinstance(canary, Canary)
    made = Place(cluster, canary)
    await made.start()
    yield made
    await made.cache.close()
    await cluster.close()


async def test_a_primary_is_made_from_the_target_and_remembers_of_which(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    made = await place.primary()
    assert await place.runs() == "1"
    assert made["metadata"]["annotations"][REVISION] == one
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (place.canary.uid, True)
    facts = place.workloads.look(place.canary, datetime.now(UTC))
    assert facts.primary
    assert facts.target
    assert (facts.primary.revision, facts.target.revision) == (one, one)
    assert (facts.recorded, facts.alike) == (frozenset({one}), True)


async def test_a_primary_is_not_made_from_a_target_that_is_another_by_now(place: Place) -> None:
    one = await place.target("1")
    await place.target("2")
    with pytest.raises(Conflict, match="no longer at revision"):
        await place.workloads.create_primary(place.canary, one)
    with pytest.raises(NotFound):
        await place.primary()
    assert await place.recorded() == set()


async def test_promotion_copies_what_was_recorded_and_not_what_the_target_has_by_now(
    place: Place,
) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    two = await place.target("2")
    await place.workloads.remember(place.canary, two, one)
    await place.target("3")
    await place.workloads.promote(place.canary, two)
    assert await place.runs() == "2"
    assert (await place.primary())["metadata"]["annotations"][REVISION] == two
    await place.workloads.promote(place.canary, one)
    assert await place.runs() == "1", "and back"


async def test_promotion_works_when_the_target_is_gone(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    two = await place.target("2")
    await place.workloads.remember(place.canary, two, one)
    await place.cluster.delete(TARGET)
    await place.workloads.promote(place.canary, two)
    assert await place.runs() == "2"


async def test_nothing_is_promoted_that_was_never_recorded(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    with pytest.raises(NotFound):
        await place.workloads.promote(place.canary, rev("2"))
    assert await place.runs() == "1"


async def test_promotion_leaves_fields_of_others_alone(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    theirs = {"metadata": {"annotations": {"theirs": "yes"}}}
    await place.cluster.patch(PRIMARY, theirs, manager="somebody")
    two = await place.target("2")
    await place.workloads.remember(place.canary, two, one)
    await place.workloads.promote(place.canary, two)
    assert (await place.primary())["metadata"]["annotations"]["theirs"] == "yes"


async def test_promoting_twice_writes_once(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    before = await place.primary()
    await place.workloads.promote(place.canary, one)
    assert await place.primary() == before


REFUSED = {
    "another revision than the target has": ("2", "1", ("3", "")),
    "another known-good one than the primary has": ("2", "1", ("2", "0")),
}


@pytest.mark.parametrize(("target", "primary", "asked"), REFUSED.values(), ids=REFUSED)
async def test_remember_refuses(
    place: Place, target: str, primary: str, asked: tuple[str, str]
) -> None:
    await place.workloads.create_primary(place.canary, await place.target(primary))
    await place.target(target)
    wanted, good = (rev(v) if v else "" for v in asked)
    with pytest.raises(Conflict):
        await place.workloads.remember(place.canary, wanted, good)
    assert not {rev("3"), rev("0")} & await place.recorded()


async def test_records_are_pruned_but_never_the_ones_that_are_needed(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    latest = one
    for number in range(2, KEPT + 10):
        latest = await place.target(str(number))
        await place.workloads.remember(place.canary, latest, one)
    found = await place.recorded()
    assert {one, latest} <= found
    assert len(found) <= KEPT + 2


async def test_records_of_other_canaries_are_not_ours(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    meta = place.canary.metadata.model_copy(update={"name": "other"})
    other = place.canary.model_copy(update={"metadata": meta})
    assert place.workloads.look(other, datetime.now(UTC)).recorded == frozenset()
    await place.workloads.remember(other, one, "")
    await place.cluster.delete(Ref(RECORDS, "test", f"other-{one}"))
    assert await place.recorded() == {one}


async def test_scaling_changes_only_what_is_ours(place: Place) -> None:
    await place.target("1")
    before = await place.cluster.get(TARGET)
    await place.workloads.scale(place.canary, up=False)
    asleep = await place.cluster.get(TARGET)
    assert asleep["spec"] == {**before["spec"], "suspend": True}
    facts = place.workloads.look(place.canary, datetime.now(UTC))
    assert facts.target
    assert (facts.target.idle, facts.target.revision) == (True, rev("1")), "no new revision"
    await place.target("2")
    assert (await place.cluster.get(TARGET))["spec"]["suspend"] is True, "users don't own it"
    await place.workloads.scale(place.canary, up=True)
    assert (await place.cluster.get(TARGET))["spec"]["suspend"] is False


async def test_there_is_nothing_to_scale_without_a_target(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.workloads.scale(place.canary, up=True)


async def test_letting_go_removes_what_was_made_and_nothing_else(place: Place) -> None:
    one = await place.target("1")
    await place.workloads.create_primary(place.canary, one)
    for _ in range(2):
        await place.workloads.release(place.canary)
        items = (await place.cluster.list(PROCESS)).items
        assert [Ref.of(each) for each in items] == [TARGET]
        assert await place.recorded() == set()


async def test_a_primary_that_somebody_else_made_goes_by_what_it_runs(place: Place) -> None:
    await place.target("1")
    template = process("1")["spec"]
    theirs = await place.cluster.apply(PRIMARY.manifest(spec=template), manager="flagger")
    place.cache.note(theirs)
    facts = place.workloads.look(place.canary, datetime.now(UTC))
    assert facts.primary
    assert (facts.primary.revision, facts.alike) == (rev("1"), True)
