"""How a connection to an API server is kept: credentials that change, and trouble on the way.

The API server is the harness's. Only what it answers in rare moments comes from a script.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from canary.cluster.connection import Limits
from canary.cluster.kubernetes import Kubernetes
from canary.cluster.limiter import Limiter
from canary.cluster.login import Login
from canary.cluster.port import Change, Kind, Manifest, Ref
from canary.errors import ClusterError, Expired, Forbidden
from tests.cluster.connected import NAMESPACE, agent, client, client_of, connected, place, until
from tests.cluster.harness.cluster import Cluster
from tests.cluster.wire import Wire, wire_to

CONFIG_MAP = Kind("v1", "ConfigMap")
SECRET = Kind("v1", "Secret")
EXEC = "client.authentication.k8s.io/v1"

__all__ = ["agent", "client", "place"]  # fixtures, which are used by name


# Credentials


def with_user(cluster: Cluster, folder: Path, user: Manifest) -> Login:
    """A kubeconfig whose user is this one."""
    config = yaml.safe_load(cluster.kubeconfig().read_text())
    config["users"][0]["user"] = user
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return Login(str(path))


def credential(token: str) -> str:
    """What a program prints that a kubeconfig names for its user."""
    kind = {"apiVersion": EXEC, "kind": "ExecCredential"}
    return json.dumps({**kind, "status": {"token": token}})


ROTATED: dict[str, tuple[Callable[[str], Manifest], Callable[[str], str]]] = {
    "a token in a file": (lambda file: {"tokenFile": file}, lambda token: f"{token}\n"),
    "a program that makes tokens": (
        lambda file: {"exec": {"apiVersion": EXEC, "command": "cat", "args": [file]}},
        credential,
    ),
}


@pytest.mark.parametrize(("user", "text"), ROTATED.values(), ids=ROTATED)
async def test_a_rotated_token_is_read_again_once_for_all(
    bare_cluster: Cluster,
    tmp_path: Path,
    agent: str,
    user: Callable[[str], Manifest],
    text: Callable[[str], str],
) -> None:
    file = tmp_path / "token"
    file.write_text(text("expired"))
    login = with_user(bare_cluster, tmp_path, user(str(file)))
    async with client_of(login, agent=agent) as client:
        file.write_text(text(bare_cluster.control_plane.credentials.tokens["admin"]))
        start = bare_cluster.audit.mark()
        await asyncio.gather(*(client.list(CONFIG_MAP, "default") for _ in range(8)))
        codes = [each.code for each in bare_cluster.audit.since(start, agent)]
        assert codes == [401] + [200] * 9, "the kinds, refused and asked again, and the lists"


async def test_a_refused_token_is_said_and_not_tried_over_and_over(
    bare_cluster: Cluster, tmp_path: Path, agent: str
) -> None:
    login = with_user(bare_cluster, tmp_path, {"token": "expired"})
    words = f"doesn't accept the credentials of kubeconfig {tmp_path}.*expired, were revoked"
    start = bare_cluster.audit.mark()
    async with client_of(login, agent=agent) as client:
        for _ in range(2):
            with pytest.raises(ClusterError, match=words):
                await client.list(CONFIG_MAP, "default")
    assert [each.code for each in bare_cluster.audit.since(start, agent)] == [401, 401]


async def test_a_pod_uses_its_account_and_follows_its_token(
    bare_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import incluster_config

    credentials = bare_cluster.control_plane.credentials
    host, port = bare_cluster.control_plane.server.removeprefix("https://").split(":")
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    authority.write_bytes(credentials.authority.read_bytes())
    token.write_text("expired")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    async with client_of(Login()) as client:
        token.write_text(credentials.tokens["admin"])
        assert (await client.list(NAMESPACE)).items
    token.write_text("expired")
    async with client_of(Login()) as client:
        with pytest.raises(ClusterError, match="credentials of this pod's service account"):
            await client.list(NAMESPACE)


async def test_a_certificate_authority_that_is_replaced_is_read_again(
    bare_cluster: Cluster, tmp_path: Path
) -> None:
    authority, right = tmp_path / "ca.crt", bare_cluster.control_plane.credentials.authority
    authority.write_bytes(await other_authority(tmp_path))
    server = bare_cluster.control_plane.server
    config = yaml.safe_load(bare_cluster.kubeconfig().read_text())
    config["clusters"][0]["cluster"] = {"server": server, "certificate-authority": str(authority)}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with client_of(Login(str(path))) as client:
        with pytest.raises(ClusterError, match=f"certificate of {server} isn't trusted"):
            await client.list(NAMESPACE)
    async with client_of(Login(str(path))) as client:
        authority.write_bytes(right.read_bytes())
        assert (await client.list(NAMESPACE)).items


async def other_authority(folder: Path) -> bytes:
    """A certificate that has nothing to do with the server's."""
    made = folder / "other.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"]
    command += ["-keyout", str(folder / "other.key"), "-out", str(made)]
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null)
    assert await process.wait() == 0
    return made.read_bytes()


