"""The examples that run on one machine, run as they are."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import copytree

import pytest
import yaml

from canary.local.envoy.ports import obstacle
from tests.local.controller import Place, Shop, unharmed

EXAMPLES = Path(__file__).parent.parent / "examples"
RUNNING = ("first", "local")


class Example(Shop):
    """The one Canary of an example, as a service of a place."""

    def __init__(self, place: Place, namespace: str, name: str, port: int) -> None:
        self.place, self.namespace, self.name, self.port = place, namespace, name, port

    @property
    def path(self) -> str:
        return f"/api/v1/canaries/{self.namespace}/{self.name}"

    def edit(self, file: str, *pairs: tuple[str, str]) -> None:
        """Replace words in a file, as a person with an editor does."""
        path = self.place.folder / file
        text = path.read_text()
        for old, new in pairs:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        self.place.write(file, text)


@asynccontextmanager
async def running(place: Place, *arguments: str) -> AsyncIterator[None]:
    await place.start(*arguments)
    try:
        await place.ready()
        yield
    finally:
        code = await place.stop()
    assert code == 0, place.said()


def example(name: str, home: Path, *, copied: bool) -> Example:
    place = Place(home)
    if copied:
        place.folder.rmdir()
        copytree(EXAMPLES / name, place.folder)
    else:
        place.folder = EXAMPLES / name
    files = [*yaml.safe_load_all("---\n".join(f.read_text() for f in place.folder.iterdir()))]
    (canary,) = (each for each in files if each["kind"] == "Canary")
    meta, port = canary["metadata"], canary["spec"]["service"]["port"]
    assert not obstacle("127.0.0.1", port), "the port of the example is taken on this machine"
    return Example(place, meta.get("namespace", "default"), meta["name"], port)


@pytest.mark.parametrize("name", RUNNING)
def test_a_running_example_is_valid_without_a_word(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "canary", "validate", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout + done.stderr


async def test_the_first_manifest_runs_unchanged(tmp_path: Path) -> None:
    """An interval of a minute is not waited for: here it is where the traffic goes that counts."""
    first = example("first", tmp_path, copied=False)
    async with running(first.place):
        await first.phase("Initialized")
    first = example("first", tmp_path / "copy", copied=True)
    async with running(first.place):
        await first.phase("Initialized")
        async with first.loaded() as reports:
            first.edit("process.yaml", ('VERSION: "1"', 'VERSION: "2"'))
            await first.weight(5)
            explained = await first.explained()
    unharmed(reports)
    assert "gets 5% of the traffic while it is analysed" in explained
    assert "if every check passes, the canary gets 10% of the traffic" in explained


async def test_the_first_manifest_brings_its_own_load_and_is_promoted(tmp_path: Path) -> None:
    first = example("first", tmp_path, copied=True)
    async with running(first.place):
        first.edit(
            "first.yaml", ("interval: 1m", "interval: 1s"), ("stepWeight: 5", "stepWeight: 25")
        )
        await first.phase("Initialized")
        first.edit("process.yaml", ('VERSION: "1"', 'VERSION: "2"'))
        seen = await first.phase("Succeeded")
    assert [each["outcome"] for each in seen["checks"]] == ["pass", "pass"]
    assert all(each["samples"] >= 10 for each in seen["checks"])


async def test_the_commented_example_promotes_a_good_version_and_takes_a_bad_one_back(
    tmp_path: Path,
) -> None:
    web = example("local", tmp_path, copied=True)
    async with running(web.place):
        await web.phase("Initialized")
        # The only change: nobody waits ten seconds at each weight here.
        web.edit("canary.yaml", ("interval: 10s", "interval: 1s"))
        async with web.loaded() as reports:
            web.edit("process.yaml", ('VERSION: "1"', 'VERSION: "2"'))
            await web.phase("Succeeded")
            web.edit(
                "process.yaml",
                ('VERSION: "2"', 'VERSION: "3"'),
                ('ERROR_RATE: "0"', 'ERROR_RATE: "0.1"'),
            )
            seen = await web.phase("Failed")
    unharmed(reports, "3")
    assert "is below 99% (failed check 2 of 2)" in seen["verdict"]["reason"]
