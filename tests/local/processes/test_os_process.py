"""One OS process: started apart from us, held, and never mistaken for another."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.errors import LocalError
from canary.local.ports import free_port
from canary.local.processes.os_process import Exit, Launch, OsProcess, started


def launched(*command: str, folder: Path = Path("/")) -> OsProcess:
    return OsProcess.spawn(Launch(command, dict(os.environ), folder))


ENDS = {
    "tells the exit code": (["sh", "-c", "exit 3"], Exit(code=3), "exited with code 3"),
    "tells the signal": (["sh", "-c", "kill -KILL $$"], Exit(signal=9), "was ended by SIGKILL"),
}


@pytest.mark.parametrize(("command", "expected", "words"), ENDS.values(), ids=ENDS)
async def test_ends(command: list[str], expected: Exit, words: str) -> None:
    result = await launched(*command).exited
    assert result == expected
    assert str(result) == words


async def test_runs_in_a_session_of_its_own() -> None:
    process = launched("sleep", "60")
    assert os.getsid(process.pid) == process.pid
    assert await process.end(5) == Exit(signal=signal.SIGTERM)


async def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = launched("sh", "-c", "trap '' TERM; : > set; sleep 9; sleep 9", folder=tmp_path)
    async with asyncio.timeout(5):
        while not os.access(tmp_path / "set", os.F_OK):  # noqa: ASYNC110  # made by the process
            await asyncio.sleep(0.01)
    assert await process.end(0.3) == Exit(signal=signal.SIGKILL)


@pytest.fixture
def stranger() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


async def test_a_process_of_before_is_taken_up_and_its_end_noticed(stranger: int) -> None:
    process = OsProcess.adopt(stranger, started(stranger) or "")
    assert process is not None
    os.kill(stranger, signal.SIGKILL)
    await process.exited


async def test_another_process_with_that_pid_is_not_taken_up(stranger: int) -> None:
    assert OsProcess.adopt(stranger, started(os.getpid()) or "") is None


async def test_a_process_that_is_gone_is_not_taken_up() -> None:
    process = launched("true")
    since = process.started
    await process.exited
    assert OsProcess.adopt(process.pid, since) is None


def script(folder: Path) -> Path:
    path = folder / "plain.txt"
    path.write_text("#!/bin/sh\n")
    return path


async def test_words_for_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="'no-such-command' was not found"):
        launched("no-such-command")
    with pytest.raises(LocalError, match=r"plain\.txt' is not executable"):
        launched(str(script(tmp_path)))
    with pytest.raises(LocalError, match=r"working directory .*nowhere is missing"):
        launched("true", folder=tmp_path / "nowhere")


async def test_output_is_appended_to_its_file(tmp_path: Path) -> None:
    output = tmp_path / "logs" / "out.log"
    for word in ("one", "two"):
        command = (sys.executable, "-c", f"import sys; sys.exit('{word}')")
        await OsProcess.spawn(Launch(command, {}, tmp_path, output)).exited
    assert output.read_text().split() == ["one", "two"]


def test_free_ports_are_free_and_not_promised_to_others() -> None:
    taken = frozenset(range(10_000, 65_536, 2))
    ports = {free_port("127.0.0.1", taken) for _ in range(20)}
    assert not ports & taken
