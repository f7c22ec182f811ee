"""What every router promises, run over all of them with their example files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import canary
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary, parse
from canary.crd.status import Split
from canary.errors import NotFound, UnknownName
from canary.routers.base import Current, Router
from canary.routers.registry import ROUTERS, router

EXAMPLES = Path(canary.__file__).parents[1] / "examples" / "routers"
MANAGER = "canary"

SPLITS = {
    "all to the primary": Split.to_canary(0),
    "one percent": Split.to_canary(1),
    "half": Split.to_canary(50),
    "nearly all to the canary": Split.to_canary(99),
    "all to the canary": Split.to_canary(100),
    "copied to the canary": Split.to_canary(0, mirrored=True),
    "those who match to the canary": Split.to_canary(100, matched=True),
}


@pytest.fixture(params=sorted(ROUTERS))
def example(request: pytest.FixtureRequest) -> tuple[Router, list[Manifest]]:
    """A router, and its example: the Canary first, then the objects of others that it needs."""
    documents = yaml.safe_load_all((EXAMPLES / f"{request.param}.yaml").read_text())
    return router(request.param, "test"), list(documents)


@pytest.fixture
def made(example: tuple[Router, list[Manifest]]) -> Router:
    return example[0]


@pytest.fixture
def subject(example: tuple[Router, list[Manifest]]) -> Canary:
    subject = parse(example[1][0])
    assert isinstance(subject, Canary)
    return subject


@pytest.fixture
async def cluster(example: tuple[Router, list[Manifest]]) -> Any:
    cluster = await Embedded.open(None)
    for manifest in example[1][1:]:
        await cluster.create(manifest)
    yield cluster
    await cluster.close()


async def current(cluster: Embedded, made: Router, subject: Canary) -> dict[Ref, Manifest]:
    found = {}
    for ref in [*made.owns(subject), *made.reads(subject)]:
        try:
            found[ref] = await cluster.get(ref)
        except NotFound:
            continue
    return found


async def write(cluster: Embedded, made: Router, subject: Canary, split: Split) -> Current:
    before = await current(cluster, made, subject)
    for manifest in made.render(subject, before, split):
        await cluster.apply(manifest, manager=MANAGER)
    return await current(cluster, made, subject)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
async def test_reads_back_what_it_wrote(
    cluster: Embedded, made: Router, subject: Canary, split: Split
) -> None:
    if (split.mirrored and not made.abilities.mirror) or (
        split.matched and not made.abilities.match
    ):
        return
    after = await write(cluster, made, subject, split)
    assert made.read(subject, after) == split


async def test_reads_back_each_step_of_a_release(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    for weight in (0, 10, 60, 100, 30, 0):
        after = await write(cluster, made, subject, Split.to_canary(weight))
        assert made.read(subject, after) == Split.to_canary(weight)


async def test_has_nothing_to_read_before_it_wrote(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    assert made.read(subject, await current(cluster, made, subject)) is None


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
async def test_touches_only_what_it_owns(
    cluster: Embedded, made: Router, subject: Canary, split: Split
) -> None:
    before = await current(cluster, made, subject)
    written = {Ref.of(manifest) for manifest in made.render(subject, before, split)}
    assert written == set(made.owns(subject))


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
async def test_renders_the_same_again(
    cluster: Embedded, made: Router, subject: Canary, split: Split
) -> None:
    before = await current(cluster, made, subject)
    assert made.render(subject, before, split) == made.render(subject, before, split)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
async def test_writing_again_changes_nothing(
    cluster: Embedded, made: Router, subject: Canary, split: Split
) -> None:
    once = await write(cluster, made, subject, split)
    assert await write(cluster, made, subject, split) == once


async def test_leaves_the_fields_of_others(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    await write(cluster, made, subject, Split.to_canary(10))
    theirs = {"metadata": {"labels": {"team": "shop"}}}
    for ref in made.owns(subject):
        await cluster.patch(ref, theirs, manager="somebody")
    after = await write(cluster, made, subject, Split.to_canary(20))
    assert all(after[ref]["metadata"]["labels"]["team"] == "shop" for ref in made.owns(subject))


def test_an_unknown_provider_is_told_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'envoy'"):
        router("envoi", "Canary test/podinfo")
