"""Hooks against a real server that keeps what arrives."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from canary.core.facts import HookAnswer, HookType
from canary.crd.analysis import Webhook
from canary.crd.canary import Canary
from canary.crd.status import Announcement, Phase
from canary.errors import ProviderError
from canary.hooks.call import Hooks
from canary.hooks.payload import checksum
from canary.http import Http

ROLLOUT = HookType.ROLLOUT


@dataclass
class Arrived:
    method: str
    path: str
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers each path with its script, whose last line is repeated."""

    url: str = ""
    scripts: dict[str, list[Any]] = field(default_factory=dict)
    arrived: list[Arrived] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.arrived.append(Arrived(request.method, request.path, request.headers, body))
        script = self.scripts.get(request.path, [200])
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer == "hang":
            await asyncio.sleep(60)
        if isinstance(answer, int):
            return web.Response(status=answer, text=f"says {answer}")
        status, headers = answer
        return web.Response(status=status, headers=headers)

    def paths(self) -> list[str]:
        return [each.path for each in self.arrived]


@asynccontextmanager
async def receiving(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    server = TestServer(application, scheme="https" if context else "http")
    await server.start_server(ssl=context)
    receiver.url = str(server.make_url("/"))
    try:
        yield receiver
    finally:
        await server.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


def canary_with(*hooks: dict[str, Any], **status: Any) -> Canary:
    run = {"id": "r7", "revision": "1"}
    times = {"startedAt": "2026-01-01T00:00:00Z", "enteredAt": "2026-01-01T00:00:00Z"}
    return Canary.model_validate(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "podinfo", "namespace": "test", "uid": "u1"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "service": {"port": 80},
                "analysis": {
                    "interval": "1m", "threshold": 2, "stepWeight": 10, "webhooks": list(hooks),
                },
            },
            "status": {"run": {**run, **times}, **status},
        }
    )  # fmt: skip


def hook(receiver: Receiver, name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "url": f"{receiver.url}{name}", **fields}


async def ask(
    http: Http, canary: Canary, kind: HookType = ROLLOUT, attempt: str = "3"
) -> tuple[HookAnswer, ...]:
    return await Hooks(http).ask(canary, kind, "Progressing", attempt)


async def test_the_payload_is_the_documented_one(http: Http, receiver: Receiver) -> None:
    canary = canary_with(hook(receiver, "a", metadata={"cmd": "hey", "type": "cmd"}))
    assert await ask(http, canary) == (HookAnswer("a", passed=True, detail=told(receiver, 200)),)
    (arrived,) = receiver.arrived
    assert (arrived.method, arrived.headers["Content-Type"]) == ("POST", "application/json")
    assert arrived.json() == {
        "name": "podinfo", "namespace": "test", "phase": "Progressing",
        "checksum": checksum(canary), "metadata": {"cmd": "hey", "type": "cmd"},
    }  # fmt: skip


def told(receiver: Receiver, what: object) -> str:
    host = receiver.url.removeprefix("http://").rstrip("/")
    return f"{host} answered {what}"


async def test_without_metadata_there_is_no_such_key(http: Http, receiver: Receiver) -> None:
    await ask(http, canary_with(hook(receiver, "a")))
    assert "metadata" not in receiver.arrived[0].json()


def test_the_checksum_changes_with_spec_and_configs_and_nothing_else() -> None:
    first = canary_with(lastAppliedSpec="1", trackedConfigs={"a": "x", "b": "y"})
    same = canary_with(lastAppliedSpec="1", trackedConfigs={"b": "y", "a": "x"}, canaryWeight=20)
    spec = canary_with(lastAppliedSpec="2", trackedConfigs={"a": "x", "b": "y"})
    configs = canary_with(lastAppliedSpec="1", trackedConfigs={"a": "x"})
    assert checksum(first) == checksum(same)
    assert len({checksum(each) for each in (first, spec, configs)}) == 3


async def test_a_repeated_call_has_the_same_key_and_a_new_one_another(
    http: Http, receiver: Receiver
) -> None:
    canary = canary_with({**hook(receiver, "a"), "name": "gate ä/1"})
    for attempt in ("3", "3", "4"):
        await ask(http, canary, attempt=attempt)
    keys = [each.headers["Idempotency-Key"] for each in receiver.arrived]
    assert keys == ["u1/r7/rollout/3/gate%20%C3%A4%2F1"] * 2 + ["u1/r7/rollout/4/gate%20%C3%A4%2F1"]


