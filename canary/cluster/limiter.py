"""How fast we may ask, and how much at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Limiter:
    """`burst` requests, `rate` a second after that, and no more than `at_once` under way.

    The waiting get their turns in the order in which they came.
    """

    def __init__(self, rate: float = 100.0, burst: int = 250, at_once: int = 32) -> None:
        self._rate, self._burst = rate, float(burst)
        self._left = float(burst)
        self._at: float | None = None
        self._line = asyncio.Lock()
        self._slots = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of those under way; more connections than that only cost both sides."""
        async with self._slots:
            yield

    async def turn(self) -> None:
        """Wait until another request may begin."""
        async with self._line:
            self._fill()
            if self._left < 1:
                await asyncio.sleep((1 - self._left) / self._rate)
                self._fill()
            self._left -= 1

    def _fill(self) -> None:
        now = asyncio.get_running_loop().time()
        since = self._at if self._at is not None else now
        self._left = min(self._burst, self._left + (now - since) * self._rate)
        self._at = now
