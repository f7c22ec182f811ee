"""A real API server behind the port: paths, verbs and bodies.

How a request is made, and made again, is the business of `connection`.
"""

import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Self
from urllib.parse import quote

from canary.cluster.connection import JSON, Connection, Limits, Request
from canary.cluster.discovery import Discovery, missing
from canary.cluster.limiter import Limiter
from canary.cluster.login import Login
from canary.cluster.port import Change, Kind, Listing, Manifest, Ref
from canary.cluster.refusal import NoSuchPath, refusal
from canary.errors import Expired

WATCH = 300
"""Seconds after which, at the earliest, a watch is asked to end, and begins again where it was."""
PAGE = 500
"""Objects in one answer of a list; more keep the event loop busy for too long at once."""
CREATOR = "canary"
"""Who owns the fields of an object that is created, when the caller doesn't say."""
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
METADATA = "application/json;as={};g=meta.k8s.io;v=v1"
_URGENT = "coordination.k8s.io/"
_SILENT = "Event"
"""The one kind that API servers keep no cache of, and so send no bookmarks for."""


class Kubernetes:
    """`port.Cluster` over a connection to an API server. Made by `connect`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._discovery = Discovery(connection)

    @classmethod
    async def connect(
        cls,
        login: Login,
        *,
        agent: str = "canary",
        limiter: Limiter | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Nothing is asked yet. Raises `ClusterError` if there are no usable credentials."""
        return cls(await Connection.open(login, agent, limiter, limits))

    async def get(self, ref: Ref) -> Manifest:
        return await self._send("get", ref)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        query = {"limit": str(PAGE)}
        if labels:
            chosen = ",".join(f"{key}={value}" for key, value in labels.items())
            query["labelSelector"] = quote(chosen, safe="")
        request = await self._request("list", Ref(kind, namespace, ""), query)
        if metadata_only:
            request = replace(request, accept=METADATA.format("PartialObjectMetadataList"))
        try:
            return await self._pages(kind, request)
        except Expired:
            # The pages took longer than the server keeps what they are of: all of it at once.
            del query["limit"]
            return await self._pages(kind, replace(request, query=query))

    async def _pages(self, kind: Kind, request: Request) -> Listing:
        items: list[Manifest] = []
        query = dict(request.query)
        while True:
            page = await self._ask(kind, replace(request, query=query))
            items += [_named(kind, each) for each in page.get("items") or ()]
            more = page["metadata"].get("continue")
            if not more:
                return Listing(items, page["metadata"]["resourceVersion"])
            query["continue"] = quote(more, safe="")

    async def watch(
        self, kind: Kind, namespace: str = "", since: str = "", *, metadata_only: bool = False
    ) -> AsyncIterator[Change]:
        # Not all at the same moment: those of one start would otherwise stay together.
        seconds = int(WATCH * random.uniform(1, 2))  # noqa: S311 - jitter, not a secret
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        if since:
            query["resourceVersion"] = since
        request = await self._request("watch", Ref(kind, namespace, ""), query)
        if metadata_only:
            request = replace(request, accept=METADATA.format("PartialObjectMetadata"))
        silent = kind.name == _SILENT
        lines = self._connection.lines(request, seconds, may_be_silent=silent)
        try:
            async with aclosing(lines):
                async for line in lines:
                    yield _change(kind, json.loads(line), str(request), since)
        except NoSuchPath:
            self._discovery.forget(kind)
            raise missing(kind) from None

    async def create(self, manifest: Manifest, *, manager: str = CREATOR) -> Manifest:
        meta = manifest["metadata"]
        kind = Kind(manifest["apiVersion"], manifest["kind"])
        name = meta.get("name") or meta.get("generateName", "")
        ref = Ref(kind, meta.get("namespace", ""), name)
        query = {"fieldManager": quote(manager, safe="")}
        return await self._send("create", ref, query, manifest)

    async def apply(self, manifest: Manifest, *, manager: str) -> Manifest:
        body = {key: value for key, value in manifest.items() if key != "status"}
        # What was read may be applied again, and the server refuses its own bookkeeping.
        kept = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
        query = {"fieldManager": quote(manager, safe=""), "force": "true"}
        return await self._send(
            "apply", Ref.of(manifest), query, {**body, "metadata": kept}, content=APPLY
        )

    async def patch(
        self,
        ref: Ref,
        patch: Manifest,
        *,
        manager: str,
        resource_version: str = "",
        status: bool = False,
    ) -> Manifest:
        if resource_version:
            meta = {**patch.get("metadata", {}), "resourceVersion": resource_version}
            patch = {**patch, "metadata": meta}
        query = {"fieldManager": quote(manager, safe="")}
        part = "status" if status else ""
        return await self._send("patch", ref, query, patch, content=MERGE, subresource=part)

    async def delete(self, ref: Ref, *, uid: str = "", resource_version: str = "") -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in wanted.items() if value},
        }
        await self._send("delete", ref, body=body)

    async def close(self) -> None:
        await self._connection.close()

    async def _send(
        self,
        verb: str,
        ref: Ref,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        *,
        content: str = JSON,
        subresource: str = "",
    ) -> Manifest:
        request = await self._request(verb, ref, query or {}, subresource)
        return await self._ask(ref.kind, replace(request, body=body, content=content))

    async def _request(
        self, verb: str, ref: Ref, query: Mapping[str, str], subresource: str = ""
    ) -> Request:
        # A new object has no place of its own yet.
        name = "" if verb == "create" else ref.name
        path = await self._discovery.path(ref.kind, ref.namespace, name, subresource)
        # A leader with much to do has to stay the leader meanwhile.
        urgent = ref.kind.api_version.startswith(_URGENT)
        return Request(verb, _words(ref), path, query, urgent=urgent)

    async def _ask(self, kind: Kind, request: Request) -> Manifest:
        try:
            return await self._connection.answer(request)
        except NoSuchPath:
            self._discovery.forget(kind)
            raise missing(kind) from None


def _words(ref: Ref) -> str:
    if ref.name:
        return f"{ref.kind.name} {ref.namespace}/{ref.name}".replace(" /", " ")
    return f"{ref.kind.name} in {ref.namespace or 'all namespaces'}"


def _named(kind: Kind, manifest: Manifest) -> Manifest:
    """Items of a list come without their kind, and those without content as another one."""
    return {**manifest, "apiVersion": kind.api_version, "kind": kind.name}


def _change(kind: Kind, event: Manifest, what: str, since: str) -> Change:
    found = event["object"]
    if event["type"] == "ERROR":
        raise refusal(found.get("code", 500), found, what)
    version = found["metadata"]["resourceVersion"]
    if since and int(version) < int(since):
        # Its store was brought back from a copy: it would stay silent until it has caught up.
        raise Expired(f"{what}: the server is at {version}, which was before {since}")
    return Change(event["type"], _named(kind, found))
