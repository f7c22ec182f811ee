"""Real requests through a real proxy, seen by a real Prometheus."""

import sys
from collections import Counter
from functools import partial
from typing import Any

import aiohttp
import pytest

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import Api
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.node.settings import Program
from tests.cluster.harness.prometheus import Prometheus
from tests.cluster.harness.traefik import PROVIDERS, Traefik
from tests.harness.eventually import eventually
from tests.harness.manifests import (
    DEPLOYMENT,
    PORT,
    container,
    deployment,
    endpoints,
    pod,
    rolled,
    service,
)

ROUTE = Kind("traefik.io/v1alpha1", "IngressRoute")
SPLIT = Kind("traefik.io/v1alpha1", "TraefikService")
REQUESTS = 200


def split(namespace: str, *shares: int) -> Manifest:
    weights = dict(zip(("podinfo-primary", "podinfo-canary"), shares, strict=False))
    services = [{"name": name, "port": 80, "weight": share} for name, share in weights.items()]
    return Ref(SPLIT, namespace, "podinfo").manifest(spec={"weighted": {"services": services}})


def route(namespace: str) -> Manifest:
    rule = {
        "match": f"Host(`{namespace}.example`)",
        "kind": "Rule",
        "services": [{"name": "podinfo", "kind": "TraefikService"}],
    }
    spec = {"entryPoints": ["web"], "routes": [rule]}
    return Ref(ROUTE, namespace, "podinfo").manifest(spec=spec)


async def answers(traefik: Traefik, namespace: str, number: int) -> Counter[str]:
    """How often each version answered; other answers are counted by their status."""
    counter: Counter[str] = Counter()
    headers = {"Host": f"{namespace}.example"}
    async with aiohttp.ClientSession(f"http://{traefik.address}", headers=headers) as session:
        for _ in range(number):
            async with session.get("/") as reply:
                found = reply.status == 200
                counter[reply.headers["x-version"] if found else str(reply.status)] += 1
    return counter


async def test_traefik_splits_as_asked_and_prometheus_sees_it(
    api: Api, namespace: str, traefik: Traefik, prometheus: Prometheus
) -> None:
    for name, image in {"podinfo-primary": "podinfo:1", "podinfo-canary": "podinfo:2"}.items():
        await api.apply(deployment(namespace, container(image), name=name, replicas=1))
        await api.apply(service(namespace, name))
    for name in ("podinfo-primary", "podinfo-canary"):
        await api.until(Ref(DEPLOYMENT, namespace, name), rolled)
        await eventually(partial(endpoints, api, namespace, name), has_endpoint)
    await api.apply(split(namespace, 90, 10))
    await api.apply(route(namespace))
    await eventually(lambda: answers(traefik, namespace, 1), lambda found: "1" in found)
    before = await seen_by(prometheus, namespace)

    # The rotation is exact, but it begins anew whenever some route, of whomever, changes.
    counted = await answers(traefik, namespace, REQUESTS)
    assert counted.total() == counted["1"] + counted["2"]
    assert counted["2"] == pytest.approx(20, abs=4)

    await api.apply(split(namespace, 50, 50))
    await eventually(lambda: answers(traefik, namespace, 10), lambda found: found["2"] == 5)
    after = await eventually(
        lambda: seen_by(prometheus, namespace),
        lambda found: found["podinfo-primary"] - before["podinfo-primary"] >= 185,
    )
    assert after["podinfo-canary"] - before["podinfo-canary"] >= 25


async def test_a_proxy_that_was_killed_is_the_same_one_again(
    cluster: Cluster, api: Api, namespace: str, traefik: Traefik
) -> None:
    await api.apply(deployment(namespace, name="podinfo-primary", replicas=1))
    await api.apply(service(namespace, "podinfo-primary"))
    await api.apply(split(namespace, 100))
    await api.apply(route(namespace))
    await eventually(lambda: answers(traefik, namespace, 1), lambda found: "1" in found)
    traefik.process.kill()
    with pytest.raises(aiohttp.ClientConnectorError):
        await answers(traefik, namespace, 1)
    assert await cluster.traefik(*PROVIDERS) is traefik
    await eventually(lambda: answers(traefik, namespace, 1), lambda found: "1" in found)


METRICS = """
import os
from wsgiref.simple_server import make_server
from prometheus_client import Counter, make_wsgi_app
Counter("answers", "").inc(42)
make_server(os.environ["HOST"], int(os.environ["PORT"]), make_wsgi_app()).serve_forever()
"""


async def test_prometheus_reads_pods_that_ask_for_it(
    cluster: Cluster, api: Api, namespace: str, prometheus: Prometheus
) -> None:
    cluster.use_images({"metrics:*": Program([sys.executable, "-c", METRICS])})
    asks = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    loud = pod(namespace, container("metrics:1"), name="loud")
    loud["metadata"]["annotations"] = asks
    await api.create(loud)
    await api.create(pod(namespace, container("metrics:1"), name="quiet"))
    query = f'answers_total{{namespace="{namespace}"}}'
    found = await eventually(lambda: ask(prometheus, query))
    assert [(each["metric"]["pod"], each["value"][1]) for each in found] == [("loud", "42")]


def has_endpoint(found: dict[str, bool]) -> bool:
    return True in found.values()


async def seen_by(prometheus: Prometheus, namespace: str) -> Counter[str]:
    """Requests by service, from the series that the built-in queries read."""
    query = f'traefik_service_requests_total{{service=~"{namespace}-.*"}}'
    found = await ask(prometheus, query)
    counter: Counter[str] = Counter()
    for series in found:
        name = series["metric"]["service"].removeprefix(f"{namespace}-").rpartition("-")[0]
        counter[name] += int(series["value"][1])
    return counter


async def ask(prometheus: Prometheus, query: str) -> list[Any]:
    async with (
        aiohttp.ClientSession(prometheus.url) as session,
        session.get("/api/v1/query", params={"query": query}) as reply,
    ):
        return list((await reply.json())["data"]["result"])
