"""Startup, readiness and liveness probes: HTTP, TCP and exec."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from canary.cluster.port import Manifest

EAGER = 0.1
"""Seconds between two looks at what isn't ready; `periodSeconds` is for what is."""

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Target:
    """What a probe is aimed at."""

    address: str
    ports: Mapping[str, int]
    """Ports by name."""
    env: Mapping[str, str]
    session: aiohttp.ClientSession


def check(probe: Manifest, target: Target) -> Check:
    """A question that is answered yes or no within the probe's timeout."""
    timeout = probe.get("timeoutSeconds", 1)
    ask = _question(probe, target)

    async def bounded() -> bool:
        try:
            async with asyncio.timeout(timeout):
                return await ask()
        except (OSError, TimeoutError, aiohttp.ClientError):
            return False

    return bounded


def _question(probe: Manifest, target: Target) -> Check:
    if http := probe.get("httpGet"):
        return lambda: _http(http, target)
    if tcp := probe.get("tcpSocket"):
        return lambda: _tcp(tcp, target)
    if command := probe.get("exec"):
        return lambda: execute(command["command"], target.env)
    return _never  # a kind that this node doesn't know must not look like a success


async def _never() -> bool:
    return False


async def _http(spec: Manifest, target: Target) -> bool:
    host, port = spec.get("host") or target.address, _port(spec["port"], target)
    url = f"{spec.get('scheme', 'HTTP').lower()}://{host}:{port}{_path(spec)}"
    headers = {"User-Agent": "kube-probe/1.36"}
    headers |= {each["name"]: each["value"] for each in spec.get("httpHeaders", [])}
    async with target.session.get(url, headers=headers, allow_redirects=False, ssl=False) as reply:
        return 200 <= reply.status < 400


def _path(spec: Manifest) -> str:
    path = str(spec.get("path", "/"))
    return path if path.startswith("/") else f"/{path}"


async def _tcp(spec: Manifest, target: Target) -> bool:
    address = spec.get("host") or target.address
    _, writer = await asyncio.open_connection(address, _port(spec["port"], target))
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return True


async def execute(command: list[str], env: Mapping[str, str]) -> bool:
    """Whether the command ends well; it is ended with all its children if nobody waits for it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _port(port: Any, target: Target) -> int:
    """Raises `OSError` for a name that no port has: it can't be reached, either."""
    try:
        return target.ports[port] if port in target.ports else int(port)
    except ValueError:
        raise OSError(f"no port is called {port!r}") from None


async def verdicts(probe: Manifest, ask: Check, *, eager: bool) -> AsyncIterator[bool]:
    """Good or bad, as often as the thresholds are reached; an eager probe is quick to see good."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    needed = {True: probe.get("successThreshold", 1), False: probe.get("failureThreshold", 3)}
    period = probe.get("periodSeconds", 10)
    good, last, streak = False, False, 0
    while True:
        answer = await ask()
        streak = streak + 1 if answer == last else 1
        last = answer
        if streak >= needed[answer]:
            good = answer
            yield answer
        await asyncio.sleep(EAGER if eager and not good else period)


async def starts_up(probe: Manifest, ask: Check) -> bool:
    """Whether it answers within the time that the probe's failures add up to."""
    patience = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
    try:
        async with asyncio.timeout(probe.get("initialDelaySeconds", 0) + patience):
            async for good in verdicts(probe, ask, eager=True):
                if good:
                    return True
    except TimeoutError:
        pass
    return False
