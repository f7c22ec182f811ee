"""The options that many commands share."""

from typing import Annotated

import typer

from canary.cli.api import Api
from canary.cli.output import Format


def examples(*lines: str) -> str:
    """An epilog that shows how a command is used; the sign keeps its lines as they are."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def seconds(text: str | float) -> float:
    """Seconds from a duration such as `1m30s`; a bare number counts as seconds, too."""
    from canary.crd.duration import Duration, meant

    try:
        return float(text)
    except ValueError:
        pass
    try:
        if long := Duration(str(text)).seconds:
            return long
    except ValueError:
        pass
    near = meant(text)
    hint = f"; did you mean {near!r}?" if near else ""
    raise typer.BadParameter(f"{text!r} is not a duration such as 30s or 1m30s{hint}")


def _names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names for the shell. It is typing, so an answer has to come at once or not at all."""
    try:
        from canary.cli.server import connect, listed

        api: Api = connect(ctx.params.get("server") or "", timeout=0.5)
        namespace = ctx.params.get("namespace") or "default"
        names = [each["name"] for each in listed(api, namespace)]
    except Exception:  # noqa: BLE001  # whatever it was, a shell that completes shows no errors
        return []
    return [name for name in names if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The Canary, as NAME or NAMESPACE/NAME.",
        autocompletion=_names,
        show_default=False,
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Only these Canaries; all of the namespace if none is named.",
        autocompletion=_names,
        show_default=False,
    ),
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The namespace to look in.")]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="CANARY_SERVER",
        show_envvar=True,
        show_default=False,
        help="The status API to ask. The local controller that is running, if not given.",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print it.")]
