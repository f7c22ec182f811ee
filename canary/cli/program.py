"""All commands by name, in the order in which help lists them."""

import os
from typing import Annotated, Any

import typer

from canary import __version__
from canary.cli import about, events, explain, files, intents, load, local, logs, look
from canary.cli.options import examples

PROGRAM = "canary"
COMPLETE = "_CANARY_COMPLETE"
"""The variable by which a shell asks for completions."""
EXIT_CODES = """\b
Exit codes:
  0    it is as it was asked for
  1    it failed, or is not as it was asked for
  2    the command line or the input is wrong
  130  ended by Ctrl-C
"""

app = typer.Typer(
    name=PROGRAM,
    # Its options for completion write into the user's shell start-up files; ours prints.
    add_completion=False,
    # The help that rich draws takes twice as long to come as a whole command.
    rich_markup_mode=None,
    no_args_is_help=True,
    suggest_commands=False,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def command() -> Any:
    """The whole command line, ready to be called with arguments."""
    if COMPLETE in os.environ:
        # What add_completion=True would do, which has no public name.
        from typer._completion_classes import completion_init

        completion_init()
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _canary(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="CANARY_DEBUG", help="Show where in the code an error was raised."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Roll out new versions step by step, watch them, and promote them or take them back."""


def _add(name: str, function: Any, *lines: str) -> None:
    app.command(name, epilog=examples(*lines))(function)


_add(
    "local",
    local.local,
    "canary local examples/local",
    "canary local . --port 9090 --minimum-interval 2s --log-level debug",
)
_add("demo", local.demo, "canary demo", "canary demo --plain > demo.log")
_add(
    "get",
    look.get,
    "canary get",
    "canary get podinfo -o wide",
    "canary get -A -w",
    "canary get podinfo -o json",
)
_add("describe", explain.describe, "canary describe podinfo", "canary describe shop/cart -o yaml")
_add("explain", explain.explain, "canary explain podinfo", "canary explain podinfo -o json")
_add("history", explain.history, "canary history podinfo", "canary history podinfo RUN -o json")
_add("events", events.events, "canary events podinfo", "canary events podinfo -f")
_add("logs", logs.logs, "canary logs podinfo", "canary logs podinfo-primary -f --lines 10")
for _word in intents.VERBS:
    _add(
        _word,
        intents.verb(_word),
        f"canary {_word} podinfo --reason 'as agreed with the team'",
        f"canary {_word} podinfo --reason 'nightly job' --wait --timeout 60",
    )
_add(
    "validate",
    files.validate,
    "canary validate canary.yaml",
    "canary validate examples/ deploy/canary.yaml",
    "helm template chart | canary validate -",
)
_add("crds", files.crds, "canary crds | kubectl apply -f -", "canary crds --kind Canary")
_add("schema", files.schema, "canary schema > canary.schema.json")
_add(
    "loadtest",
    load.loadtest,
    "canary loadtest http://localhost:8080/ --rate 200 --duration 1m",
    "canary loadtest http://localhost:8080/ -X POST --body @order.json -H 'A: b' -o json",
)
_add(
    "completion",
    about.completion,
    'eval "$(canary completion bash)"',
    "canary completion zsh > ~/.zfunc/_canary",
    "canary completion fish > ~/.config/fish/completions/canary.fish",
)
_add("version", about.version, "canary version", "canary version -o json")
