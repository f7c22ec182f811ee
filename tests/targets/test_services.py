"""The three generated Services: what they select, their ports, and what of others stays."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.embedded import Embedded
from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest
from canary.crd import Canary, dump, parse
from canary.errors import SpecError
from canary.targets.metadata import GUARDS
from canary.targets.owners import owner
from canary.targets.pods import Selector
from canary.targets.ports import ports
from canary.targets.services import RENDERED, Role, changes, ref, release, render
from canary.targets.writes import Apply, Patch
from tests.targets.world import canary, pods

SIDES = Selector("app", "frontend")
TEMPLATE = pods()
ROLES: tuple[Role, ...] = ("apex", "primary", "canary")


def subject(**service: Any) -> Canary:
    return canary(service={"name": "shop", "port": 80, **service})


SUBJECT = subject()


def live(role: Role = "apex", owned: bool = True, who: Canary = SUBJECT, **spec: Any) -> Manifest:
    """A Service as the API server has it; not owned, it is one that somebody had before."""
    made = render(who, role, SIDES, TEMPLATE, None)
    made["metadata"] |= {"resourceVersion": "5"}
    if not owned:
        made["metadata"] = {"name": made["metadata"]["name"], "namespace": "test"}
    made["spec"] = {"type": "ClusterIP", "clusterIP": "10.0.0.1", **made["spec"], **spec}
    return made


def brought(found: Manifest, who: Canary = SUBJECT, role: Role = "apex") -> Manifest:
    """The live Service after its patches."""
    for write in changes(who, role, SIDES, TEMPLATE, found):
        if isinstance(write, Patch):
            found = merge_patch(found, write.patch)
    return found


SELECTED: dict[Role, tuple[str, str]] = {
    "apex": ("shop", "frontend-primary"),
    "primary": ("shop-primary", "frontend-primary"),
    "canary": ("shop-canary", "frontend"),
}


@pytest.mark.parametrize("role", ROLES)
def test_name_selector_label_and_owner(role: Role) -> None:
    name, value = SELECTED[role]
    made = render(SUBJECT, role, SIDES, TEMPLATE, None)
    assert ref(SUBJECT, role).name == made["metadata"]["name"] == name
    assert made["spec"]["selector"] == {"app": value}
    assert made["metadata"]["labels"] == {"app": name}
    assert made["metadata"]["ownerReferences"] == [owner(SUBJECT)]
    assert made["metadata"]["annotations"].items() >= GUARDS.items()


@pytest.mark.parametrize("role", ROLES)
def test_metadata_of_ones_own(role: Role) -> None:
    who = subject(**{role: {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    metadata = render(who, role, SIDES, TEMPLATE, None)["metadata"]
    assert metadata["labels"]["a"] == "b"
    assert metadata["annotations"]["c"] == "d"


PORT = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}
# What `spec.service` says, and the main port.
MAIN: dict[str, tuple[Manifest, Manifest]] = {
    "goes to the same number": ({}, PORT),
    "or to another": ({"targetPort": 8080}, {**PORT, "targetPort": 8080}),
    "or to a named one": ({"targetPort": "web"}, {**PORT, "targetPort": "web"}),
    "zero means none": ({"targetPort": "0"}, PORT),
    "has the name it is given": ({"portName": "grpc"}, {**PORT, "name": "grpc"}),
    "has the protocol of the application": (
        {"appProtocol": "http2"},
        {**PORT, "appProtocol": "http2"},
    ),
}


@pytest.mark.parametrize(("service", "expected"), MAIN.values(), ids=MAIN)
def test_the_main_port(service: Manifest, expected: Manifest) -> None:
    assert render(subject(**service), "apex", SIDES, TEMPLATE, None)["spec"]["ports"] == [expected]


def container(name: str, /, *numbers: int, **port: Any) -> Manifest:
    return {"name": name, "ports": [{"containerPort": number, **port} for number in numbers]}


# What `spec.service` says, the containers, and the name and number of each further port.
DISCOVERED: dict[str, tuple[Manifest, list[Manifest], list[tuple[str, int]]]] = {
    "has the name of the container's": (
        {},
        [container("app", 9797, name="metrics")],
        [("metrics", 9797)],
    ),
    "or one of container and place": (
        {},
        [container("app", 9000, 9001)],
        [("tcp-app-0", 9000), ("tcp-app-1", 9001)],
    ),
    "is none of the main port's number": ({}, [container("app", 80, 81)], [("tcp-app-1", 81)]),
    "nor of the number that it goes to": (
        {"targetPort": 8080},
        [container("app", 8080, 81)],
        [("tcp-app-1", 81)],
    ),
    "nor of the name that it goes to": (
        {"targetPort": "web"},
        [container("app", 8080, name="web")],
        [],
    ),
    "nor one of a sidecar": ({}, [container("istio-proxy", 1), container("envoy", 2)], []),
    "of one name the last counts": (
        {},
        [container("a", 1, name="x"), container("b", 2, name="x")],
        [("x", 2)],
    ),
    "is never the main port's number twice": (
        {"targetPort": 8080},
        [container("app", 80, name="admin")],
        [],
    ),
    "is never the main port's name twice": (
        {"targetPort": 8080},
        [container("app", 9000, name="http")],
        [("tcp-app-0", 9000)],
    ),
    "is never one number twice": ({}, [container("a", 5), container("b", 5)], [("tcp-b-0", 5)]),
    "has a name that is not too long": (
        {},
        [container("x" * 63, 5)],
        [(f"tcp-{'x' * 50}-0", 5)],
    ),
}


@pytest.mark.parametrize(("service", "found", "expected"), DISCOVERED.values(), ids=DISCOVERED)
def test_a_discovered_port(
    service: Manifest, found: list[Manifest], expected: list[tuple[str, int]]
) -> None:
    spec = subject(portDiscovery=True, **service).spec.service
    assert spec is not None
    further = ports(spec, pods(containers=found))[1:]
    assert [(each["name"], each["port"]) for each in further] == expected
    assert all(each["targetPort"] == each["port"] for each in further)


def test_init_containers_and_no_discovery_add_no_port() -> None:
    template = pods(containers=[container("app", 9000)], initContainers=[container("i", 9001)])
    found = [subject(portDiscovery=on).spec.service for on in (True, False)]
    numbers = [[each["port"] for each in ports(each_of, template)] for each_of in found if each_of]
    assert numbers == [[80, 9000], [80]]


def test_a_port_keeps_its_protocol() -> None:
    spec = subject(portDiscovery=True).spec.service
    assert spec is not None
    template = pods(containers=[container("dns", 53), container("dns2", 53, protocol="UDP")])
    assert [each["protocol"] for each in ports(spec, template)] == ["TCP", "TCP", "UDP"]


def test_headless_is_decided_at_creation() -> None:
    who = subject(headless=True)
    assert render(who, "apex", SIDES, TEMPLATE, None)["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in render(who, "apex", SIDES, TEMPLATE, live())["spec"]
    assert render(SUBJECT, "apex", SIDES, TEMPLATE, live(clusterIP="None"))["spec"]["clusterIP"]


@pytest.mark.parametrize("role", ROLES)
def test_what_is_as_it_should_be_is_not_written(role: Role) -> None:
    assert changes(SUBJECT, role, SIDES, TEMPLATE, live(role)) == []


def test_a_missing_one_is_made() -> None:
    wanted = render(SUBJECT, "apex", SIDES, TEMPLATE, None)
    assert changes(SUBJECT, "apex", SIDES, TEMPLATE, None) == [Apply(wanted)]


OLD: Manifest = {
    "type": "LoadBalancer",
    "selector": {"app": "frontend", "tier": "web"},
    "ports": [
        {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080},
        {"name": "old", "port": 81, "protocol": "TCP", "targetPort": 81, "nodePort": 30081},
    ],
    "sessionAffinity": "ClientIP",
}


def test_one_that_was_there_before_keeps_all_but_selector_and_ports() -> None:
    before = live(owned=False, **OLD)
    before["metadata"]["labels"] = {"theirs": "x"}
    (write,) = changes(SUBJECT, "apex", SIDES, TEMPLATE, before)
    assert isinstance(write, Patch)
    after = brought(before)
    assert after["spec"]["selector"] == {"app": "frontend-primary"}
    assert after["spec"]["ports"] == [{**PORT, "nodePort": 30080}]
    assert after["spec"]["sessionAffinity"] == "ClientIP"
    assert after["metadata"]["labels"] == {"theirs": "x"}
    assert after["metadata"]["annotations"] == GUARDS
    assert "ownerReferences" not in after["metadata"]
    assert changes(SUBJECT, "apex", SIDES, TEMPLATE, after) == []


def test_the_patch_is_compare_and_swap() -> None:
    (write,) = changes(SUBJECT, "apex", SIDES, TEMPLATE, live(ports=[]))
    assert isinstance(write, Patch)
    assert write.resource_version == "5"


def test_the_order_of_ports_does_not_matter() -> None:
    who = subject(portDiscovery=True)
    template = pods(containers=[container("app", 9000, 9001)])
    made = render(who, "apex", SIDES, template, None)
    made["spec"]["ports"].reverse()
    assert changes(who, "apex", SIDES, template, made) == []


# What is different about a Service of ours, as a change of the live one.
DRIFTED: dict[str, Manifest] = {
    "a label of ours": {"metadata": {"labels": {"app": "x"}}},
    "a guard": {"metadata": {"annotations": dict.fromkeys(GUARDS)}},
    "what we once asked for": {"metadata": {"annotations": {RENDERED: "c1-before"}}},
}


@pytest.mark.parametrize("change", DRIFTED.values(), ids=DRIFTED)
def test_ours_is_brought_back(change: Manifest) -> None:
    found = merge_patch(live(), change)
    wanted = render(SUBJECT, "apex", SIDES, TEMPLATE, found)
    assert changes(SUBJECT, "apex", SIDES, TEMPLATE, found) == [Apply(wanted)]


def test_what_is_no_longer_asked_for_makes_a_write() -> None:
    before = live(who=subject(apex={"labels": {"a": "b"}}))
    assert changes(SUBJECT, "apex", SIDES, TEMPLATE, before) != []


@pytest.mark.parametrize("wanted", ["PreferClose", None])
def test_traffic_distribution_is_followed_on_services_that_exist(wanted: str | None) -> None:
    # A known defect elsewhere: it was only set when a Service was made.
    who = subject(trafficDistribution=wanted) if wanted else SUBJECT
    before = live(who=subject(trafficDistribution="PreferSameZone"))
    after = brought(before, who)
    for write in changes(who, "apex", SIDES, TEMPLATE, after):
        assert isinstance(write, Apply)
        after = merge_patch(after, write.manifest)
    assert after["spec"].get("trafficDistribution") == wanted


def test_labels_of_others_stay() -> None:
    found = merge_patch(live(), {"metadata": {"labels": {"theirs": "x"}}})
    assert changes(SUBJECT, "apex", SIDES, TEMPLATE, found) == []


def test_unmanaged_keys_keep_the_value_that_is_there() -> None:
    unmanaged = {"labels": ["a"], "annotations": ["c"]}
    both = {"labels": {"a": "ours"}, "annotations": {"c": "ours"}}
    who = subject(apex=both, unmanagedMetadata=unmanaged)
    assert render(who, "apex", SIDES, TEMPLATE, None)["metadata"]["labels"]["a"] == "ours"
    theirs = {"metadata": {"labels": {"a": "theirs"}, "annotations": {"c": "theirs"}}}
    found = merge_patch(live(who=who), theirs)
    made = render(who, "apex", SIDES, TEMPLATE, found)["metadata"]
    assert (made["labels"]["a"], made["annotations"]["c"]) == ("theirs", "theirs")


def test_the_service_of_another_canary_is_refused() -> None:
    theirs = {**owner(SUBJECT), "name": "other", "uid": "c-2"}
    found = merge_patch(live(), {"metadata": {"ownerReferences": [theirs]}})
    message = r"Canary test/shop: spec\.service\.name: found Service test/shop, which Canary other"
    with pytest.raises(SpecError, match=message):
        changes(SUBJECT, "apex", SIDES, TEMPLATE, found)


@pytest.mark.parametrize("role", ROLES)
async def test_writing_it_again_changes_nothing(role: Role) -> None:
    cluster = await Embedded.open(None)
    # What belongs to nobody is collected.
    manifest = {"apiVersion": SUBJECT.api_version, "kind": SUBJECT.kind, **dump(SUBJECT)}
    who = parse(await cluster.create(manifest))
    assert isinstance(who, Canary)
    made = await cluster.apply(render(who, role, SIDES, TEMPLATE, None), manager="canary")
    assert changes(who, role, SIDES, TEMPLATE, made) == []
    again = await cluster.apply(render(who, role, SIDES, TEMPLATE, made), manager="canary")
    assert again == made
    await cluster.close()


def last_applied(selector: Any) -> Manifest:
    text = json.dumps({"spec": {"selector": selector}})
    return {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}}


# What its author last applied, and what it selects in the end.
RELEASED: dict[str, tuple[Manifest, dict[str, str]]] = {
    "the target's pods": ({}, {"app": "frontend"}),
    "what its author last asked for": (last_applied({"tier": "web"}), {"tier": "web"}),
    "nothing that an unreadable note says": (
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{"}}},
        {"app": "frontend"},
    ),
    "never the primary, which goes away": (
        last_applied({"app": "frontend-primary"}),
        {"app": "frontend"},
    ),
    "never every pod": (last_applied({}), {"app": "frontend"}),
}


@pytest.mark.parametrize(("change", "expected"), RELEASED.values(), ids=RELEASED)
def test_released_it_selects(change: Manifest, expected: dict[str, str]) -> None:
    found = merge_patch(live(), change)
    (write,) = release(SUBJECT, SIDES, found)
    assert isinstance(write, Patch)
    after = merge_patch(found, write.patch)
    assert after["spec"]["selector"] == expected
    assert after["metadata"]["ownerReferences"] == []
    assert release(SUBJECT, SIDES, after) == []


words = st.dictionaries(st.sampled_from(["a", "b", "app"]), st.sampled_from("xy"), max_size=3)


@given(words, words, words, st.booleans(), st.sampled_from(ROLES))
def test_patches_lead_to_where_nothing_is_left_to_do(
    selector: dict[str, str],
    labels: dict[str, str],
    annotations: dict[str, str],
    owned: bool,
    role: Role,
) -> None:
    before = live(role, owned, selector=selector, more={"kept": True})
    meta = {"metadata": {"labels": labels, "annotations": annotations}}
    before = merge_patch(before, meta)
    after = brought(before, role=role)
    left = changes(SUBJECT, role, SIDES, TEMPLATE, after)
    assert all(isinstance(write, Apply) for write in left)
    assert after["spec"]["more"] == {"kept": True}
    for write in left:
        assert isinstance(write, Apply)
        after = merge_patch(after, write.manifest)
    assert changes(SUBJECT, role, SIDES, TEMPLATE, after) == []
    assert render(SUBJECT, role, SIDES, TEMPLATE, after) == render(
        SUBJECT, role, SIDES, TEMPLATE, after
    )
