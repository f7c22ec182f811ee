"""The files that Envoy reads: each written beside its place and renamed into it."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from canary.local.envoy.config import Resources
from canary.local.envoy.names import Json, Key, Paths, key_of


class Files:
    """Resources on disk. Nothing is written, and Envoy not woken, for what is there already."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._versions: dict[Path, str] = {}
        paths.root.mkdir(parents=True, exist_ok=True)

    def put(self, kind: str, name: str, resources: Iterable[Json]) -> str:
        """Write one file unless it is there already; returns its version, made of its content."""
        path, rows = self.paths.file(kind, name), list(resources)
        version = _version(rows)
        if self.version(kind, name) != version:
            # Not in the watched folder, where each new file would wake Envoy once more.
            beside = self.paths.root.parent / f"{path.name}.new"
            beside.write_text(json.dumps({"version_info": version, "resources": rows}))
            beside.replace(path)
            self._versions[path] = version
        return version

    def differs(self, kind: str, name: str, resources: Iterable[Json]) -> bool:
        return self.version(kind, name) != _version(list(resources))

    def forget(self, kind: str, name: str) -> None:
        """Take the file for another one from now on, so that it is written again."""
        self._versions[self.paths.file(kind, name)] = ""

    def version(self, kind: str, name: str = "") -> str:
        """The version on disk; empty if there is none that can be read."""
        path = self.paths.file(kind, name)
        if path not in self._versions:
            self._versions[path] = str(_read(path).get("version_info", ""))
        return self._versions[path]

    def load(self) -> dict[Key, Resources]:
        """What an earlier run has left, by Route."""
        sent = _by_name(_read(self.paths.file("cds")))
        clusters = {name: _without_endpoints(each) for name, each in sent.items()}
        listeners = _by_name(_read(self.paths.file("lds")))
        hosts = dict[Key, Json]()
        for path in self.paths.root.glob("rds-*.json"):
            for routes in _read(path).get("resources", []):
                hosts |= {key_of(host["name"]): host for host in routes["virtual_hosts"]}
        keys = {key_of(name) for name in listeners}
        return {
            key: Resources(_of(key, clusters), _of(key, listeners), hosts.get(key, {}))
            for key in keys
        }


def _version(rows: list[Json]) -> str:
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> Json:
    try:
        read: Json = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return read


def _without_endpoints(cluster: Json) -> Json:
    """The cluster as it was rendered; that of a collector has its address for good."""
    static = cluster.get("type") == "STATIC"
    return {k: v for k, v in cluster.items() if k != "load_assignment" or not static}


def _by_name(response: Json) -> dict[str, Json]:
    return {each["name"]: each for each in response.get("resources", [])}


def _of(key: Key, named: Mapping[str, Json]) -> dict[str, Json]:
    return {name: each for name, each in named.items() if key_of(name) == key}
