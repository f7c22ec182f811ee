"""What people expect of a data plane beside the split, each by its visible effect."""

import asyncio
import json
import re
import ssl
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.local.envoy.place import Place, Service, until


async def echo(request: web.Request) -> web.StreamResponse:
    """What reached the service."""
    seen = {name.lower(): value for name, value in request.headers.items()}
    body = {"path": request.path_qs, "headers": seen}
    return web.json_response(body, headers={"x-internal": "1"})


def failing(status: int, times: int) -> Any:
    left = [times]

    async def handler(_: web.Request) -> web.StreamResponse:
        left[0] -= 1
        return web.Response(status=status if left[0] >= 0 else 200, text="ok")

    return handler


async def slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.5)
    return web.Response(text="late")


async def test_a_request_that_takes_too_long_is_ended(place: Place) -> None:
    await place.serve("app-primary", slow)
    await place.route(place.canary({"timeout": "100ms"}))
    began = time.monotonic()
    assert (await place.get()).status == 504
    assert time.monotonic() - began < 0.4


async def test_without_a_timeout_a_request_takes_as_long_as_it_takes(place: Place) -> None:
    await place.serve("app-primary", slow)
    await place.route(place.canary())
    assert (await place.get()).text == "late"


async def test_retries_as_asked(place: Place) -> None:
    service = await place.serve("app-primary", failing(503, 2))
    retries = {"attempts": 2, "retryOn": "503", "perTryTimeout": "1s"}
    await place.route(place.canary({"retries": retries}))
    assert (await place.get()).status == 200
    assert len(service.seen) == 3


async def test_does_not_repeat_what_the_service_has_seen_unasked(place: Place) -> None:
    service = await place.serve("app-primary", failing(503, 1))
    await place.route(place.canary())
    assert (await place.get()).status == 503
    assert len(service.seen) == 1


async def test_a_process_that_is_gone_loses_no_request(place: Place) -> None:
    alive, gone = await place.serve("app-primary"), Service("gone")
    await gone.start()
    await place.endpoints("app-primary", alive.endpoint(), gone.endpoint())
    await place.route(place.canary())
    await gone.stop()
    assert await place.count(20) == {"app-primary": 20}


async def test_limits_the_rate(place: Place) -> None:
    await place.both()
    route = await place.route(place.canary(annotations={"rate-limit": "5/h"}))
    assert await place.count(12) == {"app-primary": 5, "429": 7}
    alone = int(route["status"]["listeners"]["primary"].split(":")[1])
    assert (await place.get(port=alone)).status == 200


async def test_breaks_the_circuit(place: Place) -> None:
    service = await place.serve("app-primary", slow)
    pool = {"connectionPool": {"http": {"http1MaxPendingRequests": 1}}}
    await place.route(place.canary({"trafficPolicy": pool}, annotations={"max-connections": "1"}))
    first = asyncio.create_task(place.get())

    async def arrived() -> int:
        return len(service.seen)

    await until(arrived, 1)
    more = await asyncio.gather(*(place.get() for _ in range(4)))
    # The only connection is busy: one waits for it, and no more may.
    assert Counter(answer.status for answer in more) == {200: 1, 503: 3}
    assert (await first).status == 200


async def test_ejects_a_process_that_only_fails(place: Place) -> None:
    good, bad = await place.serve("app-primary"), Service("bad", handler=failing(500, 1000))
    await bad.start()
    place.services["bad"] = bad
    await place.endpoints("app-primary", good.endpoint(), bad.endpoint())
    outliers = {"consecutive5xxErrors": 3, "interval": "1s", "baseEjectionTime": "30s"}
    await place.route(place.canary({"trafficPolicy": {"outlierDetection": outliers}}))
    found = await place.count(40)
    assert found == {"app-primary": 37, "500": 3}


BALANCERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a ring by header": ({"consistentHash": {"httpHeaderName": "x-user"}}, {}),
    "maglev by header": (
        {"consistentHash": {"httpHeaderName": "x-user"}},
        {"load-balancer": "maglev"},
    ),
}


@pytest.mark.parametrize(("balancer", "annotations"), BALANCERS.values(), ids=BALANCERS)
async def test_the_same_user_reaches_the_same_process(
    place: Place, balancer: dict[str, Any], annotations: dict[str, str]
) -> None:
    first, second = await place.both()
    await place.endpoints("app-primary", first.endpoint(), second.endpoint())
    policy = {"trafficPolicy": {"loadBalancer": balancer}}
    await place.route(place.canary(policy, annotations=annotations))
    found = [await place.count(5, headers={"x-user": str(user)}) for user in range(20)]
    assert all(len(each) == 1 for each in found)
    assert sum(found, Counter()).keys() == {"app", "app-primary"}


