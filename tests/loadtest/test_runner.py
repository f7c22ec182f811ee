import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from canary.errors import LocalError, SpecError, UnknownName
from canary.loadtest.runner import Loads

if TYPE_CHECKING:
    from tests.loadtest.conftest import Server, Until


@pytest.fixture
async def loads(without_hey: None) -> AsyncIterator[Loads]:
    here = Loads()
    yield here
    await here.close()


@pytest.fixture
def without_hey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has hey installed sees the same results."""
    monkeypatch.setenv("PATH", str(tmp_path))


async def test_carries_out_a_command(loads: Loads, server: "Server", until: "Until") -> None:
    said = loads.start("default/app", f"hey -n 20 -c 4 -H 'X-Who: me' {server.url}")
    assert said == (
        f"started 4 workers at once, 20 requests in all, to {server.url}, by canary's own generator"
    )
    await until(lambda: not len(loads))
    assert len(server.requests) == 20
    assert "X-Who: me" in server.requests[0].head


async def test_starts_the_same_command_once(loads: Loads, server: "Server") -> None:
    command = f"hey -z 1m -q 5 -c 1 {server.url}"
    assert loads.start("a", command).startswith("started 5 requests/s for 60 s")
    assert loads.start("a", command) == "already running"
    assert len(loads) == 1


async def test_starts_it_again_once_it_has_ended(
    loads: Loads, server: "Server", until: "Until"
) -> None:
    for _ in range(2):
        assert loads.start("a", f"hey -n 5 -c 1 {server.url}").startswith("started")
        await until(lambda: not len(loads))
    assert len(server.requests) == 10


async def test_stops_what_belongs_to_a_key(loads: Loads, server: "Server") -> None:
    loads.start("a", f"hey -z 1m -q 5 -c 1 {server.url}")
    loads.start("a", f"hey -z 2m -q 5 -c 1 {server.url}")
    loads.start("b", f"hey -z 1m -q 5 -c 1 {server.url}")
    await loads.stop("a")
    assert len(loads) == 1
    assert loads.start("b", f"hey -z 1m -q 5 -c 1 {server.url}") == "already running"


async def test_ends_at_the_limit(without_hey: None, server: "Server", until: "Until") -> None:
    loads = Loads(limit=0.2)
    loads.start("a", f"hey -z 1h -q 5 -c 1 {server.url}")
    await until(lambda: not len(loads))
    assert server.requests


async def test_runs_no_more_than_it_may(without_hey: None, server: "Server") -> None:
    loads = Loads(most=2)
    for seconds in (60, 61):
        loads.start("a", f"hey -z {seconds}s -q 5 -c 1 {server.url}")
    with pytest.raises(LocalError, match="2 load tests run already"):
        loads.start("a", f"hey -z 62s -q 5 -c 1 {server.url}")
    await loads.close()
    assert not len(loads)


async def test_refuses_at_once_what_it_cannot_carry_out(loads: Loads) -> None:
    with pytest.raises(UnknownName):
        loads.start("a", "rm -r /")
    with pytest.raises(SpecError, match="a second command"):
        loads.start("a", "hey http://app.test/ && true")
    with pytest.raises(SpecError, match="HTTP/2"):
        loads.start("a", "hey -h2 http://app.test/")
    assert not len(loads)


async def test_connects_to_where_a_name_is_on_this_machine(
    without_hey: None, server: "Server", until: "Until"
) -> None:
    places = {("app-canary.test", 9898): ("127.0.0.1", server.port)}
    loads = Loads(locate=lambda host, port: places.get((host, port)))
    loads.start("a", "hey -n 3 -c 1 http://app-canary.test:9898/")
    await until(lambda: not len(loads))
    assert [request.head.split("\r\n")[1] for request in server.requests] == [
        "Host: app-canary.test:9898"
    ] * 3


# Where hey is installed. What stands for it here leaves a child behind, as a script may.

HEY = """#!/bin/sh
echo "$@" > {args}
/bin/sleep 600 &
echo $! > {child}
wait
"""


@pytest.fixture
def hey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "hey"
    program.write_text(HEY.format(args=tmp_path / "args", child=tmp_path / "child"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


async def test_uses_hey_where_it_is_installed_and_ends_all_of_it(hey: Path, until: "Until") -> None:
    loads = Loads()
    assert loads.start("a", "hey -h2 -z 1m http://app.test/") == f"started {hey / 'hey'}"
    child = hey / "child"
    await until(lambda: child.exists() and child.read_text().endswith("\n"))
    assert (hey / "args").read_text() == "-h2 -z 1m http://app.test/\n"
    process = psutil.Process(int(child.read_text()))
    await loads.close()
    await until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    assert not len(loads)


async def test_a_task_closed_before_its_first_step_leaves_nothing(server: "Server") -> None:
    loads = Loads()
    loads.start("a", f"hey -z 1m -q 5 -c 1 {server.url}")
    await loads.close()
    assert not len(loads)
    assert asyncio.all_tasks() == {asyncio.current_task()}
