"""Whole releases of Deployments over the embedded cluster, as Kubernetes would see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary
from canary.crd.status import Phase
from canary.errors import NotFound
from canary.targets.pods import POD_ID
from tests.engine.kubelet import DEPLOYMENT, Deployments, image
from tests.engine.place import FINAL, Place, a_place
from tests.engine.world import CANARY

SERVICE, CONFIG = Kind("v1", "Service"), Kind("v1", "ConfigMap")
SCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler")
TRAEFIK = Kind("traefik.io/v1alpha1", "TraefikService")
PROVIDERS = ("traefik", "kubernetes")


def deployment(v: str, config: str = "look", **spec: Any) -> Manifest:
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": config, "key": "x"}}}]
    container = {"name": "app", "image": f"web:{v}", "env": env}
    template = {"metadata": {"labels": {"app": "front"}}, "spec": {"containers": [container]}}
    fields = {"selector": {"matchLabels": {"app": "front"}}, "template": template, **spec}
    return Ref(DEPLOYMENT, "test", "web").manifest(spec=fields)


def config(x: str, name: str = "look") -> Manifest:
    return Ref(CONFIG, "test", name).manifest(data={"x": x})


def canary(provider: str, **spec: Any) -> Manifest:
    steps = {"stepWeights": [50]} if provider == "traefik" else {"iterations": 2}
    analysis = {
        "interval": "20ms",
        "threshold": 1,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        **steps,
    }
    return Ref(CANARY, "test", "web").manifest(
        spec={
            "provider": provider,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80},
            "progressDeadlineSeconds": 5,
            "analysis": analysis,
            **spec,
        }
    )


class Cluster:
    """A place with Deployments."""

    def __init__(self, place: Place, deployments: Deployments) -> None:
        self.place, self.deployments = place, deployments

    async def get(self, kind: Kind, name: str) -> Manifest:
        return await self.place.cluster.get(Ref(kind, "test", name))

    async def missing(self, kind: Kind, name: str) -> bool:
        try:
            await self.get(kind, name)
        except NotFound:
            return True
        return False

    async def selected(self, name: str) -> str:
        found: str = (await self.get(SERVICE, name))["spec"]["selector"]["app"]
        return found

    async def ready(self, provider: str, **spec: Any) -> Canary:
        await self.place.apply(config("1"), deployment("1"), canary(provider, **spec))
        return await self.place.until("web", lambda each: each.status.phase == "Initialized")

    async def ended(self, v: str) -> Canary:
        def done(each: Canary) -> bool:
            run = each.status.run
            mine = run is not None and f"web:{v}" in run.images
            return mine and each.status.phase in FINAL

        return await self.place.until("web", done)

    async def configured(self, before: Canary) -> Canary:
        """A release has ended that began with other configs."""
        had = before.status.tracked_configs

        def done(each: Canary) -> bool:
            return each.status.phase == "Succeeded" and each.status.tracked_configs != had

        return await self.place.until("web", done)


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    async with a_place(begin=False) as place:
        deployments = Deployments(place.cluster)
        await deployments.start()
        await place.start()
        yield Cluster(place, deployments)
        await deployments.stop()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with a_cluster() as made:
        yield made


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_deployment_is_set_up(cluster: Cluster, provider: str) -> None:
    await cluster.ready(provider)
    primary, target = [await cluster.get(DEPLOYMENT, name) for name in ("web-primary", "web")]
    assert (primary["spec"]["replicas"], target["spec"]["replicas"]) == (1, 0)
    assert primary["spec"]["selector"]["matchLabels"] == {"app": "front-primary"}
    env = primary["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env[0]["valueFrom"]["configMapKeyRef"]["name"] == "look-primary"
    assert (await cluster.get(CONFIG, "look-primary"))["data"] == {"x": "1"}
    found = [await cluster.selected(name) for name in ("web", "web-primary", "web-canary")]
    assert found == ["front-primary", "front-primary", "front"]
    assert await cluster.missing(TRAEFIK, "web") is (provider != "traefik")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_good_version_is_promoted(cluster: Cluster, provider: str) -> None:
    await cluster.ready(provider)
    await cluster.place.apply(deployment("2"))
    ended = await cluster.ended("2")
    assert ended.status.phase == Phase.SUCCEEDED
    primary, target = [await cluster.get(DEPLOYMENT, name) for name in ("web-primary", "web")]
    assert (image(primary), target["spec"]["replicas"]) == ("web:2", 0)
    assert await cluster.selected("web") == "front-primary"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_faulty_version_is_taken_back(cluster: Cluster, provider: str) -> None:
    await cluster.ready(provider)
    cluster.place.images.bad.add("web:2")
    await cluster.place.apply(deployment("2"))
    ended = await cluster.ended("2")
    assert ended.status.phase == Phase.FAILED
    primary, target = [await cluster.get(DEPLOYMENT, name) for name in ("web-primary", "web")]
    assert (image(primary), target["spec"]["replicas"]) == ("web:1", 0)
    assert await cluster.selected("web") == "front-primary"


async def test_a_version_that_never_starts_is_taken_back_with_the_reason_of_its_pods(
    cluster: Cluster,
) -> None:
    await cluster.ready("traefik", progressDeadlineSeconds=1)
    cluster.deployments.bad.add("web:2")
    await cluster.place.apply(deployment("2"))
    ended = await cluster.ended("2")
    run = ended.status.run
    assert run is not None
    assert run.verdict is not None
    assert ended.status.phase == Phase.FAILED
    assert "ImagePullBackOff: no web:2" in run.verdict.reason


async def test_a_change_of_a_config_is_released_like_one_of_the_template(cluster: Cluster) -> None:
    before = await cluster.ready("traefik")
    had = (await cluster.get(DEPLOYMENT, "web-primary"))["spec"]["template"]["metadata"]
    await cluster.place.apply(config("2"))
    ended = await cluster.configured(before)
    assert set(ended.status.tracked_configs or {}) == {"configmap/look"}
    assert (await cluster.get(CONFIG, "look-primary"))["data"] == {"x": "2"}
    has = (await cluster.get(DEPLOYMENT, "web-primary"))["spec"]["template"]["metadata"]
    assert has["annotations"][POD_ID] != had["annotations"][POD_ID], "so that pods are replaced"


async def test_a_config_that_only_a_newer_template_names_is_watched_from_then_on(
    cluster: Cluster,
) -> None:
    await cluster.ready("traefik")
    await cluster.place.apply(config("1", "other"), deployment("2", "other"))
    ended = await cluster.ended("2")
    assert ended.status.phase == Phase.SUCCEEDED
    await cluster.place.apply(config("2", "other"))
    await cluster.configured(ended)
    assert (await cluster.get(CONFIG, "other-primary"))["data"] == {"x": "2"}


async def killed(when: str, number: int) -> bool:
    """Release new configs with a process that dies at a write; False if there are not so many."""
    async with a_cluster() as cluster:
        before, place = await cluster.ready("traefik"), cluster.place
        await place.rests()
        place.port.dies = {when: place.port.writes + number}
        await place.apply(config("2"))

        had = before.status.tracked_configs

        def over(each: Canary) -> bool:
            ended = each.status.phase == "Succeeded" and each.status.tracked_configs != had
            return place.port.dead or ended

        await place.until("web", over)
        await place.rests()
        if place.port.dead:
            await place.restart()
        await cluster.configured(before)
        await place.rests()
        copied = (await cluster.get(CONFIG, "look-primary"))["data"]
        assert copied == {"x": "2"}, f"{when} write {number}"
        target = await cluster.get(DEPLOYMENT, "web")
        assert target["spec"]["replicas"] == 0, f"{when} write {number}"
        return place.port.dies == {}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_write_of_a_release_of_configs_changes_nothing(when: str) -> None:
    for number in range(100):
        if not await killed(when, number):
            break
    assert number > 10


async def test_what_an_idle_canary_needs_is_brought_back_and_nothing_else_is_written(
    cluster: Cluster,
) -> None:
    await cluster.ready("traefik")
    await cluster.place.rests()
    before = await cluster.get(TRAEFIK, "web")
    cluster.place.port.calls.clear()
    patch = {"spec": {"selector": {"app": "somebody"}}}
    place = Ref(SERVICE, "test", "web")
    await cluster.place.cluster.patch(place, patch, manager="somebody")
    for _ in range(1000):
        if await cluster.selected("web") == "front-primary":
            break
        await cluster.place.rests()
    assert await cluster.selected("web") == "front-primary"
    await cluster.place.rests()
    calls = [each for each in cluster.place.port.calls if not each.startswith("get ")]
    assert calls == ["patch Service test/web", "apply TraefikService test/web"]
    assert await cluster.get(TRAEFIK, "web") == before, "which changed nothing"


async def test_an_autoscaler_gets_a_copy_and_says_with_how_many_a_target_wakes(
    cluster: Cluster,
) -> None:
    ref = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "web"}
    spec = {"scaleTargetRef": {"name": "web"}, "minReplicas": 3, "maxReplicas": 5}
    await cluster.place.apply(Ref(SCALER, "test", "web").manifest(spec=spec))
    await cluster.ready("traefik", autoscalerRef=ref)
    copied = (await cluster.get(SCALER, "web-primary"))["spec"]
    assert (copied["scaleTargetRef"]["name"], copied["minReplicas"]) == ("web-primary", 3)
    woken: list[int] = []
    await cluster.place.apply(deployment("2"))
    await cluster.place.until("web", lambda each: each.status.phase == "Progressing")
    for _ in range(10_000):
        woken.append((await cluster.get(DEPLOYMENT, "web"))["spec"]["replicas"])
        if woken[-1]:
            break
        await cluster.place.rests()
    assert woken[-1] == 3
    assert (await cluster.ended("2")).status.phase == Phase.SUCCEEDED


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_deleting_a_canary_gives_the_apex_back_to_the_target(
    cluster: Cluster, provider: str
) -> None:
    await cluster.ready(provider)
    await cluster.place.cluster.delete(Ref(CANARY, "test", "web"))
    for _ in range(10_000):
        gone = await cluster.missing(CANARY, "web") and await cluster.missing(SERVICE, "web-canary")
        if gone:
            break
        await cluster.place.rests()
    assert await cluster.selected("web") == "front"
    assert (await cluster.get(DEPLOYMENT, "web"))["spec"]["replicas"] == 1
    assert await cluster.missing(DEPLOYMENT, "web-primary")
