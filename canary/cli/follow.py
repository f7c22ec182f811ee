"""events and logs: what was told about a Canary, and what its processes write."""

from contextlib import aclosing
from pathlib import Path
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


def logs(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A Process, or a Canary that releases one.")
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", min=0, help="How many lines of each process to begin with.")
    ] = 100,
    namespace: Namespace = "default",
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            help="The state folder of the controller. That of the running one, if not given.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Show what processes write, in local mode.

    Of a target, those of its primary as well. Every line begins with the process that wrote it.
    """
    import asyncio

    where = state or _state_dir()
    names = _with_logs(where, namespace, name)
    asyncio.run(_print(where, namespace, names, lines, follow=follow))
    return 0


def _state_dir() -> Path:
    """Of the controller that runs, or else the default one: logs outlive a controller."""
    from canary.local import address
    from canary.settings import load

    found = {each.state_dir for each in address.running() if each.state_dir}
    return Path(found.pop()) if len(found) == 1 else load().state_dir


def _with_logs(state_dir: Path, namespace: str, name: str) -> list[str]:
    from canary.errors import NotFound, nearest
    from canary.local.processes.logs import files_of, folder

    found = [each for each in (name, f"{name}-primary") if files_of(state_dir, namespace, each)]
    if found:
        return found
    place = folder(state_dir, namespace)
    known = sorted({path.stem.rpartition("-")[0] for path in place.glob("*.log")})
    near = nearest(name, known)
    hint = (
        f"; did you mean {near!r}?" if near else f"; there are {', '.join(known)}" if known else ""
    )
    raise NotFound(f"there are no logs of {name!r} in {place}{hint}")


async def _print(
    state_dir: Path, namespace: str, names: list[str], lines: int, *, follow: bool
) -> None:
    """All of them at once, each line as it comes."""
    import asyncio

    from canary.local.processes.logs import tail

    async def one(name: str) -> None:
        async with aclosing(tail(state_dir, namespace, name, lines, follow=follow)) as wrote:
            async for line in wrote:
                print(line, flush=follow)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))


def _one(event: dict[str, Any], output: Format) -> None:
    if is_data(output):
        show_data(event, output)
    else:
        at = words.stamp(event.get("at"))
        print(f"{at}   {event['type']}   {clean(event['message'])}", flush=True)
