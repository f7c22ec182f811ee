"""describe, explain and history: everything that is known about one Canary, and why."""

from typing import Annotated

import typer

from canary.cli import views
from canary.cli.options import Name, Namespace, Output, Server
from canary.cli.output import Document, Format, clean, is_data, show, show_data
from canary.cli.server import Named


def describe(
    name: Name, namespace: Namespace = "default", output: Output = Format.TABLE, server: Server = ""
) -> None:
    """Show all there is to know about one Canary.

    Its target, the run, the split of traffic, checks, gates, conditions and the last events.
    """
    named = Named.of(server, namespace, name)
    view = named.get()
    if is_data(output):
        show_data(view, output)
    elif output is Format.NAME:
        print(clean(view["name"]))
    else:
        show(views.description(view, named.get("events")["items"]))


def explain(
    name: Name, namespace: Namespace = "default", output: Output = Format.TABLE, server: Server = ""
) -> None:
    """Say why a Canary is where it is, and what would happen next.

    Every check is shown with its query, the value it got, the bound, and how many requests it
    rests on.
    """
    named = Named.of(server, namespace, name)
    told = named.get("explain")
    if is_data(output):
        show_data(told, output)
    elif output is Format.NAME:
        print(clean(named.name))
    else:
        show(views.explanation(told))


def history(
    name: Name,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="The id of one run: every decision of it.", show_default=False
        ),
    ] = None,
    namespace: Namespace = "default",
    output: Output = Format.TABLE,
    server: Server = "",
) -> None:
    """List the runs of a Canary, or the decisions of one run."""
    named = Named.of(server, namespace, name)
    said = named.get("runs", run) if run else named.get("runs")
    if is_data(output):
        show_data(said, output)
    elif output is Format.NAME:
        print("\n".join(clean(each["id"]) for each in ([said] if run else said["items"])))
    elif run:
        show(views.one_run(said))
    else:
        show(Document(views.runs(said["items"])))
