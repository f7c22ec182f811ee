"""How routing objects are written and looked at, whichever router shapes them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Live
from canary.crd import Canary, parse
from canary.crd.status import Split
from canary.errors import Conflict, Problem, SpecError, UnknownName
from canary.routers.apply import RENDERED, Routing
from canary.routers.base import Current
from canary.routers.envoy import Envoy

ROUTE, PROCESS = Kind("local.canary/v1", "Route"), Kind("local.canary/v1", "Process")
TRAEFIK = Kind("traefik.io/v1alpha1", "TraefikService")
REF, TARGET = Ref(ROUTE, "test", "app"), Ref(PROCESS, "test", "app")
OWNER = Ref(Kind("flagger.app/v1beta1", "Canary"), "test", "app")
HALF = Split.to_canary(50)


def manifest(**service: Any) -> Manifest:
    return OWNER.manifest(
        spec={
            "targetRef": {"apiVersion": "local.canary/v1", "kind": "Process", "name": "app"},
            "service": {"port": 8080, **service},
            "analysis": {"interval": "1m", "threshold": 1, "stepWeights": [50]},
        }
    )


class Place:
    def __init__(self, cluster: Embedded) -> None:
        self.cluster, self.cache = cluster, Cache(cluster)
        self.routing = Routing(cluster, self.cache, "envoy")
        self.uid = ""

    def canary(self, **service: Any) -> Canary:
        """The Canary of the cluster, with these fields in its service."""
        wanted = manifest(**service)
        made = parse({**wanted, "metadata": {**wanted["metadata"], "uid": self.uid}})
        assert isinstance(made, Canary)
        return made

    async def start(self) -> None:
        # What is owned by nobody who exists is collected.
        self.uid = (await self.cluster.create(manifest()))["metadata"]["uid"]
        for kind in (ROUTE, PROCESS):
            await self.cache.start(kind)
            await self.cache.wait_synced(kind)

    async def route(self) -> Manifest:
        return await self.cluster.get(REF)

    async def edit(self, patch: Manifest, manager: str = "kubectl-edit") -> None:
        self.cache.note(await self.cluster.patch(REF, patch, manager=manager))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place(await Embedded.open(None))
    await made.start()
    yield made
    await made.cache.close()
    await made.cluster.close()


async def test_before_anything_is_written_there_is_no_split(place: Place) -> None:
    live = place.routing.look(place.canary())
    assert (live.split, live.stale) == (None, False)


async def test_what_was_written_is_what_is_there(place: Place) -> None:
    await place.routing.set(place.canary(), HALF)
    live = place.routing.look(place.canary())
    assert (live.split, live.stale, live.writer) == (HALF, False, "")
    [owner] = (await place.route())["metadata"]["ownerReferences"]
    assert owner["uid"] == place.uid


async def test_what_is_as_it_should_be_is_not_written(place: Place) -> None:
    await place.routing.set(place.canary(), HALF)
    before = await place.route()
    await place.routing.set(place.canary(), HALF)
    assert await place.route() == before


STALE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a field that is new": ({}, {"timeout": "15s"}),
    "a field that has another value": ({"timeout": "15s"}, {"timeout": "30s"}),
    "a field that is gone": ({"timeout": "15s"}, {}),
    "a field inside another that is gone": (
        {"retries": {"attempts": 3, "perTryTimeout": "1s"}},
        {"retries": {"attempts": 3}},
    ),
    "an item of a list that is gone": (
        {"match": [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]},
        {"match": [{"uri": {"prefix": "/a"}}]},
    ),
}


@pytest.mark.parametrize(("before", "after"), STALE.values(), ids=STALE)
async def test_an_edit_of_the_spec_is_noticed(
    place: Place, before: dict[str, Any], after: dict[str, Any]
) -> None:
    await place.routing.set(place.canary(**before), HALF)
    live = place.routing.look(place.canary(**after))
    assert (live.split, live.stale) == (HALF, True)
    await place.routing.set(place.canary(**after), HALF)
    assert place.routing.look(place.canary(**after)).stale is False
    spec = (await place.route())["spec"]
    assert spec.get("service", {}) == after


FOREIGN: dict[str, tuple[Manifest, Split, bool, str]] = {
    "another split": (
        {"spec": {"split": {"primary": 10, "canary": 90}}},
        Split.to_canary(90),
        True,  # the signature is that of another split
        "kubectl-edit",
    ),
    "another field of ours": (
        {"spec": {"service": {"timeout": "1s"}}},
        HALF,
        True,
        "kubectl-edit",
    ),
    "a field of ours that is gone": ({"spec": {"service": None}}, HALF, True, ""),
    "our signature": ({"metadata": {"annotations": {RENDERED: "x"}}}, HALF, True, ""),
    "our owner": ({"metadata": {"ownerReferences": None}}, HALF, True, ""),
    "an annotation of theirs": ({"metadata": {"annotations": {"theirs": "x"}}}, HALF, False, ""),
    "a status": ({"status": {"problem": "none"}}, HALF, False, ""),
}


@pytest.mark.parametrize(("patch", "split", "stale", "writer"), FOREIGN.values(), ids=FOREIGN)
async def test_what_somebody_else_wrote(
    place: Place, patch: Manifest, split: Split, *, stale: bool, writer: str
) -> None:
    made = place.canary(timeout="15s")
    await place.routing.set(made, HALF)
    await place.edit(patch)
    live = place.routing.look(made)
    assert (live.split, live.stale, live.writer) == (split, stale, writer)
    await place.routing.set(made, HALF)
    live = place.routing.look(made)
    assert (live.split, live.stale, live.writer) == (HALF, False, "")


async def test_fields_of_others_survive(place: Place) -> None:
    await place.routing.set(place.canary(), HALF)
    await place.edit({"metadata": {"labels": {"team": "a"}}, "spec": {"theirs": {"x": 1}}})
    await place.routing.set(place.canary(), Split())
    route = await place.route()
    assert route["metadata"]["labels"] == {"team": "a"}
    assert route["spec"]["theirs"] == {"x": 1}
    assert Split.model_validate(route["spec"]["split"]) == Split()


async def test_a_data_plane_that_does_not_follow_says_why(place: Place) -> None:
    await place.routing.set(place.canary(), HALF)
    assert "has not taken generation 1" in place.routing.look(place.canary()).pending
    patch: Manifest = {"status": {"observedGeneration": 1}}
    made = await place.cluster.patch(REF, patch, manager="plane", status=True)
    place.cache.note(made)
    assert place.routing.look(place.canary()).pending == ""
    patch = {"status": {"problem": "the port is taken"}}
    place.cache.note(await place.cluster.patch(REF, patch, manager="plane", status=True))
    assert place.routing.look(place.canary()).pending == "the port is taken"


async def test_a_provider_that_is_not_here_is_told_with_those_that_are(place: Place) -> None:
    made = place.canary()
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"provider": "istio"})})
    with pytest.raises(UnknownName, match="envoy"):
        place.routing.look(made)


def unrenderable(self: Envoy, canary: Canary, current: Current, split: Split) -> list[Manifest]:
    """A router that has no words for what the manifest wants of a canary with traffic."""
    if split.canary:
        raise SpecError(Problem(f"Canary {canary.key}", "spec.analysis.match", "x", "y"))
    return WRITTEN(self, canary, current, split)


WRITTEN = Envoy.render


async def test_what_can_not_be_rendered_does_not_keep_traffic_on_the_canary(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.routing.set(place.canary(), HALF)
    monkeypatch.setattr(Envoy, "render", unrenderable)
    live = place.routing.look(place.canary())
    assert (live.split, live.stale) == (HALF, False)
    assert "spec.analysis.match" in live.pending
    await place.routing.set(place.canary(), Split())
    assert place.routing.look(place.canary()).split == Split()


async def test_what_can_not_be_rendered_is_told_at_once_where_no_traffic_is_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.routing.set(place.canary(), Split())

    def never(self: Envoy, canary: Canary, current: Current, split: Split) -> list[Manifest]:
        del self, current, split
        raise SpecError(Problem(f"Canary {canary.key}", "spec.service", "x", "y"))

    monkeypatch.setattr(Envoy, "render", never)
    with pytest.raises(SpecError, match=r"spec\.service"):
        place.routing.look(place.canary())


async def test_what_was_rendered_from_an_older_object_is_not_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.cache.start(TRAEFIK)
    await place.cache.wait_synced(TRAEFIK)
    made = place.canary()
    made = made.model_copy(update={"spec": made.spec.model_copy(update={"provider": "traefik"})})
    await place.routing.set(made, HALF)
    ref = Ref(TRAEFIK, "test", "app")
    old = place.cache.get(ref)
    await place.cluster.patch(ref, {"metadata": {"labels": {"x": "y"}}}, manager="somebody")
    with monkeypatch.context() as late:
        late.setattr(place.cache, "get", {ref: old}.get)
        with pytest.raises(Conflict):
            await place.routing.set(made, Split())
    place.cache.note(await place.cluster.get(ref))
    await place.routing.set(made, Split())
    assert place.routing.look(made) == Live(Split())


async def test_letting_go_leaves_the_route_to_the_target(place: Place) -> None:
    spec = {"template": {"command": ["serve"]}}
    target = await place.cluster.apply(TARGET.manifest(spec=spec), manager="user")
    place.cache.note(target)
    await place.routing.set(place.canary(), Split.to_canary(100))
    await place.routing.release(place.canary())
    route = await place.route()
    [owner] = route["metadata"]["ownerReferences"]
    assert owner["uid"] == target["metadata"]["uid"]
    assert Split.model_validate(route["spec"]["split"]) == Split.to_canary(100)


async def test_letting_go_of_what_is_gone_is_no_trouble(place: Place) -> None:
    await place.routing.release(place.canary())
    await place.routing.set(place.canary(), HALF)
    await place.cluster.delete(REF)
    await place.routing.release(place.canary())