@pytest.mark.parametrize("simple", ["ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM"])
async def test_shares_requests_among_processes(place: Place, simple: str) -> None:
    first, second = await place.both()
    await place.endpoints("app-primary", first.endpoint(), second.endpoint())
    balancer = {"simple": simple, "warmupDurationSecs": "1s"}
    await place.route(place.canary({"trafficPolicy": {"loadBalancer": balancer}}))
    assert min((await place.count(60)).values()) > 10


async def test_changes_headers(place: Place) -> None:
    await place.serve("app-primary", echo)
    headers = {
        "request": {"add": {"x-a": "1"}, "set": {"x-b": "new"}, "remove": ["x-c"]},
        "response": {"set": {"x-d": "2"}, "remove": ["x-internal"]},
    }
    await place.route(place.canary({"headers": headers}))
    answer = await place.get(headers={"x-b": "old", "x-c": "3"})
    seen = json.loads(answer.text)["headers"]
    assert (seen["x-a"], seen["x-b"], seen.get("x-c")) == ("1", "new", None)
    assert (answer.headers["x-d"], answer.headers.get("x-internal")) == ("2", None)


REWRITES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the prefix that was matched": (
        {"match": [{"uri": {"prefix": "/api"}}], "rewrite": {"uri": "/v1"}},
        "/api/x?q=1",
        "/v1/x?q=1",
    ),
    "a prefix with nothing": (
        {"match": [{"uri": {"prefix": "/api"}}], "rewrite": {"uri": "/"}},
        "/api/x",
        "/x",
    ),
    "the root with a prefix": (
        {"rewrite": {"uri": "/v1", "type": "ReplacePrefixMatch"}},
        "/x?q=1",
        "/v1/x?q=1",
    ),
    "the whole path": (
        {
            "match": [{"uri": {"prefix": "/api"}}],
            "rewrite": {"uri": "/v1", "type": "ReplaceFullPath"},
        },
        "/api/x?q=1",
        "/v1?q=1",
    ),
    "the whole path where none was matched": ({"rewrite": {"uri": "/v1"}}, "/x?q=1", "/v1?q=1"),
    "the path of an exact match": (
        {"match": [{"uri": {"exact": "/x"}}], "rewrite": {"uri": "/y"}},
        "/x",
        "/y",
    ),
}


@pytest.mark.parametrize(("service", "path", "reached"), REWRITES.values(), ids=REWRITES)
async def test_rewrites(place: Place, service: dict[str, Any], path: str, reached: str) -> None:
    await place.serve("app-primary", echo)
    await place.route(place.canary(service))
    assert json.loads((await place.get(path)).text)["path"] == reached


async def test_rewrites_the_authority(place: Place) -> None:
    await place.serve("app-primary", echo)
    await place.route(place.canary({"rewrite": {"authority": "shop.test"}}))
    assert json.loads((await place.get()).text)["headers"]["host"] == "shop.test"


