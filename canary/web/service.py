"""What the API is made of: readers, the clock, and a way to write one annotation."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster, Kind, Ref
from canary.crd import Canary
from canary.engine.journal import Journal
from canary.errors import Problem

CANARY = Kind("flagger.app/v1beta1", "Canary")
EVENT = Kind("v1", "Event")
HEARTBEAT = 15.0
"""Seconds of silence after which a stream sends a comment, so that nobody takes it for dead."""
Parsed = tuple[Canary | None, list[Problem]]
"""A Canary as far as it is valid, and what is wrong with it."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Service:
    """What `make_api` serves. The cache has to watch Canaries; everything else is asked."""

    cluster: Cluster
    cache: Cache
    journal: Journal
    registry: CollectorRegistry
    ready: Callable[[], list[str]]
    """Reasons why it is not ready, in words; empty when it is."""
    waits: Callable[[str], datetime | None]
    """When a Canary (`namespace/name`) is looked at next; None if only a change would do it."""
    now: Callable[[], datetime] = utc_now
    provider: str = ""
    """Of Canaries that name none."""
    hosts: frozenset[str] = frozenset()
    """Names by which a reverse proxy on this machine calls the API, when it listens on loopback."""
    heartbeat: float = HEARTBEAT
    parsed: dict[Ref, tuple[str, Parsed]] = field(default_factory=dict, repr=False)
    """Canaries that were parsed, with their resourceVersion; see `lookup`."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: whoever streams or waits comes to an end."""
