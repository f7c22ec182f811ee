"""What a Route makes of Envoy. Pure: the same Route gives the same resources."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.cluster.port import Manifest
from canary.local.envoy import clusters
from canary.local.envoy.listeners import listener
from canary.local.envoy.names import APEX, LISTENERS, Json, Key, Paths
from canary.local.envoy.routes import virtual_host


@dataclass(frozen=True, slots=True)
class Resources:
    """What Envoy needs for one Route, by name, except for endpoints, which come and go."""

    clusters: Mapping[str, Json] = field(default_factory=dict)
    listeners: Mapping[str, Json] = field(default_factory=dict)
    host: Json = field(default_factory=dict)
    """The virtual host of its users' listener: weights and all other rules."""


def resources(route: Manifest, ports: Mapping[str, int], paths: Paths) -> Resources:
    """The resources of a Route; `ports` has one for each side's own listener."""
    spec, key = route["spec"], key_of_route(route)
    upstream = {name: clusters.cluster(name, spec) for name in clusters.sources(key, spec)}
    if tracing := spec.get("settings", {}).get("tracing"):
        upstream[f"{key}/otlp"] = clusters.collector(key, tracing)
    return Resources(
        clusters=upstream,
        listeners={
            f"{key}/{side}": listener(key, side, spec, address(spec, side, ports), paths)
            for side in LISTENERS
        },
        host=virtual_host(key, APEX, spec),
    )


def key_of_route(route: Manifest) -> Key:
    return f"{route['metadata']['namespace']}/{route['metadata']['name']}"


def address(spec: Json, side: str, ports: Mapping[str, int]) -> tuple[str, int]:
    """(IP, port) of a listener. Only the one for users may be reached from elsewhere."""
    return (spec["address"], spec["port"]) if side == APEX else ("127.0.0.1", ports[side])
