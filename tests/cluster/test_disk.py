"""The state file: what survives, what is refused, and what happens to a broken one."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Manifest, Ref
from canary.errors import ClusterError, Expired, LocalError

CONFIG_MAP = Kind("v1", "ConfigMap")
CONFIG = Ref(CONFIG_MAP, "default", "config")
CANARY = Ref(Kind("flagger.app/v1beta1", "Canary"), "default", "app")


def config(number: int, **meta: Any) -> Manifest:
    ref = Ref(CONFIG_MAP, "default", f"config-{number}")
    return ref.manifest(metadata=meta, data={"number": str(number)})


async def test_what_was_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.db"
    first = await Embedded.open(path)
    for number in range(20):
        await first.create(config(number))
    await first.delete(Ref(CONFIG_MAP, "default", "config-3"))
    await first.apply(CANARY.manifest(spec={"a": 1}), manager="me")
    before = await first.list(CONFIG_MAP), await first.get(CANARY)
    await first.close()

    second = await Embedded.open(path)
    assert second.set_aside is None
    assert (await second.list(CONFIG_MAP)).items == before[0].items
    assert await second.get(CANARY) == before[1]
    applied = await second.apply(CANARY.manifest(spec={}), manager="me")
    assert "a" not in applied.get("spec", {}), "who owns a field is remembered too"
    await second.close()


async def test_a_resource_version_is_never_given_out_again(tmp_path: Path) -> None:
    first = await Embedded.open(tmp_path / "state.db")
    await first.create(CONFIG.manifest())
    await first.delete(CONFIG)
    last = (await first.list(CONFIG_MAP)).resource_version
    await first.close()
    second = await Embedded.open(tmp_path / "state.db")
    assert (await second.list(CONFIG_MAP)).resource_version == last
    made = await second.create(CONFIG.manifest())
    assert int(made["metadata"]["resourceVersion"]) > int(last)
    await second.close()


async def test_a_watch_across_a_restart_goes_on_or_says_that_it_cannot(tmp_path: Path) -> None:
    first = await Embedded.open(tmp_path / "state.db")
    await first.create(config(1))
    early = (await first.list(CONFIG_MAP)).resource_version
    await first.create(config(2))
    late = (await first.list(CONFIG_MAP)).resource_version
    await first.close()
    second = await Embedded.open(tmp_path / "state.db")
    with pytest.raises(Expired, match="list again"):
        await anext(second.watch(CONFIG_MAP, since=early))
    made = await second.create(config(3))
    assert (await anext(second.watch(CONFIG_MAP, since=late))).object == made
    await second.close()


async def test_a_watch_from_a_version_of_another_store_expires() -> None:
    cluster = await Embedded.open(None)
    for since in ("7", "nonsense"):
        with pytest.raises(Expired, match="list again"):
            await anext(cluster.watch(CONFIG_MAP, since=since))
    await cluster.close()


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "is no database": lambda path: path.write_bytes(b"not a database, but long enough\n" * 100),
    "lost its beginning": lambda path: path.write_bytes(bytes(100) + path.read_bytes()[100:]),
    "lost its end": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "lost its middle": lambda path: overwrite(path, 4096),
    "lost a table": lambda path: execute(path, "DROP TABLE counter"),
    "lost its counter": lambda path: execute(path, "DELETE FROM counter"),
    "holds no JSON": lambda path: execute(path, "UPDATE objects SET body = '{' WHERE rowid = 3"),
    "holds no object": lambda path: execute(path, "UPDATE objects SET body = '[]'"),
    "holds no identity": lambda path: execute(path, "UPDATE objects SET body = '{\"kind\": 1}'"),
}


def overwrite(path: Path, offset: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:offset] + b"\xff" * 4096 + content[offset + 4096 :])


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("damage", BREAKAGES.values(), ids=BREAKAGES)
async def test_a_broken_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "state.db"
    first = await Embedded.open(path)
    for number in range(50):
        await first.create(config(number))
    await first.close()
    damage(path)
    broken = path.read_bytes()

    second = await Embedded.open(path)
    kept = second.set_aside
    assert kept is not None
    assert kept.name.startswith("state.db.broken-")
    assert len(kept.read_bytes()) == len(broken)
    assert (await second.list(CONFIG_MAP)).items == []
    await second.create(config(1))
    await second.close()
    third = await Embedded.open(path)
    assert third.set_aside is None
    assert len((await third.list(CONFIG_MAP)).items) == 1
    await third.close()


async def test_one_file_is_for_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = await Embedded.open(path)
    with pytest.raises(LocalError, match=r"state\.db is in use .* stop that one first"):
        await Embedded.open(path)
    await first.create(config(1))
    await first.close()
    await (await Embedded.open(path)).close()


HOLDER = """
import asyncio, sys
from pathlib import Path
from canary.cluster.embedded import Embedded

