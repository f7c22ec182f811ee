"""Autoscalers: the copies for the primary, and how those of the target are paused."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.merge import merge_patch
from canary.cluster.port import Kind, Manifest
from canary.targets.owners import owner
from canary.targets.pods import TargetSettings
from canary.targets.scalers import (
    PAUSED,
    changes,
    least,
    own_query,
    pause,
    primary,
    primary_ref,
    ref,
    resume,
)
from canary.targets.writes import Apply, Patch
from tests.targets.world import canary, scaled

NONE = TargetSettings()
ALL = TargetSettings(include_label_prefix=("*",))
WITH_HPA = canary(autoscalerRef=scaled())
WITH_KEDA = canary(autoscalerRef=scaled("ScaledObject"))
META = {"name": "web", "namespace": "test", "resourceVersion": "5"}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def hpa(metadata: Manifest | None = None, **spec: Any) -> Manifest:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": "web",
            "namespace": "test",
            "resourceVersion": "5",
            **(metadata or {}),
        },
        "spec": {"scaleTargetRef": TARGET, "minReplicas": 2, "maxReplicas": 8, **spec},
    }


def keda(metadata: Manifest | None = None, **spec: Any) -> Manifest:
    trigger = {
        "type": "prometheus",
        "name": "load",
        "useCachedMetrics": True,
        "metadata": {"query": 'sum(rate(requests{app="web"}[1m]))', "threshold": "5"},
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": "web",
            "namespace": "test",
            "resourceVersion": "5",
            **(metadata or {}),
        },
        "spec": {
            "scaleTargetRef": {"name": "web", "envSourceContainerName": "app"},
            "triggers": [trigger],
            **spec,
        },
    }


def test_where_they_are() -> None:
    for subject, kind in (
        (WITH_HPA, Kind("autoscaling/v2", "HorizontalPodAutoscaler")),
        (WITH_KEDA, Kind("keda.sh/v1alpha1", "ScaledObject")),
    ):
        own, copied = ref(subject), primary_ref(subject)
        assert own is not None
        assert copied is not None
        assert (own.kind, own.name) == (kind, "web")
        assert (copied.kind, copied.name) == (kind, "web-primary")
    assert ref(canary()) is primary_ref(canary()) is None


def test_the_version_that_is_written_for_an_hpa_does_not_matter() -> None:
    found = ref(canary(autoscalerRef={**scaled(), "apiVersion": "autoscaling/v2beta2"}))
    assert found is not None
    assert found.kind.api_version == "autoscaling/v2"


def test_an_hpa_is_copied_with_all_that_it_has() -> None:
    fields: Manifest = {
        "metrics": [{"type": "Resource"}],
        "behavior": {"x": 1},
        "brandNew": {"y": [1]},
    }
    made = primary(WITH_HPA, hpa(**fields), NONE)
    expected = hpa(**fields)["spec"]
    assert made["spec"] == {**expected, "scaleTargetRef": {**TARGET, "name": "web-primary"}}
    assert made["metadata"]["name"] == "web-primary"
    assert made["metadata"]["ownerReferences"] == [owner(WITH_HPA)]


REPLICAS = {
    "both": ({"minReplicas": 3, "maxReplicas": 9}, 3, 9),
    "the least": ({"minReplicas": 3}, 3, 8),
    "the most": ({"maxReplicas": 9}, 2, 9),
}


@pytest.mark.parametrize(("wanted", "least_", "most"), REPLICAS.values(), ids=REPLICAS)
def test_replicas_of_ones_own(wanted: Manifest, least_: int, most: int) -> None:
    spec = primary(canary(autoscalerRef=scaled(primaryScalerReplicas=wanted)), hpa(), NONE)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (least_, most)
    reference = scaled("ScaledObject", primaryScalerReplicas=wanted)
    source = keda(minReplicaCount=2, maxReplicaCount=8)
    spec = primary(canary(autoscalerRef=reference), source, NONE)["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (least_, most)


def test_an_unwritten_least_is_one() -> None:
    source = hpa()
    del source["spec"]["minReplicas"]
    made = primary(WITH_HPA, source, NONE)
    assert made["spec"]["minReplicas"] == 1
    assert changes(WITH_HPA, source, NONE, made) == []


WORDS = {
    "labels": {"team": "shop", "x.toolkit.fluxcd.io/name": "y"},
    "annotations": {"scaledobject.keda.sh/transfer-hpa-ownership": "true", PAUSED: "0"},
}


@pytest.mark.parametrize("subject", [WITH_HPA, WITH_KEDA], ids=["HPA", "KEDA"])
def test_one_that_is_as_it_should_be_is_not_written(subject: Any) -> None:
    # A known defect elsewhere: annotations of the target's HPA were a difference for ever.
    source = hpa(metadata=WORDS) if subject is WITH_HPA else keda(metadata=WORDS)
    made = primary(subject, source, ALL)
    assert changes(subject, source, ALL, None) == [Apply(made)]
    theirs = {"metadata": {"annotations": {"theirs": "x"}}}
    assert changes(subject, source, ALL, merge_patch(made, theirs)) == []


def test_labels_and_annotations_reach_the_primary_but_a_pause_does_not() -> None:
    made = primary(WITH_KEDA, keda(metadata=WORDS), NONE)["metadata"]
    assert made["labels"] == {"team": "shop"}
    assert made["annotations"] == {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}


def test_a_scaled_object_is_copied_with_all_that_it_has() -> None:
    # A known defect elsewhere: fields that the controller did not know were lost.
    fields: Manifest = {
        "initialCooldownPeriod": 5,
        "advanced": {"scalingModifiers": {"formula": "a"}},
    }
    made = primary(WITH_KEDA, keda(**fields), NONE)["spec"]
    assert made["initialCooldownPeriod"] == 5
    assert made["advanced"]["scalingModifiers"] == {"formula": "a"}
    assert made["triggers"][0]["useCachedMetrics"] is True
    assert made["scaleTargetRef"] == {"name": "web-primary", "envSourceContainerName": "app"}


HPA_CONFIGS: dict[str, tuple[Manifest, Manifest]] = {
    "is always there": ({}, {}),
    "keeps what it has": ({"behavior": {"x": 1}}, {"behavior": {"x": 1}}),
    "has a name of its own": ({"name": "web-hpa"}, {"name": "web-hpa-primary"}),
}


@pytest.mark.parametrize(("config", "expected"), HPA_CONFIGS.values(), ids=HPA_CONFIGS)
def test_the_hpa_that_keda_makes(config: Manifest, expected: Manifest) -> None:
    fields = {"advanced": {"horizontalPodAutoscalerConfig": config}} if config else {}
    made = primary(WITH_KEDA, keda(**fields), NONE)["spec"]["advanced"]
    assert made == {"horizontalPodAutoscalerConfig": expected}


QUERIES = {
    "the target in quotes": ('up{app="web"}', 'up{app="web-primary"}'),
    "its canary": ('up{app="web-canary"}', 'up{app="web-primary"}'),
    "its primary stays": ('up{app="web-primary"}', 'up{app="web-primary"}'),
    "pods of the target": ('up{pod=~"web-[a-z0-9]+"}', 'up{pod=~"web-primary-[a-z0-9]+"}'),
    "another that only begins like it stays": ('up{app="website"}', 'up{app="website"}'),
    "another that only ends like it stays": ('up{app="my-web"}', 'up{app="my-web"}'),
    "a label of this name stays": ('up{web="web"}', 'up{web="web-primary"}'),
    "a metric of this name stays": ('web{a="b"} + web_total', 'web{a="b"} + web_total'),
    "no Prometheus at all": ("stats.web.requests", "stats.web-primary.requests"),
}


@pytest.mark.parametrize(("query", "expected"), QUERIES.values(), ids=QUERIES)
def test_a_query(query: str, expected: str) -> None:
    assert own_query(query, "web") == expected


@given(st.text(alphabet='web-canryp "=~{.', max_size=40))
def test_a_query_is_never_rewritten_twice(query: str) -> None:
    once = own_query(query, "web")
    assert own_query(once, "web") == once


def test_queries_are_rewritten_in_all_triggers_that_have_one() -> None:
    plain = {"type": "cron", "metadata": {"start": "1"}}
    made = primary(WITH_KEDA, keda(triggers=[*keda()["spec"]["triggers"], plain]), NONE)["spec"]
    query, other = made["triggers"]
    assert query["metadata"]["query"] == 'sum(rate(requests{app="web-primary"}[1m]))'
    assert query["metadata"]["threshold"] == "5"
    assert other == plain


def test_with_queries_of_ones_own_the_other_triggers_stay() -> None:
    # A known defect elsewhere: a trigger without metadata ended the controller.
    triggers = [{"type": "x", "name": "bare"}, *keda()["spec"]["triggers"]]
    reference = scaled("ScaledObject", primaryScalerQueries={"bare": "up"})
    made = primary(canary(autoscalerRef=reference), keda(triggers=triggers), NONE)["spec"]
    assert made["triggers"] == [{**triggers[0], "metadata": {"query": "up"}}, triggers[1]]


def test_a_change_of_the_target_reaches_the_primary_and_leaves_nothing_behind() -> None:
    live = primary(WITH_HPA, hpa(behavior={"x": 1}), NONE)
    live["metadata"]["labels"] = {"theirs": "x"}
    (write,) = changes(WITH_HPA, hpa(maxReplicas=20), NONE, live)
    assert isinstance(write, Patch)
    after = merge_patch(live, write.patch)
    assert after["spec"] == primary(WITH_HPA, hpa(maxReplicas=20), NONE)["spec"]
    assert after["metadata"]["labels"] == {"theirs": "x"}


def test_an_update_leaves_the_included_labels_of_a_scaled_object() -> None:
    source = keda(metadata={"labels": {"team": "a", "tier": "b"}})
    live = primary(WITH_KEDA, keda(), NONE)
    some = TargetSettings(include_label_prefix=("te",))
    assert primary(WITH_KEDA, source, some, live)["metadata"]["labels"] == {"team": "a"}


def test_a_scaled_object_is_paused_and_resumed_by_its_annotation_alone() -> None:
    # A known defect elsewhere: the whole object was written, without the fields unknown there.
    source = keda(metadata={"annotations": {"a": "b"}}, initialCooldownPeriod=5)
    paused = merge_patch(source, pause(source))
    assert paused["metadata"]["annotations"] == {"a": "b", PAUSED: "0"}
    assert paused["spec"] == source["spec"]
    assert pause(paused) == {}
    assert merge_patch(paused, resume(paused)) == source
    assert resume(source) == {}


def test_an_hpa_needs_no_pause() -> None:
    assert pause(hpa()) == resume(hpa()) == {}


LEAST = {
    "what an HPA says": (hpa(minReplicas=3), 3),
    "one if it says nothing": (hpa(minReplicas=None), 1),
    "what a ScaledObject says": (keda(minReplicaCount=3), 3),
    "one if it would sleep": (keda(minReplicaCount=0), 1),
}


@pytest.mark.parametrize(("scaler", "expected"), LEAST.values(), ids=LEAST)
def test_least(scaler: Manifest, expected: int) -> None:
    assert least(scaler) == expected


json = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["unknown", "other"]), json), st.booleans())
def test_fields_that_nobody_here_knows_survive(unknown: Manifest, is_keda: bool) -> None:
    subject, source = (WITH_KEDA, keda(**unknown)) if is_keda else (WITH_HPA, hpa(**unknown))
    before = deepcopy(source)
    made = primary(subject, source, NONE)
    assert made["spec"].items() >= unknown.items()
    assert changes(subject, source, NONE, made) == []
    assert source == before
