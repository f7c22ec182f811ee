"""Processes as people see them: rolled, scaled, crashed, suspended and deleted."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from canary.cluster.port import Ref
from canary.local.processes import logs
from canary.local.processes.records import PROCESS

World = Any  # of conftest.py, which can't be imported from
Client = Any


async def test_rolls_to_a_new_version_without_losing_a_request(
    world: World, client: Client
) -> None:
    await world.apply("web", replicas=2, env={"VERSION": "1", "LATENCY": "20"})
    first = await world.ready("web", 2)
    least: list[int] = []
    async with client.running():
        await world.until(lambda: len(client.answers) > 20)
        await world.apply("web", replicas=2, env={"VERSION": "2", "LATENCY": "20"})
        await world.until(lambda: note(least, len(world.listed())) and "2" in client.versions)
        second = await world.ready("web", 2)
        seen = len(client.answers)
        await world.until(lambda: len(client.answers) > seen + 20)
    assert client.failures == []
    assert {status for _, status in client.answers} == {200}
    assert {version for version, _ in client.answers[seen + 5 :]} == {"2"}
    assert not first.keys() & second.keys()
    assert min(least) >= 2, "a new one is ready before an old one leaves"


def note(seen: list[Any], what: Any) -> bool:
    """Keep what is seen on the way; always true, to stand in a condition."""
    seen.append(what)
    return True


async def test_scales_up_and_down_without_losing_a_request(world: World, client: Client) -> None:
    await world.apply("web", replicas=1, env={"LATENCY": "20"})
    first = await world.ready("web", 1)
    async with client.running():
        await world.patch("web", replicas=3)
        three = await world.ready("web", 3)
        await world.patch("web", replicas=1)
        last = await world.ready("web", 1)
    assert client.failures == []
    assert first.items() <= three.items()
    assert first == last, "the oldest stays"


async def test_a_request_under_way_is_waited_for(world: World) -> None:
    asked: list[tuple[str, int]] = []
    busy = True

    async def drained(address: str, port: int) -> bool:
        asked.append((address, port))
        return not busy

    world.drained = drained
    await world.apply("web")
    port = (await world.ready("web", 1)).popitem()[1]
    await world.patch("web", suspend=True)
    await world.until(lambda: len(asked) > 2)
    assert world.endpoints("web") == {}
    assert len(world.running()) == 1
    busy = False
    await world.ready("web", 0)
    assert set(asked) == {("127.0.0.1", port)}
    assert world.running() == []


async def test_a_killed_instance_leaves_at_once_and_comes_back(world: World) -> None:
    await world.apply("web", replicas=2)
    ports = await world.ready("web", 2)
    name, pid = next(iter(world.pids("web").items()))
    seen: list[dict[str, int]] = [ports]
    os.kill(pid, signal.SIGKILL)
    await world.until(
        lambda: note(seen, world.endpoints("web")) and name not in seen[-1], seconds=2
    )
    assert seen[-1].keys() == ports.keys() - {name}
    # Told before it is started again, and with what happened.
    assert "was ended by SIGKILL" in world.condition("web", "Available")["message"]
    assert world.condition("web", "Progressing")["reason"] == "NewInstancesAvailable"
    again = await world.ready("web", 2)
    assert again.keys() == ports.keys()
    assert world.pids("web")[name] != pid
    assert world.records("web")[name]["status"]["restarts"] == 1


FAIL = "import sys; print('cannot open the door', flush=True); sys.exit(7)"
# The command, and what people are told.
WORDS = {
    "a command that fails": (
        [sys.executable, "-c", FAIL],
        ["exited with code 7", "last lines: cannot open the door", sys.executable],
    ),
    "a command that is killed": (["sh", "-c", "kill -SEGV $$"], ["was ended by SIGSEGV"]),
    "a command that ends": (["true"], ["command 'true' exited with code 0"]),
    "a command that isn't there": (["no-such-command"], ["'no-such-command' was not found"]),
    "a command that isn't executable": (["./plain.txt"], ["'./plain.txt' is not executable"]),
}


@pytest.mark.parametrize(("command", "words"), WORDS.values(), ids=WORDS)
async def test_tells_in_words_what_is_wrong_with(
    world: World, command: list[str], words: list[str]
) -> None:
    (world.folder / "plain.txt").touch()
    await world.apply("web", command, progressDeadlineSeconds=0.5)

    def told(kind: str) -> bool:
        message = world.condition("web", kind).get("message", "")
        return all(word in message for word in words)

    await world.until(lambda: told("Available"), lambda: str(world.status("web")))
    assert world.status("web")["availableReplicas"] == 0
    late = "ProgressDeadlineExceeded"
    await world.until(lambda: world.condition("web", "Progressing")["reason"] == late)
    await world.until(lambda: told("Progressing"), lambda: str(world.status("web")))


async def test_a_command_that_is_installed_later_is_found(world: World) -> None:
    await world.apply("web", ["./late.sh"])
    await world.until(lambda: "was not found" in str(world.condition("web", "Available")))
    script = world.folder / "late.sh"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -m canary.local.sample\n")
    script.chmod(0o755)
    await world.ready("web", 1)


async def test_an_unready_process_gets_no_requests_and_says_why(world: World) -> None:
    await world.apply("web", env={"READY_AFTER": "600"})
    await world.until(lambda: "/readyz answered 503" in str(world.condition("web", "Available")))
    assert world.endpoints("web") == {}


async def test_minimum_ready_time_counts_before_an_old_one_goes(world: World) -> None:
    await world.apply("web", env={"VERSION": "1"})
    await world.ready("web", 1)
    await world.apply("web", env={"VERSION": "2"}, minReadySeconds=1)
    await world.until(lambda: world.status("web").get("readyReplicas") == 2)
    assert world.status("web")["updatedReplicas"] == 1
    assert len(world.endpoints("web")) == 2
    await world.ready("web", 1)


async def test_a_port_that_is_taken_is_left_for_another(world: World) -> None:
    # Fails as servers do on its first port only, and then must not wait for any back-off.
    code = (
        "import os, sys, pathlib, runpy\n"
        "if not pathlib.Path('first').exists():\n"
        "    pathlib.Path('first').write_text(os.environ['PORT'])\n"
        "    sys.exit('OSError: [Errno 98] Address already in use')\n"
        "runpy.run_module('canary.local.sample', run_name='__main__')\n"
    )
    await world.apply("web", [sys.executable, "-c", code])
    port = (await world.ready("web", 1)).popitem()[1]
    assert port != int((world.folder / "first").read_text())
    assert next(iter(world.records("web").values()))["status"]["restarts"] == 0


async def test_suspended_it_runs_nothing_and_resumes(world: World) -> None:
    await world.apply("web", replicas=2)
    await world.ready("web", 2)
    await world.patch("web", suspend=True)
    await world.ready("web", 0)
    assert world.running() == []
    assert world.condition("web", "Available")["message"] == "suspended"
    version = world.cache.get(Ref(PROCESS, "test", "web"))["metadata"]["resourceVersion"]
    await world.patch("web", suspend=False)
    await world.ready("web", 2)
    assert world.cache.get(Ref(PROCESS, "test", "web"))["metadata"]["resourceVersion"] != version


async def test_writes_nothing_while_nothing_changes(world: World) -> None:
    await world.apply("web", replicas=2)
    await world.ready("web", 2)
    probed = logs_of(world)

    def objects() -> list[str]:
        found = [*world.cache.items(PROCESS), *world.records("web").values()]
        return sorted(each["metadata"]["resourceVersion"] for each in found)

    await asyncio.sleep(0)
    before = objects()
    await asyncio.sleep(0.5)  # five probe periods of two processes
    assert objects() == before
    assert logs_of(world) == probed


def logs_of(world: World) -> list[int]:
    return [logs.size(path) for path in logs.files_of(world.state, "test", "web")]


async def test_deleted_it_is_ended(world: World) -> None:
    await world.apply("web", replicas=2)
    await world.ready("web", 2)
    await world.cluster.delete(Ref(PROCESS, "test", "web"))
    await world.until(lambda: not world.running())
    await world.until(lambda: not world.records("web"))


async def test_deleted_and_made_anew_it_is_another_one(world: World) -> None:
    await world.apply("web", replicas=1)
    old = await world.ready("web", 1)
    await world.cluster.delete(Ref(PROCESS, "test", "web"))
    await world.apply("web", replicas=1)
    new = await world.ready("web", 1)
    await world.until(lambda: len(world.running()) == 1)
    assert old.keys() != new.keys()


async def test_one_that_fails_leaves_the_others_alone(world: World) -> None:
    await world.apply("bad", ["false"])
    await world.apply("web", replicas=1)
    pids = (await world.ready("web", 1)) and world.pids("web")
    await world.until(lambda: "three times" in str(world.condition("bad", "Available")))
    assert world.pids("web") == pids


async def test_helpers_of_a_killed_process_are_ended_too(world: World) -> None:
    command = ["sh", "-c", f"sleep 600 & exec {sys.executable} -m canary.local.sample"]
    await world.apply("web", command)
    await world.ready("web", 1)
    before = world.running()
    os.kill(next(iter(world.pids("web").values())), signal.SIGKILL)
    await world.until(lambda: not set(before) & set(world.running()))
    await world.ready("web", 1)
    assert len(world.running()) == len(before) == 2


async def test_logs_are_rotated_while_it_runs(world: World) -> None:
    code = (
        "import socket, os, sys, time\n"
        "server = socket.create_server((os.environ['HOST'], int(os.environ['PORT'])))\n"
        "while True: print('x' * 500, flush=True); time.sleep(0.02)\n"
    )
    probe = {"tcpSocket": {}, "periodSeconds": 0.1}
    kept = {"maxBytes": 4096, "keep": 2}
    await world.apply("web", [sys.executable, "-c", code], readinessProbe=probe, logs=kept)
    name = next(iter(await world.ready("web", 1)))
    folder: Path = logs.folder(world.state, "test")
    await world.until((folder / f"{name}.log.2").exists)
    await world.until(lambda: 0 < logs.size(folder / f"{name}.log") < 4096)
    assert sorted(path.name for path in folder.iterdir()) == [  # noqa: ASYNC240  # a quick look
        f"{name}.log",
        f"{name}.log.1",
        f"{name}.log.2",
    ]


async def test_logs_of_ended_instances_stay_but_not_for_ever(world: World) -> None:
    for number in range(4):
        await world.apply("web", env={"VERSION": str(number)}, logs={"keep": 1})
        await world.ready("web", 1)
    await world.until(lambda: len(logs.files_of(world.state, "test", "web")) == 2)
    lines = [line async for line in logs.tail(world.state, "test", "web")]
    assert [line.split()[3] for line in lines] == ["2", "3"]


async def test_knows_its_own_name_port_and_address(world: World) -> None:
    command = ["sh", "-c", "echo $1 $NAME $PORT $HOST; exec $0 -m canary.local.sample"]
    await world.apply("web", [*command, "$(PYTHON)", "$(NAME)-$(PORT)"])
    name, port = (await world.ready("web", 1)).popitem()
    lines = logs.last_lines(logs.log_file(world.state, "test", name), 5)
    assert lines[0] == f"{name}-{port} {name} {port} 127.0.0.1"
