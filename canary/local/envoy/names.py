"""What things are called, as objects and inside Envoy."""

from pathlib import Path
from typing import Any
from zlib import crc32

from canary.cluster.port import Kind

ROUTE = Kind("local.canary/v1", "Route")
PROCESS = Kind("local.canary/v1", "Process")

Json = dict[str, Any]
Key = str
"""A Route as `namespace/apex`. Everything in Envoy that belongs to it begins with it."""

APEX, PRIMARY, CANARY = "apex", "primary", "canary"
LISTENERS = (APEX, PRIMARY, CANARY)
"""Each Route has one for its users and one for each side alone."""

SHARDS = 8
TYPE = "type.googleapis.com/"


def typed(kind: str, **fields: Any) -> Json:
    """A typed resource or extension: `typed("envoy.config.cluster.v3.Cluster", name=...)`."""
    return {"@type": TYPE + kind, **fields}


def key_of(name: str) -> Key:
    """The Route that a resource belongs to.

    >>> key_of("default/podinfo/canary")
    'default/podinfo'
    """
    return "/".join(name.split("/")[:2])


def shard_of(key: Key) -> str:
    """The route configuration that carries a Route, together with some others.

    Each file that Envoy watches costs one of the 128 inotify instances that a user has, and
    Envoy ends itself when there is none left: so there are few files, however many Routes.
    """
    return str(crc32(key.encode()) % SHARDS)


def seconds(value: float) -> str:
    """A duration as protobuf's JSON has it.

    >>> seconds(1.5), seconds(15)
    ('1.5s', '15s')
    """
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


class Paths:
    """Where each resource lies below the folder that Envoy reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.access_log = root.parent / "access.log"

    def file(self, kind: str, name: str = "") -> Path:
        """`kind` is lds, cds or rds; of the latter there is one for each shard."""
        return self.root / (f"{kind}-{name}.json" if name else f"{kind}.json")

    def source(self, kind: str, name: str = "") -> Json:
        return {
            "path_config_source": {"path": str(self.file(kind, name))},
            "resource_api_version": "V3",
            # A missing file must not keep the rest of the configuration waiting.
            "initial_fetch_timeout": "1s",
        }
