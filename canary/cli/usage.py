"""A command line that can't be understood: what is wrong with it and what was probably meant."""

import sys
from collections.abc import Sequence
from typing import Any

from typer import TyperException

from canary.errors import nearest


def explain(error: TyperException, args: Sequence[str]) -> int:
    """Say what is wrong, on stderr, and answer the exit code."""
    ctx: Any = getattr(error, "ctx", None)
    if not args:  # nothing was asked: that is no mistake worth a message
        print(error.format_message())
        return error.exit_code
    print(f"error: {_words(error, ctx)}", file=sys.stderr)
    if ctx is not None:
        print(f"'{ctx.command_path} --help' says more", file=sys.stderr)
    return error.exit_code


def _words(error: TyperException, ctx: Any) -> str:
    option = getattr(error, "option_name", "")
    if option and ctx is not None and type(error).__name__ == "NoSuchOption":
        known = [name for each in ctx.command.get_params(ctx) for name in each.opts]
        return f"there is no option {option!r}{_hint(option, known)}"
    commands = getattr(ctx.command, "commands", None) if ctx is not None else None
    if commands and error.message.startswith("No such command"):
        word = error.message.removeprefix("No such command ").removesuffix(".")[1:-1]
        return f"there is no command {word!r}{_hint(word, list(commands))}"
    words = " ".join(error.format_message().split())
    words = words.replace("Input should be", "expected").replace("Value error, ", "")
    return words[:1].lower() + words[1:].removesuffix(".")


def _hint(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""
