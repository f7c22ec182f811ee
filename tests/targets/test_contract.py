"""What every kind of target promises, run over all of them with their example files."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import canary
from canary.cluster.embedded import Embedded
from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest, Ref
from canary.core.revision import revision
from canary.crd import Canary, parse
from canary.errors import UnknownName
from canary.targets.base import TargetKind
from canary.targets.pods import TargetSettings
from canary.targets.registry import TARGETS, target_kind

EXAMPLES = Path(canary.__file__).parents[1] / "examples" / "targets"
MANAGER = "canary"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = sorted(TARGETS)


def example(kind: str) -> tuple[Canary, Manifest]:
    """The Canary of an example, and its target."""
    first, target = yaml.safe_load_all((EXAMPLES / f"{kind.lower()}.yaml").read_text())
    subject = parse(first)
    assert isinstance(subject, Canary)
    return subject, target


@pytest.fixture(params=KINDS)
def named(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def subject(named: str) -> Canary:
    return example(named)[0]


@pytest.fixture
def target(named: str) -> Manifest:
    return example(named)[1]


@pytest.fixture
def kind(subject: Canary) -> TargetKind:
    return target_kind(subject)


@pytest.fixture
async def cluster(target: Manifest) -> Any:
    cluster = await Embedded.open(None)
    await cluster.create(target)
    yield cluster
    await cluster.close()


def made(kind: TargetKind, subject: Canary, target: Manifest) -> Manifest:
    return kind.primary(subject, target, kind.template(target))


def asleep(kind: TargetKind, target: Manifest) -> Manifest:
    patched: Manifest = merge_patch(target, kind.scale(target, None, up=False))
    return patched


def test_is_found_by_the_kind_of_its_example(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    ref = Ref.of(target)
    assert ref.kind == kind.kind
    assert (ref.namespace, ref.name) == (subject.namespace, subject.target_name)


def test_is_made_with_what_it_has_a_field_for(subject: Canary) -> None:
    settings = TargetSettings(selector_labels=("x",))
    made = target_kind(subject, settings, {"configmap/look": "1"})
    assert getattr(made, "settings", settings) == settings
    assert getattr(made, "tracked", {"configmap/look": "1"}) == {"configmap/look": "1"}


def test_says_what_it_runs(kind: TargetKind, target: Manifest) -> None:
    assert all(kind.images(target))


async def test_the_revision_is_the_same_however_often_it_is_read(
    cluster: Embedded, kind: TargetKind, target: Manifest
) -> None:
    first = await cluster.get(Ref.of(target))
    await cluster.patch(Ref.of(target), {"status": {"x": 1}}, manager="other", status=True)
    again = await cluster.get(Ref.of(target))
    assert revision(kind.template(first)) == revision(kind.template(again))


def test_the_revision_does_not_know_of_sleep(kind: TargetKind, target: Manifest) -> None:
    assert kind.template(asleep(kind, target)) == kind.template(target)
    awake = merge_patch(asleep(kind, target), kind.scale(target, None, up=True))
    assert kind.template(awake) == kind.template(target)


def test_a_target_is_put_to_sleep_and_woken(kind: TargetKind, target: Manifest) -> None:
    patch = kind.scale(target, None, up=False)
    sleeping = merge_patch(target, patch)
    # What has no size never sleeps.
    assert kind.idle(sleeping) is bool(patch)
    assert not kind.idle(merge_patch(sleeping, kind.scale(sleeping, None, up=True)))


def test_a_primary_is_another_object_beside_its_target(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    primary, own = Ref.of(made(kind, subject, target)), Ref.of(target)
    assert (primary.kind, primary.namespace) == (own.kind, own.namespace)
    assert primary.name.endswith("-primary")


def test_a_primary_is_awake_even_if_its_target_sleeps(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    assert not kind.idle(made(kind, subject, asleep(kind, target)))


def test_a_primary_carries_the_recorded_template_and_not_the_targets(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    recorded, wanted = kind.template(target), made(kind, subject, target)
    newer = deepcopy(target)
    newer["spec"].setdefault("template", newer["spec"])["somethingNew"] = {"depth": [1]}
    primary = kind.primary(subject, newer, recorded)
    assert kind.template(primary) == kind.template(wanted)


def test_fields_that_nobody_here_knows_are_part_of_it_and_are_copied(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    before = kind.template(target)
    newer = deepcopy(target)
    place = newer["spec"].get("template", newer["spec"])
    place["somethingNew"] = {"depth": [1, {"x": "y"}]}
    assert revision(kind.template(newer)) != revision(before)
    spec = made(kind, subject, newer)["spec"]
    assert spec.get("template", spec)["somethingNew"] == {"depth": [1, {"x": "y"}]}


def test_a_template_that_was_recorded_from_a_primary_is_that_primarys_again(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    primary = made(kind, subject, target)
    assert kind.primary(subject, target, kind.template(primary)) == primary


def test_a_primary_can_be_made_when_only_the_primary_is_left(
    kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    primary = made(kind, subject, target)
    again = kind.primary(subject, primary, kind.template(target))
    assert kind.template(again) == kind.template(primary)
    assert Ref.of(again) == Ref.of(primary)


async def test_making_it_again_changes_nothing(
    cluster: Embedded, kind: TargetKind, subject: Canary, target: Manifest
) -> None:
    live = await cluster.get(Ref.of(target))
    once = await cluster.apply(made(kind, subject, live), manager=MANAGER)
    assert await cluster.apply(made(kind, subject, live), manager=MANAGER) == once
    assert kind.template(once) == kind.template(made(kind, subject, live))


def test_nothing_is_changed_in_place(kind: TargetKind, subject: Canary, target: Manifest) -> None:
    before, template = deepcopy(target), kind.template(target)
    kept = deepcopy(template)
    kind.primary(subject, target, template)
    kind.scale(target, None, up=False)
    assert (target, template) == (before, kept)


def test_readiness_is_told_in_words_or_is_there(kind: TargetKind, target: Manifest) -> None:
    found = kind.readiness({**target, "status": {}}, 100, NOW, None)
    assert found.ready or found.reason
    assert not found.hopeless


words = st.dictionaries(
    st.sampled_from(["app", "name", "team", "helm.toolkit.fluxcd.io/name"]), st.text(max_size=3)
)


@given(st.sampled_from(KINDS), words, words)
def test_whatever_its_metadata_rendering_is_repeatable(
    name: str, labels: dict[str, str], annotations: dict[str, str]
) -> None:
    subject, target = example(name)
    target["metadata"] |= {"labels": labels, "annotations": annotations}
    kind = target_kind(subject)
    primary = made(kind, subject, target)
    assert made(kind, subject, target) == primary
    assert kind.primary(subject, target, kind.template(primary)) == primary


def test_an_unknown_kind_is_named_with_the_object_that_asked() -> None:
    subject, _ = example("Deployment")
    ref = subject.spec.target_ref.model_copy(update={"kind": "Deployments"})
    other = subject.model_copy(update={"spec": subject.spec.model_copy(update={"target_ref": ref})})
    message = (
        r"Canary target-deployment/podinfo: spec\.targetRef\.kind: found 'Deployments'.*ment'\?"
    )
    with pytest.raises(UnknownName, match=message):
        target_kind(other)
