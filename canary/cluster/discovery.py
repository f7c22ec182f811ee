"""Where objects of a kind are found on a server: what they are called is the server's to say."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import quote

from canary.cluster.connection import Connection, Request
from canary.cluster.port import Kind
from canary.errors import ClusterError, NoSuchKind, NotFound

LOOK_AGAIN = 1.0
"""Seconds for which a kind that was not there counts as missing without another look."""


@dataclass(frozen=True, slots=True)
class Resource:
    plural: str
    namespaced: bool


class Discovery:
    """Asks once for each group and version, and again for a kind that it doesn't know yet.

    A CRD may be installed while we run, or be removed: then somebody calls `forget`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, dict[str, Resource]] = {}
        self._missed: dict[Kind, float] = {}
        self._looking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def path(
        self, kind: Kind, namespace: str = "", name: str = "", subresource: str = ""
    ) -> str:
        """Raises `NoSuchKind`, or `ClusterError` for what can't be a name."""
        resource = await self._find(kind)
        if name and resource.namespaced and not namespace:
            raise ClusterError(f"{kind.name} {name}: a namespace is needed")
        place = ("namespaces", namespace) if namespace and resource.namespaced else ()
        parts = (*place, resource.plural, name, subresource)
        return "/".join((_root(kind), *(_segment(part) for part in parts if part)))

    def forget(self, kind: Kind) -> None:
        self._known.pop(kind.api_version, None)
        self._missed.pop(kind, None)

    async def _find(self, kind: Kind) -> Resource:
        async with self._looking[kind.api_version]:
            found = self._known.get(kind.api_version, {}).get(kind.name)
            now = asyncio.get_running_loop().time()
            if found is None and now >= self._missed.get(kind, 0.0):
                self._known[kind.api_version] = known = await self._look(kind)
                found = known.get(kind.name)
                self._missed[kind] = now + LOOK_AGAIN
        if found is None:
            raise missing(kind)
        return found

    async def _look(self, kind: Kind) -> dict[str, Resource]:
        request = Request("get", f"the kinds of {kind.api_version}", _root(kind))
        try:
            answer = await self._connection.answer(request)
        except NotFound:
            return {}
        return {
            each["kind"]: Resource(each["name"], each["namespaced"])
            for each in answer["resources"]
            if "/" not in each["name"]
        }


def missing(kind: Kind) -> NoSuchKind:
    what = f"the cluster has no kind {kind.name} in {kind.api_version}"
    if "." not in kind.api_version:
        return NoSuchKind(f"{what}: is its name right, and the cluster new enough?")
    return NoSuchKind(f"{what}: install its CRD, or correct the name; it is looked for again")


def _root(kind: Kind) -> str:
    parts = kind.api_version.split("/")
    return "/".join(("", "apis" if len(parts) > 1 else "api", *map(_segment, parts)))


def _segment(part: str) -> str:
    # Some of these are written by users, and `..` would lead to another object.
    if part in {"", ".", ".."} or "/" in part or "%" in part:
        raise ClusterError(f"{part!r} can't be a name in a cluster")
    return quote(part, safe="")
