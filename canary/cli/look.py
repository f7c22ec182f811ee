"""get: one line for each Canary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from canary.cli import words
from canary.cli.api import Api
from canary.cli.options import Names, Namespace, Output, Server
from canary.cli.output import Document, Format, Table, aligned, clean, is_data, show, show_data
from canary.cli.server import STREAM, Named, connect, listed

View = dict[str, Any]

HEADS = ("name", "status", "weight")
WIDE = ("suspended", "failedchecks", "interval", "mirror", "stepweight", "stepweights", "maxweight")
LAST = "lasttransitiontime"


def get(
    names: Names = None,
    namespace: Namespace = "default",
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Look in all namespaces.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and print what changes.")
    ] = False,
    output: Output = Format.TABLE,
    server: Server = "",
) -> int:
    """List Canaries: phase, weight and when something last changed.

    The columns are those of 'kubectl get canaries'; the word 'canaries' may be there, too. Exits
    with 1 if a Canary that was named is not there.
    """
    wanted = tuple(name for i, name in enumerate(names or ()) if i or name != "canaries")
    look = Look(connect(server), "" if everywhere else namespace, wanted, output)
    views = look.views()
    if is_data(output):
        show_data(views[0] if len(wanted) == 1 else {"items": views}, output)
    elif output is Format.NAME:
        for view in views:
            print(look.name(view))
    else:
        show(Document(look.table(views)))
    if not watch:
        return 0
    for line in look.changes(views):
        print(line, flush=True)
    typer.echo("the server has ended the stream", err=True)
    return 1


@dataclass(frozen=True, slots=True)
class Look:
    """What was asked for. No namespace means all of them, and no names all that there are."""

    api: Api
    namespace: str
    names: tuple[str, ...]
    output: Format

    def views(self) -> list[View]:
        if self.names:
            space = self.namespace or "default"
            return [Named.of(self.api, space, name).get() for name in self.names]
        return [*map(self._widened, listed(self.api, self.namespace))]

    def changes(self, views: Sequence[View]) -> Iterator[str]:
        """Text for each Canary that looks different than before, until the server ends."""
        known = {_key(view): view for view in views}
        told = {key: self._line(view, known) for key, view in known.items()}
        for kind, view in self.api.events(STREAM, {"namespace": self.namespace}):
            key = _key(view) if kind in ("canary", "deleted") else None
            if key is None or (self.names and key not in known):
                continue
            if kind == "deleted":
                known.pop(key, None)
                told.pop(key, None)
                continue
            known[key] = self._widened(view)
            line = self._line(known[key], known)
            if line.split() != told.get(key, "").split():
                yield line
            told[key] = line

    def table(self, views: Sequence[View]) -> Table:
        wide, everywhere = self.output is Format.WIDE, not self.namespace
        heads = [*(["namespace"] if everywhere else []), *HEADS, *(WIDE if wide else ()), LAST]
        where = "anywhere" if everywhere else f"in namespace {self.namespace}"
        return Table(heads, [self._row(view) for view in views], f"no Canaries {where}")

    def name(self, view: View) -> str:
        return clean(view["name"] if self.namespace else f"{view['namespace']}/{view['name']}")

    def _widened(self, view: View) -> View:
        """Lists leave the manifest out, and the wide columns are in it."""
        if self.output is not Format.WIDE:
            return view
        detail: View = Named(self.api, view["namespace"], view["name"]).get()
        return detail

    def _line(self, view: View, known: dict[tuple[str, str], View]) -> str:
        """What a change looks like: as wide as the others, so that columns stay columns."""
        if is_data(self.output):
            import json

            return json.dumps(view, ensure_ascii=False)
        if self.output is Format.NAME:
            return self.name(view)
        return aligned(self.table([*known.values(), view]))[-1]

    def _row(self, view: View) -> list[str]:
        return [
            *([] if self.namespace else [view["namespace"]]),
            view["name"],
            words.phase(view["phase"]),
            str(view["weight"]),
            *(_wide(view) if self.output is Format.WIDE else ()),
            words.stamp(view.get("lastTransitionTime")),
        ]


def _wide(view: View) -> Iterator[str]:
    spec = (view.get("manifest") or {}).get("spec") or {}
    plan = spec.get("analysis") or {}
    yield str(bool(spec.get("suspend"))).lower()
    yield str(view["failedChecks"])
    yield str(plan.get("interval") or "")
    yield str(bool(plan.get("mirror"))).lower()
    yield str(plan.get("stepWeight") or "")
    yield ",".join(map(str, plan.get("stepWeights") or ()))
    yield str(plan.get("maxWeight") or "")


def _key(view: View) -> tuple[str, str]:
    return view["namespace"], view["name"]
