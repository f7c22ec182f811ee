"""Who listens where: each Route's three addresses, kept for as long as it lives."""

from collections.abc import Iterable, Mapping

from canary.cluster.port import Manifest
from canary.local.envoy.config import Resources, address
from canary.local.envoy.names import APEX, CANARY, LISTENERS, PRIMARY, Json, Key
from canary.local.envoy.ports import obstacle
from canary.local.ports import free_port

Socket = tuple[str, int]
SIDES = (PRIMARY, CANARY)


class Sockets:
    """Claims are made anew in each round, oldest Route first; ports stay what they were."""

    def __init__(self) -> None:
        self._ports: dict[Key, dict[str, int]] = {}
        self._open: set[Socket] = set()
        self._claimed: dict[int, Key] = {}
        self._asked: set[object] = set()

    def begin(self, applied: Mapping[Key, Resources], routes: Iterable[Manifest]) -> None:
        """Start a round; what Envoy has open is no obstacle to having it."""
        self._open, self._claimed = set(), {}
        # A port that a Route asks for is never given away as somebody's own.
        self._asked = {(each.get("spec") or {}).get("port") for each in routes}
        for key, each in applied.items():
            for name, listener in each.listeners.items():
                self._open.add(found := _socket(listener))
                side = name.rsplit("/", 1)[1]
                if side in SIDES:
                    self._ports.setdefault(key, {}).setdefault(side, found[1])

    def claim(self, key: Key, route: Manifest) -> str:
        """Take the Route's addresses; returns why it can't have the one its users need."""
        where = address(route["spec"], APEX, {})
        if holder := self._claimed.get(where[1]):
            return f"port {where[1]} is already served for Route {holder}"
        if where not in self._open and (problem := obstacle(*where)):
            return problem
        self._claimed[where[1]] = key
        known = (route.get("status") or {}).get("listeners") or {}
        ports = self._ports.setdefault(key, {})
        for side in SIDES:
            if side not in ports and side in known:
                ports[side] = int(known[side].rsplit(":", 1)[1])
            if not self._usable(ports.get(side)):
                ports[side] = self._free()
            self._claimed[ports[side]] = key
        return ""

    def sides(self, key: Key) -> dict[str, int]:
        return {side: self._ports[key][side] for side in SIDES}

    def addresses(self, key: Key, spec: Json) -> dict[str, str]:
        """As they are told to people: listener to `address:port`."""
        rows = {side: address(spec, side, self._ports[key]) for side in LISTENERS}
        return {side: f"{host}:{port}" for side, (host, port) in rows.items()}

    def _usable(self, port: int | None) -> bool:
        if port is None or port in self._claimed or port in self._asked:
            return False
        return ("127.0.0.1", port) in self._open or not obstacle("127.0.0.1", port)

    def _free(self) -> int:
        while (port := free_port()) in self._claimed or port in self._asked:
            pass
        return port


def _socket(listener: Json) -> Socket:
    where = listener["address"]["socket_address"]
    return where["address"], where["port_value"]
