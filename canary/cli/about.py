"""version and completion: about the program itself."""

import platform
from enum import StrEnum
from typing import Annotated

import typer

from canary import __version__
from canary.cli.output import DataFormat, is_data, show_data


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def version(
    output: Annotated[DataFormat, typer.Option("--output", "-o", help="table, json or yaml.")] = (
        DataFormat.TABLE
    ),
) -> None:
    """Print the version."""
    if is_data(output):
        python = platform.python_version()
        show_data(
            {"version": __version__, "python": python, "platform": platform.platform()}, output
        )
    else:
        print(f"canary {__version__}")


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a script that makes a shell complete commands.

    Options are completed, too, and the names of Canaries, as long as a controller is running.
    """
    # What --show-completion of typer prints, which has no public name.
    from typer._completion_shared import get_completion_script

    from canary.cli.program import COMPLETE, PROGRAM

    print(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell.value))
