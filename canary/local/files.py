"""The YAML files of a folder: which there are, and which of them can be acted on together."""

import os
from collections.abc import Sequence
from pathlib import Path

from canary.crd import Loaded, load_path
from canary.errors import LocalError, SpecError

SUFFIXES = (".yaml", ".yml")


def identity(folder: Path) -> object:
    """What tells this folder from another one of its name; None if there is none."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if folder.is_dir() else None


def is_manifest(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".")


def found(folder: Path) -> list[Path]:
    """All manifests below a folder, hidden ones left out.

    Raises `OSError` if any part of it can't be listed: what can't be seen is not gone.
    """

    def refuse(error: OSError) -> None:
        raise error

    files = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if not each.startswith(".")]
        files += [path for path in map(Path(place).joinpath, names) if is_manifest(path)]
    return sorted(files)


def understood(files: Sequence[Path]) -> tuple[Loaded, dict[Path, str]]:
    """What the files say, and what is wrong with those that are left out.

    Names and targets have to be unique among all of them; of two that contradict each other the
    earlier one counts.
    """
    problems = {file: text for file in files if (text := _problem(file))}
    # One that has been deleted since it was found is no problem; a dangling link is.
    problems = {file: text for file, text in problems.items() if os.path.lexists(file)}
    good = [file for file in files if file not in problems and file.exists()]
    while True:
        try:
            return load_path(*good) if good else Loaded((), ()), problems
        except (SpecError, LocalError) as error:
            blamed = _blamed(good, error)
            problems |= blamed
            good = [file for file in good if file not in blamed]


def _problem(file: Path) -> str:
    try:
        load_path(file)
    except (SpecError, LocalError) as error:
        return str(error)
    return ""


def _blamed(files: Sequence[Path], error: SpecError | LocalError) -> dict[Path, str]:
    """The files that a refusal speaks of; at least one, so that there is an end to asking."""
    blamed: dict[Path, str] = {}
    for problem in error.problems if isinstance(error, SpecError) else ():
        for file in files:
            if problem.where.startswith(f"{file}:"):
                blamed[file] = "\n".join(filter(None, (blamed.get(file), str(problem))))
    # One that was rewritten in this very moment is read again with its next change.
    return blamed or {files[-1]: str(error)}
