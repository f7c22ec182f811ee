"""Prometheus, asked through `prometheus-api-client`, which blocks and so has its own threads."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from canary.errors import MultipleValues, NoValues, Problem, ProviderError, SpecError
from canary.http import MEBIBYTE, shortened

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

TIMEOUT = 5.0
"""Seconds for one query."""
AT_ONCE = 8
"""Queries on their way at the same time, and so threads."""
LIMIT = MEBIBYTE
"""Bytes of an answer that are read: a number needs few, and anybody may name a server."""
CLIENTS = 64
"""Servers to which one thread keeps connections; beyond them the oldest is closed."""

NONSENSE = (ValueError, KeyError, TypeError, RecursionError)
"""What reading an answer raises that isn't one."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask, and as whom. Hashable, so that connections are kept per server."""

    address: str
    headers: tuple[tuple[str, str], ...] = ()
    login: tuple[str, str] | None = None
    """User name and password."""
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Server({self.host})"

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc.rpartition("@")[2] or self.address


class Prometheus:
    """Instant queries that give one number."""

    def __init__(self, timeout: float = TIMEOUT, at_once: int = AT_ONCE) -> None:
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="prometheus")
        self._local = threading.local()

    async def query(self, server: Server, query: str) -> float:
        """The one value. Raises `NoValues`, `MultipleValues` or `ProviderError`."""
        loop = asyncio.get_running_loop()
        try:
            # The client's own timeout is for each read; a server that drips is cut off here.
            async with asyncio.timeout(2 * self._timeout):
                result = await loop.run_in_executor(self._threads, self._ask, server, query)
        except TimeoutError:
            raise ProviderError(_late(server, self._timeout)) from None
        return value_of(result)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, server: Server, query: str) -> Any:
        import requests

        try:
            return self._client(server).custom_query(query)
        except requests.Timeout:
            raise ProviderError(_late(server, self._timeout)) from None
        except requests.exceptions.SSLError as error:
            raise ProviderError(f"the certificate of {server.host} is not trusted") from error
        except requests.ConnectionError as error:
            raise ProviderError(f"Prometheus at {server.host} can't be reached") from error
        except (requests.RequestException, *NONSENSE) as error:
            text = f"{server.host} does not answer as Prometheus does: {type(error).__name__}"
            raise ProviderError(text) from error

    def _client(self, server: Server) -> "PrometheusConnect":
        """The client of this thread: `requests` doesn't promise that a session can be shared."""
        clients: dict[Server, PrometheusConnect] = self._local.__dict__.setdefault("clients", {})
        if server not in clients:
            if len(clients) >= CLIENTS:
                clients.pop(next(iter(clients)))._session.close()  # noqa: SLF001 - has no close()
            clients[server] = _connect(server, self._timeout)
        return clients[server]


def server_of(
    address: str,
    headers: Mapping[str, tuple[str, ...]] | None = None,
    secret: Mapping[str, Any] | None = None,
    *,
    insecure: bool = False,
    where: str = "",
) -> Server:
    """The server at an address, with the credentials of a Secret: a `token`, or else `username`
    and `password`. A query string in the address is dropped. Raises `SpecError`.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SpecError(Problem(where, "address", repr(address), "an http or https URL"))
    base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    sent = {name: ", ".join(texts) for name, texts in (headers or {}).items()}
    keys = _decoded(secret or {})
    if secret is None:
        return Server(base, tuple(sent.items()), insecure=insecure)
    if token := keys.get("token"):
        sent = {name: text for name, text in sent.items() if name.lower() != "authorization"}
        sent["Authorization"] = f"Bearer {token}"
        return Server(base, tuple(sent.items()), insecure=insecure)
    if "username" not in keys or "password" not in keys:
        found = f"only the keys {', '.join(sorted(keys)) or '(none)'}"
        raise SpecError(Problem(where, "data", found, "token, or username and password"))
    login = (keys["username"], keys["password"])
    return Server(base, tuple(sent.items()), login, insecure=insecure)


def value_of(result: Any) -> float:
    """The number in an instant vector of one series.

    Raises `MultipleValues` for more (which one would be right?), `NoValues` for none, and for NaN
    and infinity, which are what a division by nothing gives.

    >>> value_of([{"metric": {}, "value": [1700000000, "99.5"]}])
    99.5
    """
    if not isinstance(result, list) or not all(isinstance(each, dict) for each in result):
        raise ProviderError("the query gives a scalar or a string; vector() makes it a vector")
    if not result:
        raise NoValues("the query found no series")
    if len(result) > 1:
        raise MultipleValues(f"{len(result)} series where one value is expected: aggregate them")
    if "values" in result[0]:
        raise MultipleValues("the query gives a range where one value is expected")
    with suppress(KeyError, IndexError, TypeError, ValueError):
        value = float(result[0]["value"][1])
        if isfinite(value):
            return value
        raise NoValues(f"the query gives {value:g}: there was nothing to compute it from")
    raise ProviderError("the series has no value that is a number")


def _connect(server: Server, timeout: float) -> "PrometheusConnect":
    import requests
    import urllib3
    from prometheus_api_client import PrometheusConnect

    session = requests.Session()
    session.verify = not server.insecure
    # Netrc files, proxies and certificate bundles of the machine are no part of a manifest.
    session.trust_env = False
    session.hooks["response"] += [partial(_read, timeout=timeout), _refuse]
    if server.insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return PrometheusConnect(
        url=server.address,
        headers=dict(server.headers),
        auth=server.login,
        session=session,
        timeout=timeout,
        # Trying again is the next tick's business, and would multiply the timeout; `read=False`
        # has a timeout told as one, not as a failed connection.
        retry=urllib3.Retry(0, read=False),
    )


def _read(response: Any, timeout: float, **_: Any) -> None:
    """Reads the answer up to a limit of size and time, which `requests` itself would not do."""
    body, end = bytearray(), time.monotonic() + timeout
    while chunk := response.raw.read1(65536, decode_content=True):
        body += chunk
        if len(body) > LIMIT or time.monotonic() > end:
            response.close()
            most = f"{LIMIT} bytes or {timeout:g} s"
            raise ProviderError(f"the answer of {_host(response)} takes more than {most}")
    response.raw = BytesIO(bytes(body))


def _host(response: Any) -> str:
    return urlsplit(str(response.url)).netloc.rpartition("@")[2]


def _refuse(response: Any, **_: Any) -> None:
    """Raises for an error status, with Prometheus' own explanation where it gives one."""
    if response.status_code < 400:
        return
    text = shortened(response.content)
    with suppress(*NONSENSE):
        text = shortened(json.loads(response.content)["error"].encode())
    raise ProviderError(f"Prometheus at {_host(response)} answered {response.status_code}: {text}")


def _decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    plain: dict[str, str] = dict(secret.get("stringData") or {})
    for key, text in (secret.get("data") or {}).items():
        plain[key] = base64.b64decode(text).decode(errors="replace")
    return plain


def _late(server: Server, timeout: float) -> str:
    return f"Prometheus at {server.host} did not answer within {timeout:g} s"
