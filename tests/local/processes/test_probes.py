"""Readiness probes against real servers and commands."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from canary.crd.process import ReadinessProbe
from canary.local.ports import free_port
from canary.local.processes.command import expand
from canary.local.processes.os_process import Launch
from canary.local.processes.probes import Place, Threshold, ask

REPLIES = {"/ok": "200 OK", "/moved": "302 Found", "/bad": "503 Service Unavailable"}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Latin-1 reads anything, also the beginning of TLS.
    words = (await reader.readline()).decode("latin-1").split()
    path = words[1] if len(words) == 3 else ""
    if path in REPLIES:
        writer.write(f"HTTP/1.1 {REPLIES[path]}\r\ncontent-length: 0\r\n\r\n".encode())
    elif path:
        await reader.read()  # says nothing until the caller gives up
    writer.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    launch = Launch((), {**os.environ, "PORT": str(port)}, tmp_path)
    async with server:
        yield Place("127.0.0.1", port, launch)


# The probe, and how the reason begins; an empty one means ready.
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "HTTP: 200 is ready": ({"httpGet": {"path": "/ok"}}, ""),
    "HTTP: a redirection is ready": ({"httpGet": {"path": "/moved"}}, ""),
    "HTTP: 503 is not": ({"httpGet": {"path": "/bad"}}, "/bad answered 503"),
    "HTTP: no answer is not": ({"httpGet": {"path": "/slow"}}, "no answer within 0.3 s"),
    "HTTPS: plain text is not": ({"httpGet": {"path": "/ok", "scheme": "HTTPS"}}, "/ok: "),
    "TCP: an open port is ready": ({"tcpSocket": {}}, ""),
    "exec: code 0 is ready": ({"exec": {"command": ["sh", "-c", "test -n $PORT"]}}, ""),
    "exec: another code is not": (
        {"exec": {"command": ["sh", "-c", "exit 2"]}},
        "sh exited with code 2",
    ),
    "exec: taking too long is not": ({"exec": {"command": ["sleep", "9"]}}, "no answer within"),
    "exec: a missing command is not": ({"exec": {"command": ["nowhere"]}}, "command 'nowhere'"),
}


@pytest.mark.parametrize(("probe", "begins"), ANSWERS.values(), ids=ANSWERS)
async def test_ask(place: Place, probe: dict[str, Any], begins: str) -> None:
    asked = ReadinessProbe.model_validate({**probe, "timeoutSeconds": 0.3})
    reason = await ask(asked, place)
    assert reason.startswith(begins)
    assert bool(reason) == bool(begins)


@pytest.mark.parametrize("probe", [{"httpGet": {}}, {"tcpSocket": {}}])
async def test_a_closed_port_is_not_ready(place: Place, probe: dict[str, Any]) -> None:
    closed = Place("127.0.0.1", free_port("127.0.0.1"), place.launch)
    assert "refused" in (await ask(ReadinessProbe.model_validate(probe), closed)).lower()


# Thresholds for failure and success, the answers, and when it was ready.
THRESHOLDS = {
    "one success is enough by default": (3, 1, "+", [True]),
    "needs so many successes in a row": (3, 2, "+-++", [False, False, False, True]),
    "stands single failures": (2, 1, "+-+-+", [True] * 5),
    "gives up after so many in a row": (2, 1, "+--+", [True, True, False, True]),
}


@pytest.mark.parametrize(
    ("failure", "success", "answers", "expected"), THRESHOLDS.values(), ids=THRESHOLDS
)
def test_threshold(failure: int, success: int, answers: str, expected: list[bool]) -> None:
    threshold = Threshold(failure, success)
    assert [threshold.note(passed=answer == "+") for answer in answers] == expected


EXPANSIONS = {
    "known names are replaced": ("$(A)-$(A)", "1-1"),
    "unknown names stay": ("$(B)", "$(B)"),
    "a doubled dollar is one": ("$$(A)", "$(A)"),
    "the shell's own words stay": ("$A ${A} $$", "$A ${A} $$"),
}


@pytest.mark.parametrize(("text", "expected"), EXPANSIONS.values(), ids=EXPANSIONS)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected
