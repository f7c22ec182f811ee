"""Starting and ending the daemon that keeps a cluster for people."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.harness.cluster import ROOT
from tests.cluster.harness.errors import HarnessError

DAEMON = "tests.cluster.harness.daemon"
POLL = 0.05
PATIENCE = 20.0
"""Seconds in which a cluster has to end, before it is ended."""

Facts = dict[str, Any]
"""What a cluster that is up tells of itself: see `daemon.tell`."""


def start(folder: Path) -> Facts:
    """Return when it is up. The folder has to be empty. Raises `HarnessError`."""
    daemon = _spawn(folder)
    while not (folder / "ready.json").exists():
        if os.waitpid(daemon, os.WNOHANG) != (0, 0):
            lines = (folder / "daemon.log").read_text().splitlines()
            raise HarnessError("\n".join(["the cluster didn't start:", *lines[-20:]]))
        time.sleep(POLL)
    return _read(folder)


def _spawn(folder: Path) -> int:
    """Not with `subprocess`, which minds when a process is left to itself."""
    log, flags = str(folder / "daemon.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    command = [*_rights(), sys.executable, "-m", DAEMON, str(folder)]
    return os.posix_spawnp(
        command[0],
        command,
        {**os.environ, "PYTHONPATH": str(ROOT)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _rights() -> list[str]:
    """A user namespace for those who aren't root: there they may make networks."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--"]


def running(folder: Path) -> Facts | None:
    """None if no cluster with that folder is up."""
    try:
        facts = _read(folder)
        alive = DAEMON in psutil.Process(facts["pid"]).cmdline()
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return facts if alive else None


def end(facts: Facts) -> None:
    """Return when the daemon and all of its children have ended."""
    daemon = psutil.Process(facts["pid"])
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(PATIENCE)
    except psutil.TimeoutExpired:
        daemon.kill()  # its children die with it
        daemon.wait()


def _read(folder: Path) -> Facts:
    return dict(json.loads((folder / "ready.json").read_text()))