async def test_answers_browsers_of_other_origins(place: Place) -> None:
    await place.both()
    cors = {
        "allowOrigins": [{"regex": "https://.*\\.test"}],
        "allowMethods": ["GET", "PUT"],
        "maxAge": "1h",
        "allowCredentials": True,
    }
    await place.route(place.canary({"corsPolicy": cors}))
    asked = {"Origin": "https://a.test", "Access-Control-Request-Method": "PUT"}
    answer = await place.get(method="OPTIONS", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://a.test"
    assert answer.headers["access-control-allow-methods"] == "GET,PUT"
    assert answer.headers["access-control-max-age"] == "3600"
    stranger = await place.get(headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in stranger.headers


async def test_copies_to_services_that_are_named(place: Place) -> None:
    await place.both()
    shadow = await place.serve("shadow")
    mirror = [{"backendRef": {"kind": "Process", "name": "shadow"}}]
    await place.route(place.canary({"mirror": mirror}))
    assert await place.count(10) == {"app-primary": 10}

    async def copies() -> int:
        return len(shadow.seen)

    await until(copies, 10)
    await place.route(place.canary())
    await place.count(5)
    assert len(shadow.seen) == 10


async def test_writes_who_called_and_who_answered(place: Place) -> None:
    await place.both()
    await place.route(place.canary())
    await place.get(
        "/a?b=c", method="POST", data="12345", headers={"user-agent": "me", "x-request-id": "r-1"}
    )
    [row] = await place.access_log(1)
    wanted = {
        "route": "test/app",
        "listener": "apex",
        "version": "test/app/primary",
        "process": "app-primary-0",
        "upstream": f"127.0.0.1:{place.services['app-primary'].port}",
        "method": "POST",
        "path": "/a?b=c",
        "protocol": "HTTP/1.1",
        "user_agent": "me",
        "request_id": "r-1",
        "code": 200,
        "flags": "-",
        "bytes_in": 5,
        "bytes_out": len("app-primary"),
        "tls": None,
    }
    assert {field: row[field] for field in wanted} == wanted
    assert row["caller"].startswith("127.0.0.1:")
    assert row["duration_ms"] >= 0


class Authority:
    """A certificate authority of the machine's openssl, for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt"
        )

    def run(self, command: str) -> None:
        argv = ["openssl", *command.split()]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)

    def issue(self, name: str) -> tuple[str, str]:
        """(certificate, key) for a name and 127.0.0.1."""
        self.run(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        names = self.folder / f"{name}.ext"
        names.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1")
        self.run(
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
            f" -extfile {names} -out {name}.crt"
        )
        return str(self.folder / f"{name}.crt"), str(self.folder / f"{name}.key")

    @property
    def file(self) -> str:
        return str(self.folder / "ca.crt")

    def client(self, *certificate: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        if certificate:
            context.load_cert_chain(*certificate)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


async def test_speaks_tls_to_users_and_asks_for_their_certificate(
    place: Place, authority: Authority
) -> None:
    await place.both()
    cert, key = authority.issue("shop.test")
    tls = {"cert": cert, "key": key, "clientCa": authority.file}
    await place.route(place.canary(annotations={"tls": json.dumps(tls)}))
    mine = authority.client(*authority.issue("visitor"))
    answer = await place.get(scheme="https", ssl=mine)
    assert answer.text == "app-primary"
    with pytest.raises(aiohttp.ClientError):
        await place.get(scheme="https", ssl=authority.client())
    with pytest.raises(aiohttp.ClientError):
        await place.get()
    row = (await place.access_log(1))[0]
    assert (row["tls"], row["caller_certificate"]) == ("TLSv1.3", "CN=visitor")


async def test_speaks_mutual_tls_to_the_service(place: Place, authority: Authority) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(*authority.issue("service.test"))
    context.verify_mode = ssl.CERT_REQUIRED
    await place.serve("app-primary", tls=context)
    cert, key = authority.issue("envoy")
    tls = {
        "mode": "MUTUAL",
        "caCertificates": authority.file,
        "clientCertificate": cert,
        "privateKey": key,
        "sni": "service.test",
        "subjectAltNames": ["service.test"],
    }
    await place.route(place.canary({"trafficPolicy": {"tls": tls}}))
    assert (await place.get()).text == "app-primary"
    await place.route(
        place.canary({"trafficPolicy": {"tls": {**tls, "subjectAltNames": ["else.test"]}}})
    )
    assert (await place.get()).status == 503


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXTS = {
    "W3C": ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TRACE),
    "B3 in one header": ({"b3": f"{TRACE}-{SPAN}-1"}, TRACE),
    "B3 in several headers": (
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"},
        TRACE,
    ),
    "B3 with a short trace": (
        {"x-b3-traceid": TRACE[16:], "x-b3-spanid": SPAN, "x-b3-sampled": "1"},
        "0" * 16 + TRACE[16:],
    ),
    "B3 that leaves sampling to us": ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}, TRACE),
    "none": ({}, ""),
}


@pytest.mark.parametrize(("headers", "trace"), CONTEXTS.values(), ids=CONTEXTS)
async def test_carries_a_trace_on_in_both_formats(
    place: Place, headers: dict[str, str], trace: str
) -> None:
    await place.serve("app-primary", echo)
    collector = await place.serve("collector")
    await place.route(place.canary(annotations={"tracing": f"127.0.0.1:{collector.port}"}))
    seen = json.loads((await place.get(headers=headers)).text)["headers"]
    found = re.fullmatch(r"00-(\w{32})-(\w{16})-01", seen["traceparent"])
    assert found is not None
    assert trace in ("", found[1])
    assert found[2] != SPAN
    assert (seen["x-b3-traceid"], seen["x-b3-spanid"], seen["x-b3-sampled"]) == (
        found[1],
        found[2],
        "1",
    )
    assert seen["b3"] == f"{found[1]}-{found[2]}-1"
    [row] = await place.access_log(1)
    assert row["trace_id"] == found[1]


async def test_exports_spans_over_otlp(place: Place) -> None:
    bodies = list[bytes]()

    async def collect(request: web.Request) -> web.StreamResponse:
        assert request.path == "/v1/traces"
        bodies.append(await request.read())
        return web.Response()

    await place.serve("app-primary")
    collector = await place.serve("collector", collect)
    await place.route(place.canary(annotations={"tracing": f"127.0.0.1:{collector.port}"}))
    await place.get(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})

    async def exported() -> bool:
        return any(bytes.fromhex(TRACE) in body for body in bodies)

    # Envoy collects spans for up to five seconds before it sends them.
    await until(exported, True, within=10)


async def test_a_context_that_is_not_sampled_stays_so(place: Place) -> None:
    await place.serve("app-primary", echo)
    await place.route(place.canary(annotations={"tracing": "127.0.0.1:9"}))
    seen = json.loads((await place.get(headers={"b3": f"{TRACE}-{SPAN}-0"})).text)["headers"]
    assert seen["traceparent"].startswith(f"00-{TRACE}-")
    assert seen["traceparent"].endswith("-00")
    assert seen["x-b3-sampled"] == "0"
