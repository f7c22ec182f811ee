"""A lock that ends with its process, even by `kill -9`."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from canary.errors import LocalError


@dataclass(slots=True)
class FileLock:
    """Exclusive use of a file, held on `<file>.lock` beside it.

    Not on the file itself: that one may be moved aside, and SQLite has locks of its own on it.
    The lock file is left behind, since removing it would let two processes lock two of them.
    """

    _descriptor: int

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises `LocalError` when another process has it, `OSError` when it can't be made."""
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise LocalError(
                f"the state file {path} is in use by another process (pid {holder or 'unknown'}): "
                "stop that one first, or choose another state file"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)
