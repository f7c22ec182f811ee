"""The folder in which built and downloaded programs stay between runs."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.cluster.harness.errors import HarnessError

GIB = 2**30


def folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "canary-harness"
    path.mkdir(parents=True, exist_ok=True)
    return path


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The file or folder of that name; if it isn't there, `make` is given a path to make it at.

    Of several processes one makes it and the others wait. What is found under the name is whole:
    it gets its name last.
    """
    path = folder() / name
    if path.exists():
        return path
    with locked(name):
        if not path.exists():
            work = Path(mkdtemp(prefix=f".{name}-", dir=folder()))
            try:
                make(work / name)
                (work / name).replace(path)
            finally:
                shutil.rmtree(work)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    with (folder() / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def need_space(path: Path, gib: float, what: str) -> None:
    """Raises `HarnessError` if the disk of `path` has less room than `what` needs."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free / GIB
    if free < gib:
        raise HarnessError(f"{what} needs {gib:g} GiB at {path}; {free:.1f} GiB are free")
