"""The demo does what it promises, and is gone afterwards, however it ended."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.local.controller import until

LONGEST = 90.0
"""Seconds that a demo may take."""
START, SPLIT, COPY = "version 1 is starting", "the canary gets 10%", "copying shop to shop-primary"


class Demo:
    """A demo that runs, and what it has printed so far."""

    def __init__(self, process: Process, home: Path) -> None:
        self.process, self.home, self.said = process, home, ""
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said += line.decode()

    async def says(self, words: str) -> None:
        await until(words, lambda: words in self.said)

    def parts(self) -> dict[int, str]:
        """All processes that have to do with it, by pid."""
        found = {}
        for each in psutil.process_iter():
            try:
                text = " ".join((*each.cmdline(), *each.environ().values()))
            except psutil.Error:
                continue
            if str(self.home) in text:
                found[each.pid] = " ".join(each.cmdline())
        return found

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), LONGEST)
        await self.reading
        assert self.parts() == {}, "it left processes behind"
        assert list(self.home.iterdir()) == [], "it left its folder behind"
        return code


@asynccontextmanager
async def demo(home: Path, *arguments: str) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "canary", "demo", "--plain", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(home), "COLUMNS": "120"},
        # A group of its own, as a shell gives to what it starts.
        start_new_session=True,
    )
    made = Demo(process, home)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await made.reading


def listening(pids: Container[int] | None = None) -> set[int]:
    """The ports on which these processes listen, or all."""
    return {
        each.laddr[1]
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr and (pids is None or each.pid in pids)
    }


async def test_a_good_version_is_promoted_and_a_bad_one_taken_back(tmp_path: Path) -> None:
    began = monotonic()
    async with demo(tmp_path, "--seconds", "2") as playing:
        await playing.says(SPLIT)
        parts = playing.parts()
        ports = listening(parts)
        assert len(parts) >= 5, "the controller, Envoy, two old and a new process"
        assert await playing.ended() == 0, playing.said
    assert monotonic() - began < LONGEST
    assert len(ports) >= 5
    assert not ports & listening()
    for words in ("the canary gets 50%", COPY, "What the users saw", "promoted", "taken back"):
        assert words in playing.said
    table = playing.said.partition("What the users saw")[2]
    rows = {
        cells[1].strip(): cells for line in table.splitlines() if (cells := line.split("│"))[3:]
    }
    assert [rows[version][3].strip() for version in "12"] == ["0", "0"]
    assert int(rows["3"][3].replace(",", "")) > 0


@pytest.mark.parametrize("moment", [START, SPLIT, COPY])
async def test_ctrl_c_ends_it_and_leaves_nothing(moment: str, tmp_path: Path) -> None:
    async with demo(tmp_path, "--seconds", "1") as playing:
        await playing.says(moment)
        # A terminal sends it to all of the group, and people do not press it only once.
        os.killpg(playing.process.pid, signal.SIGINT)
        await asyncio.sleep(0)
        os.killpg(playing.process.pid, signal.SIGINT)
        assert await playing.ended() == 130, playing.said
    assert "Traceback" not in playing.said
    assert "error" not in playing.said.lower()
