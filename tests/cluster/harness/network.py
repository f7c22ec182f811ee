"""A network namespace of the harness's own, which threads enter and leave.

Pods need addresses that are not loopback (the API server refuses those in EndpointSlices) and that
any process can bind. A route of type `local` gives a namespace a whole range of them, and in a
namespace of its own that disturbs nobody.

The test process itself goes in and out (`setns`), rather than being started inside: pytest needs no
wrapper, each worker of pytest-xdist has a cluster of its own, and tests without a cluster never
notice. Child processes start where the thread is that starts them, and a socket stays where it was
made. The namespace has no name; it is gone once its last process and its last descriptor are.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tests.cluster.harness.errors import HarnessError

CLONE_NEWNET = 0x40000000
PODS = "10.244.0.0/16"
NOT_ALLOWED = """\
a network namespace can't be made here: {error}
Either run as root, or in a user namespace, in which nothing can be downloaded any more:
    python -m tests.cluster.harness prepare
    unshare -rn sh -c 'ip link set lo up && exec python -m pytest …'"""

# Python has os.unshare and os.setns from 3.12 on only.
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """Make one with `create`; what runs in a `with network.inside():` is in it."""

    def __init__(self, home: int, own: int) -> None:
        self._home, self._own = home, own

    @classmethod
    def create(cls) -> Self:
        """Raises `HarnessError`. Returns outside of it again, where that is possible."""
        home = _current()
        try:
            _switch(_libc.unshare, CLONE_NEWNET)
        except OSError as error:
            os.close(home)
            raise HarnessError(NOT_ALLOWED.format(error=error)) from error
        own = _current()
        try:
            _ip("link", "set", "lo", "up")
            _ip("route", "add", "local", PODS, "dev", "lo")
        finally:
            try:
                _switch(_libc.setns, home, CLONE_NEWNET)
            except PermissionError:
                # The root of a user namespace may leave the network he came from, not go back.
                os.dup2(own, home)
        return cls(home, own)

    @contextmanager
    def inside(self) -> Iterator[None]:
        with _in(self._own):
            yield

    @contextmanager
    def outside(self) -> Iterator[None]:
        """For downloads: the network in which this process began."""
        with _in(self._home):
            yield

    def enter(self) -> None:
        """Go in for good: for a process that has nothing to do outside."""
        _switch(_libc.setns, self._own, CLONE_NEWNET)

    def close(self) -> None:
        os.close(self._own)
        os.close(self._home)


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _in(namespace: int) -> Iterator[None]:
    before = _current()
    _switch(_libc.setns, namespace, CLONE_NEWNET)
    try:
        yield
    finally:
        _switch(_libc.setns, before, CLONE_NEWNET)
        os.close(before)


def _switch(call: "ctypes._NamedFuncPointer", *arguments: int) -> None:
    if call(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise HarnessError(
            "`ip` is missing. On Debian or Ubuntu: apt-get install iproute2"
        ) from None
    except subprocess.CalledProcessError as error:
        raise HarnessError(f"ip {' '.join(arguments)}: {error.stderr.strip()}") from error
