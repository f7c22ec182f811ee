"""From files to resources: every problem of every document is found before any is raised."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canary.crd.canary import Canary
from canary.crd.documents import documents
from canary.crd.manifest import KINDS, foreign, read
from canary.crd.resource import Resource
from canary.errors import LocalError, Problem, SpecError

Placed = tuple[str, Resource]
"""An object and the file it came from."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What files said, all of it valid."""

    objects: tuple[Resource, ...]
    warnings: tuple[Problem, ...]
    sources: tuple[str, ...] = ()
    """For each object the file it came from."""
    others: tuple[str, ...] = ()
    """Files and kinds of objects that are somebody else's, which are left alone."""


def load_text(text: str, source: str = "<input>") -> Loaded:
    """All documents of one text. Raises one `SpecError` with the problems of all of them."""
    return _load([(source, text)])


def load_path(*paths: str | Path) -> Loaded:
    """Files, and of folders all `*.yaml` and `*.yml` below that are not hidden.

    A file that is reached twice counts once. Raises one `SpecError` with the problems of all
    files, or `LocalError` when one can't be read.
    """
    contents: dict[Path, tuple[str, bytes]] = {}
    for path in map(Path, paths):
        try:
            for file in sorted(_files(path)) if path.is_dir() else [path]:
                contents.setdefault(file.resolve(), (str(file), file.read_bytes()))
        except OSError as error:
            raise LocalError(f"{error.filename or path}: {error.strerror}") from error
    return _load(contents.values())


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in (".yaml", ".yml") and not hidden and file.is_file():
            yield file


def _load(contents: Iterable[tuple[str, str | bytes]]) -> Loaded:
    objects: list[Placed] = []
    others: list[str] = []
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for source, content in contents:
        manifests, wrong = _manifests(content, source)
        errors += wrong
        for i, manifest in enumerate(manifests, 1):
            if foreign(manifest):
                others.append(f"{source}: {manifest['kind']}")
                continue
            place = source if len(manifests) == 1 else f"{source}, object {i}"
            resource, wrong, doubtful = read(manifest, source, place, written=True)
            errors += wrong
            warnings += doubtful
            if resource is not None:
                objects.append((source, resource))
    errors += [*_same_names(objects), *_same_targets(objects)]
    if errors:
        raise SpecError(*errors)
    sources, resources = zip(*objects, strict=True) if objects else ((), ())
    return Loaded(resources, tuple(warnings), sources, tuple(others))


def _manifests(content: str | bytes, source: str) -> tuple[list[Any], list[Problem]]:
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = f"byte {error.object[error.start]:#04x} at position {error.start}"
        return [], [Problem(source, "", bad, "text in UTF-8")]
    manifests, wrong = documents(text, source)
    if not manifests and not wrong:
        wrong = [Problem(source, "", "no object", f"at least one of {', '.join(KINDS)}")]
    return manifests, wrong


def _where(source: str, resource: Resource) -> str:
    return f"{source}: {resource.kind} {resource.key}"


def _same_names(objects: Iterable[Placed]) -> Iterator[Problem]:
    first: dict[tuple[str, str], str] = {}
    for source, resource in objects:
        name = (resource.kind, resource.key)
        if name in first:
            again = f"{resource.name!r} a second time, first in {first[name]}"
            yield Problem(_where(source, resource), "metadata.name", again, "every name once")
        first.setdefault(name, source)


def _same_targets(objects: Iterable[Placed]) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], Canary] = {}
    for source, canary in objects:
        if not isinstance(canary, Canary):
            continue
        target = canary.spec.target_ref
        other = first.setdefault((canary.namespace, target.kind, target.name), canary)
        if other.key != canary.key:
            taken = f"{target.kind} {target.name!r}, which Canary {other.key} releases already"
            yield Problem(_where(source, canary), "spec.targetRef", taken, "a target of its own")
