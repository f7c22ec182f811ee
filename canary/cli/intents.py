"""promote, abort, pause, resume, skip-step and retry: what people ask of a run."""

import getpass
from collections.abc import Callable
from typing import Annotated, Any

import typer

from canary.cli.options import Name, Namespace, Server
from canary.cli.output import DataFormat, is_data, show_data
from canary.cli.server import Named
from canary.errors import ClusterError

VERBS = {
    "promote": "Promote the revision now, without further checks.",
    "abort": "Take the revision that is being released back.",
    "pause": "Stop a run where it is; traffic keeps its split.",
    "resume": "Let a paused run go on.",
    "skip-step": "Go on to the next weight without watching this one to its end.",
    "retry": "Release the revision that failed once more.",
}
WAIT = 30.0
"""Seconds."""


class Ignored(ClusterError):
    """The controller did not do what it was asked to."""


def verb(word: str) -> Callable[..., int]:
    """The command of one verb."""

    def ask(
        name: Name,
        reason: Annotated[
            str, typer.Option("--reason", "-r", help="Why; it is recorded with your name.")
        ] = "",
        revision: Annotated[
            str,
            typer.Option("--revision", help="Only if this is still the revision being released."),
        ] = "",
        wait: Annotated[
            bool, typer.Option("--wait", help="Wait until it is heeded, or ignored.")
        ] = False,
        timeout: Annotated[
            float,
            typer.Option("--timeout", min=0.1, max=60, help="How long to wait, in seconds."),
        ] = WAIT,
        namespace: Namespace = "default",
        output: Annotated[
            DataFormat, typer.Option("--output", "-o", help="table, json or yaml.")
        ] = DataFormat.TABLE,
        server: Server = "",
    ) -> int:
        named = Named.of(server, namespace, name)
        patience = timeout if wait else 0.0
        answer = named.api.post(
            named.path("intents"),
            {"verb": word, "why": reason, "who": who(), "revision": revision},
            {"wait": patience},
            patience,
        )
        return _report(answer, named, output, waited=patience)

    ask.__doc__ = VERBS[word] + (
        "\n\nWithout --wait it exits with 0 as soon as the wish is recorded, and the controller"
        " acts on it, or ignores it with a reason. With --wait it exits with 1 if it was ignored"
        " or not heeded in time."
    )
    return ask


def who() -> str:
    """The name of the person at the keyboard."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this uid, as in many containers
        return "somebody"


def _report(answer: Any, named: Named, output: DataFormat, *, waited: float) -> int:
    state, detail = answer["state"], answer["detail"]
    if is_data(output):
        show_data(answer, output)
        return 1 if state == "ignored" or (waited and state == "pending") else 0
    name, verb = named.name, answer["verb"]
    if state == "ignored":
        raise Ignored(f"{verb} of {name} is ignored: {detail}")
    if state == "pending" and waited:
        raise Ignored(f"{verb} of {name} has not been heeded within {waited:g} s")
    became = "done" if state == "applied" else "asked for"
    print(f"{name}: {verb} {became}{f' ({detail})' if detail else ''}")
    return 0
