"""ConfigMaps and Secrets that a pod template refers to: checksums and copies.

A primary reads copies of them, so that an edit reaches its users only through a release.
"""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary
from canary.errors import Problem, SpecError
from canary.targets.metadata import included
from canary.targets.owners import references, shared
from canary.targets.references import SECRET, SUFFIX, Reference
from canary.targets.writes import Apply, Patch, Write, exact, lacks

OPT_OUT = "flagger.app/config-tracking"
"""Annotation of a ConfigMap or Secret: a value that starts with `disable` keeps it as it is."""
TRACKED_TYPES = frozenset(
    {"Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"}
)
"""Types of Secrets that are tracked; all others belong to machinery such as service accounts."""
CONTENT = ("data", "binaryData")
# Go's JSON, which the recorded checksums come from, escapes what could end a script in HTML.
_GO_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def fingerprint(config: Manifest) -> str | None:
    """The checksum of a ConfigMap or Secret; None if it is not to be tracked."""
    annotations = config["metadata"].get("annotations") or {}
    if annotations.get(OPT_OUT, "").startswith("disable"):
        return None
    if config["kind"] == SECRET.name and config.get("type", "Opaque") not in TRACKED_TYPES:
        return None
    return checksum(config)


def checksum(config: Manifest) -> str:
    """16 hexadecimal digits, the same that the compatible controller has recorded.

    `binaryData` counts only where there is some, which keeps recorded checksums valid.
    """
    text = go_json(config.get("data"))
    if binary := config.get("binaryData"):
        text += go_json(binary)
    return sha256(text.encode()).hexdigest()[:16]


def go_json(value: Any) -> str:
    r"""Compact JSON, byte for byte as Go writes it.

    >>> go_json({"b": "<é>", "a": "\x01"})
    '{"a":"\\u0001","b":"\\u003cé\\u003e"}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # None of these characters means anything in JSON, so they only ever stand inside of texts.
    return text.translate(_GO_ESCAPES)


def tracked(
    where: str, wanted: Mapping[str, Reference], found: Mapping[str, str | None]
) -> dict[str, str]:
    """Checksums by key of what is tracked.

    `found` has the fingerprint of each object that exists; `where` names the workload, for the
    error. Raises `SpecError` with every object that is missing and may not be.
    """
    missing = [each for key, each in wanted.items() if key not in found and not each.optional]
    if missing:
        raise SpecError(*(_missing(where, each) for each in missing))
    return {key: value for key in wanted if (value := found.get(key)) is not None}


def copy(
    canary: Canary, source: Manifest, live: Manifest | None, prefixes: Iterable[str]
) -> Manifest:
    """The primary's copy. `live` is that copy as it is now: other Canaries may share it."""
    meta = source["metadata"]
    kind = Kind(source["apiVersion"], source["kind"])
    labels = included(meta.get("labels"), prefixes)
    content = {key: deepcopy(source[key]) for key in CONTENT if source.get(key)}
    if kind == SECRET:
        content["type"] = source.get("type", "Opaque")
    return Ref(kind, canary.namespace, f"{meta['name']}{SUFFIX}").manifest(
        metadata={
            **({"labels": labels} if labels else {}),
            "ownerReferences": shared(canary, live),
        },
        **content,
    )


def changes(
    canary: Canary, source: Manifest, live: Manifest | None, prefixes: Iterable[str]
) -> list[Write]:
    """What makes the copy equal to its source, without keys that are gone; nothing if it is."""
    wanted = copy(canary, source, live, prefixes)
    if live is None:
        return [Apply(wanted)]
    patch = exact(_content(live), _content(wanted))
    labels = wanted["metadata"].get("labels", {})
    meta: Manifest = {}
    if lacks(live["metadata"].get("labels") or {}, labels):
        meta["labels"] = labels
    if all(each.get("uid") != canary.uid for each in references(live)):
        meta["ownerReferences"] = wanted["metadata"]["ownerReferences"]
    if meta:
        patch["metadata"] = meta
    return [Patch.of(live, patch)] if patch else []


def _content(config: Manifest) -> Manifest:
    return {key: config[key] for key in CONTENT if config.get(key)}


def _missing(where: str, reference: Reference) -> Problem:
    return Problem(
        where,
        reference.field,
        f"{reference.kind.name} {reference.name!r}, which does not exist",
        "one that exists, or optional: true",
    )
