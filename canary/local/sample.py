"""A small HTTP service to release: `python -m canary.local.sample`.

It has no dependency beyond asyncio, so that it starts fast and stays small. What it does wrong
is set by its environment: ERROR_RATE (share of answers that are 500, 0 to 1), LATENCY and
LATENCY_JITTER (ms), READY_AFTER, CRASH_AFTER and LINGER (s), SEED. VERSION and COLOR are only told.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from time import monotonic

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error",
           503: "Service Unavailable"}  # fmt: skip
HEALTH = ("/healthz", "/readyz")


@dataclass(frozen=True)
class Knobs:
    host: str = "127.0.0.1"
    port: int = 8080
    name: str = ""
    version: str = "dev"
    color: str = ""
    seed: str = "0"
    error_rate: float = 0.0
    latency: float = 0.0
    latency_jitter: float = 0.0
    ready_after: float = 0.0
    crash_after: float | None = None
    linger: float = 0.2
    """Seconds after SIGTERM in which a request already on its way still gets its answer."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Knobs":
        """From the environment; raises `ValueError` that names the variable."""
        texts = {key: env[key.upper()] for key in cls.__annotations__ if env.get(key.upper())}
        numbers = {key: _number(key, text) for key, text in texts.items() if key in NUMBERS}
        port = int(numbers.pop("port", cls.port))
        return cls(**{**texts, **numbers, "port": port})  # type: ignore[arg-type]  # by NUMBERS


NUMBERS = {
    "port",
    "error_rate",
    "latency",
    "latency_jitter",
    "ready_after",
    "crash_after",
    "linger",
}


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{key.upper()}: found {text!r}, expected a number") from None


@dataclass
class Service:
    knobs: Knobs
    started: float = field(default_factory=monotonic)
    draining: bool = False
    idle: set[asyncio.StreamWriter] = field(default_factory=set)
    handlers: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        # Repeatable misbehaviour is the point; nothing secret is drawn.
        self.draw = Random(self.knobs.seed)  # noqa: S311
        told = {"version": self.knobs.version, "instance": self.knobs.name}
        if self.knobs.color:
            told["color"] = self.knobs.color
        self.body = json.dumps(told).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        task = asyncio.current_task()
        if task is not None:
            self.handlers.add(task)
            task.add_done_callback(self.handlers.discard)
        # The peer may leave at any time, and may send what is no HTTP.
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError):
            while await self._exchange(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; whether the connection stays open."""
        self.idle.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        finally:
            self.idle.discard(writer)
        line, _, rest = head.decode("latin-1").partition("\r\n")
        headers = _headers(rest)
        try:
            method, target, protocol = line.split()
            await _skip_body(reader, headers)
        except ValueError:
            writer.write(self._reply(400, b"this is not HTTP/1.1\n", keep=False))
            return False
        status, body = await self.answer(target.partition("?")[0])
        keep = "close" not in headers.get("connection", "").lower() and protocol != "HTTP/1.0"
        keep = keep and not self.draining
        writer.write(self._reply(status, body, keep=keep, head=method == "HEAD"))
        await writer.drain()
        return keep

    async def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path; health checks are neither slowed nor failed at random."""
        if path in HEALTH:
            young = monotonic() - self.started < self.knobs.ready_after
            if path == "/readyz" and (young or self.draining):
                return 503, b"not ready\n"
            return 200, b"ok\n"
        fails = self.draw.random() < self.knobs.error_rate
        delay = self.knobs.latency + self.draw.uniform(0, self.knobs.latency_jitter)
        if delay > 0:
            await asyncio.sleep(delay / 1000)
        if fails:
            return 500, b"failed, as ERROR_RATE asks\n"
        return (200, self.body) if path == "/" else (404, b"not found\n")

    def _reply(self, status: int, body: bytes, *, keep: bool, head: bool = False) -> bytes:
        kind = "application/json" if status == 200 and body is self.body else "text/plain"
        lines = (
            f"HTTP/1.1 {status} {REASONS[status]}",
            f"content-type: {kind}",
            f"content-length: {len(body)}",
            f"x-version: {self.knobs.version}",
            f"x-instance: {self.knobs.name}",
            f"connection: {'keep-alive' if keep else 'close'}",
        )
        return (
            "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + (b"" if head else body)
        )

    async def drain(self, server: asyncio.Server) -> None:
        """Answer what is under way or just arriving, then close everything."""
        self.draining = True
        await asyncio.sleep(self.knobs.linger)
        server.close()
        for writer in tuple(self.idle):
            writer.close()
        if self.handlers:
            await asyncio.wait(self.handlers)


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\r\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _skip_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> None:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := int((await reader.readline()).partition(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    elif length := int(headers.get("content-length", 0)):
        await reader.readexactly(length)


def crash(after: float) -> None:
    print(f"crashing after {after:g} s, as CRASH_AFTER asks", file=sys.stderr, flush=True)  # noqa: T201  # a program of its own
    os._exit(1)


async def main(knobs: Knobs) -> None:
    service, loop = Service(knobs), asyncio.get_running_loop()
    server = await asyncio.start_server(service.serve, knobs.host, knobs.port, backlog=1024)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if knobs.crash_after is not None:
        loop.call_later(knobs.crash_after, crash, knobs.crash_after)
    print(f"version {knobs.version} listens on {knobs.host}:{knobs.port}", flush=True)  # noqa: T201  # a program of its own
    await told.wait()
    await service.drain(server)


if __name__ == "__main__":
    try:
        asyncio.run(main(Knobs.read(os.environ)))
    except (ValueError, OSError) as error:
        sys.exit(f"sample: {error}")
