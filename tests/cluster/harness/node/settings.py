"""What a node is told at the start, and which program an image means."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Program:
    """What runs in place of an image.

    The container's `args` are appended to `argv`. An empty `argv` stands for the container's own
    `command` on this machine. In `env`, `{tag}` is the image's tag, and `$(POD_NAME)` and the
    other variables of the pod can be referred to.
    """

    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)


Images = Mapping[str, Program]
"""By patterns like `podinfo:bad*` of an image's name without its registry; the first that fits."""


def find(images: Images, image: str) -> Program | None:
    """The program that an image means; None if nobody said.

    >>> images = {"podinfo:bad": Program(["false"]), "podinfo:*": Program(["true"])}
    >>> find(images, "ghcr.io/stefanprodan/podinfo:bad").argv
    ['false']
    >>> find(images, "podinfo").argv
    ['true']
    >>> find(images, "nginx:1")
    """
    name, tag = split(image)
    for pattern, program in images.items():
        if fnmatchcase(f"{name}:{tag}", pattern):
            env = {key: value.replace("{tag}", tag) for key, value in program.env.items()}
            return Program(program.argv, env)
    return None


def split(image: str) -> tuple[str, str]:
    """Name and tag; an image without a tag is `latest`, as everywhere."""
    name, _, tag = image.rpartition("/")[2].partition("@")[0].partition(":")
    return name, tag or "latest"


@dataclass(frozen=True)
class Settings:
    server: str
    token: str
    authority: str
    folder: str
    """Each pod has a folder in here, with its volumes; logs are in `logs`."""
    images: str
    """A file as `write_images` makes it, read again for every container that starts."""
    certificate: str
    key: str
    """For the port on which `kubectl logs` is answered."""
    name: str = "node-1"
    binds: bool = True
    """Whether it takes pods that nobody has put on a node: there is no scheduler then."""
    farewell: float = 1.0
    """Seconds in which a deleted pod without a preStop hook still serves, as a hook would do."""
    back_off: float = 1.0
    """Seconds before the second restart; twice as long each time, up to 30."""

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))


def write_images(path: Path, images: Images) -> None:
    beside = path.with_suffix(".new")
    table = {
        pattern: {"argv": list(program.argv), "env": dict(program.env)}
        for pattern, program in images.items()
    }
    beside.write_text(json.dumps(table))
    beside.replace(path)


def read_images(path: Path) -> Images:
    table = json.loads(path.read_text())
    return {pattern: Program(**program) for pattern, program in table.items()}