LOGINS: dict[str, tuple[str, str, str]] = {
    "no file": ("", "", "there is no kubeconfig at .*name one, or set KUBECONFIG"),
    "no YAML": ("{", "", "kubeconfig .* can't be used"),
    "nothing in it": ("{}", "", "kubeconfig .* can't be used: .*current-context"),
    "another context": (
        "{contexts: [], current-context: a, clusters: []}",
        "production",
        "can't be used: .*production",
    ),
}


@pytest.mark.parametrize(("text", "context", "words"), LOGINS.values(), ids=LOGINS)
async def test_unusable_credentials_are_said_at_once(
    tmp_path: Path, text: str, context: str, words: str
) -> None:
    path = tmp_path / "kubeconfig"
    if text:
        path.write_text(text)
    with pytest.raises(ClusterError, match=words):
        await Kubernetes.connect(Login(str(path), context))


# Trouble on the way


@pytest.fixture
async def wire(bare_cluster: Cluster) -> AsyncIterator[Wire]:
    async with wire_to(bare_cluster.control_plane.server) as wire:
        yield wire


def over(cluster: Cluster, wire: Wire, **limits: float) -> AbstractAsyncContextManager[Kubernetes]:
    login = Login(str(cluster.kubeconfig()), server=wire.url)
    return client_of(login, limits=Limits(**limits))


async def begun(client: Kubernetes, place: str) -> AsyncIterator[Change]:
    """A watch that has told of all there was."""
    since = (await client.list(SECRET, place)).resource_version
    made = await client.create(Ref(SECRET, place, "first").manifest())
    changes = client.watch(SECRET, place, since)
    assert await anext(changes) == Change("ADDED", made)
    return changes


async def test_a_server_that_is_not_there_is_named(bare_cluster: Cluster) -> None:
    async with wire_to(bare_cluster.control_plane.server) as wire:
        url = wire.url
    async with client_of(Login(str(bare_cluster.kubeconfig()), server=url)) as client:
        with pytest.raises(ClusterError, match=f"{url} refuses connections: is the API server"):
            await client.list(NAMESPACE)


async def test_a_watch_ends_when_its_connection_is_cut(
    bare_cluster: Cluster, wire: Wire, place: str
) -> None:
    async with over(bare_cluster, wire) as client:
        changes = await begun(client, place)
        wire.cut()
        with pytest.raises(ClusterError, match=r"watch Secret in .*: the connection to .* broke"):
            await asyncio.wait_for(anext(changes), 10)
        assert (await client.list(NAMESPACE)).items


async def test_a_watch_that_falls_silent_is_given_up(
    bare_cluster: Cluster, wire: Wire, place: str
) -> None:
    async with over(bare_cluster, wire, silence=0.3) as client:
        changes = await begun(client, place)
        wire.hush()
        with pytest.raises(ClusterError, match=r"watch Secret in .*: no answer from https://"):
            await asyncio.wait_for(anext(changes), 10)


