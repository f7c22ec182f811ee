"""logs: what the processes of local mode write."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.options import Namespace
from canary.errors import LocalError, NotFound, nearest


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
            metavar="DIR",
            help="The state folder of a controller. Not needed while only one knows the name.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Show what processes write, in local mode.

    Of a target, those of its primary as well. Every line begins with the process that wrote it.
    Logs can be read without a controller, too.
    """
    import asyncio

    where = _chosen([state] if state else _state_dirs(), namespace, name)
    names = [each for each in _both(name) if _has(where, namespace, each)]
    asyncio.run(_print(where, namespace, names, lines, follow=follow))
    return 0


def _both(name: str) -> tuple[str, str]:
    return name, f"{name}-primary"


def _state_dirs() -> list[Path]:
    """Of the controllers that run, or else of all that ever ran: logs outlive them."""
    from canary.local import address
    from canary.settings import load

    found = {Path(each.state_dir) for each in address.running() if each.state_dir}
    if found:
        return sorted(found)
    top = load().state_dir
    return [top, *sorted(each.parent for each in top.glob("*/logs"))]


def _chosen(places: Sequence[Path], namespace: str, name: str) -> Path:
    """The one place with logs of that name. Raises `NotFound`, or `LocalError` for several."""
    found = [each for each in places if any(_has(each, namespace, own) for own in _both(name))]
    if not found:
        raise _unknown(places, namespace, name)
    if len(found) > 1:
        listed = "\n".join(f"  {each}" for each in found)
        raise LocalError(
            f"several places have logs of {name!r}; choose one with --state:\n{listed}"
        )
    return found[0]


def _has(state_dir: Path, namespace: str, process: str) -> bool:
    from canary.local.processes.logs import files_of

    return bool(files_of(state_dir, namespace, process))


def _unknown(places: Sequence[Path], namespace: str, name: str) -> NotFound:
    from canary.local.processes.logs import folder

    files = (file for place in places for file in folder(place, namespace).glob("*.log"))
    known = sorted({file.stem.rpartition("-")[0] for file in files})
    near = nearest(name, known)
    there = f"; there are {', '.join(known)}" if known else ""
    hint = f"; did you mean {near!r}?" if near else there
    return NotFound(f"there are no logs of {name!r} in namespace {namespace!r}{hint}")


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
