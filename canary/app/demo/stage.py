"""What the demo is about: its acts, and where it is in them."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from canary.crd import Canary
from canary.crd.status import Ending
from canary.loadtest.load import Load


@dataclass(frozen=True, slots=True)
class Act:
    """One release of the demo: what is changed, and how it should end."""

    version: str
    env: dict[str, str]
    title: str
    ending: Ending


@dataclass(slots=True)
class Result:
    """How one release went."""

    act: Act
    seconds: float
    """From the change of the file to the verdict."""
    ending: Ending | None
    reason: str


@dataclass(slots=True)
class Stage:
    """What the view shows; brought up to date as things happen."""

    title: str = "version 1 is starting"
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    canary: Canary | None = None
    happened: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    load: Load | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever the Canary has changed."""
    port: int = 0
    rate: float = 200.0
    seconds: float = 5.0
    """How long each weight is watched."""
