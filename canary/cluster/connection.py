"""Requests to an API server: signed, paced, patient, and with words for what went wrong.

The official client makes the connections and reads the credentials. Answers stay plain JSON, since
turning each into typed models costs more than all the rest.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

import aiohttp

from canary.cluster.limiter import Limiter
from canary.cluster.login import Login
from canary.cluster.port import Manifest
from canary.cluster.refusal import read, refusal
from canary.cluster.session import Session
from canary.errors import ClusterError

log = logging.getLogger(__name__)

JSON = "application/json"
PATIENCE = 5
"""Times a request that the server was too busy for is made again."""
LONGEST_WISH = 30
"""Seconds that a busy server may ask us to stay away; for longer, somebody else has to decide."""
RENEW_EVERY = 5.0
"""Seconds between two looks for other credentials than those that are refused."""
_METHODS = {"create": "POST", "apply": "PATCH", "patch": "PATCH", "delete": "DELETE"}
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_CLOSED = "the connection to the API server is closed"
_TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Request:
    verb: str
    """As RBAC has it, and `apply`."""
    about: str
    """For people: `Canary default/app`."""
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Manifest | None = None
    content: str = JSON
    accept: str = JSON
    urgent: bool = False
    """Whether it passes by those who wait for their turn."""

    def __str__(self) -> str:
        return f"{self.verb} {self.about}"


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds."""

    request: float = 30.0
    """For any request but a watch."""
    connect: float = 10.0
    silence: float = 90.0
    """Without a word, bookmarks included (one a minute), after which a watch is taken for dead."""


