"""The controller dies and is started again: traffic doesn't notice, and nothing is left over."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import canary
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.errors import ClusterError
from canary.local.processes import group, logs
from canary.local.processes.os_process import started
from canary.local.processes.records import INSTANCE, PROCESS

World = Any  # of conftest.py, which can't be imported from
Client = Any
CONTROLLER = Path(__file__).with_name("controller.py")


async def edit(world: World, ref: Ref, status: Manifest) -> None:
    """Change the record while no controller runs."""
    cluster = await Embedded.open(world.state / "state.db")
    await cluster.patch(ref, {"status": status}, manager="test", status=True)
    await cluster.close()


async def delete(world: World, ref: Ref) -> None:
    cluster = await Embedded.open(world.state / "state.db")
    await cluster.delete(ref)
    await cluster.close()


def start_controller(folder: Path) -> "subprocess.Popen[bytes]":
    env = {**os.environ, "PYTHONPATH": str(Path(canary.__file__).parents[1])}
    return subprocess.Popen([sys.executable, str(CONTROLLER), str(folder)], env=env)


async def serves(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b" 200 OK" in answer


async def test_killed_with_kill_9_it_leaves_the_services_serving_and_adopts_them(
    world: World,
) -> None:
    await world.apply("web", replicas=2)
    await world.stop()
    controller = start_controller(world.folder)
    await world.until(lambda: len(world.running()) == 2)
    await world.until(lambda: said(world, "listens on") == 2)
    controller.send_signal(signal.SIGKILL)
    await asyncio.to_thread(controller.wait)
    orphans = sorted(world.running())
    assert len(orphans) == 2

    await world.start()
    ports = await world.ready("web", 2)
    assert sorted(world.pids("web").values()) == orphans
    assert sorted(world.running()) == orphans
    assert all([await serves(port) for port in ports.values()])
    # And they are looked after: one that dies is noticed, though it is no child of ours.
    victim = next(iter(world.pids("web")))
    os.kill(world.pids("web")[victim], signal.SIGKILL)
    await world.until(lambda: victim not in world.endpoints("web"))
    await world.ready("web", 2)


def said(world: World, word: str) -> int:
    """How many logs hold it."""
    files = logs.files_of(world.state, "test", "web")
    return sum(word in path.read_text() for path in files)


async def test_endpoints_stay_listed_while_it_is_away_and_when_it_comes_back(world: World) -> None:
    await world.apply("web", replicas=2)
    ports = await world.ready("web", 2)
    pids = world.pids("web")
    versions = [each["metadata"]["resourceVersion"] for each in world.cache.items(PROCESS)]
    await world.stop(keep=True)
    assert all([await serves(port) for port in ports.values()])
    await world.start()
    assert await world.ready("web", 2) == ports
    assert world.pids("web") == pids
    await asyncio.sleep(0.3)  # probed again, and found as it was
    assert [each["metadata"]["resourceVersion"] for each in world.cache.items(PROCESS)] == versions


async def test_killed_between_the_start_and_its_record_it_finds_the_process(world: World) -> None:
    await world.apply("web")
    name = next(iter(await world.ready("web", 1)))
    pids = world.pids("web")
    await world.stop(keep=True)
    unrecorded = {"pid": None, "started": None, "ready": None, "startTime": None}
    await edit(world, Ref(INSTANCE, "test", name), unrecorded)
    await world.start()
    await world.until(lambda: world.pids("web") == pids)
    assert (await world.ready("web", 1)).keys() == {name}
    assert len(world.running()) == 1


async def test_killed_between_the_record_and_the_start_it_starts_the_process(world: World) -> None:
    await world.apply("web")
    name = next(iter(await world.ready("web", 1)))
    pid = world.pids("web")[name]
    await world.stop(keep=True)
    os.kill(pid, signal.SIGKILL)
    nothing = dict.fromkeys(("pid", "started", "ready", "startTime", "phase"))
    await edit(world, Ref(INSTANCE, "test", name), nothing)
    await world.start()
    await world.until(lambda: world.pids("web").get(name, 0) not in (0, pid))
    assert (await world.ready("web", 1)).keys() == {name}


@pytest.fixture
def sleeper() -> Iterator[Callable[[], int]]:
    """Starts a process that has nothing to do with canary, and returns its pid."""
    started_here: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        started_here.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        return started_here[-1].pid

    yield start
    for process in started_here:
        process.kill()
        process.wait()


async def test_a_pid_that_was_given_away_is_let_alone(
    world: World, sleeper: Callable[[], int]
) -> None:
    await world.apply("web")
    name = next(iter(await world.ready("web", 1)))
    pid, stranger = world.pids("web")[name], sleeper()
    since, strangers_since = started(pid), started(stranger)
    assert since != strangers_since
    await world.stop(keep=True)
    os.kill(pid, signal.SIGKILL)
    await edit(world, Ref(INSTANCE, "test", name), {"pid": stranger, "started": since})
    await world.start()
    await world.until(lambda: world.pids("web").get(name) not in (None, 0, pid, stranger))
    await world.ready("web", 1)
    await world.patch("web", suspend=True)
    await world.ready("web", 0)
    assert started(stranger) == strangers_since
    assert psutil.Process(stranger).status() == psutil.STATUS_SLEEPING


async def test_what_was_deleted_while_it_was_away_is_ended(world: World) -> None:
    await world.apply("web", replicas=2)
    await world.apply("other")
    await world.ready("web", 2)
    await world.ready("other", 1)
    await world.stop(keep=True)
    await delete(world, Ref(PROCESS, "test", "web"))
    await world.start()
    await world.until(lambda: len(world.running()) == 1)
    await world.ready("other", 1)
    await world.until(lambda: not world.records("web"))


async def test_what_is_left_of_a_lost_state_is_ended(world: World) -> None:
    await world.apply("web", replicas=2)
    await world.ready("web", 2)
    await world.stop(keep=True)
    for file in world.state.glob("state.db*"):
        file.unlink()
    await world.start()
    await world.until(lambda: not world.running())


async def test_what_was_changed_while_it_was_away_is_rolled(world: World) -> None:
    await world.apply("web", replicas=2)
    old = await world.ready("web", 2)
    await world.stop(keep=True)
    cluster = await Embedded.open(world.state / "state.db")
    patch = {"spec": {"template": {"env": {"VERSION": "2"}}}}
    await cluster.patch(Ref(PROCESS, "test", "web"), patch, manager="user")
    await cluster.close()
    await world.start()
    new = await world.ready("web", 2)
    assert not old.keys() & new.keys()
    await world.until(lambda: len(world.running()) == 2)


async def test_what_was_being_drained_is_ended(world: World) -> None:
    async def never(address: str, port: int) -> bool:
        return False

    world.drained = never
    await world.apply("web")
    name = next(iter(await world.ready("web", 1)))
    await world.patch("web", suspend=True)
    await world.until(lambda: world.records("web")[name]["status"]["phase"] == "Draining")
    await world.stop(keep=True)
    assert len(world.running()) == 1
    await world.start()
    await world.ready("web", 0)
    assert world.running() == []


async def test_killed_again_and_again_while_it_rolls_it_loses_no_request_and_gets_there(
    world: World, client: Client
) -> None:
    slow = {"LATENCY": "20"}
    await world.apply("web", replicas=2, env={"VERSION": "1", **slow})
    await world.ready("web", 2)
    async with client.running():
        await world.until(lambda: "1" in client.versions)
        await world.apply("web", replicas=2, env={"VERSION": "2", **slow})
        for number in range(12):
            # Later and later, so that each step of the roll is cut off somewhere.
            await asyncio.sleep(0.02 + number * 0.03)
            await world.stop(keep=True)
            await world.start()
        await world.ready("web", 2)
        await world.until(lambda: "2" in client.versions)
    assert client.failures == []
    await world.until(lambda: len(world.running()) == 2)


async def test_a_state_that_often_refuses_to_be_written_only_delays_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "AGAIN", 0.05)
    await world.apply("web", replicas=2, env={"VERSION": "1"})
    await world.ready("web", 2)
    for name in ("create", "patch", "delete"):
        monkeypatch.setattr(world.cluster, name, refusing(getattr(world.cluster, name)))
    for version in ("2", "3"):
        await world.apply("web", replicas=2, env={"VERSION": version})
        await world.ready("web", 2)
    await world.until(lambda: len(world.running()) == 2)


def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Every other call fails: before it takes effect, or after, which looks the same from here."""
    calls = 0

    async def refused(*args: Any, **fields: Any) -> Any:
        nonlocal calls
        calls += 1
        result = await method(*args, **fields) if calls % 4 != 1 else None
        if calls % 2:
            raise ClusterError("the disk is full")
        return result

    return refused
