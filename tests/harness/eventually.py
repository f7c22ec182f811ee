"""Waiting for something to become true, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    ask: Callable[[], Awaitable[T]], holds: Callable[[T], object] = bool, timeout: float = 20
) -> T:
    """The first answer that holds; fails with the last one that didn't."""
    last: object = "no answer"
    try:
        async with asyncio.timeout(timeout):
            while True:
                last = answer = await ask()
                if holds(answer):
                    return answer
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"after {timeout:g} s it still is {last!r}") from None
