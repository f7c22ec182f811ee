"""Questions to Envoy's admin interface, and the few orders it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canary.http import MEBIBYTE, Http, Request
from canary.local.envoy.names import Json

COUNTERS = {
    "upstream_rq_total": "requests",
    "upstream_rq_active": "active",
    "upstream_rq_5xx": "errors",
    "membership_healthy": "healthy",
}
LIMIT = 256 * MEBIBYTE
"""A Route has some hundred counters, and there may be thousands of them."""

BUSY = 30.0
"""Seconds. While Envoy takes a thousand Routes at once it answers nobody."""
WARMING = r"listener_manager\.total_listeners_warming|cluster_manager\.warming_clusters"

_SIDES = re.compile(rf"cluster\.([^/]+/[^/]+/(?:primary|canary))\.({'|'.join(COUNTERS)})")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a Route as Envoy counts it since it started."""

    requests: int = 0
    active: int = 0
    """Requests under way."""
    errors: int = 0
    """Answers of 500 and above."""
    healthy: int = 0
    """Endpoints that can be sent to."""


class Admin:
    """A client of `http://127.0.0.1:port`. Every method raises `ProviderError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = Http()

    async def close(self) -> None:
        await self._http.close()

    async def json(
        self, path: str, query: Mapping[str, str] | None = None, *, timeout: float = 5.0
    ) -> Any:
        params = {"format": "json", **(query or {})}
        request = Request("GET", self.url + path, params, timeout=timeout, limit=LIMIT)
        reply = await self._http.send(request)
        return reply.require().json()

    async def order(self, path: str) -> None:
        (await self._http.send(Request("POST", self.url + path))).require()

    async def server_info(self) -> Json:
        info: Json = await self.json("/server_info")
        return info

    async def stats(self, pattern: str, *, timeout: float = 5.0) -> dict[str, Any]:
        """Counters, gauges and texts whose whole name matches; histograms are left out."""
        reply = await self.json("/stats", {"filter": f"^({pattern})$"}, timeout=timeout)
        return {each["name"]: each["value"] for each in reply["stats"] if "name" in each}

    async def counters(self) -> dict[str, Side]:
        """Both sides of every Route, by cluster: `namespace/apex/primary` and `.../canary`."""
        found: dict[str, dict[str, int]] = {}
        for name, value in (await self.stats(rf"cluster\..*\.({'|'.join(COUNTERS)})")).items():
            if parts := _SIDES.fullmatch(name):
                found.setdefault(parts[1], {})[COUNTERS[parts[2]]] = value
        return {cluster: Side(**values) for cluster, values in found.items()}

    async def listeners(self) -> set[str]:
        """The names of the listeners that are open."""
        reply = await self.json("/listeners")
        return {each["name"] for each in reply.get("listener_statuses", [])}

    async def hosts(self) -> set[tuple[str, int]]:
        """Every endpoint that Envoy may send to, as (address, port)."""
        reply = await self.json("/clusters")
        rows = (each.get("host_statuses", []) for each in reply.get("cluster_statuses", []))
        return {_socket(host["address"]) for hosts in rows for host in hosts}

    async def versions(self) -> dict[str, set[str]]:
        """The version that Envoy has of each file: `lds`, `cds`, and `rds-` with the shard.

        A subscription that is on its way out may still be counted beside its successor.
        """
        stats = await self.stats(
            r"(listener_manager\.lds|cluster_manager\.cds|http\..*\.rds\.\d+)\.version_text",
            timeout=BUSY,
        )
        found = dict[str, set[str]]()
        for name, version in stats.items():
            found.setdefault(_file(name), set()).add(str(version))
        # Nothing has reached everybody while something warms up.
        return {} if any((await self.stats(WARMING, timeout=BUSY)).values()) else found


def _file(stat: str) -> str:
    """The subscription that a `version_text` is of.

    >>> _file("listener_manager.lds.version_text")
    'lds'
    >>> _file("http.default/podinfo/apex.rds.3.version_text")
    'rds-3'
    """
    words = stat.removesuffix(".version_text").split(".")
    return words[-1] if words[-1] in ("lds", "cds") else f"rds-{words[-1]}"


def _socket(address: Json) -> tuple[str, int]:
    where = address.get("socket_address", {})
    return where.get("address", ""), where.get("port_value", 0)
