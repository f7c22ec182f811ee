"""Keeps web pages of others from using the API through the browser of somebody who may.

A browser sends requests from any page to any address, also to this machine's own. What it can't do
is lie about `Origin` and `Host`, or send JSON across origins without asking first.
"""

from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from canary.web.problems import ApiError, problem_response


class LoopbackHosts:
    """On loopback, answers only to names of loopback.

    Otherwise a page could point a name of its own at this machine, and would then be of the same
    origin as the API (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = frozenset()) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _loopback((scope.get("server") or ("",))[0]):
            request = Request(scope)
            host = _hostname(request.headers.get("host", ""))
            if not (_local(host) or host in self._hosts):
                detail = f"this API listens on loopback, and is not called {host!r} there"
                await problem_response(request, HTTPStatus.MISDIRECTED_REQUEST, detail)(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


async def same_origin_json(request: Request) -> None:
    """For requests that change something. Raises `ApiError`."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ApiError(HTTPStatus.FORBIDDEN, f"a page of {origin} may not send requests to {host}")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"found Content-Type {kind or 'none'}, expected application/json",
        )


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _local(host: str) -> bool:
    """A name that nobody else can point here: of loopback, or an address as it is."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
