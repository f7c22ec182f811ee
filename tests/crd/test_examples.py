"""Every example is valid and comes back as it was written; together they use every field."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from canary.crd import KINDS, Loaded, dump, load_path, load_text
from canary.crd.base import Model, model_of
from canary.crd.describe import names, step
from canary.crd.resource import Metadata

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = [
    *sorted((EXAMPLES / "canaries").glob("*.yaml")),
    *sorted((EXAMPLES / "first").glob("*.yaml")),
    EXAMPLES / "alertproviders.yaml",
    EXAMPLES / "metrictemplates.yaml",
]


@pytest.fixture(params=OURS, ids=lambda path: f"{path.parent.name}/{path.name}")
def example(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def written(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def test_comes_back_as_it_was_written(example: Path) -> None:
    loaded = load_path(example)
    assert [dump(resource) for resource in loaded.objects] == written(example)


def test_comes_back_the_same_a_second_time(example: Path) -> None:
    once = [dump(resource) for resource in load_path(example).objects]
    again = load_text(yaml.safe_dump_all(once))
    assert [dump(resource) for resource in again.objects] == once


def test_raises_no_doubts(example: Path) -> None:
    assert load_path(example).warnings == ()


def test_the_first_example_is_a_canary_with_its_target() -> None:
    loaded: Loaded = load_path(EXAMPLES / "first")
    assert [resource.kind for resource in loaded.objects] == ["Canary", "Process"]
    assert [Path(source).name for source in loaded.sources] == ["first.yaml", "process.yaml"]


def used(value: Any, annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """Every model and field that a manifest uses."""
    model = model_of(annotation)
    within = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in within:
        if model is not None:
            yield model, str(key)
        inner = step(annotation, key)
        if inner is not None and isinstance(each, dict | list):
            yield from used(each, inner)


def every_model(model: type[Model]) -> Iterator[type[Model]]:
    for each in model.__subclasses__():
        if each.__module__.startswith("canary.crd"):
            yield each
            yield from every_model(each)


def test_together_they_use_every_field() -> None:
    seen = {
        place
        for path in OURS
        for manifest in written(path)
        for place in used(manifest, KINDS[manifest["kind"]])
    }
    models = [
        each for each in every_model(Model) if each is not Metadata and not each.__subclasses__()
    ]
    unused = {
        f"{model.__name__}.{name}"
        for model in models
        for name in names(model)
        if (model, name) not in seen and name != "status"
    }
    assert unused == set()