async def test_a_watch_of_events_may_be_silent(
    bare_cluster: Cluster, wire: Wire, client: Kubernetes, place: str
) -> None:
    event = Ref(Kind("v1", "Event"), place, "app.1")
    about = {"apiVersion": "v1", "kind": "Secret", "name": "app", "namespace": place}
    async with over(bare_cluster, wire, silence=0.1) as other:
        since = (await other.list(event.kind, place)).resource_version
        waiting = asyncio.ensure_future(anext(other.watch(event.kind, place, since)))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done
        made = await client.create(event.manifest(involvedObject=about, reason="Synced"))
        assert await asyncio.wait_for(waiting, 10) == Change("ADDED", made)


async def test_a_request_without_an_answer_is_given_up(bare_cluster: Cluster, wire: Wire) -> None:
    async with over(bare_cluster, wire, request=0.5) as client:
        await client.list(NAMESPACE)
        wire.hush()
        with pytest.raises(ClusterError, match=r"list Namespace .*: no answer from https://"):
            await client.list(NAMESPACE)
        wire.speak()
        assert (await client.list(NAMESPACE)).items


async def test_closing_ends_what_is_under_way(bare_cluster: Cluster, wire: Wire) -> None:
    async with over(bare_cluster, wire) as client:
        await client.list(NAMESPACE)
        wire.hush()
        asked = [asyncio.ensure_future(client.list(NAMESPACE)) for _ in range(3)]
        await asyncio.sleep(0)
        await client.close()
        for each in (*asked, client.list(NAMESPACE), client.get(Ref(NAMESPACE, "", "default"))):
            with pytest.raises(ClusterError, match=r"Namespace.*: the connection .* is closed"):
                await asyncio.wait_for(each, 5)


# A server that is too busy


