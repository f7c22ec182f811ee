"""The Deployment as a target: its primary, its size, and when it is ready."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.cluster.embedded import Embedded
from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest, Ref
from canary.core.facts import Readiness
from canary.core.revision import revision
from canary.errors import SpecError
from canary.targets import pods as shared
from canary.targets.deployment import DeploymentKind
from canary.targets.pods import TargetSettings
from canary.targets.readiness import of_primary
from canary.targets.writes import Apply, Patch
from tests.targets.world import as_flagger_made_it, canary, pods, scaled, workload

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = DeploymentKind()
TRACKED = DeploymentKind(tracked={"configmap/look": "1"})

BASE = workload(replicas=2)
# A Deployment, and whether it is another revision than BASE.
REVISIONS = {
    "the same is the same": (workload(replicas=2), False),
    "another image is new": (
        workload(template=pods(containers=[{"name": "app", "image": "web:2"}]), replicas=2),
        True,
    ),
    "a restart annotation is new": (
        workload(
            template={**pods(), "metadata": {"labels": {"app": "web"}, "annotations": {"r": "1"}}},
            replicas=2,
        ),
        True,
    ),
    "another number of replicas is not": (workload(replicas=5), False),
    "how pods are replaced is not": (
        workload(replicas=2, strategy={"type": "Recreate"}),
        False,
    ),
    "a null that older API servers write is not": (
        workload(
            template={
                **pods(),
                "metadata": {"creationTimestamp": None, "labels": {"app": "web"}},
            },
            replicas=2,
        ),
        False,
    ),
}


@pytest.mark.parametrize(("changed", "new"), REVISIONS.values(), ids=REVISIONS)
def test_revision(changed: Manifest, new: bool) -> None:
    assert (revision(KIND.template(changed)) != revision(KIND.template(BASE))) is new


def test_images_are_those_of_its_containers() -> None:
    images = [
        {"name": n, "image": i} for n, i in (("a", "web:1"), ("b", "proxy:2"), ("c", "web:1"))
    ]
    assert KIND.images(workload(template=pods(containers=images))) == ("web:1", "proxy:2")


def made(
    target: Manifest,
    live: Manifest | None = None,
    kind: DeploymentKind = KIND,
    scaler: Manifest | None = None,
) -> Manifest:
    subject = canary(autoscalerRef=scaler) if scaler else canary()
    return kind.primary(subject, target, kind.template(target), live)


def test_the_primary_selects_its_own_pods_by_one_label() -> None:
    target = workload(value="frontend")
    target["spec"]["selector"]["matchLabels"]["track"] = "stable"
    primary = made(target)
    assert primary["metadata"]["name"] == "web-primary"
    assert primary["spec"]["selector"] == {"matchLabels": {"app": "frontend-primary"}}
    assert primary["spec"]["template"]["metadata"]["labels"]["app"] == "frontend-primary"


# Labels to select by, the labels that are known, and the one that is taken.
SELECTORS = {
    "the first known one that is there": ({"name": "a", "app": "b"}, ("app", "name"), "app"),
    "in the order of the settings": ({"name": "a", "app": "b"}, ("name", "app"), "name"),
    "one of the workload's own": ({"x": "a"}, ("x",), "x"),
}


@pytest.mark.parametrize(("labels", "known", "key"), SELECTORS.values(), ids=SELECTORS)
def test_the_label_that_tells_the_sides_apart_is(
    labels: dict[str, str], known: tuple[str, ...], key: str
) -> None:
    target = workload(template=pods(labels))
    target["spec"]["selector"]["matchLabels"] = labels
    found = shared.selector(canary(), target, known)
    assert (found.key, found.primary) == (key, f"{labels[key]}-primary")


def test_a_target_without_such_a_label_is_refused_with_what_it_has() -> None:
    target = workload()
    target["spec"]["selector"]["matchLabels"] = {"run": "web", "tier": "x"}
    message = (
        r"Deployment test/web: spec\.selector\.matchLabels: found run, tier, expected one of app, "
        r"name, app\.kubernetes\.io/name"
    )
    with pytest.raises(SpecError, match=message):
        made(target)


def test_a_primary_that_exists_keeps_the_selector_that_cannot_be_changed() -> None:
    live = made(workload())
    live["spec"]["selector"]["matchLabels"] = {"name": "web-primary"}
    primary = made(workload(), live)
    labels = primary["spec"]["template"]["metadata"]["labels"]
    assert primary["spec"]["selector"]["matchLabels"] == {"name": "web-primary"}
    assert labels == {"app": "web-primary", "name": "web-primary"}


WORDS = {
    "labels": {"team": "shop", "tier": "front", "kustomize.toolkit.fluxcd.io/name": "apps"},
    "annotations": {
        "team.example.test/pager": "shop",
        "other": "x",
        "deployment.kubernetes.io/revision": "7",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "helm.toolkit.fluxcd.io/name": "web",
    },
}


def labelled(prefixes: tuple[str, ...], live: Manifest | None = None) -> Manifest:
    kind = DeploymentKind(TargetSettings(include_label_prefix=prefixes))
    found: Manifest = made(workload(metadata=WORDS), live, kind)["metadata"]
    return found


METADATA = {
    "only with a prefix labels are copied": (("team",), {"team": "shop"}),
    "with a star all are, but for those of Flux": (("*",), {"team": "shop", "tier": "front"}),
    "an empty prefix matches nothing": (("",), {}),
}


@pytest.mark.parametrize(("prefixes", "expected"), METADATA.values(), ids=METADATA)
def test_labels(prefixes: tuple[str, ...], expected: dict[str, str]) -> None:
    assert labelled(prefixes)["labels"] == {"app": "web-primary", **expected}


def test_a_new_primary_has_all_annotations_that_a_person_wrote() -> None:
    expected = {"team.example.test/pager": "shop", "other": "x"}
    assert labelled(())["annotations"] == expected


def test_a_promotion_leaves_the_included_annotations() -> None:
    live = made(workload())
    assert labelled(("team",), live)["annotations"] == {"team.example.test/pager": "shop"}


def test_pods_keep_all_labels_and_annotations_but_those_of_flux() -> None:
    meta = {
        "labels": {"app": "web", "version": "2", "x.toolkit.fluxcd.io/name": "y"},
        "annotations": {"scrape": "true", "x.toolkit.fluxcd.io/name": "y", "flagger-id": "old"},
    }
    found = made(workload(template={**pods(), "metadata": meta}))["spec"]["template"]["metadata"]
    assert found["labels"] == {"app": "web-primary", "version": "2"}
    assert found["annotations"].pop("flagger-id") != "old"
    assert found["annotations"] == {"scrape": "true"}


def pod_id(kind: DeploymentKind, image: str = "web:1") -> str:
    target = workload(template=pods(containers=[{"name": "app", "image": image}]))
    primary = kind.primary(canary(), target, kind.template(target))
    found: str = primary["spec"]["template"]["metadata"]["annotations"]["flagger-id"]
    return found


def test_writing_a_template_twice_replaces_no_pod() -> None:
    assert pod_id(KIND) == pod_id(DeploymentKind())


def test_another_template_and_another_config_replace_all_pods() -> None:
    changed = DeploymentKind(tracked={"configmap/look": "2"})
    assert len({pod_id(KIND), pod_id(KIND, "web:2"), pod_id(TRACKED), pod_id(changed)}) == 4


SPREAD: Manifest = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "front"}}}
IN: Manifest = {"key": "app", "operator": "In", "values": ["other", "front"]}


def scheduled(spec: Manifest, value: str = "front") -> Manifest:
    target = workload(template=pods({"app": value}, **spec), value=value)
    found: Manifest = made(target)["spec"]["template"]["spec"]
    return found


def test_spread_and_anti_affinity_are_those_of_the_primarys_own_pods() -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [SPREAD]}
    term = {"topologyKey": "zone", "labelSelector": {"matchExpressions": [IN]}}
    preferred = {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]
    }
    found = scheduled(
        {
            "topologySpreadConstraints": [SPREAD],
            "affinity": {"podAntiAffinity": {**required, **preferred}},
        }
    )
    apart = found["affinity"]["podAntiAffinity"]
    own = {"matchLabels": {"app": "front-primary"}}
    assert found["topologySpreadConstraints"][0]["labelSelector"] == own
    assert apart["requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"] == own
    changed = apart["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
    values = changed["labelSelector"]["matchExpressions"][0]["values"]
    assert values == ["other", "front-primary"]


def test_selectors_are_compared_with_the_label_and_with_the_name() -> None:
    # A known defect elsewhere: only the name was compared, and missed where the label differs.
    by_name = {"topologyKey": "x", "labelSelector": {"matchLabels": {"name": "web"}}}
    found = scheduled({"topologySpreadConstraints": [SPREAD, by_name]})
    labels = [each["labelSelector"]["matchLabels"] for each in found["topologySpreadConstraints"]]
    assert labels == [{"app": "front-primary"}, {"name": "web-primary"}]


def test_affinity_to_others_and_labels_that_are_not_known_stay() -> None:
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [SPREAD]}}
    other = {"topologyKey": "x", "labelSelector": {"matchLabels": {"role": "front"}}}
    spec = {"affinity": near, "topologySpreadConstraints": [other]}
    assert scheduled(spec).items() >= spec.items()


LOOK = {"name": "look", "configMap": {"name": "look"}}


def test_a_known_good_template_of_a_foreign_primary_comes_back_as_it_was() -> None:
    # The target refers to `look` and to `look-primary`, so names alone can't tell what is a copy.
    volumes = [LOOK, {"name": "other", "configMap": {"name": "look-primary"}}]
    kind = DeploymentKind(tracked={"configmap/look": "1", "configmap/look-primary": "2"})
    target = workload(template=pods(volumes=volumes))
    live = as_flagger_made_it(made(target, kind=kind))
    restored = kind.primary(canary(), target, kind.template(live), live)
    assert kind.template(restored) == kind.template(live)
    names = [each["configMap"]["name"] for each in restored["spec"]["template"]["spec"]["volumes"]]
    assert names == ["look-primary", "look-primary-primary"]


def test_without_config_tracking_no_name_changes() -> None:
    kind = DeploymentKind(TargetSettings(config_tracking=False), {"configmap/look": "1"})
    primary = made(workload(template=pods(volumes=[LOOK])), kind=kind)
    assert primary["spec"]["template"]["spec"]["volumes"] == [LOOK]


FOREIGN_SCALE = {
    "managedFields": [
        {
            "manager": "kube-controller-manager",
            "operation": "Update",
            "subresource": "scale",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    ]
}
# Replicas of the target, the primary as it is, whether there is an autoscaler, and what is written.
SIZES: dict[str, tuple[int, Manifest | None, bool, int | None]] = {
    "a new one has those of its target": (3, None, False, 3),
    "a new one of a sleeping target has one": (0, None, False, 1),
    "a new one has those of its target, whatever will scale it": (3, None, True, 3),
    "a promotion copies them": (3, workload(replicas=5), False, 3),
    "a sleeping target does not shrink its primary": (0, workload(replicas=5), False, 5),
    "with an autoscaler they stay what they are": (3, workload(replicas=5), True, 5),
    "what the autoscaler wrote is not even named": (
        3,
        workload(replicas=5, metadata=FOREIGN_SCALE),
        True,
        None,
    ),
}


@pytest.mark.parametrize(("replicas", "live", "hpa", "expected"), SIZES.values(), ids=SIZES)
def test_replicas_of_the_primary(
    replicas: int, live: Manifest | None, hpa: bool, expected: int | None
) -> None:
    scaler = scaled() if hpa else None
    primary = made(workload(replicas=replicas), live, scaler=scaler)
    assert primary["spec"].get("replicas") == expected


async def test_an_applied_primary_never_falls_back_to_one_replica() -> None:
    cluster = await Embedded.open(None)
    target = workload(replicas=3)
    live = await cluster.apply(made(target, scaler=scaled()), manager="canary")
    live = await cluster.apply(made(target, live, scaler=scaled()), manager="canary")
    assert live["spec"]["replicas"] == 3
    await cluster.close()


def test_other_fields_of_the_spec_are_copied_and_a_pause_is_not() -> None:
    copied: Manifest = {
        "minReadySeconds": 3,
        "strategy": {"type": "Recreate"},
        "brandNew": {"x": 1},
    }
    spec = made(workload(**copied, paused=True))["spec"]
    assert spec.items() >= copied.items()
    assert "paused" not in spec


# Own replicas, those of the primary, the autoscaler's least, and what it wakes up with.
WAKING: dict[str, tuple[int, int | None, int | None, int]] = {
    "with its own if it has some": (4, 2, 3, 4),
    "without an autoscaler with those of the primary": (0, 2, None, 2),
    "with one if the primary has none": (0, 0, None, 1),
    "with one if there is no primary": (0, None, None, 1),
    "with an autoscaler with its least": (0, 5, 3, 3),
}


@pytest.mark.parametrize(("own", "primary", "least", "expected"), WAKING.values(), ids=WAKING)
def test_wakes_up(own: int, primary: int | None, least: int | None, expected: int) -> None:
    other = None if primary is None else workload(replicas=primary)
    patch = KIND.scale(workload(replicas=own), other, up=True, least=least)
    assert patch == {"spec": {"replicas": expected}}


RESTORING: dict[str, tuple[int, int | None, int]] = {
    "with as many as the primary": (1, 4, 4),
    "with its own without a primary": (3, None, 3),
    "with one if nobody says how many": (0, None, 1),
    "never with none because the primary has none": (2, 0, 2),
}


@pytest.mark.parametrize(("own", "primary", "expected"), RESTORING.values(), ids=RESTORING)
def test_serves_alone_again(own: int, primary: int | None, expected: int) -> None:
    other = None if primary is None else workload(replicas=primary)
    assert KIND.restore(workload(replicas=own), other) == {"spec": {"replicas": expected}}


def test_the_patch_of_a_promotion_leaves_nothing_of_the_last_template() -> None:
    old = pods(containers=[{"name": "app", "image": "web:1", "env": [{"name": "A", "value": "1"}]}])
    old["spec"]["nodeSelector"] = {"disk": "ssd"}
    live = as_flagger_made_it(made(workload(template=old)))
    wanted = made(workload())
    wanted["metadata"]["annotations"] = {"flagger.app/revision": "c1-x"}
    patch, apply = shared.changes(wanted, live)
    assert isinstance(patch, Patch)
    after = merge_patch(live, patch.patch)
    assert KIND.template(after) == KIND.template(wanted)
    assert after["metadata"]["annotations"] == {"flagger.app/revision": "c1-x"}
    assert apply == Apply(wanted)
    assert shared.changes(wanted, None) == [Apply(wanted)]


# The target, what its primary was made from, and whether they count as the same.
LOOKED_AT = pods(volumes=[LOOK], topologySpreadConstraints=[SPREAD])
ALIKE: dict[str, tuple[Manifest, Manifest, bool]] = {
    "all known rewrites are undone": (workload(template=LOOKED_AT), {}, True),
    "a copy that was opted out since is no change": (
        workload(template=LOOKED_AT),
        {"volumes": [LOOK]},
        True,
    ),
    "spread over the pods of both sides, as it was copied elsewhere, is no change": (
        workload(template=LOOKED_AT),
        {"topologySpreadConstraints": [SPREAD]},
        True,
    ),
    "another image is one": (
        workload(template=LOOKED_AT),
        {"containers": [{"name": "app", "image": "web:0"}]},
        False,
    ),
    "another config is one": (
        workload(template=LOOKED_AT),
        {"volumes": [{"name": "look", "configMap": {"name": "other-primary"}}]},
        False,
    ),
    "one volume more is one": (workload(template=LOOKED_AT), {"volumes": [LOOK, LOOK]}, False),
}


@pytest.mark.parametrize(("target", "differs", "expected"), ALIKE.values(), ids=ALIKE)
def test_same(target: Manifest, differs: Manifest, expected: bool) -> None:
    primary = as_flagger_made_it(made(target, kind=TRACKED), **differs)
    assert KIND.same(canary(), target, primary) is expected


def test_replicas_of_the_two_sides_may_differ() -> None:
    assert KIND.same(canary(), workload(replicas=0), made(workload(replicas=3)))


@dataclass(frozen=True)
class Row:
    """Two replicas are wanted; the status is that of all running, updated with these fields."""

    expected: Readiness
    status: Manifest = field(default_factory=dict)
    percent: int = 100
    deadline: int | None = 60
    replicas: int = 2


def waiting(serving: int, reason: str, *, hopeless: bool = False, desired: int = 2) -> Readiness:
    return Readiness(
        ready=False, serving=serving, desired=desired, hopeless=hopeless, reason=reason
    )


def exceeded(**more: Any) -> Manifest:
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": 'ReplicaSet "web-1" has timed out progressing.',
    }
    return {"conditions": [condition], **more}


ONE = {"availableReplicas": 1, "readyReplicas": 1}
UNSEEN = "the cluster has not looked at this version yet"
TIMED_OUT = 'its own progress deadline has passed; ReplicaSet "web-1" has timed out progressing.'
REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
ROWS = {
    "is ready when all are updated and available": Row(Readiness(ready=True, serving=2, desired=2)),
    "is not before the cluster has seen the change": Row(
        waiting(2, UNSEEN), {"observedGeneration": 1}
    ),
    "a new version isn't judged by the failure of the last one": Row(
        waiting(2, UNSEEN), exceeded(observedGeneration=1)
    ),
    "is hopeless past the Deployment's own deadline": Row(
        waiting(1, f"1 of 2 pods available; {TIMED_OUT}", hopeless=True), exceeded(**ONE)
    ),
    "is not before all are updated": Row(waiting(2, "1 of 2 pods updated"), {"updatedReplicas": 1}),
    "is not while an old pod is there": Row(waiting(2, "1 old pod still there"), {"replicas": 3}),
    "is not while too few are available": Row(waiting(1, "1 of 2 pods available"), ONE),
    "is ready with as many as were asked for": Row(
        Readiness(ready=True, serving=1, desired=2), ONE, percent=50
    ),
    "half of three is one": Row(
        Readiness(ready=True, serving=1, desired=3),
        {"replicas": 3, "updatedReplicas": 3, **ONE},
        percent=50,
        replicas=3,
    ),
    "any share of some pods is at least one": Row(
        waiting(0, "0 of 2 pods available"),
        {"availableReplicas": 0, "readyReplicas": 0},
        percent=1,
    ),
    "zeros that the API leaves out are zeros": Row(
        waiting(0, "0 of 2 pods available"), {"availableReplicas": None, "readyReplicas": None}
    ),
    "says what refuses its pods": Row(
        waiting(0, "0 of 2 pods updated; exceeded quota: pods"),
        {"updatedReplicas": 0, "replicas": 0, "readyReplicas": 0, "conditions": [REFUSED]},
    ),
    "is hopeless past the Canary's deadline": Row(
        waiting(1, "1 of 2 pods available", hopeless=True), ONE, deadline=0
    ),
    "waits without a deadline": Row(waiting(1, "1 of 2 pods available"), ONE, deadline=None),
    "asleep it is ready when nothing runs any more": Row(
        Readiness(ready=True),
        dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 0),
        replicas=0,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_readiness(row: Row) -> None:
    counts = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
    status = {**dict.fromkeys(counts, 2), "observedGeneration": 2, **row.status}
    deadline = None if row.deadline is None else NOW + timedelta(seconds=row.deadline)
    subject = workload(status=status, replicas=row.replicas)
    assert KIND.readiness(subject, row.percent, NOW, deadline) == row.expected


def test_a_primary_without_pods_is_not_ready_unless_an_autoscaler_wakes_it() -> None:
    # A known defect elsewhere: references were compared, and never differed.
    empty = Readiness(ready=True)
    found = of_primary(canary(), empty)
    assert not found.ready
    assert found.reason.startswith("it is scaled to zero")
    assert of_primary(canary(autoscalerRef=scaled("ScaledObject")), empty) == empty
    some = Readiness(ready=True, serving=1, desired=1)
    assert of_primary(canary(), some) == some


def test_the_primary_is_found_where_it_is_made() -> None:
    assert KIND.primary_ref(canary()) == Ref.of(made(workload()))
