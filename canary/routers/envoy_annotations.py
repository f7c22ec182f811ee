"""What a Canary's annotations `envoy.canary/...` ask of Envoy, where the API has no field."""

import json
import re
from collections.abc import Callable
from typing import Any

from canary.crd import Canary
from canary.errors import Problem, nearest

PREFIX = "envoy.canary/"
POLICIES = ("round-robin", "least-request", "random", "ring-hash", "maglev")
UNITS = {"s": 1, "m": 60, "h": 3600}


def where_of(canary: Canary) -> str:
    """How problems name the Canary."""
    return f"Canary {canary.key}"


def settings_of(canary: Canary) -> tuple[dict[str, Any], list[Problem]]:
    """What the annotations say, by the camelCase name of each."""
    settings, problems = dict[str, Any](), list[Problem]()
    for key, value in sorted(canary.annotations.items()):
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX)
        field = f'metadata.annotations["{key}"]'
        if name not in SETTINGS:
            known, hint = ", ".join(PREFIX + each for each in SETTINGS), nearest(name, [*SETTINGS])
            expected = f"one of {known}"
            problems.append(
                Problem(where_of(canary), field, repr(key), expected, PREFIX + hint if hint else "")
            )
            continue
        parse, expected = SETTINGS[name]
        try:
            settings[_camel(name)] = parse(value)
        except (ValueError, KeyError, TypeError):
            problems.append(Problem(where_of(canary), field, repr(value), expected))
    return settings, problems


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.title() for word in rest)


def _address(text: str) -> str:
    parts = [int(part) for part in text.split(".")]
    if len(parts) != 4 or not all(0 <= part <= 255 for part in parts):
        raise ValueError(text)
    return text


def _rate_limit(text: str) -> dict[str, int]:
    count, unit = text.replace(" ", "").split("/")
    if int(count) < 1:
        raise ValueError(text)
    return {"requests": int(count), "seconds": UNITS[unit]}


def _tls(text: str) -> dict[str, str]:
    files: dict[str, Any] = json.loads(text)
    if not {"cert", "key"} <= set(files) <= {"cert", "key", "clientCa"}:
        raise ValueError(text)
    if not all(isinstance(path, str) and path.startswith("/") for path in files.values()):
        raise ValueError(text)
    return files


def _tracing(text: str) -> dict[str, Any]:
    asked = json.loads(text) if text.lstrip().startswith("{") else {"collector": text}
    collector, sampling = asked.pop("collector"), asked.pop("sampling", 100)
    parts = re.fullmatch(r"([\w.-]+):(\d{1,5})", collector)
    if asked or parts is None or not 0 <= float(sampling) <= 100:
        raise ValueError(text)
    return {"host": parts[1], "port": int(parts[2]), "sampling": sampling}


def _policy(text: str) -> str:
    return POLICIES[POLICIES.index(text)]


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "address": (_address, "an IPv4 address such as 127.0.0.1"),
    "rate-limit": (_rate_limit, "requests per s, m or h, such as 100/s"),
    "tls": (_tls, 'JSON such as {"cert": "/path", "key": "/path"}, with "clientCa" for mutual TLS'),
    "tracing": (
        _tracing,
        'an OTLP collector (HTTP) such as 127.0.0.1:4318, or {"collector": ..., "sampling": 10}',
    ),
    "load-balancer": (_policy, f"one of {', '.join(POLICIES)}"),
    "max-connections": (_positive, "a whole number, 1 or more"),
}
"""Annotation, without its prefix, to how it is read and what it should look like."""
