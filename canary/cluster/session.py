"""One set of credentials with the connections that were made with them."""

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from canary.errors import ClusterError

KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a peer that vanished is noticed in 60 s."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Session:
    """`configuration` says who we are; `rest` holds connections that only know `tls`."""

    configuration: Configuration
    rest: "Connections"
    tls: tuple[object, ...]

    @classmethod
    async def open(cls, configuration: Configuration, old: "Session | None" = None) -> Self:
        """With the connections of the old one, if they can still be used. Raises `ClusterError`."""
        try:
            tls = await asyncio.to_thread(_tls, configuration)
            rest = old.rest if old and old.tls == tls else Connections(configuration)
        except (OSError, ValueError) as error:
            raise ClusterError(f"the certificates can't be read: {error}") from error
        return cls(configuration, rest, tls)

    @property
    def server(self) -> str:
        host: str = self.configuration.host
        return host

    async def authorization(self) -> str:
        """The header's value, empty where a client certificate says who we are."""
        try:
            found = await self.configuration.get_api_key_with_prefix("BearerToken")
        except OSError as error:
            raise ClusterError(f"the token can't be read: {error}") from error
        return (found or "").strip()


def _tls(configuration: Configuration) -> tuple[object, ...]:
    """All that a connection depends on; files by their content, which is replaced in place."""
    names = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    contents = [Path(name).read_bytes() if name else b"" for name in names]
    rest = (configuration.host, configuration.verify_ssl, configuration.tls_server_name)
    return (*contents, *rest, configuration.proxy)


class Connections(RESTClientObject):
    """The client's own, with sockets that notice when nobody is there any longer."""

    def __init__(self, configuration: Configuration) -> None:
        # Trusting the environment costs a look for ~/.netrc, in a thread, with every request.
        trusts = any(os.environ.get(n) or os.environ.get(n.upper()) for n in _PROXIES)
        configuration.client_session_kwargs = {"trust_env": trusts}
        super().__init__(configuration)

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Any,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """One request, whose answer is still to be read. Raises what aiohttp and sockets raise."""
        client: RESTClientObject = self  # whose methods have no types
        made = await client.request(method, url, headers, body, _request_timeout=timeout)
        reply: aiohttp.ClientResponse = made.response
        return reply

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, socket_factory=_socket)


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        with suppress(AttributeError, OSError):  # not every system lets one choose
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
