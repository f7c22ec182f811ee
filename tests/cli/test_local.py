"""local: the whole program, as a person starts it, and the commands that find it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Cli

MANIFESTS = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web}
spec:
  targetRef: {apiVersion: local.canary/v1, kind: Process, name: web}
  service: {port: %d}
  analysis: {interval: 10s, threshold: 2, stepWeight: 20, maxWeight: 60}
---
apiVersion: local.canary/v1
kind: Process
metadata: {name: web}
spec:
  replicas: 1
  template:
    command: [$(PYTHON), -m, canary.local.sample]
    readinessProbe: {httpGet: {path: /readyz}, periodSeconds: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "all.yaml").write_text(MANIFESTS % port)
    return folder


@pytest.fixture
def controller(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "canary", "local", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)


def test_a_folder_runs_and_is_found_until_ctrl_c(
    cli: Cli, controller: "subprocess.Popen[str]"
) -> None:
    end = time.monotonic() + 60
    while "Initialized" not in cli("get").out:
        assert controller.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "the primary serves revision" in cli("explain", "web").out
    assert "is set up" in cli("events", "web").out
    assert "listens on" in cli("logs", "web").out
    assert "no run is under way" in cli("abort", "web", "--wait").err
    controller.send_signal(signal.SIGINT)
    controller.communicate(timeout=60)
    assert controller.returncode == 0
    assert "no local controller is running" in cli("get").err
    assert "listens on" in cli("logs", "web").out


def test_a_folder_that_is_not_there(program: Cli, tmp_path: Path) -> None:
    done = program("local", str(tmp_path / "nowhere"), "--port", "0")
    assert done.code == 1
    assert "nowhere does not exist" in done.err
    assert "Traceback" not in done.err


def test_a_port_that_is_taken(program: Cli, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program("local", str(folder), "--port", str(taken.getsockname()[1]))
    assert done.code == 1
    assert "another program has it" in done.err
    assert "Traceback" not in done.err
