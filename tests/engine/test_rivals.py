"""Two Canaries on one target: the older one releases it, the younger one waits."""

import asyncio

import pytest

from canary.cluster.port import Ref
from canary.crd.canary import Canary
from canary.crd.manifest import parse
from canary.crd.status import Phase
from canary.engine.claims import Claims
from tests.engine.place import Place, eventually
from tests.engine.world import CANARY, PROCESS, ROUTE, canary, process


def claimed(*made: tuple[str, str, str]) -> tuple[Claims, dict[str, Canary]]:
    """Canaries by name, creation time and target."""
    claims, found = Claims(), {}
    for name, created, target in made:
        manifest = canary(name, target)
        manifest["metadata"]["creationTimestamp"] = created
        claims.take(f"test/{name}", manifest)
        parsed = parse(manifest)
        assert isinstance(parsed, Canary)
        found[name] = parsed
    return claims, found


OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
ROWS: dict[str, tuple[list[tuple[str, str, str]], str]] = {
    "the only one has no rival": ([("b", OLD, "app")], ""),
    "the older one has none either": ([("b", OLD, "app"), ("a", NEW, "app")], ""),
    "the younger one has the older one": ([("b", NEW, "app"), ("a", OLD, "app")], "test/a"),
    "of the same second the first name wins": ([("b", OLD, "app"), ("a", OLD, "app")], "test/a"),
    "other targets are no concern": ([("b", NEW, "app"), ("a", OLD, "other")], ""),
}


@pytest.mark.parametrize(("made", "rival"), ROWS.values(), ids=ROWS)
def test_older(made: list[tuple[str, str, str]], rival: str) -> None:
    claims, found = claimed(*made)
    assert claims.older(found["b"]) == rival


def test_a_claim_moves_with_its_target_and_says_whom_that_concerns() -> None:
    claims, found = claimed(("a", OLD, "app"), ("b", NEW, "app"), ("c", NEW, "other"))
    moved = canary("a", "other")
    moved["metadata"]["creationTimestamp"] = OLD
    assert claims.take("test/a", moved) == {"test/b", "test/c"}
    assert claims.take("test/a", moved) == set(), "nothing new"
    assert (claims.older(found["b"]), claims.older(found["c"])) == ("", "test/a")
    assert claims.drop("test/a") == {"test/c"}
    assert claims.drop("test/a") == set()


def test_a_manifest_that_nobody_can_read_keeps_its_target() -> None:
    claims, found = claimed(("a", OLD, "app"), ("b", NEW, "app"))
    wrong = canary("a", "app")
    wrong["metadata"]["creationTimestamp"] = OLD
    wrong["spec"]["analysis"] = "nonsense"
    claims.take("test/a", wrong)
    assert claims.older(found["b"]) == "test/a"


async def refused(place: Place) -> Canary:
    return await place.until("late", lambda each: bool(each.status.stalled))


async def test_the_younger_one_says_why_and_touches_nothing(place: Place) -> None:
    await place.ready("app")
    before = [(await place.cluster.list(kind)).items for kind in (PROCESS, ROUTE)]
    await place.apply(canary("late", "app"))
    found = await refused(place)
    await place.rests()
    assert "released by the older Canary test/app" in found.status.stalled
    assert await place.said("late") == [found.status.stalled]
    stalled = found.status.condition("Stalled")
    assert stalled
    assert (stalled.status, stalled.message) == ("True", found.status.stalled)
    assert [(await place.cluster.list(kind)).items for kind in (PROCESS, ROUTE)] == before
    assert (found.finalizers, found.status.phase) == ((), Phase.NEW)
    assert place.controller.waits("test/late") is None


async def test_the_older_one_releases_as_if_it_were_alone(place: Place) -> None:
    await place.ready("app")
    await place.apply(canary("late", "app"))
    await refused(place)
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
    assert (await place.canary("late")).status.phase == Phase.NEW


async def test_the_younger_one_takes_over_when_the_older_one_goes(place: Place) -> None:
    await place.ready("app")
    await place.apply(canary("late", "app"))
    await refused(place)
    await place.cluster.delete(Ref(CANARY, "test", "app"))
    found = await place.until("late", lambda each: each.status.phase == Phase.INITIALIZED)
    assert found.status.stalled == ""
    await eventually(lambda: "test/app" not in place.controller._subjects)
    await place.release("2")
    assert (await place.ended("2", "late")).status.phase == Phase.SUCCEEDED


async def test_the_younger_one_goes_without_taking_anything_along(place: Place) -> None:
    await place.ready("app")
    await place.apply(canary("late", "app"))
    await refused(place)
    await place.cluster.delete(Ref(CANARY, "test", "late"))
    await eventually(lambda: "test/late" not in place.controller._subjects)
    await place.rests()
    assert (await place.process("app-primary"))["status"]["readyReplicas"] == 2
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED


async def test_after_a_restart_nobody_is_looked_at_before_it_is_known_who_was_first(
    place: Place,
) -> None:
    # Both at once, and the younger one's name comes first in every list.
    await place.end()
    await place.apply(process("app"), canary("z", "app"))
    await asyncio.sleep(1.1)  # creation times are whole seconds
    await place.apply(canary("a", "app"))
    place.build()
    await place.start()
    await place.until("z", lambda each: each.status.phase == Phase.INITIALIZED)
    found = await place.until("a", lambda each: bool(each.status.stalled))
    assert "test/z" in found.status.stalled
