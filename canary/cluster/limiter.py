"""How fast we may ask: a bucket of turns that fills at a steady rate."""

import asyncio


class Limiter:
    """`burst` turns at once, `rate` a second after that. Waiting turns are given in order."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._left = float(burst)
        self._at: float | None = None
        self._line = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for a turn."""
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
