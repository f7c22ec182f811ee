"""Where a canary is, as the parts of an explanation look at it, and times in words."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from canary.core.actions import Wait
from canary.core.facts import Abilities
from canary.core.steps import iterations
from canary.core.transition import FINAL
from canary.crd import Canary
from canary.crd.status import CanaryStatus, Ending, Phase, Run, Split

FORWARD = frozenset({Ending.PROMOTED, Ending.SUPERSEDED})
"""Endings after which nothing is taken back."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A Canary at a moment, with what only the process that looks after it knows."""

    canary: Canary
    now: datetime
    wait: Wait | None = None
    """What the last look decided to wait for."""
    abilities: Abilities = field(default_factory=Abilities)
    minimum_interval: float = 10.0
    error: str = ""
    """What the last look failed with."""

    @property
    def status(self) -> CanaryStatus:
        return self.canary.status

    @property
    def run(self) -> Run | None:
        return self.canary.status.run

    @property
    def phase(self) -> Phase:
        return self.canary.status.phase

    @property
    def live(self) -> Run | None:
        """The run, if it is under way and nothing is decided about it."""
        run = self.run
        under_way = self.phase in {Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION}
        return run if run and not run.verdict and under_way else None

    @property
    def going_back(self) -> bool:
        """Whether it is decided that the run is taken back, and that is not over yet."""
        verdict = self.run.verdict if self.run else None
        return bool(verdict and verdict.outcome not in FORWARD and self.phase not in FINAL)

    @property
    def interval(self) -> float:
        return self.canary.spec.analysis.interval_seconds(self.minimum_interval)

    @property
    def due(self) -> datetime | None:
        """When the interval that is being watched is over."""
        since = self.run.since if self.run else None
        return since + timedelta(seconds=self.interval) if since else None

    def ago(self, then: datetime | None) -> str:
        """`4 min ago`; `just now` for the last second, and for a clock that was set back."""
        if then is None:
            return "at an unknown time"
        seconds = (self.now - then).total_seconds()
        return f"{span(seconds)} ago" if seconds >= 1 else "just now"

    def when(self, then: datetime) -> str:
        """`in 23 s`, or `now` for what is due."""
        seconds = (then - self.now).total_seconds()
        return f"in {span(seconds)}" if seconds > 0 else "now"


def span(seconds: float) -> str:
    """A length of time, as exact as people need it.

    >>> span(0.2), span(23), span(119), span(250), span(7500), span(400_000)
    ('1 s', '23 s', '119 s', '4 min', '2 h 5 min', '4 days')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    if seconds < 7200:
        return f"{seconds // 60:.0f} min"
    if seconds < 2 * 86400:
        hours, rest = divmod(seconds, 3600)
        minutes = f" {rest // 60:.0f} min" if rest >= 60 else ""
        return f"{hours:.0f} h{minutes}"
    return f"{seconds // 86400:.0f} days"


def share(split: Split) -> str:
    """What the canary gets, as the object of a sentence."""
    if split.matched:
        return "the requests that match"
    if split.mirrored:
        return "a copy of the traffic"
    if split.canary in {0, 100}:
        return "all traffic" if split.canary else "no traffic"
    return f"{split.canary}% of the traffic"


def iteration(s: Situation) -> str:
    """`(iteration 3 of 10)`, for a release that counts them."""
    done, count = s.status.iterations, iterations(s.canary.spec.analysis)
    return f" (iteration {done} of {count})" if 0 < done <= count else ""


def count(number: int, what: str) -> str:
    """A number of things, with its plural.

    >>> count(1, "failed check"), count(2, "failed check")
    ('1 failed check', '2 failed checks')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"
