"""A lean HTTP/1.1 client that hides nothing: every retry and every new connection is counted.

aiohttp's client would be quick enough (2,000 requests/s take it a quarter of a core, and it
tops out near 6,600, where this one is past 15,000), but it resends silently, on fresh
connections too and even when half a head had come. A load generator that does that reports
a release that drops requests as one that drops none.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from errno import EADDRNOTAVAIL, ECONNREFUSED, EMFILE, ENFILE
from socket import gaierror
from urllib.parse import SplitResult, quote, unquote

from canary.loadtest.framing import FramingError, Response
from canary.loadtest.plan import Plan

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
AS_WRITTEN = "/?%:@!$&'()*+,;=[]|"
"""What may stay in a URL as it is; the rest, such as letters beyond ASCII, is escaped."""

TIMEOUT = "timeout"
RESET = "connection reset"
MALFORMED = "malformed response"


class Exchange:
    """One request and what came back. Moments are on the event loop's clock, in seconds."""

    __slots__ = ("deadline", "due", "error", "resent", "response", "task", "via")

    def __init__(self, due: float, deadline: float, response: Response) -> None:
        self.due = due
        self.deadline = deadline
        self.response = response
        self.error = ""
        self.resent = False
        self.via: Connection | None = None
        self.task: asyncio.Task[None] | None = None


