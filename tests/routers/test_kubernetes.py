"""Plain Kubernetes: the split is the side that the apex Service selects."""

from typing import Any

import pytest
import yaml

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, Split
from canary.routers.kubernetes import Kubernetes
from tests.routers.manifests import EXAMPLES, canary

TARGET, PRIMARY = {"app": "podinfo"}, {"app": "podinfo-primary"}
BLUE_GREEN = {"iterations": 5}


def service(name: str, selector: dict[str, str] | None) -> Manifest:
    ref = Ref(Kind("v1", "Service"), "test", name)
    return ref.manifest(spec={"selector": selector} if selector else {})


def services(apex: dict[str, str] | None) -> list[Manifest]:
    return [
        service("shop", apex),
        service("shop-primary", PRIMARY),
        service("shop-canary", TARGET),
    ]


READ: dict[str, tuple[list[Manifest], Split | None]] = {
    "the apex selects the primary's pods": (services(PRIMARY), Split()),
    "the apex selects the target's pods": (services(TARGET), Split.to_canary(100)),
    "the apex selects other pods, as before a takeover": (
        services({"app": "podinfo", "tier": "web"}),
        None,
    ),
    "the apex selects nothing": (services(None), None),
    "there is no apex yet": (services(PRIMARY)[1:], None),
    "there are no Services yet": ([], None),
    "the apex is there before the other two": ([service("shop", PRIMARY)], None),
}


@pytest.mark.parametrize(("live", "split"), READ.values(), ids=READ)
def test_reads_the_selector(live: list[Manifest], split: Split | None) -> None:
    made = canary("kubernetes", analysis=BLUE_GREEN)
    assert Kubernetes().read(made, {Ref.of(each): each for each in live}) == split


def test_iterations_are_no_traffic() -> None:
    """The compatible API takes a running iteration for a canary with all traffic."""
    made = canary("kubernetes", analysis=BLUE_GREEN, status=CanaryStatus(iterations=3))
    live = {Ref.of(each): each for each in services(PRIMARY)}
    assert Kubernetes().read(made, live) == Split()


@pytest.mark.parametrize("split", [Split(), Split.to_canary(100)])
def test_writes_nothing(split: Split) -> None:
    made = canary("kubernetes", analysis=BLUE_GREEN)
    assert Kubernetes().owns(made) == []
    assert Kubernetes().render(made, {}, split) == []
    assert Kubernetes().pending(made, {}) == ""


def legacy(**metadata: Any) -> Canary:
    """A target that is a Service, and so is the apex itself."""
    made = canary(
        "kubernetes",
        {"name": "legacy"},
        BLUE_GREEN,
        targetRef={"apiVersion": "v1", "kind": "Service", "name": "legacy"},
    )
    return made.model_copy(update={"metadata": made.metadata.model_copy(update=metadata)})


def test_a_service_as_target_is_never_in_anybodys_way() -> None:
    assert Kubernetes().reads(legacy()) == []
    assert Kubernetes().read(legacy(), {}) == Split()
    leaving = legacy(deletion_timestamp="2026-01-01T00:00:00Z")
    assert Kubernetes().read(leaving, {}) == Split.to_canary(100)


def test_the_example_shows_the_services_that_it_reads() -> None:
    first, *others = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    made = parse(first)
    assert isinstance(made, Canary)
    live = {Ref.of(each): each for each in others}
    assert sorted(live) == sorted(Kubernetes().reads(made))
    assert Kubernetes().read(made, live) == Split()