STATUSES = {
    200: True, 201: True, 202: True, 203: True, 204: True, 299: True,
    304: False, 400: False, 403: False, 404: False, 429: False, 500: False, 503: False,
}  # fmt: skip


@pytest.mark.parametrize(("status", "passed"), STATUSES.items())
async def test_any_2xx_is_success(
    http: Http, receiver: Receiver, status: int, passed: bool
) -> None:
    receiver.scripts["/a"] = [status]
    (answer,) = await ask(http, canary_with(hook(receiver, "a")))
    assert answer.passed is passed
    assert len(receiver.arrived) == 1


async def test_a_failing_answer_is_repeated_with_status_and_body(
    http: Http, receiver: Receiver
) -> None:
    receiver.scripts["/a"] = [403]
    (answer,) = await ask(http, canary_with(hook(receiver, "a", muteAlert=True)))
    assert answer == HookAnswer("a", False, told(receiver, "403: says 403"), muted=True)


ORDERS: dict[str, tuple[str, dict[str, int], list[str], list[bool]]] = {
    "all are called in order": ("rollout", {}, ["/a", "/b", "/c"], [True, True, True]),
    "the first failure ends the calls": ("rollout", {"/b": 403}, ["/a", "/b"], [True, False]),
    "a gate ends them just so": ("confirm-promotion", {"/a": 403}, ["/a"], [False]),
    "the first success asks for a rollback": (
        "rollback", {"/a": 403, "/c": 403}, ["/a", "/b"], [False, True],
    ),
    "no success asks for none": (
        "rollback", {"/a": 403, "/b": 403, "/c": 500}, ["/a", "/b", "/c"], [False] * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "statuses", "paths", "passed"), ORDERS.values(), ids=ORDERS)
async def test_order(
    http: Http,
    receiver: Receiver,
    kind: Any,
    statuses: dict[str, int],
    paths: list[str],
    passed: list[bool],
) -> None:
    receiver.scripts = {path: [status] for path, status in statuses.items()}
    canary = canary_with(
        hook(receiver, "a", type=kind),
        hook(receiver, "other", type="pre-rollout"),
        hook(receiver, "b", type=kind),
        hook(receiver, "c", type=kind),
    )
    answers = await ask(http, canary, HookType(kind))
    assert receiver.paths() == paths
    assert [answer.passed for answer in answers] == passed


async def test_a_hook_without_a_type_is_a_rollout_hook(http: Http, receiver: Receiver) -> None:
    canary = canary_with(hook(receiver, "a", type=""))
    assert len(await ask(http, canary)) == 1
    assert await ask(http, canary, HookType.PRE_ROLLOUT) == ()


async def test_a_silent_hook_fails_after_its_timeout(http: Http, receiver: Receiver) -> None:
    receiver.scripts["/a"] = ["hang"]
    (answer,) = await ask(http, canary_with(hook(receiver, "a", timeout="100ms")))
    assert not answer.passed
    assert "did not answer within 0.1 s" in answer.detail


@pytest.mark.parametrize("empty", [{}, {"timeout": ""}])
def test_the_timeout_is_ten_seconds_if_none_is_given(empty: dict[str, str]) -> None:
    assert Webhook(name="a", url="http://h.test", **empty).timeout_seconds == 10


REDIRECTS = {301: "GET", 302: "GET", 303: "GET", 307: "POST", 308: "POST"}


@pytest.mark.parametrize(("status", "method"), REDIRECTS.items())
async def test_redirects(http: Http, receiver: Receiver, status: int, method: str) -> None:
    receiver.scripts["/a"] = [(status, {"Location": "/b"})]
    (answer,) = await ask(http, canary_with(hook(receiver, "a")))
    assert answer.passed
    second = receiver.arrived[1]
    assert (second.method, second.path) == (method, "/b")
    assert bool(second.body) is (method == "POST")


NOW = {"Retry-After": "0"}


async def test_a_busy_hook_is_asked_again_when_it_says_so(http: Http, receiver: Receiver) -> None:
    receiver.scripts["/a"] = [(503, NOW), (429, NOW), 200]
    (answer,) = await ask(http, canary_with(hook(receiver, "a", retries=5)))
    assert (answer.passed, answer.detail) == (True, told(receiver, "200 (attempt 3)"))
    assert len({each.headers["Idempotency-Key"] for each in receiver.arrived}) == 1


