"""What is known about the world: the words in which it is told to the core."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from canary.crd.status import CheckRecord, Split


class HookType(StrEnum):
    """When a webhook is called."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a router can do. What it can't is refused or left out with a word, never looped on."""

    weights: bool = True
    match: bool = False
    """A/B: only requests with certain headers reach the canary."""
    mirror: bool = False
    """Copy traffic as the first step of a weighted release."""
    mirror_iterations: bool = False
    """Copy traffic during blue/green."""
    affinity: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far a workload is. `serving` may be positive long before `ready` is true."""

    ready: bool
    """Rolled out completely, with as many endpoints as the threshold asks for."""
    serving: int = 0
    """Endpoints that can take a request now, of whatever revision."""
    desired: int = 0
    hopeless: bool = False
    """It won't become ready by waiting: its own deadline has passed."""
    reason: str = ""
    """In words, from the workload or its pods."""


@dataclass(frozen=True, slots=True)
class Target:
    """The workload that people change."""

    revision: str
    readiness: Readiness
    images: tuple[str, ...] = ()
    configs: Mapping[str, str] | None = None
    """Checksums of the tracked ConfigMaps and Secrets; None when nothing is tracked."""
    idle: bool = False
    """It is scaled to zero."""
    sleeps: bool = True
    """It can be put to sleep. What has no size, such as a Service, can't."""

    @property
    def awake(self) -> bool:
        """It runs, and would not have to."""
        return self.sleeps and not self.idle


@dataclass(frozen=True, slots=True)
class Primary:
    """The copy that serves. `revision` is that of the target it was copied from."""

    revision: str
    readiness: Readiness
    configs: Mapping[str, str] | None = None
    """Checksums of the configs that were copied with it; None when nothing is tracked."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """Both sides, and which revisions are recorded and so can be promoted or restored."""

    target: Target | None
    primary: Primary | None
    recorded: frozenset[str] = frozenset()
    alike: bool = False
    """Target and primary run the same template, the known rewrites undone. This is what tells a
    pending change from a hash that somebody else, or an older version, computed another way."""


@dataclass(frozen=True, slots=True)
class Live:
    """The split as the routing objects have it now."""

    split: Split | None
    """None: the objects are not there yet."""
    stale: bool = False
    """The objects carry this split, but other fields of ours are not as they should be."""
    writer: str = ""
    """Who wrote the split last, if it wasn't us."""
    pending: str = ""
    """Why the data plane does not follow yet; empty once it does."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What reaches the canary, as the data plane counts it."""

    canary: float | None
    """Requests in the last seconds and still under way; None when nobody can tell."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    name: str
    passed: bool
    detail: str = ""
    muted: bool = False
    """`muteAlert`: a closed gate writes an event, but alerts nobody."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known in this tick. `None` means nobody has asked yet; it is not an answer."""

    now: datetime
    abilities: Abilities = field(default_factory=Abilities)
    minimum_interval: float = 10.0
    """Seconds; shorter analysis intervals are raised to it."""
    watched_from: datetime | None = None
    """Since when this process has measured the current interval; later than the interval's begin
    if it was started in the middle, and None where the source needs no such beginning."""
    rival: str = ""
    """The older Canary that releases the same target; empty when there is none."""
    workloads: Workloads | None = None
    live: Live | None = None
    traffic: Traffic | None = None
    checks: tuple[CheckRecord, ...] | None = None
    hooks: Mapping[HookType, tuple[HookAnswer, ...]] = field(default_factory=dict)
