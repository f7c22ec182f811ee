"""The environment variables of a container."""

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import Api, ApiError

SOURCES = {"configMap": Kind("v1", "ConfigMap"), "secret": Kind("v1", "Secret")}


class Missing(Exception):
    """What a container refers to isn't there yet, or isn't something this node knows."""


async def environment(
    api: Api, pod: Manifest, container: Manifest, facts: Mapping[str, str]
) -> dict[str, str]:
    """`envFrom`, then `env`. `facts` are field paths that only the node knows. Raises `Missing`."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        for kind in ("configMap", "secret"):
            if reference := source.get(f"{kind}Ref"):
                data = await contents(api, kind, pod, reference["name"], reference)
                prefix = source.get("prefix", "")
                values |= {prefix + key: value.decode() for key, value in data.items()}
    for variable in container.get("env", []):
        value = await _value(api, pod, variable, facts)
        if value is not None:
            values[variable["name"]] = expand(value, values)
    return values


async def _value(
    api: Api, pod: Manifest, variable: Manifest, facts: Mapping[str, str]
) -> str | None:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"], facts)
    for kind in ("configMap", "secret"):
        if reference := source.get(f"{kind}KeyRef"):
            data = await contents(api, kind, pod, reference["name"], reference)
            if reference["key"] in data:
                return data[reference["key"]].decode()
            if reference.get("optional"):
                return None
            name = f"{pod['metadata']['namespace']}/{reference['name']}"
            raise Missing(f"couldn't find key {reference['key']} in {SOURCES[kind].name} {name}")
    raise Missing(f"{variable['name']}: this node doesn't know {', '.join(source)}")


async def contents(
    api: Api, kind: str, pod: Manifest, name: str, reference: Mapping[str, Any]
) -> dict[str, bytes]:
    """The data of a ConfigMap or Secret; nothing if it may be missing. Raises `Missing`."""
    ref = Ref(SOURCES[kind], pod["metadata"]["namespace"], name)
    try:
        found = await api.get(ref)
    except ApiError as error:
        if error.status != 404:
            raise
        if reference.get("optional"):
            return {}
        raise Missing(f'{kind.lower()} "{name}" not found') from error
    plain = found.get("data", {}) if kind == "configMap" else {}
    coded = found.get("binaryData" if kind == "configMap" else "data", {})
    texts = {key: text.encode() for key, text in plain.items()}
    return texts | {key: b64decode(text) for key, text in coded.items()}


def field(pod: Manifest, path: str, facts: Mapping[str, str]) -> str:
    """A pod's field as text, as the downward API has it.

    >>> field({"metadata": {"labels": {"app": "podinfo"}}}, "metadata.labels['app']", {})
    'podinfo'
    """
    if path in facts:
        return facts[path]
    section, _, rest = path.partition(".")
    name, _, key = rest.partition("[")
    found = pod.get(section, {}).get(name, "")
    if key:
        return str(found.get(key.strip("]'\""), ""))
    if isinstance(found, dict):
        return "\n".join(f'{each}="{value}"' for each, value in sorted(found.items()))
    return str(found)


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` is replaced where it is known, and `$$` is a dollar.

    >>> expand("$(HOST):$(PORT) $$(HOST)", {"HOST": "10.244.0.2"})
    '10.244.0.2:$(PORT) $(HOST)'
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else values.get(name, match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replacement, text)
