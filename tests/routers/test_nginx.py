"""What only the nginx router does: what is copied, which annotations decide, what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.fields import fields_of
from canary.cluster.ownership import Writer
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary
from canary.crd.status import Split
from canary.errors import SpecError
from canary.routers.nginx import INGRESS, Nginx
from tests.routers.manifests import canary, write

PREFIX = "nginx.ingress.kubernetes.io"
USERS, OURS = Ref(INGRESS, "test", "web"), Ref(INGRESS, "test", "web-canary")
INGRESS_REF = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}
MATCHED = Split.to_canary(100, matched=True)


def subject(*match: dict[str, Any]) -> Canary:
    """Weighted without a match, an A/B test with one."""
    analysis = {"iterations": 5, "match": list(match)} if match else {}
    return canary("nginx", analysis=analysis, ingressRef=INGRESS_REF)


def header(name: str, **form: str) -> dict[str, Any]:
    return {"headers": {name: form}}


def path(service: str, at: str = "/") -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"path": at, "pathType": "Prefix", "backend": backend}


def ingress(
    *rules: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any
) -> dict[Ref, Manifest]:
    meta = {"annotations": annotations} if annotations else {}
    return {USERS: USERS.manifest(metadata=meta, spec={"rules": list(rules), **spec})}


def rule(*paths: dict[str, Any], host: str = "shop.test") -> dict[str, Any]:
    return {"host": host, "http": {"paths": list(paths)}}


PLAIN = ingress(rule(path("shop")))


def notes(now: dict[Ref, Manifest]) -> dict[str, str]:
    """The canary annotations, by their ends."""
    found = now[OURS]["metadata"]["annotations"]
    start = f"{PREFIX}/canary"
    return {k.removeprefix(start): v for k, v in found.items() if k.startswith(start)}


def test_only_paths_to_the_apex_are_copied_and_the_users_ingress_stays_as_it_is() -> None:
    now = ingress(
        rule(path("shop"), path("files", "/static")),
        rule(path("shop", "/api"), host="api.test"),
        rule(path("other"), host="other.test"),
        ingressClassName="nginx",
        tls=[{"hosts": ["shop.test"], "secretName": "tls"}],
    )
    after = write(Nginx(), subject(), now, Split.to_canary(30))
    assert after[USERS] == now[USERS]
    assert after[OURS]["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["shop.test"], "secretName": "tls"}],
        "rules": [
            rule(path("shop-canary")),
            rule(path("shop-canary", "/api"), host="api.test"),
        ],
    }


COPIED: dict[str, tuple[dict[Ref, Manifest], dict[str, Any]]] = {
    "a rule without http beside the one that counts": (
        ingress({"host": "bare.test"}, rule(path("shop"))),
        {"rules": [rule(path("shop-canary"))]},
    ),
    "a path to a resource that is no Service": (
        ingress(
            rule({"path": "/", "backend": {"resource": {"kind": "Bucket"}}}, path("shop", "/a"))
        ),
        {"rules": [rule(path("shop-canary", "/a"))]},
    ),
    "a default backend alone": (
        {USERS: USERS.manifest(spec={"defaultBackend": path("shop")["backend"]})},
        {"defaultBackend": path("shop-canary")["backend"]},
    ),
}


@pytest.mark.parametrize(("now", "spec"), COPIED.values(), ids=COPIED)
def test_copies(now: dict[Ref, Manifest], spec: dict[str, Any]) -> None:
    assert write(Nginx(), subject(), now, Split())[OURS]["spec"] == spec


def test_metadata_is_copied_without_what_belongs_to_one_object_alone() -> None:
    given_ = {
        f"{PREFIX}/proxy-body-size": "8m",
        f"{PREFIX}/canary-weight": "7",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "kustomize.toolkit.fluxcd.io/checksum": "x",
        "flagger.app/rendered": "c1-x",
    }
    now = ingress(rule(path("shop")), annotations=given_)
    now[USERS]["metadata"] |= {
        "labels": {"team": "shop", "kustomize.toolkit.fluxcd.io/name": "apps"},
        "uid": "u",
        "resourceVersion": "1",
        "ownerReferences": [{"name": "x"}],
    }
    [made] = Nginx().render(subject(), now, Split())
    assert made["metadata"] == {
        "name": "web-canary",
        "namespace": "test",
        "labels": {"team": "shop"},
        "annotations": {
            f"{PREFIX}/proxy-body-size": "8m",
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
            "helm.toolkit.fluxcd.io/driftDetection": "disabled",
            f"{PREFIX}/canary": "true",
            f"{PREFIX}/canary-weight": "0",
        },
    }


def test_follows_the_users_ingress() -> None:
    now = write(Nginx(), subject(), PLAIN, Split.to_canary(20))
    moved = now | ingress(rule(path("shop", "/new"), host="new.test"))
    after = write(Nginx(), subject(), moved, Split.to_canary(20))
    assert after[OURS]["spec"]["rules"] == [rule(path("shop-canary", "/new"), host="new.test")]


DECIDES: dict[str, tuple[Canary, Split, dict[str, str]]] = {
    "nothing for the canary": (subject(), Split(), {"": "true", "-weight": "0"}),
    "a share": (subject(), Split.to_canary(30), {"": "true", "-weight": "30"}),
    "a header with a value": (
        subject(header("x-beta", exact="1")),
        MATCHED,
        {"": "true", "-by-header": "x-beta", "-by-header-value": "1"},
    ),
    "a header with a pattern": (
        subject(header("x-beta", regex="a|b")),
        MATCHED,
        {"": "true", "-by-header": "x-beta", "-by-header-pattern": "a|b"},
    ),
    "a header with a beginning": (
        subject(header("x-beta", prefix="v1.")),
        MATCHED,
        {"": "true", "-by-header": "x-beta", "-by-header-pattern": r"^v1\."},
    ),
    "a header with an end": (
        subject(header("x-beta", suffix="@me")),
        MATCHED,
        {"": "true", "-by-header": "x-beta", "-by-header-pattern": "@me$"},
    ),
    "a cookie": (
        subject(header("Cookie", exact="beta")),
        MATCHED,
        {"": "true", "-by-cookie": "beta"},
    ),
    "a header or a cookie": (
        subject(header("x-beta", exact="1"), header("cookie", exact="beta")),
        MATCHED,
        {"": "true", "-by-header": "x-beta", "-by-header-value": "1", "-by-cookie": "beta"},
    ),
    "the last of several headers, without what was said of the others": (
        subject(header("x-one", regex="1"), header("x-two", exact="2")),
        MATCHED,
        {"": "true", "-by-header": "x-two", "-by-header-value": "2"},
    ),
    "an A/B test that is over": (
        subject(header("x-beta", exact="1")),
        Split(),
        {"": "true", "-weight": "0"},
    ),
}


@pytest.mark.parametrize(("made", "split", "expected"), DECIDES.values(), ids=DECIDES)
def test_decides_by(made: Canary, split: Split, expected: dict[str, str]) -> None:
    now = write(Nginx(), made, PLAIN, split)
    assert notes(now) == expected
    assert Nginx().read(made, now) == split


def test_keys_of_an_earlier_match_do_not_stay() -> None:
    before = subject(header("x-beta", regex="1"), header("cookie", exact="beta"))
    now = write(Nginx(), before, PLAIN, MATCHED)
    after = write(Nginx(), subject(header("x-user", exact="me")), now, MATCHED)
    assert notes(after) == {"": "true", "-by-header": "x-user", "-by-header-value": "me"}


def taken_over(annotations: dict[str, str]) -> dict[Ref, Manifest]:
    """A canary Ingress that another controller wrote."""
    who = Writer("flagger", "Update")
    ours = OURS.manifest(
        metadata={"annotations": annotations}, spec={"rules": [rule(path("shop-canary"))]}
    )
    fields = fields_of({"metadata": {"annotations": annotations}, "spec": ours["spec"]})
    ours["metadata"]["managedFields"] = [who.entry("networking.k8s.io/v1", "then", fields)]
    return PLAIN | {OURS: ours}


LEFT = {
    "-by-header": "x-beta",
    "-by-header-value": "1",
    "-by-cookie": "beta",
    "-weight-total": "1000",
}


def test_keys_that_another_controller_left_lose_their_effect_and_then_go() -> None:
    now = taken_over({f"{PREFIX}/canary{end}": value for end, value in LEFT.items()})
    once = write(Nginx(), subject(), now, Split.to_canary(10))
    assert Nginx().read(subject(), once) == Split.to_canary(10)
    assert notes(write(Nginx(), subject(), once, Split.to_canary(10))) == {
        "": "true",
        "-weight": "10",
    }


def test_continues_what_another_controller_began() -> None:
    annotations = {f"{PREFIX}/canary": "true", f"{PREFIX}/canary-weight": "35"}
    assert Nginx().read(subject(), taken_over(annotations)) == Split.to_canary(35)


READ: dict[str, tuple[dict[str, str], Split | None]] = {
    "no canary Ingress any more": ({"": "false", "-weight": "10"}, None),
    "no weight": ({"": "true"}, Split()),
    "a weight that is no number": ({"": "true", "-weight": "many"}, Split()),
    "a weight above all": ({"": "true", "-weight": "170"}, Split.to_canary(100)),
    "a weight of something else than a hundred": (
        {"": "true", "-weight": "10", "-weight-total": "1000"},
        Split.to_canary(1),
    ),
    "a total that is no number": (
        {"": "true", "-weight": "10", "-weight-total": "0"},
        Split.to_canary(10),
    ),
    "keys without a value": ({"": "true", "-weight": "10", "-by-header": ""}, Split.to_canary(10)),
}


@pytest.mark.parametrize(("found", "split"), READ.values(), ids=READ)
def test_reads(found: dict[str, str], split: Split | None) -> None:
    annotations = {f"{PREFIX}/canary{end}": value for end, value in found.items()}
    assert Nginx().read(subject(), taken_over(annotations)) == split


def test_another_prefix() -> None:
    [made] = Nginx(prefix="custom.io").render(subject(), PLAIN, Split.to_canary(5))
    assert made["metadata"]["annotations"]["custom.io/canary-weight"] == "5"


REFUSED: dict[str, tuple[Canary, dict[Ref, Manifest], str]] = {
    "an Ingress that isn't there": (
        subject(),
        {},
        "spec.ingressRef: found no Ingress test/web, expected an Ingress in the same namespace",
    ),
    "an Ingress to other Services": (
        subject(),
        ingress(rule(path("shops"), path("files"))),
        "with files, shops as its backend, expected a path to the Service shop; did you mean",
    ),
    "an Ingress without a path": (subject(), ingress(), "with no Service as its backend"),
    "an Ingress without http": (
        subject(),
        ingress({"host": "a"}),
        "with no Service as its backend",
    ),
    "a cookie by pattern": (
        subject(header("cookie", regex=".*beta.*")),
        PLAIN,
        r"match\[0\].headers.cookie: found another form, expected exact, with the name of a cookie",
    ),
    "query parameters": (
        subject({"queryParams": {"beta": {"exact": "1"}}}),
        PLAIN,
        r"match\[0\].queryParams: found queryParams, expected headers",
    ),
    "labels of callers": (
        subject({**header("x", exact="y"), "sourceLabels": {"app": "web"}}),
        PLAIN,
        r"match\[0\].sourceLabels: found sourceLabels",
    ),
    "no condition at all": (
        subject({"headers": {}}),
        PLAIN,
        r"match\[0\]: found no condition",
    ),
}


@pytest.mark.parametrize(("made", "now", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses_before_the_first_release(
    made: Canary, now: dict[Ref, Manifest], words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        Nginx().render(made, now, Split())


def test_without_the_reference_there_is_nothing_to_copy() -> None:
    made = subject()
    unset = made.model_copy(update={"spec": made.spec.model_copy(update={"ingress_ref": None})})
    with pytest.raises(SpecError, match=r"spec\.ingressRef"):
        Nginx().owns(unset)


BROKEN: dict[str, tuple[Canary, dict[Ref, Manifest]]] = {
    "the user's Ingress is gone": (subject(), {}),
    "the user's Ingress leads elsewhere": (subject(), ingress(rule(path("other")))),
    "the match can't be said any more": (subject(header("cookie", regex="x")), PLAIN),
}


@pytest.mark.parametrize(("made", "broken"), BROKEN.values(), ids=BROKEN)
def test_traffic_can_be_taken_back_even_when(made: Canary, broken: dict[Ref, Manifest]) -> None:
    began = write(Nginx(), subject(), PLAIN, Split.to_canary(40))
    now = {OURS: began[OURS], **broken}
    after = write(Nginx(), made, now, Split())
    assert Nginx().read(made, after) == Split()
    assert after[OURS]["spec"] == began[OURS]["spec"]
    assert Nginx().pending(made, after) == ""


def test_pending_while_the_users_ingress_does_not_lead_to_the_apex() -> None:
    began = write(Nginx(), subject(), PLAIN, Split.to_canary(40))
    assert Nginx().pending(subject(), began) == ""
    for broken in ({}, ingress(rule(path("other")))):
        why = Nginx().pending(subject(), {OURS: began[OURS], **broken})
        assert "Ingress test/web does not lead to the Service shop any more" in why


@given(
    st.lists(
        st.sampled_from(
            [subject(), subject(header("x-a", regex="1")), *(r[0] for r in DECIDES.values())]
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 100),
)
def test_whatever_was_there_before_the_last_word_counts(made: list[Canary], weight: int) -> None:
    now = PLAIN
    for each in made:
        ab = each.spec.analysis.strategy == "ab-testing"
        split = MATCHED if ab else Split.to_canary(weight)
        now = write(Nginx(), each, now, split)
        assert Nginx().read(each, now) == split
        assert now[USERS] == PLAIN[USERS]
