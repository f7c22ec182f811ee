"""The journal: what was seen, decided and done, and never a reason for a release to stop."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from canary.core.actions import Scale, Wait
from canary.core.facts import Seen
from canary.crd.status import Phase
from canary.engine import journal as module
from canary.engine.journal import Journal
from tests.core.rows import NOW, running
from tests.engine.place import Place

WAIT = Wait(NOW + timedelta(seconds=5), "watching 50%")
KEY = "test/podinfo"


async def test_a_release_can_be_told_from_it(place: Place) -> None:
    await place.ready()
    await place.release("2")
    found = await place.ended("2")
    await place.rests()
    run = found.status.run
    assert run
    entries = place.journal.entries("test/app", limit=500, run=run.id)
    does = [each["do"] for entry in entries for each in entry.actions]
    for deed in ("SetStatus", "SetSplit", "Promote", "Scale", "Wait"):
        assert deed in does, does
    assert {entry.phase for entry in entries} >= {"Progressing", "Promoting", "Finalising"}
    # The run has no id yet in the tick that begins it.
    whole = place.journal.entries("test/app", limit=500)
    assert any("new revision" in str(entry.actions) for entry in whole)
    decided = next(entry for entry in entries if "Promote" in str(entry.actions))
    [check] = decided.seen["checks"]
    assert (check["name"], check["outcome"]) == ("request-success-rate", "pass")
    assert (check["value"], check["samples"]) == (100, 1000)
    assert decided.done == len([each for each in decided.actions if each["do"] != "Wait"])
    assert [entry.error for entry in whole if entry.error] == []


async def test_runs_are_kept_as_they_ended(place: Place) -> None:
    await place.ready()
    await place.release("2")
    await place.ended("2")
    place.requests.bad = {"3"}
    await place.release("3")
    await place.ended("3")
    await place.rests()
    newest, before = place.journal.runs("test/app")
    assert (newest.phase, before.phase) == (Phase.FAILED, Phase.SUCCEEDED)
    assert newest.run == (await place.canary()).status.run


def test_a_wait_that_goes_on_is_written_once() -> None:
    journal, canary = Journal(), running()
    for second in range(5):
        journal.note(canary, Seen(NOW + timedelta(seconds=second)), [WAIT])
    journal.note(canary, Seen(NOW), [Scale(up=True)], done=1)
    journal.note(canary, Seen(NOW), [WAIT])
    assert [entry.actions[0]["do"] for entry in journal.entries(KEY)] == ["Wait", "Scale", "Wait"]


def test_a_wait_that_failed_is_written_each_time() -> None:
    journal, canary = Journal(), running()
    for _ in range(3):
        journal.note(canary, Seen(NOW), [WAIT], error="no")
    assert len(journal.entries(KEY)) == 3


@pytest.mark.parametrize(("kept", "in_all"), [(50, 10_000), (10_000, 50)])
def test_is_bounded(monkeypatch: pytest.MonkeyPatch, kept: int, in_all: int) -> None:
    monkeypatch.setattr(module, "KEPT", kept)
    monkeypatch.setattr(module, "KEPT_IN_ALL", in_all)
    monkeypatch.setattr(module, "_PRUNE_EVERY", 10)
    journal, canary = Journal(), running()
    for second in range(500):
        journal.note(canary, Seen(NOW + timedelta(seconds=second)), [Scale(up=True)])
    entries = journal.entries(KEY, limit=1000)
    assert 50 <= len(entries) <= 60
    assert entries[-1].at == (NOW + timedelta(seconds=499)).isoformat(), "the newest stay"


def test_survives_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    first.note(running(), Seen(NOW), [Scale(up=True)], done=1)
    first.close()
    again = Journal(tmp_path / "journal.db")
    [entry] = again.entries(KEY)
    assert (entry.canary, entry.run, entry.done) == (KEY, "run", 1)
    assert again.set_aside is None
    again.close()


BROKEN = {
    "no database": b"this is no database, whatever its name says" * 100,
    "a header without the rest": b"SQLite format 3\x00" + b"\xff" * 200,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    journal = Journal(path)
    assert journal.set_aside is not None
    assert journal.set_aside.read_bytes() == content
    journal.note(running(), Seen(NOW), [Scale(up=True)])
    assert len(journal.entries(KEY)) == 1
    journal.close()


async def test_one_that_can_no_longer_be_written_stops_no_release(place: Place) -> None:
    await place.ready()
    place.journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error):
        place.journal._db.execute("DELETE FROM ticks")
    await place.release("2")
    assert (await place.ended("2")).status.phase == Phase.SUCCEEDED
