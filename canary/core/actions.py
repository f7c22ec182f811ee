"""What can be asked and what can be done: every sentence the core can say."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from canary.core.facts import HookType
from canary.crd.status import CanaryStatus, Split


class Ask(Enum):
    """A question. The first two are answered from caches; the others cost a call."""

    WORKLOADS = auto()
    LIVE = auto()
    TRAFFIC = auto()
    CHECKS = auto()


@dataclass(frozen=True, slots=True)
class AskHooks:
    """Call the hooks of this type. `attempt` tells a repeated call from a new one."""

    type: HookType
    attempt: str


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Record what is intended, compare-and-swap. It comes before the deeds that carry it out."""

    status: CanaryStatus


@dataclass(frozen=True, slots=True)
class CreatePrimary:
    """Copy a recorded revision, or the target as it is if nothing is recorded, to a primary."""

    revision: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Record the templates of target and primary. Refused if the target is another by now."""

    revision: str
    known_good: str


@dataclass(frozen=True, slots=True)
class SetSplit:
    """Bring Services and routing objects to this split."""

    split: Split


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the primary a recorded revision: the analysed one, or the known-good one."""

    revision: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Wake the target, or put it to sleep. Its autoscaler is resumed or paused with it."""

    up: bool


@dataclass(frozen=True, slots=True)
class ClearIntent:
    """Take the annotation away once what it asked for is recorded."""

    id: str


@dataclass(frozen=True, slots=True)
class SetFinalizer:
    present: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Give Services and routing objects back to the target and forget what was ours."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before then, unless something changes."""

    until: datetime
    why: str


Question = Ask | AskHooks
Deed = (
    SetStatus
    | CreatePrimary
    | Remember
    | SetSplit
    | Promote
    | Scale
    | ClearIntent
    | SetFinalizer
    | Release
)
Action = Question | Deed | Wait
