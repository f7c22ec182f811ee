"""ConfigMaps and Secrets: which are tracked, their checksums, and their copies."""

import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.merge import merge_patch
from canary.cluster.port import Manifest
from canary.errors import SpecError
from canary.targets.configs import changes, checksum, copy, fingerprint, go_json, tracked
from canary.targets.owners import owner
from canary.targets.references import back_to, names, references, renamed, to_copies
from canary.targets.writes import Apply, Patch
from tests.targets.world import UID, canary, pods

SUBJECT = canary()


def config(
    name: str = "look", kind: str = "ConfigMap", meta: Manifest | None = None, **fields: Any
) -> Manifest:
    metadata = {"name": name, "namespace": "test", "resourceVersion": "5", **(meta or {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def digest(text: str) -> str:
    """By hand, from the JSON text as the compatible controller writes it."""
    return sha256(text.encode()).hexdigest()[:16]


SECRET = b64encode(b"s3cret\n\xff").decode()
CHECKSUMS = {
    "without data it is null": (config(), "null"),
    "with empty data it is an empty object": (config(data={}), "{}"),
    "keys are sorted and there are no spaces": (
        config(data={"b": "2", "a": "1"}),
        '{"a":"1","b":"2"}',
    ),
    "what could end a script is escaped": (
        config(data={"a": "<b>&</b>"}),
        r'{"a":"\u003cb\u003e\u0026\u003c/b\u003e"}',
    ),
    "so are two separators of lines": (
        config(data={"a": "\u2028\u2029"}),
        r'{"a":"\u2028\u2029"}',
    ),
    "other letters are not": (config(data={"a": "grün ☃ 🙂"}), '{"a":"grün ☃ 🙂"}'),
    "five control characters have two letters": (
        config(data={"a": "\n\r\t\b\f"}),
        r'{"a":"\n\r\t\b\f"}',
    ),
    "others four lower-case digits": (config(data={"a": "\x00\x1f"}), r'{"a":"\u0000\u001f"}'),
    "delete is a character like any": (config(data={"a": "\x7f"}), '{"a":"\x7f"}'),
    "quotes and backslashes are escaped": (config(data={"a": '"\\'}), r'{"a":"\"\\"}'),
    "secrets are in base64": (
        config(kind="Secret", data={"password": SECRET}),
        '{"password":"czNjcmV0Cv8="}',
    ),
    "binary data counts where there is some": (
        config(data={"a": "1"}, binaryData={"b": "AA=="}),
        '{"a":"1"}{"b":"AA=="}',
    ),
}


@pytest.mark.parametrize(("found", "text"), CHECKSUMS.values(), ids=CHECKSUMS)
def test_checksum(found: Manifest, text: str) -> None:
    assert checksum(found) == digest(text)


@given(st.dictionaries(st.text(max_size=4), st.text(), max_size=4))
def test_json_says_what_it_was_made_from(data: dict[str, str]) -> None:
    text = go_json(data)
    assert json.loads(text) == data
    assert not set("<>&\u2028\u2029") & set(text)


def annotated(value: str) -> Manifest:
    return config(meta={"annotations": {"flagger.app/config-tracking": value}})


TRACKED = {
    "a ConfigMap is": (config(), True),
    "an opaque Secret is": (config(kind="Secret", type="Opaque"), True),
    "a Secret without a type is": (config(kind="Secret"), True),
    "a TLS Secret is": (config(kind="Secret", type="kubernetes.io/tls"), True),
    "an account's token is not": (
        config(kind="Secret", type="kubernetes.io/service-account-token"),
        False,
    ),
    "what opted out is not": (annotated("disabled"), False),
    "the start of the word is enough": (annotated("disable"), False),
    "another word is none": (annotated("enabled"), True),
}


@pytest.mark.parametrize(("found", "expected"), TRACKED.values(), ids=TRACKED)
def test_tracked(found: Manifest, expected: bool) -> None:
    assert (fingerprint(found) is not None) is expected


def from_env(**ref: Any) -> Manifest:
    return pods(containers=[{"name": "app", "env": [{"name": "A", "valueFrom": ref}]}])


def from_all(**ref: Any) -> Manifest:
    return pods(containers=[{"name": "app", "envFrom": [ref]}])


def volume(**source: Any) -> Manifest:
    return pods(volumes=[{"name": "v", **source}])


A: Manifest = {"name": "a"}
# A template and what it refers to.
REFERENCES: dict[str, tuple[Manifest, list[str]]] = {
    "a volume of a ConfigMap": (volume(configMap=A), ["configmap/a"]),
    "a volume of a Secret": (volume(secret={"secretName": "a"}), ["secret/a"]),
    "a projected volume": (
        volume(projected={"sources": [{"configMap": A}, {"secret": {"name": "b"}}]}),
        ["configmap/a", "secret/b"],
    ),
    "a variable from a ConfigMap": (from_env(configMapKeyRef={**A, "key": "k"}), ["configmap/a"]),
    "a variable from a Secret": (from_env(secretKeyRef={**A, "key": "k"}), ["secret/a"]),
    "all variables of a ConfigMap": (from_all(configMapRef=A), ["configmap/a"]),
    "all variables of a Secret": (from_all(secretRef=A), ["secret/a"]),
    "an init container": (
        pods(initContainers=[{"name": "i", "envFrom": [{"secretRef": A}]}]),
        ["secret/a"],
    ),
    "not an ephemeral container": (
        pods(ephemeralContainers=[{"name": "e", "envFrom": [{"secretRef": A}]}]),
        [],
    ),
    "not what images are pulled with": (pods(imagePullSecrets=[A]), []),
    "not other volumes": (volume(csi={"nodePublishSecretRef": A}), []),
    "not a field": (from_env(fieldRef={"fieldPath": "metadata.name"}), []),
}


@pytest.mark.parametrize(("template", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_references(template: Manifest, expected: list[str]) -> None:
    assert list(references(template)) == expected


@pytest.mark.parametrize(("template", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_every_tracked_reference_is_renamed_and_nothing_else(
    template: Manifest, expected: list[str]
) -> None:
    copied = renamed(template, to_copies(expected))
    assert list(references(copied)) == [f"{key}-primary" for key in expected]
    assert renamed(copied, back_to(names(template))) == template
    assert renamed(template, to_copies(["configmap/other"])) == template


def test_of_a_map_and_a_secret_of_one_name_only_the_tracked_is_renamed() -> None:
    template = volume(projected={"sources": [{"configMap": {**A}}, {"secret": {**A}}]})
    assert names(renamed(template, to_copies(["secret/a"]))) == ["a", "a-primary"]


@given(
    st.lists(st.sampled_from(["a", "a-primary", "a-primary-primary", "b"]), max_size=5),
    st.sets(st.sampled_from(["a", "a-primary", "a-primary-primary", "b"])),
)
def test_renaming_can_always_be_undone(found: list[str], known: set[str]) -> None:
    volumes = [{"name": f"v{i}", "configMap": {"name": n}} for i, n in enumerate(found)]
    template = pods(volumes=volumes)
    copied = renamed(template, to_copies({f"configmap/{name}" for name in known}))
    assert renamed(copied, back_to(names(template))) == template


def test_the_last_reference_says_whether_it_may_be_missing() -> None:
    template = from_all(configMapRef={**A, "optional": True})
    template["spec"]["volumes"] = [{"name": "v", "configMap": A}]
    assert references(template)["configmap/a"].optional
    template["spec"]["initContainers"] = [{"name": "i", "envFrom": [{"configMapRef": A}]}]
    assert not references(template)["configmap/a"].optional


def test_what_is_missing_and_needed_is_named_with_its_place() -> None:
    template = from_env(secretKeyRef={"name": "database", "key": "k"})
    message = (
        r"Deployment test/web: spec\.template\.spec\.containers\[0\]\.env\[0\]\.valueFrom"
        r"\.secretKeyRef\.name: found Secret 'database', which does not exist"
    )
    with pytest.raises(SpecError, match=message):
        tracked("Deployment test/web", references(template), {})


def test_what_may_be_missing_and_what_opted_out_is_not_tracked() -> None:
    template = volume(configMap={**A, "optional": True})
    assert tracked("x", references(template), {}) == {}
    assert tracked("x", references(template), {"configmap/a": None}) == {}
    assert tracked("x", references(template), {"configmap/a": "1"}) == {"configmap/a": "1"}


def after(live: Manifest, source: Manifest) -> Manifest:
    (write,) = changes(SUBJECT, source, live, ())
    assert isinstance(write, Patch)
    patched: Manifest = merge_patch(live, write.patch)
    return patched


def test_a_copy_has_the_content_and_the_included_labels() -> None:
    meta = {"labels": {"team": "a", "app": "b"}, "annotations": {"x": "y"}, "uid": "s"}
    source = config(meta=meta, data={"a": "1"}, immutable=True)
    made = copy(SUBJECT, source, None, ("team",))
    assert made == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "look-primary",
            "namespace": "test",
            "labels": {"team": "a"},
            "ownerReferences": [owner(SUBJECT)],
        },
        "data": {"a": "1"},
    }
    assert changes(SUBJECT, source, None, ("team",)) == [Apply(made)]


def test_a_copy_of_a_secret_has_its_type() -> None:
    source = config(kind="Secret", type="kubernetes.io/tls", data={"tls.crt": "AA=="})
    assert copy(SUBJECT, source, None, ())["type"] == "kubernetes.io/tls"


def test_binary_data_is_copied_and_a_change_of_it_is_one() -> None:
    # A known defect elsewhere: it was neither detected nor copied.
    one, two = (config(binaryData={"a": value}) for value in ("AA==", "AQ=="))
    assert checksum(one) != checksum(two)
    assert after(copy(SUBJECT, one, None, ()), two)["binaryData"] == {"a": "AQ=="}


CONTENT: dict[str, Callable[[], Manifest]] = {
    "another value": lambda: config(data={"a": "2", "b": "1"}),
    "a key less": lambda: config(data={"a": "1"}),
    "no data at all": config,
}


@pytest.mark.parametrize("source", CONTENT.values(), ids=CONTENT)
def test_a_copy_follows_its_source(source: Callable[[], Manifest]) -> None:
    live = copy(SUBJECT, config(data={"a": "1", "b": "1"}), None, ())
    changed = after(live, source())
    assert changed.get("data") == source().get("data")
    assert changes(SUBJECT, source(), changed, ()) == []


def test_a_copy_is_shared_with_the_canaries_that_had_it_before() -> None:
    theirs = {"kind": "Canary", "name": "other", "uid": "c-2", "controller": True}
    live = config("look-primary", meta={"ownerReferences": [theirs]}, data={"a": "1"})
    owners = after(live, config(data={"a": "1"}))["metadata"]["ownerReferences"]
    assert owners == [owner(SUBJECT), {**theirs, "controller": False}]


def test_an_owner_that_others_took_over_from_is_not_fought_for() -> None:
    theirs = {"kind": "Canary", "name": "other", "uid": "c-2", "controller": True}
    ours = {**owner(SUBJECT), "controller": False}
    assert ours["uid"] == UID
    live = config("look-primary", meta={"ownerReferences": [theirs, ours]}, data={"a": "1"})
    assert changes(SUBJECT, config(data={"a": "1"}), live, ()) == []


def test_labels_and_fields_of_others_stay() -> None:
    live = config("look-primary", meta={"labels": {"theirs": "x"}}, data={"a": "1"}, more=1)
    changed = after(live, config(data={"a": "2"}))
    assert (changed["metadata"]["labels"], changed["more"]) == ({"theirs": "x"}, 1)