class Connection:
    """Made by `open`."""

    def __init__(
        self, login: Login, session: Session, agent: str, limiter: Limiter, limits: Limits
    ) -> None:
        self._login, self._session, self._agent = login, session, agent
        self._limiter, self._limits = limiter, limits
        self._renewing = asyncio.Lock()
        self._next_look = 0.0
        self._warned: set[str] = set()
        self._under_way: set[asyncio.Timeout] = set()
        self.closed = False

    @classmethod
    async def open(
        cls,
        login: Login,
        agent: str = "canary",
        limiter: Limiter | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Nothing is asked yet. Raises `ClusterError` if there are no usable credentials."""
        session = await Session.open(await login.read())
        return cls(login, session, agent, limiter or Limiter(), limits or Limits())

    async def answer(self, request: Request) -> Manifest:
        """The whole answer. Raises `ClusterError` and its kinds."""
        if request.urgent:
            return await self._answer(request)
        async with self._limiter.slot():
            return await self._answer(request)

    async def _answer(self, request: Request) -> Manifest:
        reply = await self._open(request, self._limits.request)
        try:
            made: Manifest = json.loads(await reply.read())
        except _TROUBLE as error:
            raise self._broken(request, error) from error
        except ValueError as error:
            raise ClusterError(f"{request}: the answer of {self._server} is no JSON") from error
        return made

    async def lines(
        self, request: Request, seconds: float, *, may_be_silent: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an answer that goes on, however long each is, until the server ends it.

        It was asked to end it after `seconds`. Raises `ClusterError` when it breaks, or falls
        silent where it may not; it just ends at `close`.
        """
        try:
            reply = await self._open(request, seconds + self._limits.request)
            silence = None if may_be_silent else self._limits.silence
            async with aclosing(self._chunks(request, reply, silence)) as chunks:
                rest = b""
                async for chunk in chunks:
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, lines):
                        yield line
        except ClusterError:
            if not self.closed:
                raise

    async def _chunks(
        self, request: Request, reply: aiohttp.ClientResponse, silence: float | None
    ) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                try:
                    async with asyncio.timeout(silence):
                        chunk = await reply.content.readany()
                except _TROUBLE as error:
                    raise self._broken(request, error) from error
                if not chunk:
                    return
                yield chunk
        finally:
            reply.close()

    async def close(self) -> None:
        """End all that is under way; whoever waits for it is told."""
        self.closed = True
        for waiting in self._under_way:
            waiting.reschedule(0)
        await self._session.rest.close()

    async def _open(self, request: Request, seconds: float) -> aiohttp.ClientResponse:
        """An answer that isn't a refusal.

        A server that is too busy says so, and is asked again when it wishes. It has not begun
        then, so that is safe for writes as well; and so it is where it doesn't know us.
        """
        renewed = False
        for attempt in range(PATIENCE + 1):
            if not request.urgent:
                await self._limiter.turn()
            session = self._session
            try:
                reply = await self._once(session, request, seconds)
                text = "" if reply.ok else await reply.text()
            except aiohttp.ClientConnectorCertificateError as error:
                if renewed or not await self._renewed(session):
                    raise self._broken(request, error) from error
                renewed = True
                continue
            except _TROUBLE as error:
                raise self._broken(request, error) from error
            if reply.ok:
                self._heed(request, reply)
                return reply
            if reply.status == HTTPStatus.UNAUTHORIZED and not renewed:
                renewed = await self._renewed(session)
                if renewed:
                    continue
            wish = _wish(reply)
            if wish is None or attempt == PATIENCE:
                break
            log.debug("%s: the API server is busy and wants %d s", request, wish)
            await asyncio.sleep(wish * random.uniform(1, 1.5))  # noqa: S311 - jitter, not a secret
        raise refusal(reply.status, read(text), str(request), self._login.source)

    async def _once(
        self, session: Session, request: Request, seconds: float
    ) -> aiohttp.ClientResponse:
        if self.closed:
            raise ClusterError(f"{request}: {_CLOSED}")
        headers = {
            "Accept": request.accept,
            "Content-Type": request.content,
            "User-Agent": self._agent,
        }
        if authorization := await session.authorization():
            headers["Authorization"] = authorization
        query = "&".join(f"{key}={value}" for key, value in request.query.items())
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=self._limits.connect)
        url = session.server + request.path + (f"?{query}" if query else "")
        method = _METHODS.get(request.verb, "GET")
        async with asyncio.timeout(None) as waiting:
            self._under_way.add(waiting)
            try:
                return await session.rest.send(method, url, headers, request.body, limits)
            finally:
                self._under_way.discard(waiting)

    async def _renewed(self, refused: Session) -> bool:
        """Read the credentials again; whether there are others now than those that were refused."""
        async with self._renewing:
            if self._session is not refused:
                return True  # somebody else was refused, too, and has looked
            now = asyncio.get_running_loop().time()
            if now < self._next_look:
                return False
            self._next_look = now + RENEW_EVERY
            before = await refused.authorization()
            fresh = await Session.open(await self._login.read(), refused)
            if fresh.rest is refused.rest and await fresh.authorization() == before:
                return False
            self._session, self._next_look = fresh, 0.0
            if fresh.rest is not refused.rest:
                await refused.rest.close()
            return True

    def _heed(self, request: Request, reply: aiohttp.ClientResponse) -> None:
        """Tell of a warning (a deprecated kind, a field that isn't known), each of them once."""
        for warning in reply.headers.getall("Warning", ()):
            if warning not in self._warned:
                self._warned.add(warning)
                log.warning("%s: the API server warns: %s", request, warning)

    @property
    def _server(self) -> str:
        return self._session.server

    def _broken(self, request: Request, error: BaseException) -> ClusterError:
        if self.closed:
            return ClusterError(f"{request}: {_CLOSED}")
        return ClusterError(f"{request}: {self._words(error)}")

    def _words(self, error: BaseException) -> str:
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return (
                    f"the certificate of {self._server} isn't trusted: {error.certificate_error}."
                    f" Is the certificate authority in {self._login.source} this cluster's?"
                )
            case aiohttp.ClientConnectorDNSError():
                return f"the name in {self._server} can't be resolved: {error.os_error}"
            case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
                return f"{self._server} refuses connections: is the API server running?"
            case aiohttp.ClientConnectorError():
                return f"{self._server} can't be reached: {_text(error.os_error)}"
            case TimeoutError():
                return f"no answer from {self._server} in time"
            case _:
                return f"the connection to {self._server} broke: {_text(error)}"


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _wish(reply: aiohttp.ClientResponse) -> int | None:
    """Seconds after which a busy server wants to be asked again."""
    found = reply.headers.get("Retry-After", "")
    if reply.status not in _BUSY or not found.isdecimal():
        return None
    return int(found) if int(found) <= LONGEST_WISH else None