async def test_retries_end_and_the_last_answer_is_told(http: Http, receiver: Receiver) -> None:
    receiver.scripts["/a"] = [(503, NOW), (503, NOW), 500]
    (answer,) = await ask(http, canary_with(hook(receiver, "a", retries=2)))
    assert (answer.passed, answer.detail) == (False, told(receiver, "500: says 500 (attempt 3)"))
    assert len(receiver.arrived) == 3


async def test_a_refusal_is_not_asked_again(http: Http, receiver: Receiver) -> None:
    receiver.scripts["/a"] = [403]
    await ask(http, canary_with(hook(receiver, "a", retries=5)))
    assert len(receiver.arrived) == 1


async def test_a_connection_that_breaks_is_tried_again(http: Http) -> None:
    async with receiving() as receiver:
        canary = canary_with(hook(receiver, "a", retries=1))
    (answer,) = await ask(http, canary)
    assert not answer.passed
    assert "connection refused (attempt 2)" in answer.detail


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext"),
            *("subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def test_certificates_are_verified_unless_the_hook_says_otherwise(
    http: Http, certificate: ssl.SSLContext
) -> None:
    async with receiving(certificate) as receiver:
        verified, trusting = (
            canary_with(hook(receiver, "a", retries=5, disableTLS=disabled))
            for disabled in (False, True)
        )
        (answer,) = await ask(http, verified)
        assert not answer.passed
        # Not tried again: a certificate doesn't get better by waiting.
        assert answer.detail.endswith("is not trusted: self-signed certificate")
        assert (await ask(http, trusting))[0].passed


async def test_a_hook_can_be_carried_out_in_another_way(http: Http, receiver: Receiver) -> None:
    async def load(canary: Canary, hook: Webhook) -> HookAnswer:
        if hook.metadata["cmd"] == "false":
            raise ProviderError("no such command")
        return HookAnswer(hook.name, passed=True, detail=f"for {canary.name}")

    def intercept(canary: Canary, hook: Webhook) -> Awaitable[HookAnswer] | None:
        return load(canary, hook) if "cmd" in hook.metadata else None

    hooks = Hooks(http, intercept=intercept)
    canary = canary_with(
        hook(receiver, "a", metadata={"cmd": "hey"}),
        hook(receiver, "b"),
        hook(receiver, "c", metadata={"cmd": "false"}),
    )
    answers = await hooks.ask(canary, ROLLOUT, "Progressing", "1")
    assert [(each.name, each.passed) for each in answers] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]
    assert (answers[0].detail, answers[2].detail) == ("for podinfo", "no such command")
    assert receiver.paths() == ["/b"]


TOLD = Announcement(key="k1", text="weight 10", type="Warning", phase=Phase.PROGRESSING)


async def test_an_event_carries_the_text_and_our_keys_win(http: Http, receiver: Receiver) -> None:
    metadata = {"env": "test", "eventType": "mine"}
    canary = canary_with(hook(receiver, "a", type="event", metadata=metadata))
    (answer,) = await Hooks(http, event_webhook=f"{receiver.url}global").event(canary, TOLD)
    assert answer.passed
    (arrived,) = receiver.arrived
    body = arrived.json()
    timestamp = body["metadata"].pop("timestamp")
    assert timestamp.isdecimal()
    assert len(timestamp) == 13
    assert (arrived.path, body["phase"]) == ("/a", "Progressing")
    assert body["metadata"] == {
        "env": "test", "eventMessage": "weight 10", "eventType": "Warning",
    }  # fmt: skip
    assert arrived.headers["Idempotency-Key"] == "u1/r7/event/k1/a"


async def test_the_global_address_hears_events_only_if_there_is_no_event_hook(
    http: Http, receiver: Receiver
) -> None:
    hooks = Hooks(http, event_webhook=f"{receiver.url}global")
    await hooks.event(canary_with(hook(receiver, "a")), TOLD)
    assert receiver.paths() == ["/global"]


async def test_without_any_address_an_event_goes_nowhere(http: Http) -> None:
    assert await Hooks(http).event(canary_with(), TOLD) == ()


async def test_a_failing_event_hook_disturbs_nobody(http: Http, receiver: Receiver) -> None:
    receiver.scripts = {"/a": [500], "/b": ["hang"]}
    canary = canary_with(
        hook(receiver, "a", type="event"),
        hook(receiver, "b", type="event", timeout="100ms"),
        hook(receiver, "c", type="event"),
    )
    answers = await Hooks(http).event(canary, TOLD)
    assert [answer.passed for answer in answers] == [False, False, True]