class Connection(asyncio.Protocol):
    """One connection, carrying one exchange at a time."""

    __slots__ = ("_client", "exchange", "transport", "used")

    transport: asyncio.Transport

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.exchange: Exchange | None = None
        self.used = False
        """It has carried an exchange before, so the server may be closing it by now."""

    def carry(self, exchange: Exchange, request: bytes) -> None:
        self.exchange, exchange.via = exchange, self
        self.transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it always is, for TCP
        self.transport = transport
        self._client.made(self)

    def data_received(self, data: bytes) -> None:
        if self.exchange is None:
            self.transport.abort()  # bytes nobody asked for, such as a late 408
            return
        response = self.exchange.response
        try:
            response.feed(data)
        except FramingError:
            self.transport.abort()
            self._release(MALFORMED)
        else:
            if response.done:
                self._answered(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost(self)
        if (exchange := self.exchange) is None:
            return
        if exc is None and exchange.response.eof():
            self._release("")
        elif self.used and exchange.response.untouched and self._client.may_resend(exchange):
            self.exchange = None
            self._client.resend(exchange)
        else:
            self._release(RESET)

    def _answered(self, response: Response) -> None:
        # An answer that came before the request was sent in full leaves the rest in the way.
        unsent = self.transport.get_write_buffer_size()
        if response.reusable and not unsent and self._client.keep(self):
            self.used = True
        else:
            self.transport.close()
        self._release("")

    def _release(self, error: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._client.end(exchange, error)


class Client:
    """Sends the plan's request over kept connections and calls `done` for each exchange.

    Every exchange ends, at the latest `plan.timeout` seconds after it was sent, with `error`
    empty when a whole response came. The caller limits how many are in flight.
    """

    def __init__(self, plan: Plan, done: Callable[[Exchange], None]) -> None:
        self.in_flight: dict[Exchange, None] = {}
        """In the order of their deadlines, which is the order they were sent in."""
        self.reconnects = 0
        """Requests sent once more because a kept connection closed before any answer."""
        self.connections = 0
        """Connections made, over the whole time."""
        self._plan, self._done = plan, done
        self._loop = asyncio.get_running_loop()
        self._request = encode(plan)
        self._wanted = frozenset(name.lower().encode("latin-1") for name in plan.capture)
        self._bodyless = plan.method == "HEAD"
        self._tls = _tls(plan) if plan.target.scheme == "https" else None
        self._open: set[Connection] = set()
        self._kept: dict[Connection, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    def send(self, due: float) -> None:
        """Send one request. `due` is when it should have been; it only travels along."""
        response = Response(self._wanted, bodyless=self._bodyless)
        exchange = Exchange(due, self._loop.time() + self._plan.timeout, response)
        self.in_flight[exchange] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_at(exchange.deadline, self._sweep)
        while self._kept:
            connection, _ = self._kept.popitem()
            if not connection.transport.is_closing():
                connection.carry(exchange, self._request)
                return
        exchange.task = self._loop.create_task(self._connect(exchange))

    async def close(self) -> None:
        """Drop every connection, and whatever they carry, and wait until they are gone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        tasks = [exchange.task for exchange in self.in_flight if exchange.task is not None]
        self.in_flight.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in self._open:
            connection.exchange = None
            connection.transport.abort()
        if self._open:
            self._emptied = self._loop.create_future()
            await self._emptied

    # What a connection tells its client.

    def made(self, connection: Connection) -> None:
        self.connections += 1
        self._open.add(connection)

    def keep(self, connection: Connection) -> bool:
        """Take a connection back for the next request; False when it has to be closed."""
        if not self._plan.keep_alive or connection.transport.is_closing():
            return False
        self._kept[connection] = None
        return True

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._kept.pop(connection, None)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    def may_resend(self, exchange: Exchange) -> bool:
        """Whether sending once more is safe: the server may have acted on what it got."""
        return not exchange.resent and self._plan.method in IDEMPOTENT

    def resend(self, exchange: Exchange) -> None:
        self.reconnects += 1
        exchange.resent = True
        exchange.via = None
        exchange.task = self._loop.create_task(self._connect(exchange))

    def end(self, exchange: Exchange, error: str) -> None:
        # Nobody is waiting any more when it was swept or the client was closed.
        if exchange in self.in_flight:
            del self.in_flight[exchange]
            exchange.error, exchange.via = error, None
            self._done(exchange)

    async def _connect(self, exchange: Exchange) -> None:
        host, port = self._plan.address or (self._plan.target.hostname or "", self._plan.port)
        name = self._plan.server_name if self._tls else None
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self), host, port, ssl=self._tls, server_hostname=name
            )
        except (OSError, UnicodeError) as error:
            exchange.task = None
            self.end(exchange, why(error))
        else:
            exchange.task = None
            connection.carry(exchange, self._request)

    def _sweep(self) -> None:
        """End what is past its deadline. One timer for all: one each would cost more."""
        now = self._loop.time()
        # The timer that just rang stays in place meanwhile, or `send` would set a second one.
        while self.in_flight:
            oldest = next(iter(self.in_flight))
            if oldest.deadline > now:
                self._sweeper = self._loop.call_at(oldest.deadline, self._sweep)
                return
            self._abandon(oldest)
            self.end(oldest, TIMEOUT)
        self._sweeper = None

    def _abandon(self, exchange: Exchange) -> None:
        if exchange.task is not None:
            exchange.task.cancel()
        if exchange.via is not None:
            exchange.via.exchange = None
            exchange.via.transport.abort()


def encode(plan: Plan) -> bytes:
    """The request as it goes over the wire; every request of a plan is the same bytes."""
    target = plan.target
    path = quote(target.path or "/", safe=AS_WRITTEN)
    query = f"?{quote(target.query, safe=AS_WRITTEN)}" if target.query else ""
    headers = {
        "host": ("Host", target.netloc.rpartition("@")[2]),
        "user-agent": ("User-Agent", "canary-loadtest"),
        "accept": ("Accept", "*/*"),
    }
    if target.username is not None:
        headers["authorization"] = ("Authorization", basic(_credentials(target)))
    headers |= {name.lower(): (name, value) for name, value in plan.headers.items()}
    # How the body is delimited is ours to say, as it is Go's in hey.
    headers.pop("transfer-encoding", None)
    headers.pop("content-length", None)
    if plan.body or plan.method in WITH_BODY:
        headers["content-length"] = ("Content-Length", str(len(plan.body)))
    if not plan.keep_alive:
        headers["connection"] = ("Connection", "close")
    lines = [f"{plan.method} {path}{query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.values()]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + plan.body


def basic(credentials: str) -> str:
    """The Authorization header's value for `user:password`."""
    return f"Basic {b64encode(credentials.encode()).decode()}"


def why(error: Exception) -> str:
    """The kind of failure to count a connection under that was never made."""
    # asyncio folds the errors of several addresses into one text and drops the numbers.
    if isinstance(error, OSError):
        if error.errno == ECONNREFUSED or f"[Errno {ECONNREFUSED}]" in str(error):
            return "connection refused"
        if error.errno in {EMFILE, ENFILE, EADDRNOTAVAIL}:
            return "this machine is out of sockets"
        if isinstance(error, ssl.SSLError):
            return f"TLS: {error.reason or error}".lower().replace("_", " ")
    if isinstance(error, gaierror | UnicodeError):
        return "name not resolved"
    return RESET if isinstance(error, ConnectionError) else "cannot connect"


def _credentials(target: SplitResult) -> str:
    return f"{unquote(target.username or '')}:{unquote(target.password or '')}"


def _tls(plan: Plan) -> ssl.SSLContext:
    context = ssl.create_default_context()
    with suppress(NotImplementedError):  # an OpenSSL without ALPN; servers then assume HTTP/1.1
        context.set_alpn_protocols(["http/1.1"])
    if plan.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
