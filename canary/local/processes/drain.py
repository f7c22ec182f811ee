"""Waiting until nobody needs a process any more, before it and after it has ended."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from canary.errors import CanaryError
from canary.local.processes.marks import marked
from canary.local.processes.records import Limits

Drained = Callable[[str, int], Awaitable[bool]]
"""Whether the data plane has no request under way to this address and port."""

LOOK = 0.1
"""Seconds between two looks."""


async def quiet(drained: Drained | None, address: str, port: int, limits: Limits) -> None:
    """Return once no request is under way to an endpoint that has left, or its time is over."""
    await asyncio.sleep(limits.settle)
    if drained is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.drain):
            while True:
                # A data plane that can't tell is asked again until the time is over.
                with contextlib.suppress(CanaryError):
                    if await drained(address, port):
                        return
                await asyncio.sleep(LOOK)


async def clear(state_dir: Path, uid: str, grace: float) -> None:
    """End what an instance left behind, such as workers whose master was killed.

    They may end by themselves within `grace` seconds, for a signal has reached them before.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + grace
    while True:
        found = await asyncio.to_thread(marked, str(state_dir))
        left = [each for each in found if each.instance == uid]
        if not left or clock() >= deadline:
            break
        await asyncio.sleep(LOOK)
    for each in left:
        each.kill()
