"""The loops that send requests when they are due and count what becomes of them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from time import thread_time

from canary.loadtest.http1 import TIMEOUT, Client, Exchange
from canary.loadtest.plan import Plan
from canary.loadtest.report import LATE, Ledger, Report, Sample, Spent

BATCH = 32
"""Requests sent before the event loop gets to read answers, when many are due at once."""

Observe = Callable[[Sample], None]


class Load:
    """One load test, for one `run`.

    `observe` is called with every finished request, from the event loop, so it must not
    take long. The event loop's timer has a grain of a millisecond, and a latency counts from
    the moment a request was due: up to one millisecond of it is the generator's own.
    """

    def __init__(self, plan: Plan, observe: Observe | None = None) -> None:
        self.plan = plan
        self._observe = observe
        self._running: _Loop | None = None
        self._stopped = False

    async def run(self) -> Report:
        """Send everything, wait for the answers, and say how it went. Cancelling drops them."""
        kind = _ClosedLoop if self.plan.rate is None else _OpenLoop
        running = self._running = kind(self.plan, self._observe)
        try:
            if not self._stopped:
                running.begin()
                await running.over
        finally:
            await running.close()
        return running.report()

    def stop(self) -> None:
        """Send nothing more; `run` returns once what is in flight has ended."""
        self._stopped = True
        if self._running is not None:
            self._running.end()

    def snapshot(self) -> Report:
        """Where it stands now. Later requests don't change what was returned."""
        if self._running is not None:
            return self._running.report()
        return Ledger(self.plan.capture).report(self.plan.rate, self.plan.most_in_flight, Spent())


class _Loop(ABC):
    """What both kinds of loop share: counting, the end, and the report."""

    def __init__(self, plan: Plan, observe: Observe | None) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self.loop.create_future()
        self.client = Client(plan, self._done)
        self.ledger = Ledger(plan.capture)
        self.start, self._cpu = self.loop.time(), thread_time()
        self.timer: asyncio.Handle | None = None
        self.sending = True
        self._window = 0.0
        """Seconds of sending, once it has ended."""
        self._spent: tuple[float, float] | None = None
        """Seconds, and seconds of CPU, once all is over."""
        self._observe = observe

    @abstractmethod
    def begin(self) -> None:
        """Start sending."""

    @abstractmethod
    def answered(self) -> None:
        """A request has ended, and sending has not."""

    def launch(self, due: float) -> None:
        self.ledger.requests += 1
        self.client.send(due)

    def end(self, window: float | None = None) -> None:
        """Stop sending, after `window` seconds of it; until now when not told."""
        if not self.sending:
            return
        self.sending = False
        self._window = self.loop.time() - self.start if window is None else window
        if self.timer is not None:
            self.timer.cancel()
        self._finish_if_over()

    async def close(self) -> None:
        self.end()
        self._spent = self._so_far()
        await self.client.close()

    def report(self) -> Report:
        took, burnt = self._spent or self._so_far()
        window = took if self.sending else self._window
        spent = Spent(took, window, burnt, self.client.connections, self.client.reconnects)
        return self.ledger.report(self.plan.rate, self.plan.most_in_flight, spent)

    def _so_far(self) -> tuple[float, float]:
        return self.loop.time() - self.start, thread_time() - self._cpu

    def _done(self, exchange: Exchange) -> None:
        response = exchange.response
        latency = self.loop.time() - exchange.due
        sample = Sample(exchange.due, latency, response.status, exchange.error, response.captured)
        self.ledger.add(sample, timed_out=exchange.error == TIMEOUT)
        try:
            if self._observe is not None:
                self._observe(sample)
        finally:
            # Whatever the observer makes of it, the load goes on and comes to its end.
            if self.sending:
                self.answered()
            self._finish_if_over()

    def _finish_if_over(self) -> None:
        if not self.sending and not self.client.in_flight and not self.over.done():
            self.over.set_result(None)


class _OpenLoop(_Loop):
    """Requests start when they are due, however long the ones before them take."""

    def begin(self) -> None:
        self._offsets = self.plan.offsets()
        self._offset = next(self._offsets, None)
        self._last = 0.0
        # A load that can't keep up still ends when it should, give or take a late timer.
        self._last_call = self.start + (self.plan.duration or inf) + LATE
        self._tick()

    def answered(self) -> None:
        """An answer changes nothing: that is what makes the loop an open one."""

    def _tick(self) -> None:
        """Send what is due, and come back when the next one is."""
        now = self.loop.time()
        for _ in range(BATCH):
            if self._offset is None or now > self._last_call:
                self._exhausted(now)
                return
            due = self.start + self._offset
            if due > now:
                self.timer = self.loop.call_at(due, self._tick)
                return
            self._send_or_drop(due, now)
            self._last, self._offset = self._offset, next(self._offsets, None)
        self.timer = self.loop.call_soon(self._tick)

    def _send_or_drop(self, due: float, now: float) -> None:
        if len(self.client.in_flight) >= self.plan.ceiling:
            self.ledger.dropped += 1
        else:
            self.ledger.late += now - due > LATE
            self.launch(due)

    def _exhausted(self, now: float) -> None:
        """Nothing more is due, or no time is left for it."""
        if self._offset is not None:
            self.ledger.unsent = self._missed(self._offset)
            self.end()
        elif self._all_counted():
            # The last request still has its share of the time.
            self.end(max(now - self.start, self._last + 1 / (self.plan.rate or 1)))
        else:
            self.timer = self.loop.call_at(self.start + (self.plan.duration or 0), self.end)

    def _all_counted(self) -> bool:
        return self.plan.count == self.ledger.requests + self.ledger.dropped

    def _missed(self, offset: float) -> int:
        """How many requests were due from `offset` on; on average, when they come at random."""
        plan, sent = self.plan, self.ledger.requests + self.ledger.dropped
        missed = round(((plan.duration or 0) - offset) * (plan.rate or 0)) or 1
        return missed if plan.count is None else min(missed, plan.count - sent)


class _ClosedLoop(_Loop):
    """So many workers, each of which sends again as soon as it is answered."""

    def begin(self) -> None:
        if self.plan.duration is not None:
            self.timer = self.loop.call_at(self.start + self.plan.duration, self.end)
        for _ in range(self.plan.concurrency):
            self.answered()

    def answered(self) -> None:
        if self.plan.count is None or self.ledger.requests < self.plan.count:
            self.launch(self.loop.time())
        elif not self.client.in_flight:
            self.end()
