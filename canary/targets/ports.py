"""The ports of the generated Services: the one that people name, and those that are discovered."""

from collections.abc import Iterator
from typing import Any

from canary.cluster.port import Manifest
from canary.crd.service import Service

SIDECARS = frozenset({"istio-proxy", "envoy"})
"""Containers whose ports are not the application's."""
LONGEST = 50
"""Characters of a container's name in that of a port, which has 63 at most."""

Port = dict[str, Any]


def ports(service: Service, template: Manifest) -> list[Port]:
    """The main port first, then one for each further port of the pods."""
    main = {
        "name": service.port_name or "http",
        "protocol": "TCP",
        "port": service.port,
        "targetPort": service.effective_target_port,
    }
    if service.app_protocol:
        main["appProtocol"] = service.app_protocol
    return [main, *(_discovered(service, main, template) if service.port_discovery else ())]


def _discovered(service: Service, main: Port, template: Manifest) -> list[Port]:
    found: dict[str, Port] = {}
    for fallback, port in _container_ports(template):
        number, protocol = port["containerPort"], port.get("protocol") or "TCP"
        # Two ports of one number, or of one name, make a Service that the API server refuses.
        if _is_main(service, port) or (number, protocol) == (main["port"], main["protocol"]):
            continue
        name = port.get("name") or fallback
        name = fallback if name == main["name"] else name
        found[name] = {"name": name, "protocol": protocol, "port": number, "targetPort": number}
    return list({(each["port"], each["protocol"]): each for each in found.values()}.values())


def _container_ports(template: Manifest) -> Iterator[tuple[str, Port]]:
    """Each port of the pods, with the name that it gets if it has none."""
    for container in (template.get("spec") or {}).get("containers") or ():
        if container.get("name") in SIDECARS:
            continue
        for i, port in enumerate(container.get("ports") or ()):
            yield f"tcp-{container['name'][:LONGEST]}-{i}", port


def _is_main(service: Service, port: Port) -> bool:
    wanted = service.effective_target_port
    return bool(wanted == (port["containerPort"] if isinstance(wanted, int) else port.get("name")))


def with_node_ports(wanted: list[Port], live: Manifest) -> list[Port]:
    """The same ports, each at the node port that the live Service has for it."""
    had = {each.get("name"): each for each in live["spec"].get("ports") or ()}
    return [
        {**each, "nodePort": had[each["name"]]["nodePort"]}
        if had.get(each["name"], {}).get("nodePort")
        else each
        for each in wanted
    ]


def same_ports(live: Manifest, wanted: list[Port]) -> bool:
    """Whether the live Service has these ports, in any order; node ports don't count."""
    return _compared(live["spec"].get("ports") or ()) == _compared(wanted)


def _compared(found: Any) -> set[tuple[Any, ...]]:
    # The API server fills in protocol and target port where nobody wrote them.
    return {
        (
            each.get("name"),
            each.get("protocol") or "TCP",
            each["port"],
            each.get("targetPort") or each["port"],
            each.get("appProtocol"),
        )
        for each in found
    }
