"""Runs commands as a shell would: what they print, where, and with what exit code."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary.cli import run

from .server import PODINFO, PROGRESSING, Server, canary, running


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of whose machine nothing is known: no controller, no settings."""
    for name in [name for name in os.environ if name.startswith(("CANARY_", "_CANARY"))]:
        monkeypatch.delenv(name)
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("COLUMNS", "100")
    return state / "canary"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """A command in this process, which is quick."""

    def call(*args: str) -> Result:
        try:
            code = run(args)
        except SystemExit as end:  # as the completion of shells ends
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def program() -> Cli:
    """The program as it is installed, in a process of its own."""

    def call(*args: str, text: str = "", timeout: float = 30, **env: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "canary", *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **env},
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The API with one Canary in the middle of a release and one in another namespace."""
    with running() as server:
        server.create(canary("podinfo"), PROGRESSING)
        server.remember(canary("podinfo"))
        server.create(canary("cart", "shop", mirror=True))
        server.tell(PODINFO, "the canary gets 20%")
        server.tell(PODINFO, "a check failed", "Warning")
        monkeypatch.setenv("CANARY_SERVER", server.url)
        yield server