async def jail(client: Kubernetes, user: str, name: str) -> None:
    """Have the server turn a user's requests away, as it does when it has too many of them."""
    level = Kind("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration")
    flow = Kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")
    limited = {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Reject"}}
    limited |= {"lendablePercent": 0, "borrowingLimitPercent": 0}
    await client.create(Ref(level, "", name).manifest(spec={"type": "Limited", "limited": limited}))
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    rules[0] |= {"clusterScope": True, "namespaces": ["*"]}  # type: ignore[dict-item]  # YAML's
    rule = {
        "subjects": [{"kind": "User", "user": {"name": user}}],
        "resourceRules": rules,
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    spec = {
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": 3,
        "rules": [rule],
    }
    await client.create(Ref(flow, "", name).manifest(spec=spec))


async def release(client: Kubernetes, name: str) -> None:
    for kind in ("FlowSchema", "PriorityLevelConfiguration"):
        await client.delete(Ref(Kind("flowcontrol.apiserver.k8s.io/v1", kind), "", name))


async def test_a_server_that_turns_us_away_is_asked_again(
    bare_cluster: Cluster, client: Kubernetes, place: str, agent: str
) -> None:
    jailed = f"jailed-{agent}"
    mark = bare_cluster.audit.mark()

    def turned_away() -> bool:
        return 429 in {each.code for each in bare_cluster.audit.since(mark, jailed)}

    async def ask() -> None:
        """That it may not do this is what this user is told in the end, and nothing else."""
        with pytest.raises(Forbidden):
            await other.list(NAMESPACE)

    async def set_free() -> None:
        try:
            await until(turned_away, 60)
        finally:
            await release(client, place)

    await jail(client, "nobody", place)
    freeing = asyncio.create_task(set_free())
    async with connected(bare_cluster, "nobody", agent=jailed) as other:
        # One at a time is served even in there: they have to come together.
        while not freeing.done():
            await asyncio.gather(*(ask() for _ in range(24)))
    await freeing


async def test_requests_begin_at_a_steady_rate_after_the_first_ones() -> None:
    limiter, now = Limiter(rate=200, burst=10), asyncio.get_running_loop().time
    began = now()
    for _ in range(10):
        await limiter.turn()
    assert now() - began < 0.05
    await asyncio.gather(*(limiter.turn() for _ in range(20)))
    assert 0.095 <= now() - began < 1


async def test_only_so_many_are_under_way_at_once() -> None:
    limiter, under_way, most = Limiter(at_once=3), 0, 0

    async def ask() -> None:
        nonlocal under_way, most
        async with limiter.slot():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(ask() for _ in range(10)))
    assert most == 3


@asynccontextmanager
async def scripted(
    folder: Path, *script: web.Response
) -> AsyncIterator[tuple[Kubernetes, list[str]]]:
    """A client of a server that gives these answers to all but the question for its kinds."""
    asked: list[str] = []
    kinds = [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]
    answers = iter(script)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/api/v1":
            return web.json_response({"resources": kinds})
        asked.append(f"{request.method} {request.rel_url}")
        return next(answers)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    cluster = {"name": "c", "cluster": {"server": f"http://{host}:{port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    users = [{"name": "u", "user": {"token": "t"}}]
    config = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    try:
        async with client_of(Login(str(path))) as client:
            yield client, asked
    finally:
        await runner.cleanup()


def status(code: int, reason: str = "", **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"a {code}"}
    return web.json_response(body, status=code, headers=headers)


def page(more: str = "", *names: str) -> web.Response:
    items = [{"metadata": {"name": name, "resourceVersion": "1"}} for name in names]
    return web.json_response(
        {"metadata": {"resourceVersion": "5", "continue": more}, "items": items}
    )


BUSY = {"Retry-After": "0"}


async def test_busy_and_starting_servers_are_asked_again_as_they_wish(tmp_path: Path) -> None:
    script = [status(429, **BUSY), status(503, **BUSY), page("", "a")]
    async with scripted(tmp_path, *script) as (client, asked):
        assert len((await client.list(CONFIG_MAP)).items) == 1
        assert len(asked) == 3


REFUSALS: dict[str, tuple[list[web.Response], str, int]] = {
    "always too busy": ([status(429, **BUSY) for _ in range(6)], "a 429", 6),
    "too busy for too long": ([status(429, **{"Retry-After": "3600"})], "a 429", 1),
    "broken, which asking again does not mend": ([status(503)], "a 503", 1),
    "a proxy's page": ([web.Response(status=502, text="<html>Bad")], "<html>Bad", 1),
    "a status code nobody knows": ([web.Response(status=599)], "an answer without a word", 1),
    "an answer that is something else": ([web.Response(text="<html>")], "is no JSON", 1),
}


@pytest.mark.parametrize(("script", "words", "times"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_passed_on(
    tmp_path: Path, script: list[web.Response], words: str, times: int
) -> None:
    async with scripted(tmp_path, *script) as (client, asked):
        with pytest.raises(ClusterError, match=words):
            await client.list(CONFIG_MAP)
        assert len(asked) == times


async def test_pages_that_took_too_long_are_asked_for_at_once(tmp_path: Path) -> None:
    script = [page("more", "a"), status(410, "Expired"), page("", "a", "b")]
    async with scripted(tmp_path, *script) as (client, asked):
        assert len((await client.list(CONFIG_MAP)).items) == 2
        assert [text.partition("?")[2] for text in asked] == [
            "limit=500",
            "limit=500&continue=more",
            "",
        ]


WATCHED: dict[str, tuple[Manifest, str]] = {
    "the changes are gone": (
        {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}},
        "Gone",
    ),
    "the store was brought back from a copy": (
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "4"}}},
        "the server is at 4, which was before 7",
    ),
}


@pytest.mark.parametrize(("event", "words"), WATCHED.values(), ids=WATCHED)
async def test_a_watch_that_can_not_go_on_has_expired(
    tmp_path: Path, event: Manifest, words: str
) -> None:
    async with scripted(tmp_path, web.Response(text=json.dumps(event) + "\n")) as (client, _):
        with pytest.raises(Expired, match=words):
            await anext(client.watch(CONFIG_MAP, "", "7"))
