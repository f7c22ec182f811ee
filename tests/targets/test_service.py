"""A Service of the core API as the target: both sides are copies of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest
from canary.core.facts import Readiness
from canary.core.revision import revision
from canary.targets.pods import TargetSettings
from canary.targets.service import ServiceKind
from canary.targets.writes import Apply, Patch
from tests.targets.world import canary

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = ServiceKind()
SUBJECT = canary("Service", service={"name": "shop", "port": 80})


def service(name: str = "web", metadata: Manifest | None = None, **spec: Any) -> Manifest:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "test", "resourceVersion": "5", **(metadata or {})},
        "spec": {"selector": {"app": "web", "version": "1"}, "ports": ports, **spec},
    }


def allocated(target: Manifest, address: str, node_port: int) -> Manifest:
    """What the API server makes of a Service."""
    ports = [{**each, "nodePort": node_port} for each in target["spec"]["ports"]]
    own = {"clusterIP": address, "clusterIPs": [address], "healthCheckNodePort": node_port + 1}
    return {**target, "spec": {**target["spec"], "ports": ports, **own}}


LIVE = allocated(service(type="NodePort"), "10.0.0.1", 30080)
# Another state of LIVE, and whether it is another revision.
REVISIONS = {
    "another address is not": (allocated(service(type="NodePort"), "10.0.0.2", 30081), False),
    "another selector is new": (service(type="NodePort", selector={"app": "x"}), True),
    "another type is new": (service(type="LoadBalancer"), True),
    "to be headless is new": (service(type="NodePort", clusterIP="None"), True),
}


@pytest.mark.parametrize(("changed", "new"), REVISIONS.values(), ids=REVISIONS)
def test_revision(changed: Manifest, new: bool) -> None:
    assert (revision(KIND.template(changed)) != revision(KIND.template(LIVE))) is new


def both(target: Manifest, kind: ServiceKind = KIND) -> list[Manifest]:
    return [kind.primary(SUBJECT, target, kind.template(target)), kind.canary(SUBJECT, target)]


def test_the_copies_are_named_for_the_apex() -> None:
    # A known defect elsewhere: they were named for the target, and no route found them.
    assert [each["metadata"]["name"] for each in both(LIVE)] == ["shop-primary", "shop-canary"]


def test_nothing_that_was_allocated_and_no_owner_is_copied() -> None:
    owned = {"ownerReferences": [{"uid": "x"}], "uid": "y", "labels": {"a": "b"}}
    for made in both({**LIVE, "metadata": {**LIVE["metadata"], **owned}}):
        assert made["spec"] == service(type="NodePort")["spec"]
        assert made["metadata"].keys() == {"name", "namespace", "labels"}


def test_a_headless_one_stays_headless() -> None:
    for made in both(service(clusterIP="None", clusterIPs=["None"])):
        assert made["spec"]["clusterIP"] == "None"
        assert "clusterIPs" not in made["spec"]


def test_traffic_distribution_is_the_canarys() -> None:
    spec = {"name": "shop", "port": 80, "trafficDistribution": "PreferSameZone"}
    made = KIND.canary(canary("Service", service=spec), LIVE)
    assert made["spec"]["trafficDistribution"] == "PreferSameZone"


WORDS = {
    "labels": {"team": "shop", "x.toolkit.fluxcd.io/name": "y"},
    "annotations": {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
}


def test_a_new_copy_has_all_that_a_person_wrote_about_it() -> None:
    for made in both(service(metadata=WORDS)):
        assert made["metadata"]["labels"] == {"team": "shop"}
        assert made["metadata"]["annotations"] == {"a": "b"}


def test_a_promotion_leaves_what_is_included() -> None:
    kind = ServiceKind(TargetSettings(include_label_prefix=("te",)))
    target = service(metadata=WORDS)
    made = kind.primary(SUBJECT, target, kind.template(target), service("shop-primary"))
    assert made["metadata"]["labels"] == {"team": "shop"}
    assert "annotations" not in made["metadata"]


def test_the_canarys_copy_is_written_only_when_it_differs() -> None:
    # A known defect elsewhere: it was rewritten in every tick.
    wanted = KIND.canary(SUBJECT, LIVE)
    assert KIND.changes(wanted, None) == [Apply(wanted)]
    made = allocated(wanted, "10.0.0.9", 30099)
    assert KIND.changes(wanted, made) == []


def test_a_change_leaves_what_was_allocated_and_what_others_wrote() -> None:
    old = KIND.canary(SUBJECT, service(type="NodePort", externalIPs=["192.0.2.1"]))
    live = allocated(old, "10.0.0.9", 30099)
    live["metadata"]["labels"] = {"theirs": "x"}
    wanted = KIND.canary(SUBJECT, service(type="NodePort", selector={"app": "web2"}))
    (write,) = KIND.changes(wanted, live)
    assert isinstance(write, Patch)
    after = merge_patch(live, write.patch)
    assert KIND.template(after) == KIND.template(wanted)
    assert after["spec"]["clusterIP"] == "10.0.0.9"
    assert after["metadata"]["labels"] == {"theirs": "x"}


@pytest.mark.parametrize(("version", "expected"), [("1", True), ("2", False)])
def test_same(version: str, expected: bool) -> None:
    target = service(type="NodePort", selector={"app": "web", "version": version})
    primary = allocated(KIND.primary(SUBJECT, LIVE, KIND.template(LIVE)), "10.0.0.3", 30100)
    assert KIND.same(SUBJECT, target, primary) is expected


def test_it_is_always_awake_and_ready() -> None:
    assert KIND.readiness(LIVE, 100, NOW, NOW) == Readiness(ready=True, serving=1, desired=1)
    assert not KIND.idle(LIVE)
    assert KIND.scale(LIVE, None, up=False) == KIND.restore(LIVE, None) == {}


IMAGES = {
    "its selector tells what it stands for": (LIVE, ("app=web,version=1",)),
    "or the name it points to": (
        service(type="ExternalName", externalName="a.example.test"),
        ("a.example.test",),
    ),
    "or nothing": (service(selector=None), ()),
}


@pytest.mark.parametrize(("target", "expected"), IMAGES.values(), ids=IMAGES)
def test_images(target: Manifest, expected: tuple[str, ...]) -> None:
    assert KIND.images(target) == expected
