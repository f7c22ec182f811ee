"""The one client for everything that goes out: metrics backends, hooks, a data plane's admin.

Timeouts, sizes, redirects and the wording of failures are its business, once. It logs nothing and
names only hosts, since headers, paths and query strings may carry secrets.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, TCPConnector
from yarl import URL

from canary.errors import ProviderError

MEBIBYTE = 2**20
SHORT = 200
"""Characters of an answer that are worth repeating to a person."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 5.0
    """Seconds for the whole exchange, redirects and the reading of the answer included."""
    insecure: bool = False
    """Certificates are not verified."""
    limit: int = MEBIBYTE
    """Bytes of the answer that are read; the rest is cut off."""
    keep: bool = True
    """Reuse connections. An idle one may just be closing, which a POST can't tell from failure."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str = ""
    cut: bool = False
    """The answer was longer than the request's limit."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def summary(self) -> str:
        """The status and the beginning of the body, for people."""
        text = shortened(self.body)
        return f"{self.status}: {text}" if text else str(self.status)

    def require(self) -> "Reply":
        """Itself, if the status is 2xx. Raises `ProviderError` with status and shortened body."""
        if not self.ok:
            raise ProviderError(f"{self.host} answered {self.summary()}")
        return self

    def json(self) -> Any:
        """The body, read as JSON. Raises `ProviderError` if it is none, or was cut off."""
        if self.cut:
            raise ProviderError(f"{self.host} answered with more than {len(self.body)} bytes")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            text = shortened(self.body) or "nothing"
            raise ProviderError(
                f"{self.host} answered with something else than JSON: {text}"
            ) from (error)


class TransportError(ProviderError):
    """There was no answer. `again` says whether asking once more could help."""

    def __init__(self, text: str, *, again: bool = True) -> None:
        self.again = again
        super().__init__(text)


class Http:
    """Sends requests. Sessions are made on first use and kept until `close`."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}

    async def send(self, request: Request) -> Reply:
        """The answer, whatever its status.

        Raises `TransportError` (a `ProviderError`) when there was none. 301, 302 and 303 turn a
        POST into a GET, 307 and 308 repeat it.
        """
        host = _host(request.url)
        try:
            return await self._exchange(request, host)
        except TimeoutError:
            text = f"{host} did not answer within {request.timeout:g} s"
            raise TransportError(text) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(host, error) from error

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.close() for session in sessions.values()))

    async def _exchange(self, request: Request, host: str) -> Reply:
        async with self._session(request).request(
            request.method,
            request.url,
            params=request.params or None,
            headers=request.headers,
            data=request.body or None,
            timeout=ClientTimeout(total=request.timeout),
        ) as response:
            body = await _read(response, request.limit)
            cut = len(body) > request.limit
            return Reply(response.status, response.headers, body[: request.limit], host, cut)

    def _session(self, request: Request) -> aiohttp.ClientSession:
        key = (request.insecure, request.keep)
        if key not in self._sessions:
            self._sessions[key] = aiohttp.ClientSession(
                connector=TCPConnector(ssl=not request.insecure, force_close=not request.keep),
                # One tenant's cookies are not for another tenant's hooks.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "canary"},
            )
        return self._sessions[key]


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most one chunk more than the limit."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def _host(url: str) -> str:
    try:
        parsed = URL(url)
    except ValueError:
        return "an address that is not a URL"
    if not parsed.host:
        return "an address without a host"
    return f"{parsed.host}:{parsed.explicit_port}" if parsed.explicit_port else parsed.host


def _translated(host: str, error: Exception) -> TransportError:
    """The failure in words. Kinds of the same family stand before their parents."""
    again = True
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "it does not verify"
            text, again = f"the certificate of {host} is not trusted: {reason}", False
        case aiohttp.ClientConnectorDNSError():
            text = f"{host} is not a name that can be resolved"
        case aiohttp.ClientConnectorSSLError():
            text = f"{host} does not speak TLS as expected: {error.os_error}"
        case aiohttp.TooManyRedirects():
            text, again = f"{host} redirected too many times", False
        case aiohttp.NonHttpUrlClientError() | aiohttp.InvalidURL() | ValueError():
            text, again = f"{host} can't be asked: it needs an http or https URL", False
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            text = f"{host} hung up before its answer was complete"
        case OSError():
            text = f"{host} can't be reached: {_cause(error)}"
        case _:
            text = f"{host} did not answer as HTTP does: {type(error).__name__}"
    return TransportError(text, again=again)


def _cause(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)


def shortened(body: bytes, most: int = SHORT) -> str:
    r"""The beginning of an answer on one line.

    >>> shortened(b"no\n  such gate")
    'no such gate'
    """
    text = " ".join(body[: 4 * most].decode(errors="replace").split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
