"""What a tick works with, put together once by `canary.app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster
from canary.engine.claims import Claims
from canary.engine.journal import Journal
from canary.engine.recorder import Recorder
from canary.hooks.call import Hooks
from canary.metrics.evaluate import Checks
from canary.routers.apply import Routing
from canary.targets.workloads import Workloads


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a tick may ask or use. `now` is the only clock."""

    cluster: Cluster
    cache: Cache
    workloads: Workloads
    routing: Routing
    checks: Checks
    hooks: Hooks
    recorder: Recorder
    journal: Journal
    claims: Claims = field(default_factory=Claims)
    minimum_interval: float = 10.0
    now: Callable[[], datetime] = utc_now
    stopped: Callable[[str], Awaitable[None]] | None = None
    """Called with a Canary's key at the verdict, so that load made for its run can end."""
