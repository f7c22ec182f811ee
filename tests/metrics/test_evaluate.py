import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.crd.status import CheckRecord, Outcome
from canary.errors import MultipleValues, NoValues, ProviderError
from canary.http import Http
from canary.judge.threshold import Measurement
from canary.metrics.base import Side, asking
from canary.metrics.evaluate import Checks, Sources, sources

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(seconds=10)

RATE = {"name": "request-success-rate", "thresholdRange": {"min": 99}}
LATENCY = {"name": "request-duration", "thresholdRange": {"max": 500}}
QUERY = {"name": "errors", "query": "up", "thresholdRange": {"max": 5}}
TEMPLATE = {"name": "custom", "templateRef": {"name": "t"}, "thresholdRange": {"max": 5}}


@dataclass
class Scripted:
    """A source that says what it is told to: which source was asked is what is tested here."""

    name: str
    answer: Measurement | Exception = field(default_factory=lambda: Measurement(3.0))
    begun: list[tuple[Canary, datetime]] = field(default_factory=list)
    asked: list[tuple[Canary, Side, datetime, datetime]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    async def begin(self, canary: Canary, now: datetime) -> None:
        self.begun.append((canary, now))
        if isinstance(self.answer, Exception):
            raise self.answer

    def watched_from(self, canary: Canary) -> datetime | None:
        return next((at for whose, at in reversed(self.begun) if whose.uid == canary.uid), None)

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        self.asked.append((canary, side, since, now))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        with asking(f"{self.name} for {metric.name}"):
            if isinstance(self.answer, Exception):
                raise self.answer
        return Measurement(self.answer.value, query=f"{self.name} for {metric.name}")

    async def traffic(self, canary: Canary) -> float | None:
        return 7.0 if self.name == "envoy" and canary.name else None

    async def close(self) -> None: ...


def scripted(**answers: Any) -> dict[str, Scripted]:
    names = ("envoy", "builtin", "inline", "template")
    return {n: Scripted(n, answers[n]) if n in answers else Scripted(n) for n in names}


async def check(canary: Canary, parts: dict[str, Scripted], **options: Any) -> list[CheckRecord]:
    checks = Checks(Sources(**parts), **options)
    return list(await checks.check(canary, T0, LATER))


CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any], str, list[str]]] = {
    "built-in metrics of Envoy come from its admin": (RATE, {}, "envoy", ["envoy"]),
    "a Prometheus in the spec is asked instead": (
        RATE, {"metricsServer": "http://p.test"}, "envoy", ["builtin"],
    ),
    "other providers' built-in metrics come from Prometheus": (
        LATENCY, {"provider": "istio"}, "envoy", ["builtin"],
    ),
    "the provider of the place counts if the spec has none": (LATENCY, {}, "istio", ["builtin"]),
    "a query is for Prometheus": (QUERY, {}, "envoy", ["inline"]),
    "a template has a source of its own": (TEMPLATE, {}, "envoy", ["template"]),
    "a built-in name with a query and a template is asked three times": (
        {**RATE, "query": "up", "templateRef": {"name": "t"}}, {}, "envoy",
        ["envoy", "inline", "template"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("metric", "spec", "provider", "names"), CHOICES.values(), ids=CHOICES)
async def test_who_is_asked(
    canary_of: Any, metric: dict[str, Any], spec: dict[str, Any], provider: str, names: list[str]
) -> None:
    records = await check(canary_of(metric, **spec), scripted(), provider=provider)
    assert [record.query for record in records] == [f"{n} for {metric['name']}" for n in names]


OUTCOMES: dict[str, tuple[Any, Outcome]] = {
    "a value within its bounds passes": (Measurement(3.0), Outcome.PASS),
    "a value outside fails": (Measurement(9.0), Outcome.FAIL),
    "no value is inconclusive": (NoValues("found none"), Outcome.INCONCLUSIVE),
    "several values are an error": (MultipleValues("found two"), Outcome.ERROR),
    "a source that is down is an error": (ProviderError("is down"), Outcome.ERROR),
}


@pytest.mark.parametrize(("answer", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
async def test_outcomes(canary_of: Any, answer: Any, outcome: Outcome) -> None:
    (record,) = await check(canary_of(QUERY), scripted(inline=answer))
    assert record.outcome is outcome
    assert (record.name, record.high, record.query) == ("errors", 5, "inline for errors")
    assert record.reason


async def test_one_failure_hides_no_other_metric_and_the_order_stays(canary_of: Any) -> None:
    parts = scripted(envoy=ProviderError("down"), inline=Measurement(9))
    records = await check(canary_of(RATE, QUERY, {"name": "nothing"}, TEMPLATE), parts)
    assert [(record.name, record.outcome.value) for record in records] == [
        ("request-success-rate", "error"),
        ("errors", "fail"),
        ("nothing", "error"),
        ("custom", "pass"),
    ]


async def test_an_unknown_name_is_an_error_with_the_nearest_one(canary_of: Any) -> None:
    (record,) = await check(canary_of({"name": "request-succes-rate"}), scripted())
    assert record.outcome is Outcome.ERROR
    assert "spec.analysis.metrics[0].name" in record.reason
    assert "did you mean 'request-success-rate'?" in record.reason


async def test_the_older_threshold_of_a_query_called_like_a_rate_is_a_maximum(
    canary_of: Any,
) -> None:
    metric = {"name": "request-success-rate", "threshold": 2, "query": "up"}
    rate, query = await check(canary_of(metric), scripted())
    assert (rate.outcome, rate.low, rate.high) == (Outcome.PASS, 2, None)
    assert (query.outcome, query.low, query.high) == (Outcome.FAIL, None, 2)


async def test_what_is_measured_is_the_canary_in_this_interval(canary_of: Any) -> None:
    canary, parts = canary_of(QUERY), scripted()
    await check(canary, parts)
    assert parts["inline"].asked == [(canary, "canary", T0, LATER)]


async def test_measurements_are_made_side_by_side_up_to_a_limit(canary_of: Any) -> None:
    parts = scripted()
    await check(canary_of(*[QUERY] * 10), parts, at_once=3)
    assert parts["inline"].busiest == 3


async def test_a_beginning_reaches_each_source_once_and_never_fails(canary_of: Any) -> None:
    parts = scripted(envoy=ProviderError("down"))
    await Checks(Sources(**parts)).begin(canary_of(RATE, LATENCY, QUERY), T0)
    assert {name: [now for _, now in part.begun] for name, part in parts.items()} == {
        "envoy": [T0], "builtin": [], "inline": [T0], "template": [],
    }  # fmt: skip


async def test_traffic_is_known_where_envoy_carries_it(canary_of: Any) -> None:
    checks = Checks(Sources(**scripted()))
    assert await checks.traffic(canary_of(metricsServer="http://p.test")) == 7
    assert await checks.traffic(canary_of(provider="istio")) is None


@pytest.fixture
async def real(http: Http, objects: Any) -> AsyncIterator[tuple[Checks, Any]]:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=500, text="broken")

    application = web.Application()
    application.router.add_get("/{path:.*}", refuse)
    async with TestServer(application) as server:
        url = str(server.make_url(""))
        checks = Checks(sources(http, objects, objects.read, metrics_server=url))
        yield checks, url
        await checks.close()


async def test_a_broken_backend_is_an_error_for_every_kind_of_metric(
    real: tuple[Checks, str], canary_of: Any, objects: Any
) -> None:
    checks, url = real
    objects.add(
        {
            "apiVersion": "local.canary/v1", "kind": "Route", "status": {"admin": url},
            "metadata": {"namespace": "default", "name": "podinfo"},
        }
    )  # fmt: skip
    canary = canary_of(RATE, QUERY, TEMPLATE)
    await checks.begin(canary, T0)
    records = await checks.check(canary, T0, LATER)
    assert [record.outcome for record in records] == [Outcome.ERROR] * 3
    assert "answered 500: broken" in records[0].reason
    assert "answered 500: broken" in records[1].reason
    assert await checks.traffic(canary) is None
