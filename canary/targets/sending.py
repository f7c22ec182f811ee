"""Writes as the shapes give them, sent in their order."""

from collections.abc import Iterable
from typing import assert_never

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster
from canary.targets.writes import Apply, Patch, Write

MANAGER = "canary"


async def send(cluster: Cluster, cache: Cache, writes: Iterable[Write]) -> None:
    """The first one that is refused ends it. Raises `ClusterError`."""
    for write in writes:
        match write:
            case Apply(manifest):
                made = await cluster.apply(manifest, manager=MANAGER)
            case Patch(ref, patch, version):
                made = await cluster.patch(ref, patch, manager=MANAGER, resource_version=version)
            case _:
                assert_never(write)
        cache.note(made)
