"""Where programs come from, and what people are told who lack something."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.harness import build, cache, downloads
from tests.cluster.harness.errors import HarnessError
from tests.cluster.harness.process import Component


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("CANARY_HARNESS_WHEELS", raising=False)


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def test_without_go_the_error_says_what_to_do(no_programs: None) -> None:
    with pytest.raises(HarnessError, match="Install Go, or point KUBEBUILDER_ASSETS"):
        build.programs()


def test_a_full_disk_is_noticed_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "GIB", 2**60)
    with pytest.raises(
        HarnessError, match=r"building the control plane needs 4 GiB at .* are free"
    ):
        build.programs()


def test_ready_made_programs_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = build.programs()
    assert found.apiserver == (str(tmp_path / "kube-apiserver"),)
    assert found.controllers is None


def test_a_folder_without_programs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(HarnessError, match=r"etcd isn't a program"):
        build.programs()


def test_a_missing_proxy_is_told_with_its_wheel(no_programs: None) -> None:
    with pytest.raises(HarnessError, match="pip install nothing-bin"):
        downloads.installed("nothing", "nothing-bin")


def test_a_missing_downloader_is_told(no_programs: None) -> None:
    with pytest.raises(HarnessError, match="Debian's package hey can't be fetched: `apt-get`"):
        downloads.debian_package("hey", "hey")
    with pytest.raises(HarnessError, match="`go` is missing"):
        downloads.go_module("k8s.io/api", "v0.36.3")


def test_a_thing_is_made_once_for_all_who_ask() -> None:
    made: list[int] = []

    def make(target: Path) -> None:
        made.append(1)
        time.sleep(0.2)  # long enough for the others to ask meanwhile
        target.write_text("whole")

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.once("thing", make).read_text()))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (made, found) == ([1], ["whole"] * 4)


def test_what_could_not_be_made_leaves_nothing() -> None:
    def fail(target: Path) -> None:
        target.write_text("half")
        raise HarnessError("no")

    with pytest.raises(HarnessError):
        cache.once("thing", fail)
    assert [each.name for each in cache.folder().iterdir()] == [".thing.lock"]


def test_a_program_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('no port left'); raise SystemExit(1)"]
    part = Component("server", argv, tmp_path / "log", lambda: False)
    with pytest.raises(HarnessError, match=r"server ended at once.*\n.*no port left"):
        part.start()


def test_a_program_that_is_never_ready_is_told(tmp_path: Path) -> None:
    part = Component("server", ["sleep", "60"], tmp_path / "log", lambda: False)
    with pytest.raises(HarnessError, match=r"server isn't ready after 0.2 s"):
        part.start(timeout=0.2)
    part.kill()
    assert not part.alive


def test_a_program_does_not_see_the_settings_of_who_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/config")
    log = tmp_path / "log"
    part = Component("env", ["sh", "-c", "env; sleep 60"], log, lambda: "PATH=" in log.read_text())
    part.start()
    part.kill()
    assert "KUBECONFIG" not in log.read_text()


OWNER = """
import os, signal, sys, time
from pathlib import Path
from tests.cluster.harness.process import Component
part = Component("server", ["sleep", "60"], Path(sys.argv[1]), lambda: True)
part.start()
# Whoever dies before the program has asked to be told can't be what it dies of.
until = time.monotonic() + 20
while Path(f"/proc/{part.pid}/comm").read_text() != "sleep\\n" and time.monotonic() < until:
    time.sleep(0.01)
print(part.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "log")]
    owner = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    pid, deadline = int(owner.stdout), time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
