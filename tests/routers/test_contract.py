"""What every router promises, run over all of them with their example files."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import canary
from canary.cluster.apply import applied
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


def example_of(provider: str) -> tuple[Router, list[Manifest]]:
    """A router, and its example: the Canary first, then the objects of others that it needs."""
    file = EXAMPLES / f"{provider.replace(':', '-')}.yaml"
    return router(provider, "test"), list(yaml.safe_load_all(file.read_text()))


WRITERS = [each for each in sorted(ROUTERS) if router(each, "test").abilities.weights]
"""All but those without anything to write to."""


@pytest.fixture(params=WRITERS)
def example(request: pytest.FixtureRequest) -> tuple[Router, list[Manifest]]:
    return example_of(request.param)


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


def able(made: Router, split: Split) -> bool:
    mirrors = made.abilities.mirror or made.abilities.mirror_iterations
    return (mirrors or not split.mirrored) and (made.abilities.match or not split.matched)


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
    if not able(made, split):
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


THEIRS: Manifest = {
    "metadata": {"labels": {"who": "them"}, "annotations": {"what/theirs": "kept"}},
    "spec": {"theirs": {"deep": [1, 2]}},
}


async def test_leaves_the_fields_of_others(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    await write(cluster, made, subject, Split.to_canary(10))
    for ref in made.owns(subject):
        await cluster.patch(ref, THEIRS, manager="somebody")
    after = await write(cluster, made, subject, Split.to_canary(20))
    for ref in made.owns(subject):
        assert after[ref]["metadata"]["labels"]["who"] == "them"
        assert after[ref]["metadata"]["annotations"]["what/theirs"] == "kept"
        assert after[ref]["spec"]["theirs"] == {"deep": [1, 2]}


async def test_leaves_the_objects_of_others(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    assert not set(made.owns(subject)) & set(made.reads(subject))
    before = await current(cluster, made, subject)
    after = await write(cluster, made, subject, Split.to_canary(50))
    assert {ref: after[ref] for ref in made.reads(subject)} == before


async def test_takes_a_split_back_that_somebody_else_wrote(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    """As a person at a terminal writes it: the whole object, under another name."""
    await write(cluster, made, subject, Split.to_canary(10))
    for manifest in made.render(
        subject, await current(cluster, made, subject), Split.to_canary(70)
    ):
        await cluster.patch(Ref.of(manifest), manifest, manager="kubectl-edit")
    assert made.read(subject, await current(cluster, made, subject)) == Split.to_canary(70)
    after = await write(cluster, made, subject, Split.to_canary(10))
    assert made.read(subject, after) == Split.to_canary(10)


async def test_says_what_it_waits_for_before_it_wrote(
    cluster: Embedded, made: Router, subject: Canary
) -> None:
    assert "does not exist" in made.pending(subject, await current(cluster, made, subject))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.sampled_from(WRITERS))
def test_any_walk_through_weights_is_read_back_and_comes_to_rest(
    weights: list[int], provider: str
) -> None:
    made, (first, *others) = example_of(provider)
    subject = parse(first)
    assert isinstance(subject, Canary)
    now: dict[Ref, Manifest] = {Ref.of(each): each for each in others}
    for weight in weights:
        split = Split.to_canary(weight)
        for _ in range(2):  # what is written a second time must be what is there
            rendered = made.render(subject, now, split)
            after = {Ref.of(each): _applied(now, each) for each in rendered}
            settled, now = all(now.get(ref) == each for ref, each in after.items()), now | after
        assert settled
        assert made.read(subject, now) == split


def _applied(now: Current, manifest: Manifest) -> Manifest:
    live = now.get(Ref.of(manifest)) or Ref.of(manifest).manifest(**THEIRS)
    return applied(live, manifest, MANAGER, "2026-01-01T00:00:00Z")


def test_an_unknown_provider_is_told_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'envoy'"):
        router("envoi", "Canary test/podinfo")
