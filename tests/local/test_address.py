"""A local controller can be found while it runs, and only then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from canary.errors import LocalError
from canary.local import address


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "canary" / "running"


def test_nothing_is_found_where_nothing_ever_ran() -> None:
    assert address.find() is None


def test_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    address.publish(tmp_path / "state", "http://127.0.0.1:1234", os.getpid(), tmp_path)
    assert address.find() == "http://127.0.0.1:1234"
    (running,) = address.running()
    assert (running.folder, running.state_dir) == (str(tmp_path), str(tmp_path / "state"))
    address.withdraw(os.getpid())
    address.withdraw(os.getpid())
    assert address.find() is None


def test_one_that_was_killed_is_forgotten(tmp_path: Path, notes: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    address.publish(None, "http://127.0.0.1:1", gone.pid, tmp_path)
    assert address.find() == "http://127.0.0.1:1"
    gone.communicate()
    assert address.find() is None
    assert list(notes.iterdir()) == []


def test_another_process_of_the_same_pid_is_not_taken_for_it(tmp_path: Path, notes: Path) -> None:
    address.publish(None, "http://127.0.0.1:1", os.getpid(), tmp_path)
    (note,) = notes.iterdir()
    note.write_text(json.dumps(json.loads(note.read_text()) | {"started": "earlier"}))
    assert address.find() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', "\0"])
def test_a_broken_note_is_no_controller(notes: Path, text: str) -> None:
    notes.mkdir(parents=True)
    (notes / "7.json").write_text(text)
    assert address.find() is None
    assert list(notes.iterdir()) == []


def test_several_are_listed_to_choose_from(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        address.publish(None, "http://127.0.0.1:1", os.getpid(), tmp_path)
        address.publish(None, "http://127.0.0.1:2", other.pid, tmp_path)
        with pytest.raises(LocalError, match="choose one with --server") as told:
            address.find()
    finally:
        other.communicate()
    assert "http://127.0.0.1:1" in str(told.value)
    assert "http://127.0.0.1:2" in str(told.value)


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(LocalError, match="Not a directory"):
        address.publish(None, "http://127.0.0.1:1", os.getpid(), tmp_path)
