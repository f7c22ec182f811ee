"""Readiness probes: one question each, answered with an empty text or why not."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass

import aiohttp

from canary.crd.process import ReadinessProbe
from canary.errors import LocalError
from canary.local.processes.os_process import Launch, OsProcess

QUICK = 0.1
"""Seconds between two probes at the least."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process is reached, and for exec probes how a command is run beside it."""

    address: str
    port: int
    launch: Launch


async def ask(probe: ReadinessProbe, place: Place) -> str:
    """Why it is not ready, in words; empty when it is."""
    try:
        async with asyncio.timeout(probe.timeout_seconds or None):
            if probe.http_get is not None:
                return await _http(probe.http_get.scheme, probe.http_get.path, place)
            if probe.exec is not None:
                return await _exec(probe.exec.command, place)
            return await _tcp(place)
    except TimeoutError:
        return f"no answer within {probe.timeout_seconds:g} s"


async def _http(scheme: str, path: str, place: Place) -> str:
    url = f"{scheme.lower()}://{place.address}:{place.port}/{path.removeprefix('/')}"
    # A session of its own: a kept connection would hide that nobody listens any more. Nor is
    # the certificate looked at: the question is whether this process answers, not who it is.
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, allow_redirects=False) as reply,
        ):
            return "" if 200 <= reply.status < 400 else f"{path} answered {reply.status}"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{path}: {_words(error)}"


async def _tcp(place: Place) -> str:
    try:
        _, writer = await asyncio.open_connection(place.address, place.port)
    except OSError as error:
        return _words(error)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def _exec(command: tuple[str, ...], place: Place) -> str:
    launch = Launch(command, place.launch.env, place.launch.folder)
    try:
        process = OsProcess.spawn(launch)
    except LocalError as error:
        return str(error)
    try:
        result = await asyncio.shield(process.exited)
    except asyncio.CancelledError:
        process.signal(signal.SIGKILL)
        await process.exited
        raise
    return "" if result.code == 0 else f"{command[0]} {result}"


def _words(error: Exception) -> str:
    inner = getattr(error, "os_error", error)
    # asyncio's own text repeats the address, which here is known.
    number = getattr(inner, "errno", None)
    return os.strerror(number) if number else str(inner) or type(inner).__name__


@dataclass(slots=True)
class Threshold:
    """Turns single answers into readiness: so many of the same in a row change it."""

    failure: int
    success: int
    ready: bool = False
    row: int = 0

    def note(self, *, passed: bool) -> bool:
        self.row = 0 if passed == self.ready else self.row + 1
        if self.row >= (self.success if passed else self.failure):
            self.ready, self.row = passed, 0
        return self.ready


def pause(probe: ReadinessProbe, unready_for: float | None) -> float:
    """Seconds until the next probe; `unready_for` is None while it is ready.

    A start is noticed within a tenth of the time it took, and one that never ends costs no more
    than the period.

    >>> probe = ReadinessProbe.model_validate({"tcpSocket": {}, "periodSeconds": 10})
    >>> pause(probe, 0.0), pause(probe, 5.0), pause(probe, 500.0), pause(probe, None)
    (0.1, 0.5, 10, 10)
    """
    if unready_for is None:
        return max(probe.period_seconds, QUICK)
    return max(QUICK, min(probe.period_seconds, unready_for / 10))
