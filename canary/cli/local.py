"""local and demo: the controller itself, on this machine."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.options import seconds


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def local(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with Canary and Process YAML.")
    ],
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            help="Of the status API; 0 takes any free one.",
            show_default="8080",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of the status API.", show_default="127.0.0.1"),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="Where objects, logs and sockets are kept.",
            show_default="below the user's state folder",
        ),
    ] = None,
    minimum_interval: Annotated[
        float | None,
        typer.Option(
            "--minimum-interval",
            metavar="DURATION",
            parser=seconds,
            help="Shorter analysis intervals are raised to it.",
            show_default="10s",
        ),
    ] = None,
    log_level: Annotated[
        Level | None, typer.Option("--log-level", help="What is logged.", show_default="info")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave proxy and processes running at the end.")
    ] = False,
) -> int:
    """Run the Canaries of a folder on this machine.

    Whatever Canary and Process YAML lies in the folder is run, behind a real Envoy.

    Edits of the files are followed: another command, environment or number of replicas of a
    Process is a new revision, and is released step by step. Ctrl-C ends everything; a controller
    that is killed leaves the services serving, and the next start goes on where it was. Settings
    can be given as variables, too: CANARY_PORT, CANARY_STATE_DIR, CANARY_MINIMUM_INTERVAL.
    """
    import asyncio

    from canary.settings import load

    settings = load(
        {
            "port": port,
            "address": address,
            "state_dir": state,
            "minimum_interval": minimum_interval,
            "log_level": log_level.value if log_level else None,
        }
    )
    from canary.app import run_local

    return asyncio.run(run_local(folder, settings, keep=keep))


def demo(
    seconds_each: Annotated[
        float,
        typer.Option("--seconds", min=1.0, help="How long each weight is watched."),
    ] = 5.0,
    rate: Annotated[float, typer.Option("--rate", min=1.0, help="Requests a second.")] = 200.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of a live view, for logs.")
    ] = False,
) -> int:
    """Watch a good version be promoted and a bad one taken back.

    Envoy, the service and the load are real, and all of it is gone at the end. Exits with 0 if
    the good version was promoted and the bad one was taken back.
    """
    import asyncio

    from canary.app.demo import run_demo

    return asyncio.run(run_demo(seconds=seconds_each, rate=rate, plain=plain))
