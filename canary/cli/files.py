"""Commands that need no server: validate, crds, schema."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canary.cli.output import DataFormat, is_data, show_data

if TYPE_CHECKING:
    from canary.crd import Loaded

STDIN = "-"


def validate(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Files or folders; - reads standard input."),
    ],
    output: Annotated[DataFormat, typer.Option("--output", "-o", help="table, json or yaml.")] = (
        DataFormat.TABLE
    ),
) -> int:
    """Check manifests and print everything that is wrong with them.

    Folders are searched for *.yaml and *.yml. Names and targets have to be unique among all the
    objects of one call. Exits with 0 if all is well, 1 if anything is wrong (warnings alone are
    not), 2 if a file can't be read.
    """
    from canary.errors import SpecError

    try:
        loaded = _load(files)
    except SpecError as error:
        return _report(output, list(error.problems), [], 0)
    if loaded.others and not is_data(output):
        print(f"left alone: {', '.join(loaded.others)}")
    return _report(output, [], list(loaded.warnings), len(loaded.objects))


def crds(
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind; may be given again.")
    ] = None,
) -> None:
    """Print the CustomResourceDefinitions as YAML."""
    import yaml

    from canary.crd.generate import crds as generate
    from canary.errors import UnknownName

    made = {each["spec"]["names"]["kind"]: each for each in generate()}
    spelled = {known.lower(): known for known in made}
    for word in kind or ():
        if word.lower() not in spelled:
            raise UnknownName("--kind", "", word, made)
    wanted = {spelled[word.lower()] for word in kind or ()} or set(made)
    chosen = [each for name, each in made.items() if name in wanted]
    print(yaml.safe_dump_all(chosen, sort_keys=False, width=100), end="")


def schema() -> None:
    """Print a JSON schema of all kinds, for editors."""
    from canary.crd.generate import json_schema

    show_data(json_schema(), DataFormat.JSON)


def _load(files: list[str]) -> "Loaded":
    from canary.crd import load_path, load_text

    if STDIN in files:
        if len(files) > 1:
            raise typer.BadParameter("- stands alone", param_hint="FILE")
        return load_text(sys.stdin.read(), "<stdin>")
    if missing := [each for each in files if not Path(each).exists()]:
        raise typer.BadParameter(f"there is no {missing[0]!r}", param_hint="FILE")
    return load_path(*files)


def _report(output: DataFormat, errors: list[Any], warnings: list[Any], objects: int) -> int:
    if is_data(output):
        said = {
            "valid": not errors,
            "objects": objects,
            "errors": [asdict(each) for each in errors],
            "warnings": [asdict(each) for each in warnings],
        }
        show_data(said, output)
        return 1 if errors else 0
    for word, problems in (("error", errors), ("warning", warnings)):
        for problem in problems:
            print(f"{word}: {' '.join(str(problem).split())}")
    print(_summary(len(errors), len(warnings), objects))
    return 1 if errors else 0


def _summary(errors: int, warnings: int, objects: int) -> str:
    if errors:
        return f"{_count(errors, 'error')}: not valid"
    doubtful = f", {_count(warnings, 'warning')}" if warnings else ""
    return f"{_count(objects, 'object')}{doubtful}: valid"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
