"""What is really run: the command and environment of one instance."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from canary.crd.process import ProcessTemplate
from canary.local.processes.marks import INSTANCE, STATE
from canary.local.processes.os_process import Launch

_REFERENCE = re.compile(r"\$(\$\(|\((\w+)\))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as Kubernetes does: what is unknown stays, `$$(` is a plain `$(`.

    >>> expand("--port=$(PORT) $$(PORT) $(OTHER)", {"PORT": "8080"})
    '--port=8080 $(PORT) $(OTHER)'
    """

    def value(match: re.Match[str]) -> str:
        return "$(" if match[2] is None else values.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def launch(template: ProcessTemplate, own: Mapping[str, str], base: Path, output: Path) -> Launch:
    """`own` are the instance's HOST, PORT and NAME, which win over what the template says.

    `$(PYTHON)` is the interpreter that runs canary, for services that come with it.
    """
    values = {**template.env, **own}
    env = {key: expand(text, values) for key, text in values.items()}
    command = tuple(expand(word, {"PYTHON": sys.executable, **env}) for word in template.command)
    # What a crashed Python program had to say must not stay in its buffer.
    inherited = {"PYTHONUNBUFFERED": "1", **os.environ}
    inherited.pop(INSTANCE, None)
    return Launch(command, {**inherited, **env}, base / template.working_dir, output)


def marks(state_dir: Path, uid: str) -> dict[str, str]:
    return {STATE: str(state_dir), INSTANCE: uid}
