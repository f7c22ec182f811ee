"""A client for tests and for the node: dicts in, dicts out, one connection pool.

It is not the product's client, so that neither can hide a fault of the other.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.errors import HarnessError

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
POLL = 0.05


class ApiError(Exception):
    """The server's answer was no; `reason` is Kubernetes' word for it, like `NotFound`."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


TROUBLE = (ApiError, aiohttp.ClientError, OSError, TimeoutError)
"""All that a request may raise; the server may be refusing, restarting or gone."""


class Api:
    def __init__(self, server: str, token: str, authority: Path, agent: str = "tests") -> None:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": agent}
        context = ssl.create_default_context(cafile=authority)
        self._session = aiohttp.ClientSession(
            server,
            headers=headers,
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=30),
            read_bufsize=2**20,  # one event of a watch is one line
        )
        self._kinds: dict[Kind, tuple[str, bool]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """One request to any path. Raises one of `TROUBLE`."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content}
        async with self._session.request(
            method, path, data=data, headers=headers, params=params
        ) as reply:
            await _check(reply)
            return await reply.json() if reply.content_type == JSON else await reply.text()

    async def get(self, ref: Ref) -> Manifest:
        return dict(await self.request("GET", await self.path(ref)))

    async def list(self, kind: Kind, namespace: str = "", **params: str) -> list[Manifest]:
        """`params` are the server's: `labelSelector`, `fieldSelector`."""
        path = await self._collection(kind, namespace)
        return list((await self.request("GET", path, params=params))["items"])

    async def create(self, manifest: Manifest) -> Manifest:
        ref = Ref.of(manifest)
        path = await self._collection(ref.kind, ref.namespace)
        return dict(await self.request("POST", path, manifest))

    async def apply(self, manifest: Manifest, manager: str = "tests") -> Manifest:
        """Server-side, by force."""
        path = await self.path(Ref.of(manifest))
        params = {"fieldManager": manager, "force": "true"}
        return dict(await self.request("PATCH", path, manifest, content=APPLY, params=params))

    async def patch(
        self, ref: Ref, patch: Any, content: str = MERGE, subresource: str = ""
    ) -> Manifest:
        path = await self.path(ref, subresource)
        return dict(await self.request("PATCH", path, patch, content=content))

    async def delete(self, ref: Ref, **options: Any) -> None:
        """`options` are the server's: `gracePeriodSeconds`, `propagationPolicy`."""
        await self.request("DELETE", await self.path(ref), options or None)

    async def until(
        self, ref: Ref, holds: Callable[[Manifest], object], timeout: float = 30
    ) -> Manifest:
        """The object as soon as that holds. Raises `HarnessError` that shows it as it is instead.

        An object that isn't there yet, and a server that is away, are waited for too.
        """
        last: object = "nothing"
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        found = await self.get(ref)
                    except TROUBLE as error:
                        last = error
                    else:
                        if holds(found):
                            return found
                        last = json.dumps(found.get("status", found), indent=1)
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise HarnessError(f"{ref} is not as expected after {timeout:g} s: {last}") from None

    async def until_gone(self, ref: Ref, timeout: float = 30) -> None:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    await self.get(ref)
                    await asyncio.sleep(POLL)
        except ApiError as error:
            if error.status != 404:
                raise
        except TimeoutError:
            raise HarnessError(f"{ref} is still there after {timeout:g} s") from None

    async def watch(self, path: str, **params: str) -> AsyncIterator[dict[str, Any]]:
        """Events of a collection's path until the connection ends. Raises one of `TROUBLE`."""
        timeout = aiohttp.ClientTimeout(sock_connect=5)
        query = {"watch": "1", **params}
        async with self._session.get(path, params=query, timeout=timeout) as reply:
            await _check(reply)
            async for line in reply.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status["code"], status["reason"], status["message"])
                yield event

    async def path(self, ref: Ref, subresource: str = "") -> str:
        collection = await self._collection(ref.kind, ref.namespace)
        return "/".join(filter(None, (collection, quote(ref.name, safe=":"), subresource)))

    async def _collection(self, kind: Kind, namespace: str) -> str:
        root = f"/{'apis' if '/' in kind.api_version else 'api'}/{kind.api_version}"
        if kind not in self._kinds:
            await self._discover(kind, root)
        plural, namespaced = self._kinds[kind]
        place = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{place}/{plural}"

    async def _discover(self, kind: Kind, root: str) -> None:
        for each in (await self.request("GET", root))["resources"]:
            if "/" not in each["name"]:
                found = Kind(kind.api_version, each["kind"])
                self._kinds[found] = (each["name"], each["namespaced"])
        if kind not in self._kinds:
            raise HarnessError(f"the API server has no {kind.name} in {kind.api_version}")


async def _check(reply: aiohttp.ClientResponse) -> None:
    if reply.status < 400:
        return
    text = await reply.text()
    try:
        status = json.loads(text)
        raise ApiError(reply.status, status.get("reason", ""), status.get("message", ""))
    except ValueError:
        raise ApiError(reply.status, reply.reason or "", text.strip()) from None
