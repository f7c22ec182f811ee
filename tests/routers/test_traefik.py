"""What only the Traefik router does: who is listed, and what becomes of others' settings."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.port import Manifest, Ref
from canary.crd.status import Split
from canary.errors import SpecError
from canary.routers.traefik import TRAEFIK_SERVICE, Traefik
from tests.routers.manifests import canary, write

SUBJECT = canary("traefik")
REF = Ref(TRAEFIK_SERVICE, "test", "shop")


def live(*services: dict[str, Any], **weighted: Any) -> dict[Ref, Manifest]:
    return {REF: REF.manifest(spec={"weighted": {"services": list(services), **weighted}})}


def listed(now: dict[Ref, Manifest]) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in now[REF]["spec"]["weighted"]["services"]}


LISTED = {
    # A part without endpoints takes the whole service out, so a sleeping canary isn't one.
    "the primary alone while the canary gets nothing": (0, {"shop-primary": 100}),
    "both while both get something": (30, {"shop-primary": 70, "shop-canary": 30}),
    # Without a weight the primary would count as 1; listed with 0, its end would be everybody's.
    "the canary alone once it gets everything": (100, {"shop-canary": 100}),
}


@pytest.mark.parametrize(("weight", "expected"), LISTED.values(), ids=LISTED)
def test_lists(weight: int, expected: dict[str, int]) -> None:
    assert listed(write(Traefik(), SUBJECT, {}, Split.to_canary(weight))) == expected


def test_an_entry_has_namespace_and_port() -> None:
    [entry] = write(Traefik(), SUBJECT, {}, Split())[REF]["spec"]["weighted"]["services"]
    assert entry == {"name": "shop-primary", "namespace": "test", "port": 80, "weight": 100}


P, C = {"name": "shop-primary", "port": 80}, {"name": "shop-canary", "port": 80}

READ: dict[str, tuple[dict[Ref, Manifest], Split | None]] = {
    "nothing is there": ({}, None),
    "an object of another kind of service": (
        {REF: REF.manifest(spec={"mirroring": {"name": "x"}})},
        None,
    ),
    "an empty list": (live(), None),
    "both at nothing": (live({**P, "weight": 0}, {**C, "weight": 0}), None),
    "weights that add up to something else": (
        live({**P, "weight": 3}, {**C, "weight": 1}),
        Split.to_canary(25),
    ),
    "a missing weight, which counts as 1": (live(P, {**C, "weight": 1}), Split.to_canary(50)),
    "all to the canary, as the compatible controller writes it": (
        live(P, {**C, "weight": 100}),
        Split.to_canary(99),
    ),
    "entries of other namespaces": (
        live({**P, "weight": 100}, {**C, "namespace": "elsewhere", "weight": 100}),
        Split(),
    ),
    "entries that are TraefikServices": (
        live({**P, "weight": 90}, {**C, "kind": "TraefikService", "weight": 10}),
        Split(),
    ),
}


@pytest.mark.parametrize(("now", "split"), READ.values(), ids=READ)
def test_reads(now: dict[Ref, Manifest], split: Split | None) -> None:
    assert Traefik().read(SUBJECT, now) == split


def test_drift_is_mended_with_the_current_weights() -> None:
    """Not with 100/0, or even 100/100, which would begin the release anew."""
    now = write(Traefik(), SUBJECT, {}, Split.to_canary(30))
    bent = live(*({**each, "port": 81} for each in now[REF]["spec"]["weighted"]["services"]))
    split = Traefik().read(SUBJECT, bent)
    assert split == Split.to_canary(30)
    assert write(Traefik(), SUBJECT, bent, split)[REF]["spec"] == now[REF]["spec"]


def test_a_third_entry_would_make_percentages_of_something_else() -> None:
    now = live({**P, "weight": 70}, {**C, "weight": 30}, {"name": "legacy", "weight": 100})
    assert listed(write(Traefik(), SUBJECT, now, Split.to_canary(30))) == {
        "shop-primary": 70,
        "shop-canary": 30,
    }


@given(st.lists(st.integers(0, 100), max_size=8))
def test_settings_of_others_survive_every_walk(weights: list[int]) -> None:
    settings = {"scheme": "https", "serversTransport": "mtls", "passHostHeader": False}
    now = live({**P, **settings}, sticky={"cookie": {"name": "stay"}})
    for weight in weights:
        now = write(Traefik(), SUBJECT, now, Split.to_canary(weight))
    weighted = now[REF]["spec"]["weighted"]
    assert weighted["sticky"] == {"cookie": {"name": "stay"}}
    assert all(settings.items() <= entry.items() for entry in weighted["services"])


def test_metadata_is_that_of_the_apex_and_flux_keeps_out() -> None:
    apex = {"labels": {"team": "shop"}, "annotations": {"on/call": "me"}}
    made = canary("traefik", {"apex": apex})
    meta = write(Traefik(), made, {}, Split())[REF]["metadata"]
    assert meta["labels"] == {"team": "shop"}
    assert meta["annotations"] == {
        "on/call": "me",
        "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
        "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    }


def test_an_ab_test_would_send_everybody_to_the_canary() -> None:
    match = [{"headers": {"x": {"exact": "y"}}}]
    with pytest.raises(SpecError, match="a provider that can match requests"):
        canary("traefik", analysis={"iterations": 5, "match": match})
    assert not Traefik().abilities.match
