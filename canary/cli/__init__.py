"""The commands. `main` is the program's entry point, and turns what goes wrong into words.

`program` lists the commands; each is a function that says what it does and answers its exit
code. What they show is made of values (`output`), what they know comes from the status API
(`server`, `api`) or from files. Importing this package must stay quick: what takes time to load
is imported inside of the commands that need it.
"""

import os
import sys
from collections.abc import Sequence

from canary.errors import CanaryError, SpecError

DEBUG = "CANARY_DEBUG"
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> None:
    """Carry out the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Carry out one command line and answer its exit code. Nothing a user does gets a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that can't show a sign gets a question mark, not an error.
            stream.reconfigure(errors="replace")
    try:
        return _carry_out(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SpecError as error:
        _complain(*(f"error: {problem}" for problem in error.problems))
        return USAGE
    except CanaryError as error:
        _complain(f"error: {error}")
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get(DEBUG) or "--debug" in args:
            raise
        _complain(
            f"error: this is a bug in canary: {type(error).__name__}: {error}",
            f"please report it, with the log of the same command under {DEBUG}=1",
        )
        return FAILED


def _carry_out(args: Sequence[str]) -> int:
    from typer import Abort, TyperException

    from canary.cli.program import PROGRAM, command

    try:
        answer = command()(args=list(args), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        from canary.cli.usage import explain

        return explain(error, args)
    except Abort:
        return INTERRUPTED
    return int(answer or OK)


def _complain(*lines: str) -> None:
    print("\n".join(lines), file=sys.stderr)
