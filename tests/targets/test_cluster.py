"""Deployments and Services over a real cluster: their configs, and the objects around them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from canary.cluster.cache import Cache, Keep
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Target
from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, Ending, Run, Split, Verdict
from canary.errors import Conflict, SpecError
from canary.targets.pods import TargetSettings
from canary.targets.records import RECORDS
from canary.targets.references import CONFIG_MAP
from canary.targets.workloads import Workloads

CANARY = Kind("flagger.app/v1beta1", "Canary")
DEPLOYMENT, SERVICE = Kind("apps/v1", "Deployment"), Kind("v1", "Service")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(v: str) -> Manifest:
    source = [{"configMapRef": {"name": "look"}}]
    containers = [{"name": "app", "image": f"web:{v}", "envFrom": source}]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return Ref(DEPLOYMENT, "test", "web").manifest(spec=spec)


def service(color: str) -> Manifest:
    spec = {"selector": {"color": color}, "ports": [{"port": 80}], "clusterIP": "10.0.0.1"}
    return Ref(SERVICE, "test", "web").manifest(spec=spec)


class Place:
    def __init__(self, cluster: Embedded, canary: Canary, settings: TargetSettings) -> None:
        self.cluster, self.canary = cluster, canary
        # As in a real cluster: of configs nothing but that they changed is kept.
        self.cache = Cache(cluster, keep={CONFIG_MAP: Keep.METADATA})
        self.workloads = Workloads(cluster, self.cache, settings)

    async def start(self) -> None:
        for kind in (DEPLOYMENT, SERVICE, RECORDS, CONFIG_MAP):
            await self.cache.start(kind)
            await self.cache.wait_synced(kind)

    async def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            self.cache.note(await self.cluster.apply(manifest, manager="user"))

    async def config(self, x: str) -> None:
        await self.apply(Ref(CONFIG_MAP, "test", "look").manifest(data={"x": x}))

    async def target(self) -> Target:
        await self.workloads.learn(self.canary)
        found = self.workloads.look(self.canary, NOW).target
        assert found is not None
        return found

    def running(self, target: Target) -> Canary:
        """The Canary when it was decided to promote this target."""
        verdict = Verdict(outcome=Ending.PROMOTED, reason="good", at=NOW)
        run = Run(id="run", revision=target.revision, started_at=NOW, verdict=verdict)
        configs = None if target.configs is None else dict(target.configs)
        status = CanaryStatus(run=run, tracked_configs=configs)
        return self.canary.model_copy(update={"status": status})

    async def get(self, kind: Kind, name: str) -> Manifest:
        return await self.cluster.get(Ref(kind, "test", name))


async def placed(kind: Kind, **settings: Any) -> Place:
    cluster = await Embedded.open(None)
    spec = {
        "targetRef": {"apiVersion": kind.api_version, "kind": kind.name, "name": "web"},
        "service": {"port": 80, "name": "shop"},
        "analysis": {"interval": "1m", "threshold": 1, "iterations": 1},
    }
    canary = parse(await cluster.create(Ref(CANARY, "test", "canary").manifest(spec=spec)))
    assert isinstance(canary, Canary)
    made = Place(cluster, canary, TargetSettings(**settings))
    await made.start()
    return made


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = await placed(DEPLOYMENT)
    yield made
    await made.cache.close()
    await made.cluster.close()


@pytest.fixture
async def of_services() -> AsyncIterator[Place]:
    made = await placed(SERVICE)
    yield made
    await made.cache.close()
    await made.cluster.close()


async def test_configs_that_changed_after_the_analysis_are_not_promoted(place: Place) -> None:
    await place.config("1")
    await place.apply(deployment("1"))
    analysed = await place.target()
    await place.workloads.create_primary(place.canary, analysed.revision)
    await place.config("2")
    with pytest.raises(Conflict, match="no longer those that were analysed"):
        await place.workloads.promote(place.running(analysed), analysed.revision)
    assert (await place.get(CONFIG_MAP, "look-primary"))["data"] == {"x": "1"}
    newer = await place.target()
    await place.workloads.promote(place.running(newer), newer.revision)
    assert (await place.get(CONFIG_MAP, "look-primary"))["data"] == {"x": "2"}
    primary = place.workloads.look(place.canary, NOW).primary
    assert primary
    assert primary.configs == newer.configs != analysed.configs


async def test_a_config_is_read_once_a_version(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.config("1")
    await place.apply(deployment("1"))
    read: list[Ref] = []
    get = place.cluster.get

    async def counted(ref: Ref) -> Manifest:
        read.append(ref)
        return await get(ref)

    monkeypatch.setattr(place.cluster, "get", counted)
    for _ in range(3):
        await place.target()
    await place.config("2")
    for _ in range(3):
        await place.target()
    assert read == [Ref(CONFIG_MAP, "test", "look")] * 2


async def test_a_missing_config_is_told_and_starts_no_release(place: Place) -> None:
    await place.apply(deployment("1"))
    found = await place.target()
    assert (found.readiness.ready, found.configs) == (False, None)
    assert "ConfigMap 'look', which does not exist" in found.readiness.reason
    with pytest.raises(SpecError, match="which does not exist"):
        await place.workloads.create_primary(place.canary, found.revision)


async def test_what_is_as_it_should_be_has_not_drifted(place: Place) -> None:
    await place.config("1")
    await place.apply(deployment("1"))
    await place.workloads.create_primary(place.canary, (await place.target()).revision)
    early = {each["metadata"]["name"] for each in (await place.cluster.list(SERVICE)).items}
    assert early == {"shop-primary", "shop-canary"}, "the apex waits for the primary"
    assert place.workloads.drifted(place.canary, Split(), alone=True)
    await place.workloads.route(place.canary, Split(), alone=True)
    assert not place.workloads.drifted(place.canary, Split(), alone=True)
    assert place.workloads.drifted(place.canary, Split.to_canary(100), alone=True)
    assert not place.workloads.drifted(place.canary, Split.to_canary(100), alone=False)
    await place.workloads.route(place.canary, Split.to_canary(100), alone=True)
    assert (await place.get(SERVICE, "shop"))["spec"]["selector"] == {"app": "web"}


async def test_a_service_has_copies_named_for_the_apex_and_never_sleeps(
    of_services: Place,
) -> None:
    place = of_services
    await place.apply(service("blue"))
    blue = await place.target()
    assert (blue.sleeps, blue.awake, blue.configs) == (False, False, None)
    await place.workloads.create_primary(place.canary, blue.revision)
    await place.apply(service("green"))
    await place.workloads.route(place.canary, Split(), alone=True)
    found = [await place.get(SERVICE, name) for name in ("shop-primary", "shop-canary")]
    assert [each["spec"]["selector"]["color"] for each in found] == ["blue", "green"]
    assert all(each["metadata"]["ownerReferences"][0]["uid"] == place.canary.uid for each in found)
    green = await place.target()
    await place.workloads.remember(place.canary, green.revision, blue.revision)
    await place.workloads.promote(place.canary, green.revision)
    assert (await place.get(SERVICE, "shop-primary"))["spec"]["selector"] == {"color": "green"}
    before = await place.get(SERVICE, "web")
    await place.workloads.scale(place.canary, up=False)
    assert await place.get(SERVICE, "web") == before
    assert place.workloads.look(place.canary, NOW).alike


async def test_an_apex_that_was_never_taken_over_is_not_given_back(place: Place) -> None:
    theirs = {"selector": {"app": "web", "tier": "front"}, "ports": [{"port": 80}]}
    await place.config("1")
    await place.apply(deployment("1"), Ref(SERVICE, "test", "shop").manifest(spec=theirs))
    await place.workloads.create_primary(place.canary, (await place.target()).revision)
    await place.workloads.release(place.canary)
    assert (await place.get(SERVICE, "shop"))["spec"] == theirs


async def test_an_apex_that_was_there_before_is_given_back(place: Place) -> None:
    theirs = {"selector": {"app": "web"}, "ports": [{"port": 80}], "sessionAffinity": "ClientIP"}
    await place.config("1")
    await place.apply(deployment("1"), Ref(SERVICE, "test", "shop").manifest(spec=theirs))
    await place.workloads.create_primary(place.canary, (await place.target()).revision)
    await place.workloads.route(place.canary, Split(), alone=True)
    taken = (await place.get(SERVICE, "shop"))["spec"]
    assert (taken["selector"], taken["sessionAffinity"]) == ({"app": "web-primary"}, "ClientIP")
    await place.workloads.release(place.canary)
    given = (await place.get(SERVICE, "shop"))["spec"]
    assert (given["selector"], given["sessionAffinity"]) == ({"app": "web"}, "ClientIP")