async def hold():
    await Embedded.open(Path(sys.argv[1]))
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    command = [sys.executable, "-c", HOLDER, str(path)]
    holder = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout
    assert await holder.stdout.readline() == b"open\n"
    with pytest.raises(LocalError, match=rf"pid {holder.pid}"):
        await Embedded.open(path)
    holder.kill()
    await holder.wait()
    await (await Embedded.open(path)).close()


async def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    execute(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(LocalError, match="another program"):
        await Embedded.open(path)
    assert path.read_bytes() == before


async def test_the_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await Embedded.open(path)).close()
    execute(path, "PRAGMA user_version = 99")
    with pytest.raises(LocalError, match="newer version"):
        await Embedded.open(path)
    assert names(tmp_path) == {"state.db", "state.db.lock"}


async def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LocalError, match="file/state"):
        await Embedded.open(tmp_path / "file" / "state.db")
    with pytest.raises(LocalError, match="can't be opened"):
        await Embedded.open(tmp_path)


async def test_a_write_that_cannot_be_made_durable_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    cluster = await Embedded.open(path)
    made = await cluster.create(CONFIG.manifest(data={"a": "1"}))
    # Stands for a full disk: SQLite refuses the write for a reason of its own.
    execute(
        path, "CREATE TRIGGER full BEFORE INSERT ON objects BEGIN SELECT raise(ABORT, 'x'); END"
    )
    patches = [{"data": {"a": "2"}}, {"data": {"b": "2"}}, {"data": {"b": "2"}}]
    work = (cluster.patch(CONFIG, patch, manager="test") for patch in patches)
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        assert isinstance(outcome, ClusterError)
        assert "can't be written" in str(outcome)
    assert await cluster.get(CONFIG) == made

    execute(path, "DROP TRIGGER full")
    changed = await cluster.patch(CONFIG, patches[0], manager="test")
    assert changed["data"] == {"a": "2"}
    since = made["metadata"]["resourceVersion"]
    assert (await anext(cluster.watch(CONFIG_MAP, since=since))).object == changed
    await cluster.close()


async def test_an_object_whose_owner_died_in_the_last_process_is_collected(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = await Embedded.open(path)
    owner = await first.create(CONFIG.manifest())
    await first.create(
        config(1, ownerReferences=[{"name": "owner", "uid": owner["metadata"]["uid"]}])
    )
    await first.create(config(2))
    await first.close()
    # As if the process had died between the owner's end and the collection.
    execute(path, "DELETE FROM objects WHERE name = 'config'")

    second = await Embedded.open(path)
    changes = second.watch(CONFIG_MAP)

    async with asyncio.timeout(10):
        assert (await anext(changes)).type == "ADDED"
        assert (await anext(changes)).type == "ADDED"
        gone = await anext(changes)
    assert (gone.type, gone.object["metadata"]["name"]) == ("DELETED", "config-1")
    assert [*map(Ref.of, (await second.list(CONFIG_MAP)).items)] == [Ref.of(config(2))]
    await second.close()


async def test_the_file_holds_what_a_person_can_read(tmp_path: Path) -> None:
    cluster = await Embedded.open(tmp_path / "state.db")
    made = await cluster.create(CONFIG.manifest(data={"a": "1"}))
    await cluster.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    rows = connection.execute("SELECT kind, namespace, name, body FROM objects").fetchall()
    connection.close()
    assert [(kind, namespace, name) for kind, namespace, name, _ in rows] == [
        ("ConfigMap", "default", "config")
    ]
    assert json.loads(rows[0][3]) == made
