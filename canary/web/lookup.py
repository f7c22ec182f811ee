"""Finding Canaries: parsed once per version, and with the nearest name if there is none."""

from collections.abc import Iterable
from heapq import nsmallest
from http import HTTPStatus
from typing import Any

from canary.cluster.port import Manifest, Ref
from canary.core.actions import Wait
from canary.core.explain import Explanation, explain
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.manifest import read
from canary.engine.journal import Entry
from canary.errors import nearest
from canary.web.problems import ApiError
from canary.web.service import CANARY, Parsed, Service

COMPARED = 100
"""Names that a mistyped one is compared with; each costs about 25 microseconds."""


def manifests(service: Service, namespace: str = "") -> list[Manifest]:
    """All Canaries, by namespace and name."""
    items = service.cache.items(CANARY, namespace)
    return sorted(items, key=Ref.of)


def manifest_of(service: Service, namespace: str, name: str) -> Manifest:
    """One Canary as it is in the cluster. Raises `ApiError` (404)."""
    found = service.cache.get(Ref(CANARY, namespace, name))
    if found is None:
        raise _missing(service, namespace, name)
    return found


def canary_of(service: Service, namespace: str, name: str) -> Canary:
    """One Canary. Raises `ApiError`: 404, or 422 if too much of its manifest is wrong."""
    canary, problems = parsed(service, manifest_of(service, namespace, name))
    if canary is None:
        detail = "; ".join(str(problem) for problem in problems)
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, *problems)
    return canary


def parsed(service: Service, manifest: Manifest) -> Parsed:
    """Parse a manifest of the cache, unless this version of it has been parsed."""
    known = service.parsed
    ref, version = Ref.of(manifest), manifest["metadata"]["resourceVersion"]
    if (before := known.get(ref)) and before[0] == version:
        return before[1]
    resource, errors, _ = read(manifest, "")
    made: Parsed = (resource if isinstance(resource, Canary) else None, errors)
    known[ref] = (version, made)
    if len(known) > 2 * len(service.cache.items(CANARY)) + 16:
        for gone in [each for each in known if service.cache.get(each) is None]:
            del known[gone]
    return made


def explanation_of(service: Service, canary: Canary) -> Explanation:
    """Why it is where it is, with what the journal knows of the last look at it."""
    entry = next(iter(service.journal.entries(canary.key, limit=1)), None)
    seen = entry.seen if entry else {}
    return explain(
        canary,
        service.now(),
        wait_of(service, canary, entry),
        abilities=_abilities(seen.get("abilities")),
        minimum_interval=float(seen.get("minimum_interval") or 10.0),
        error=entry.error if entry else "",
    )


def wait_of(service: Service, canary: Canary, entry: Entry | None = None) -> Wait | None:
    """What is waited for: until when says the engine, and why says the journal."""
    until = service.waits(canary.key)
    if until is None:
        return None
    entry = entry or next(iter(service.journal.entries(canary.key, limit=1)), None)
    if entry and entry.error:
        return Wait(until, f"trying again: {entry.error}")
    said = (each["why"] for each in (entry.actions if entry else ()) if each.get("do") == "Wait")
    return Wait(until, next(said, "looking again"))


def _abilities(seen: Any) -> Abilities:
    known = Abilities.__dataclass_fields__
    given = seen if isinstance(seen, dict) else {}
    return Abilities(**{name: bool(value) for name, value in given.items() if name in known})


def _missing(service: Service, namespace: str, name: str) -> ApiError:
    refs = [Ref.of(each) for each in service.cache.items(CANARY)]
    here = [ref.name for ref in refs if ref.namespace == namespace]
    near = nearest(name, _similar(name, here)) or _elsewhere(namespace, name, refs)
    hint = f"; did you mean {near!r}?" if near else ""
    return ApiError(HTTPStatus.NOT_FOUND, f"there is no Canary {namespace}/{name}{hint}")


def _elsewhere(namespace: str, name: str, refs: Iterable[Ref]) -> str:
    """The same name in another namespace, or the nearest key of all."""
    keys = {f"{ref.namespace}/{ref.name}": ref.name for ref in refs}
    same = next((key for key, found in keys.items() if found == name), "")
    key = f"{namespace}/{name}"
    return same or nearest(key, _similar(key, keys))


def _similar(name: str, known: Iterable[str]) -> list[str]:
    """The names of about the same length: to compare with thousands takes too long."""
    return nsmallest(COMPARED, known, key=lambda each: abs(len(each) - len(name)))
