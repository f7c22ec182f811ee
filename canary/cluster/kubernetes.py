"""A real API server behind the port: dicts in, dicts out, and errors by what to do next.

The official client makes the connection, reads kubeconfigs and refreshes tokens. Requests are
made with its raw call, since turning every answer into typed models costs more than the rest.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Self
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    ConfigException,
    load_incluster_config,
    load_kube_config,
)

from canary.cluster.limiter import Limiter
from canary.cluster.port import Change, Kind, Listing, Manifest, Ref
from canary.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
)

TIMEOUT = 30.0
"""Seconds for any request but a watch."""
WATCH = 300
"""Seconds after which a watch is asked to end and begins again where it was."""
SILENCE = 90.0
"""Seconds without a line, bookmarks included, after which a watch is taken for dead."""
PAGE = 500
PATIENCE = 5
"""Times a request that the server was too busy for is made again."""
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Kubernetes:
    """The API server of a cluster. Made by `connect`."""

    def __init__(self, client: ApiClient, *, qps: float = 100.0, burst: int = 250) -> None:
        self._client = client
        self._limiter = Limiter(qps, burst)
        self._resources: dict[str, dict[str, tuple[str, bool]]] = {}
        self._closing = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        kubeconfig: str = "",
        *,
        master: str = "",
        user_agent: str = "canary",
        qps: float = 100.0,
        burst: int = 250,
    ) -> Self:
        """Connect with a kubeconfig, or from inside a pod when none is named.

        Raises `ClusterError` when neither is there.
        """
        configuration = Configuration()
        try:
            if kubeconfig:
                await load_kube_config(kubeconfig, client_configuration=configuration)
            else:
                load_incluster_config(client_configuration=configuration)
        except (ConfigException, OSError) as error:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "this pod's service account"
            raise ClusterError(f"{where} can't be used: {error}") from error
        if master:
            configuration.host = master
        configuration.connection_pool_maxsize = 0
        client = ApiClient(configuration)
        client.user_agent = user_agent
        return cls(client, qps=qps, burst=burst)

    async def get(self, ref: Ref) -> Manifest:
        return await self._send("GET", await self._path(ref.kind, ref.namespace, ref.name))

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> Listing:
        path = await self._path(kind, namespace)
        query = {"limit": str(PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        items: list[Manifest] = []
        while True:
            page = await self._send("GET", path, query)
            items += [_whole(kind, each) for each in page.get("items") or ()]
            more = page["metadata"].get("continue")
            if not more:
                return Listing(items, page["metadata"]["resourceVersion"])
            query["continue"] = more

    async def watch(
        self, kind: Kind, namespace: str = "", since: str = ""
    ) -> AsyncIterator[Change]:
        path = await self._path(kind, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(WATCH * random.uniform(1, 2))),  # noqa: S311  # jitter
        }
        if since:
            query["resourceVersion"] = since
        answer = await self._ask("GET", path, query, timeout=2 * WATCH + TIMEOUT)
        try:
            async for line in self._lines(answer):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"], path)
                yield Change(event["type"], _whole(kind, event["object"]))
        finally:
            answer.close()

    async def create(self, manifest: Manifest, *, manager: str = "canary") -> Manifest:
        meta = manifest["metadata"]
        kind = Kind(manifest["apiVersion"], manifest["kind"])
        path = await self._path(kind, meta.get("namespace", ""))
        return await self._send("POST", path, {"fieldManager": manager}, manifest)

    async def apply(self, manifest: Manifest, *, manager: str) -> Manifest:
        ref = Ref.of(manifest)
        path = await self._path(ref.kind, ref.namespace, ref.name)
        body = {key: value for key, value in manifest.items() if key != "status"}
        query = {"fieldManager": manager, "force": "true"}
        return await self._send("PATCH", path, query, body, content=APPLY)

    async def patch(
        self,
        ref: Ref,
        patch: Manifest,
        *,
        manager: str,
        resource_version: str = "",
        status: bool = False,
    ) -> Manifest:
        path = await self._path(ref.kind, ref.namespace, ref.name)
        if resource_version:
            meta = {**patch.get("metadata", {}), "resourceVersion": resource_version}
            patch = {**patch, "metadata": meta}
        path += "/status" if status else ""
        return await self._send("PATCH", path, {"fieldManager": manager}, patch, content=MERGE)

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in wanted.items() if value},
        }
        await self._send("DELETE", await self._path(ref.kind, ref.namespace, ref.name), body=body)

    async def close(self) -> None:
        self._closing.set()
        await self._client.close()

    async def _path(self, kind: Kind, namespace: str = "", name: str = "") -> str:
        """Where objects of a kind are: what they are called there is the server's to say."""
        plural, namespaced = await self._resource(kind)
        path = f"/{_group(kind)}"
        if namespace and namespaced:
            path += f"/namespaces/{quote(namespace, safe='')}"
        return f"{path}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    async def _resource(self, kind: Kind) -> tuple[str, bool]:
        known = self._resources.get(kind.api_version)
        if known is None or kind.name not in known:
            known = self._resources[kind.api_version] = await self._discover(kind)
        if kind.name not in known:
            raise NotFound(
                f"the cluster has no kind {kind.name} in {kind.api_version}: is its CRD installed?"
            )
        return known[kind.name]

    async def _discover(self, kind: Kind) -> dict[str, tuple[str, bool]]:
        try:
            found = await self._send("GET", f"/{_group(kind)}")
        except NotFound:
            return {}
        return {
            each["kind"]: (each["name"], each["namespaced"])
            for each in found["resources"]
            if "/" not in each["name"]
        }

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content: str = "application/json",
    ) -> Manifest:
        answer = await self._ask(method, path, query, body, content=content)
        try:
            made: Manifest = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"{method} {path}: {_words(error)}") from error
        return made

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content: str = "application/json",
        timeout: float = TIMEOUT,
    ) -> aiohttp.ClientResponse:
        """Make a request; a server that is too busy says so, and is asked again when it wishes.

        It has not begun then, so this is safe for writes as well.
        """
        for attempt in range(PATIENCE + 1):
            await self._limiter.turn()
            answer = await self._once(method, path, query, body, content, timeout)
            if answer.status < HTTPStatus.BAD_REQUEST:
                return answer
            text = await answer.text()
            again = answer.headers.get("Retry-After", "")
            busy = answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
            if not busy or not again.isdecimal() or attempt == PATIENCE:
                raise _error(answer.status, _status(text), f"{method} {path}")
            await asyncio.sleep(int(again) * random.uniform(1, 1.5))  # noqa: S311  # jitter
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Manifest | None,
        content: str,
        timeout: float,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content}
        # Signed by the client, since tokens of a pod and of cloud accounts expire.
        _, url, headers, _, _ = await self._client.param_serialize(
            method, path, header_params=headers, auth_settings=["BearerToken"]
        )
        url += f"?{urlencode(query)}" if query else ""
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        try:
            answer = await self._client.call_api(
                method, url, dict(headers), body, _request_timeout=limits
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"{method} {path}: {_words(error)}") from error
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _lines(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The lines of a watch, however long, until it ends or falls silent."""
        rest = b""
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(SILENCE):
                    chunk = await answer.content.readany()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ClusterError(f"the watch broke: {_words(error)}") from error
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    yield line


def _group(kind: Kind) -> str:
    return f"apis/{kind.api_version}" if "/" in kind.api_version else f"api/{kind.api_version}"


def _whole(kind: Kind, manifest: Manifest) -> Manifest:
    """Items of a list come without their kind."""
    return {"apiVersion": kind.api_version, "kind": kind.name, **manifest}


def _status(text: str) -> Manifest:
    try:
        found = json.loads(text)
    except ValueError:
        return {"message": text[:300]}
    return found if isinstance(found, dict) else {"message": text[:300]}


def _error(code: int, status: Manifest, what: str) -> ClusterError:
    """What a refusal means to the one who asked."""
    message = f"{what}: {status.get('message') or HTTPStatus(code).phrase}"
    reason = status.get("reason", "")
    if code == HTTPStatus.CONFLICT:
        return AlreadyExists(message) if reason == "AlreadyExists" else Conflict(message)
    kinds: dict[int, type[ClusterError]] = {
        HTTPStatus.NOT_FOUND: NotFound,
        HTTPStatus.FORBIDDEN: Forbidden,
        HTTPStatus.GONE: Expired,
    }
    return kinds.get(code, ClusterError)(message)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
