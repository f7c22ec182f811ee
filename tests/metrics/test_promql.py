"""Prometheus, and everything that is asked of it, against a server with its documented replies."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from canary.crd.analysis import Metric
from canary.errors import (
    CanaryError,
    MultipleValues,
    NoValues,
    ProviderError,
    SpecError,
    UnknownName,
)
from canary.metrics.base import asked
from canary.metrics.prometheus import LIMIT, Prometheus, Server, server_of
from canary.metrics.promql import Builtin, Inline, Template

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(seconds=20)


def vector(*values: Any) -> dict[str, Any]:
    result = [{"metric": {"pod": str(n)}, "value": [1.7e9, v]} for n, v in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def bad(status: int, kind: str, text: str) -> web.Response:
    body = {"status": "error", "errorType": kind, "error": text}
    return web.json_response(body, status=status)


@dataclass
class Recorder:
    """Answers each query as told, and keeps what was asked."""

    url: str = ""
    reply: Callable[[str], Any] = lambda _: vector("1")
    queries: list[str] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(request.query["query"])
        self.headers.append(request.headers)
        reply = self.reply(request.query["query"])
        if asyncio.iscoroutine(reply):
            reply = await reply
        return reply if isinstance(reply, web.Response) else web.json_response(reply)


@pytest.fixture
async def server() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    application = web.Application()
    application.router.add_get("/base/api/v1/query", recorder.handle)
    async with TestServer(application) as running:
        recorder.url = str(running.make_url("/base"))
        yield recorder


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    prometheus = Prometheus(timeout=2)
    yield prometheus
    await prometheus.close()


async def never() -> dict[str, Any]:
    await asyncio.sleep(60)
    return vector("1")


def packed(text: str) -> web.Response:
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(text.encode()), headers=headers)


def matrix() -> dict[str, Any]:
    result = [{"metric": {}, "values": [[1.7e9, "1"], [1.7e9 + 1, "2"]]}]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def scalar() -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "scalar", "result": [1.7e9, "1"]}}


ROWS: dict[str, tuple[Callable[[], Any], float | type[CanaryError], str]] = {
    "one series gives its value": (lambda: vector("99.5"), 99.5, ""),
    "an empty result is no value": (vector, NoValues, "found no series"),
    "NaN is no value": (lambda: vector("NaN"), NoValues, "nan: there was nothing"),
    "infinity is no value (it was one elsewhere)": (lambda: vector("+Inf"), NoValues, "inf"),
    "several series are an error (the last one won elsewhere)": (
        lambda: vector("1", "2"), MultipleValues, "2 series where one value is expected",
    ),
    "a range is several values": (matrix, MultipleValues, "gives a range"),
    "a scalar is an error": (scalar, ProviderError, "a scalar or a string"),
    "text that is no number is an error": (lambda: vector("x"), ProviderError, "no value that is"),
    "a syntax error is told in Prometheus' words": (
        lambda: bad(400, "bad_data", "parse error: unexpected end"), ProviderError,
        r"127\.0\.0\.1:\d+ answered 400: parse error: unexpected end$",
    ),
    "a failed execution is told, too": (
        lambda: bad(422, "execution", "found duplicate series"), ProviderError, "422: found dupl",
    ),
    "a server that is busy is asked once, not four times": (
        lambda: bad(503, "timeout", "query timed out"), ProviderError, "503: query timed out",
    ),
    "a page of a proxy is quoted": (
        lambda: web.Response(status=502, text="<html>\nBad Gateway"), ProviderError,
        "502: <html> Bad Gateway",
    ),
    "a page that pretends to be fine is no answer": (
        lambda: web.Response(text="<html>"), ProviderError, "does not answer as Prometheus does",
    ),
    "an answer without end is not read to it": (
        lambda: web.Response(text="1" * (LIMIT + 1)), ProviderError, "more than 1048576 bytes",
    ),
    "an answer that is packed is measured unpacked": (
        lambda: packed("1" * (LIMIT + 1)), ProviderError, "takes more than 1048576 bytes",
    ),
    "an answer that is packed can be read": (
        lambda: packed(json.dumps(vector("2"))), 2.0, "",
    ),
    "an answer nested without end is no answer": (
        lambda: web.Response(text="[" * 200_000), ProviderError, "does not answer as Prometheus",
    ),
    "an answer without data is no answer": (
        lambda: {"status": "success"}, ProviderError, "does not answer as Prometheus does",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "expected", "message"), ROWS.values(), ids=ROWS)
async def test_replies(
    prometheus: Prometheus,
    server: Recorder,
    reply: Callable[[], Any],
    expected: float | type[CanaryError],
    message: str,
) -> None:
    server.reply = lambda _: reply()
    if isinstance(expected, float):
        assert await prometheus.query(Server(server.url), "up") == expected
    else:
        with pytest.raises(CanaryError, match=message) as caught:
            await prometheus.query(Server(server.url), "up")
        assert type(caught.value) is expected
    assert server.queries == ["up"]


async def test_a_silent_server_is_given_up(server: Recorder) -> None:
    prometheus = Prometheus(timeout=0.2)
    server.reply = lambda _: never()
    with pytest.raises(ProviderError, match=r"did not answer within 0\.2 s"):
        await prometheus.query(Server(server.url), "up")
    await prometheus.close()


async def test_a_server_that_drips_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(200):
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    application = web.Application()
    application.router.add_get("/api/v1/query", drip)
    prometheus = Prometheus(timeout=0.3)
    async with TestServer(application) as running:
        url = str(running.make_url("")).rstrip("/")
        with pytest.raises(ProviderError, match=r"takes more than 1048576 bytes or 0\.3 s"):
            await prometheus.query(Server(url), "up")
    await prometheus.close()


async def test_connections_are_used_again() -> None:
    ports = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.json_response(vector("1"))

    application = web.Application()
    application.router.add_get("/api/v1/query", note)
    prometheus = Prometheus(at_once=1)
    async with TestServer(application) as running:
        for _ in range(3):
            await prometheus.query(Server(str(running.make_url("")).rstrip("/")), "up")
        await prometheus.close()
    assert len(set(ports)) == 1


async def test_a_server_that_is_gone_is_named(prometheus: Prometheus) -> None:
    async with TestServer(web.Application()) as running:
        gone = str(running.make_url(""))
    with pytest.raises(ProviderError, match=r"Prometheus at 127\.0\.0\.1:\d+ can't be reached"):
        await prometheus.query(Server(gone), "up")


async def test_queries_wait_for_each_other_only_up_to_a_limit(server: Recorder) -> None:
    both = asyncio.Event()

    async def together() -> dict[str, Any]:
        if len(server.queries) == 2:
            both.set()
        await both.wait()
        return vector("1")

    server.reply = lambda _: together()
    prometheus = Prometheus(timeout=5, at_once=2)
    queries = (prometheus.query(Server(server.url), "up") for _ in range(6))
    assert await asyncio.gather(*queries) == [1.0] * 6
    await prometheus.close()


def secret(**keys: str) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in keys.items()}
    return {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": "default", "name": "prom"}, "data": data,
    }  # fmt: skip


CREDENTIALS: dict[str, tuple[dict[str, Any] | None, str | None]] = {
    "without a Secret nothing is sent": (None, None),
    "a token is a bearer token": (secret(token="t"), "Bearer t"),
    "a token wins over a password": (secret(token="t", username="u", password="p"), "Bearer t"),
    "user and password are basic auth": (secret(username="u", password="p"), "Basic dTpw"),
}


@pytest.mark.parametrize(("given", "expected"), CREDENTIALS.values(), ids=CREDENTIALS)
async def test_credentials(
    prometheus: Prometheus,
    server: Recorder,
    given: dict[str, Any] | None,
    expected: str | None,
) -> None:
    chosen = server_of(f"{server.url}?x=1", {"X-Scope": ("a", "b")}, given)
    for _ in range(3):
        await prometheus.query(chosen, "up")
    # The same each time: elsewhere one more Authorization is added to shared headers per query.
    assert [headers.getall("Authorization", [None]) for headers in server.headers] == [
        [expected]
    ] * 3
    assert server.headers[0]["X-Scope"] == "a, b"


def test_a_token_replaces_a_header_that_was_configured() -> None:
    chosen = server_of("http://p.test", {"authorization": ("old",)}, secret(token="new"))
    assert chosen.headers == (("Authorization", "Bearer new"),)


def test_a_secret_with_half_of_a_login_is_refused() -> None:
    with pytest.raises(SpecError, match="only the keys username, expected token, or username and"):
        server_of("http://p.test", secret=secret(username="u"), where="Secret default/prom")


def test_a_server_does_not_show_its_credentials() -> None:
    assert "hidden" not in repr(server_of("http://u:hidden@p.test", secret=secret(token="hidden")))


@pytest.mark.parametrize("address", ["", "prometheus:9090", "ftp://p.test", "/x"])
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(SpecError, match="expected an http or https URL"):
        server_of(address)


def metric(name: str, **fields: Any) -> Metric:
    return Metric.model_validate({"name": name, **fields})


async def test_a_success_rate_comes_with_its_sample_size(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    server.reply = lambda query: vector("1202.7" if "increase" in query else "99.5")
    source = Builtin(prometheus, server.url, "envoy")
    found = await source.measure(
        canary_of(), metric("request-success-rate", interval="30s"), "canary", T0, LATER
    )
    assert (found.value, found.samples, found.failures, found.unit) == (99.5, 1203, 6, "%")
    # Twenty seconds have passed, so a window of thirty would reach into another weight.
    assert found.window == 20
    assert (
        found.query
        == server.queries[0]
        == (
            "100 * (sum(rate(envoy_cluster_upstream_rq_xx"
            '{envoy_cluster_name="default/podinfo/canary",envoy_response_code_class!="5"}[20000ms]))'
            " or vector(0)) / sum(rate(envoy_cluster_upstream_rq_xx"
            '{envoy_cluster_name="default/podinfo/canary"}[20000ms]))'
        )
    )


async def test_a_duration_is_the_p99_of_one_side(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    source = Builtin(prometheus, server.url, "envoy")
    canary = canary_of(service={"port": 80, "name": "front"})
    found = await source.measure(
        canary, metric("request-duration", interval="5s"), "primary", T0, LATER
    )
    assert (found.window, found.unit) == (5, "ms")
    # By the name of the service: objects are named after it, not after the target.
    assert found.query == (
        "histogram_quantile(0.99, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket"
        '{envoy_cluster_name="default/front/primary"}[5000ms])))'
    )


async def test_a_missing_sample_size_does_not_take_the_number_away(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    server.reply = lambda query: bad(503, "x", "y") if "increase" in query else vector("100")
    source = Builtin(prometheus, server.url, "envoy")
    found = await source.measure(canary_of(), metric("request-success-rate"), "canary", T0, LATER)
    assert (found.value, found.samples) == (100, None)


async def test_no_requests_are_told_with_the_query_that_found_none(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    server.reply = lambda _: vector("NaN")
    source = Builtin(prometheus, server.url, "envoy")
    with pytest.raises(NoValues, match="no requests to the canary in the last 20 s") as caught:
        await source.measure(canary_of(), metric("request-success-rate"), "canary", T0, LATER)
    assert asked(caught.value) == server.queries[0]


async def test_a_provider_without_queries_is_refused_rather_than_guessed(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    source = Builtin(prometheus, server.url, "envoy")
    with pytest.raises(UnknownName, match="found 'istio', expected one of envoy"):
        await source.measure(
            canary_of(provider="istio"), metric("request-duration"), "canary", T0, LATER
        )


async def test_the_canarys_own_prometheus_comes_first(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    source = Inline(prometheus, "http://127.0.0.1:1")
    text = "sum(rate(x{app='{{ target }}'}[{{ interval }}]))"
    found = await source.measure(
        canary_of(metricsServer=server.url), metric("x", query=text), "canary", T0, LATER
    )
    assert found.value == 1
    assert server.queries == ["sum(rate(x{app='podinfo'}[1m]))"]


async def test_without_any_prometheus_it_says_where_one_is_set(
    prometheus: Prometheus, canary_of: Any
) -> None:
    with pytest.raises(SpecError, match=r"spec\.metricsServer.*CANARY_METRICS_SERVER"):
        await Inline(prometheus).measure(canary_of(), metric("x", query="up"), "canary", T0, LATER)


async def test_an_inline_query_that_can_not_be_rendered_is_not_sent(
    prometheus: Prometheus, server: Recorder, canary_of: Any
) -> None:
    with pytest.raises(SpecError, match="line 1, column 4: found 'targe'"):
        await Inline(prometheus, server.url).measure(
            canary_of(), metric("x", query="up {{ targe }}"), "canary", T0, LATER
        )
    assert server.queries == []


def template(address: str, query: str = "up{x='{{ variables.x }}'}", **provider: Any) -> Any:
    return {
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate",
        "metadata": {"namespace": "default", "name": "errors"},
        "spec": {"query": query,
                 "provider": {"type": "prometheus", "address": address, **provider}},
    }  # fmt: skip


ERRORS = metric("errors", templateRef={"name": "errors"}, templateVariables={"x": "1"})


async def test_a_template_is_asked_with_the_secret_of_its_namespace(
    prometheus: Prometheus, server: Recorder, canary_of: Any, objects: Any
) -> None:
    objects.add(template(server.url, secretRef={"name": "prom"}))
    objects.add(secret(token="t"))
    source = Template(prometheus, objects, objects.read)
    found = await source.measure(canary_of(), ERRORS, "canary", T0, LATER)
    assert (found.value, server.queries) == (1, ["up{x='1'}"])
    assert server.headers[0]["Authorization"] == "Bearer t"


MISSING: dict[str, tuple[list[Any], str]] = {
    "the template is missing": (
        [], r"metrics\[errors\]\.templateRef: found nothing there, expected MetricTemplate",
    ),
    "the Secret is missing": (
        [template("http://p.test", secretRef={"name": "prom"})],
        "MetricTemplate default/errors: spec.provider.secretRef: found nothing there",
    ),
    "the provider is none that is known here": (
        [template("", type="datadog", secretRef={"name": "s"})],
        "found 'datadog', expected one of prometheus",
    ),
    "the address is missing": ([template("")], "default/errors: spec.provider.address"),
    "a field is mistyped": (
        [template("http://p.test", adress="x")], "spec.provider.adress",
    ),
    "a variable is missing": (
        [template("http://p.test", "{{ variables.y }}")],
        "MetricTemplate default/errors: spec.query, line 1, column 1: found 'variables.y'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("manifests", "message"), MISSING.values(), ids=MISSING)
async def test_a_template_is_refused_if(
    prometheus: Prometheus, canary_of: Any, objects: Any, manifests: list[Any], message: str
) -> None:
    for manifest in manifests:
        objects.add(manifest)
    with pytest.raises(SpecError, match=message):
        await Template(prometheus, objects, objects.read).measure(
            canary_of(), ERRORS, "canary", T0, LATER
        )
