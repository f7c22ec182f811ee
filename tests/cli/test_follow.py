"""What goes on: get -w, events -f and logs -f print what comes, until Ctrl-C."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from canary.local import address
from canary.local.processes.logs import log_file

from .conftest import Cli
from .server import PODINFO, PROGRESSING, Server, canary

Start = Callable[..., "Command"]


class Command:
    """A command that runs until it is told to stop."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "canary", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout
        self.out: IO[bytes] = self.process.stdout
        self.said = ""

    def until(self, text: str, seconds: float = 15) -> None:
        """Read until this was said."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.out, selectors.EVENT_READ)
            while text not in self.said:
                assert waiting.select(max(0, end - time.monotonic())), self.said
                data = os.read(self.out.fileno(), 65536)
                assert data, self.said
                self.said += data.decode()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


@pytest.fixture
def start() -> Iterator[Start]:
    commands: list[Command] = []

    def begin(*args: str) -> Command:
        commands.append(Command(*args))
        return commands[-1]

    yield begin
    for command in commands:
        command.process.kill()
        command.process.communicate()


def test_watching_prints_changes_as_lines(start: Start, server: Server) -> None:
    watching = start("get", "-w")
    watching.until(f"podinfo   {'Progressing':16}   20")
    server.set_status(PODINFO, PROGRESSING.model_copy(update={"canary_weight": 30}))
    watching.until(f"podinfo   {'Progressing':16}   30")
    server.create(canary("another"))
    watching.until("another")
    heads, *rows = watching.said.splitlines()
    assert {row.split()[2] for row in rows} == {
        row[heads.index("WEIGHT") :].split()[0] for row in rows
    }
    assert watching.interrupt() == 130
    assert "Traceback" not in watching.said
    assert watching.said.count("STATUS") == 1


def test_watching_one_leaves_the_others_out(start: Start, server: Server) -> None:
    watching = start("get", "podinfo", "-w", "-o", "wide")
    watching.until("podinfo")
    server.create(canary("another"))
    server.set_status(PODINFO, PROGRESSING.model_copy(update={"failed_checks": 4}))
    watching.until("false       4")
    assert "another" not in watching.said


def test_events_are_followed(start: Start, server: Server) -> None:
    following = start("events", "podinfo", "-f")
    following.until("a check failed")
    server.tell(PODINFO, "the canary gets 30%")
    following.until("Normal   the canary gets 30%")
    assert following.said.count("a check failed") == 1
    assert following.interrupt() == 130


def test_a_server_that_goes_ends_what_follows_it(start: Start, server: Server) -> None:
    following = start("events", "podinfo", "-f")
    following.until("a check failed")
    server.tell(PODINFO, "this comes by the stream")
    following.until("this comes by the stream")
    server.leave()
    following.until("the server has ended the stream")
    assert following.process.wait(10) == 1


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    state = tmp_path / "kept"
    for instance in ("web-abcde", "web-primary-fghij", "other-klmno"):
        file = log_file(state, "default", instance)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"first of {instance}\nlast of {instance}\n")
    return state


def test_logs_of_a_target_and_of_its_primary(cli: Cli, logged: Path) -> None:
    done = cli("logs", "web", "--state", str(logged), "--lines", "1")
    assert sorted(done.out.splitlines()) == [
        "web-abcde | last of web-abcde",
        "web-primary-fghij | last of web-primary-fghij",
    ]


def test_logs_of_an_unknown_process_name_the_known_ones(cli: Cli, logged: Path) -> None:
    done = cli("logs", "othr", "--state", str(logged))
    assert done.code == 1
    assert "did you mean 'other'?" in done.err
    assert "there are other, web, web-primary" in cli("logs", "x", "--state", str(logged)).err


def test_logs_are_found_where_the_running_controller_keeps_them(cli: Cli, logged: Path) -> None:
    address.publish(logged, "http://127.0.0.1:1", os.getpid(), logged)
    assert "last of other" in cli("logs", "other").out


def test_logs_are_found_without_a_controller(cli: Cli, alone: Path, tmp_path: Path) -> None:
    for place in ("shop-1234", "shop-5678"):
        file = log_file(alone / place, "default", f"web{place[-1]}-abcde")
        file.parent.mkdir(parents=True)
        file.write_text(f"from {place}\n")
    assert cli("logs", "web4").out == "web4-abcde | from shop-1234\n"
    log_file(alone / "shop-1234", "default", "web8-fghij").write_text("too\n")
    done = cli("logs", "web8")
    assert done.code == 1
    assert "error: several places have logs of 'web8'; choose one with --state:" in done.err
    assert str(alone / "shop-5678") in done.err


def test_logs_are_followed(start: Start, logged: Path) -> None:
    following = start("logs", "web", "-f", "--state", str(logged))
    following.until("last of web-primary-fghij")
    with log_file(logged, "default", "web-abcde").open("a") as file:
        file.write("something new\n")
    following.until("web-abcde | something new\n")
    assert following.interrupt() == 130
    assert "Traceback" not in following.said


def test_the_running_controller_is_found_unasked(
    cli: Cli, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CANARY_SERVER")
    assert cli("get").code == 1
    address.publish(None, server.url, os.getpid(), tmp_path)
    assert "podinfo" in cli("get").out
    assert "podinfo" in cli("get", "--server", server.url.removeprefix("http://")).out


def test_names_of_canaries_are_completed(program: Cli, server: Server) -> None:
    asked = {"_CANARY_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    assert program(COMP_WORDS="canary explain p", **asked).out == "podinfo\n"
    gone = program(COMP_WORDS="canary explain p", **asked, CANARY_SERVER="http://127.0.0.1:1")
    assert (gone.out.strip(), gone.err) == ("", "")
