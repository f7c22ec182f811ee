"""events: what was told about a Canary."""

from typing import Annotated, Any

import typer

from canary.cli import words
from canary.cli.options import Name, Namespace, Output, Server
from canary.cli.output import (
    Document,
    Format,
    Styled,
    Table,
    clean,
    is_data,
    show,
    show_data,
)
from canary.cli.server import Named

HEADS = ("time", "type", "message")


def events(
    name: Name,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    namespace: Namespace = "default",
    output: Output = Format.TABLE,
    server: Server = "",
) -> int:
    """Show what was told about a Canary, oldest first."""
    named = Named.of(server, namespace, name)
    items = named.get("events")["items"]
    if is_data(output):
        show_data({"items": items}, output)
    else:
        show(Document(event_table(items)))
    if not follow:
        return 0
    seen = {each["id"] for each in items}
    for _, event in named.api.events(named.path("events")):
        if event["id"] not in seen:
            _one(event, output)
    typer.echo("the server has ended the stream", err=True)
    return 1


def event_table(items: list[dict[str, Any]]) -> Table:
    rows = [
        (
            words.stamp(each.get("at")),
            Styled(each["type"], "yellow") if each.get("type") == "Warning" else each["type"],
            each["message"],
        )
        for each in items
    ]
    return Table(HEADS, rows, "no events")


def _one(event: dict[str, Any], output: Format) -> None:
    if is_data(output):
        show_data(event, output)
    else:
        at = words.stamp(event.get("at"))
        print(f"{at}   {event['type']}   {clean(event['message'])}", flush=True)
