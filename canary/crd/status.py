"""What a Canary's status says: the compatible fields, and the record of the run beside them.

`run` is the only memory of a release. Whoever reads it after a crash, a restart or a change of
leader knows what was intended, and compares that with what is there.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Phase(StrEnum):
    """Where a Canary is. `NEW` is the empty phase of an object nobody has looked at yet."""

    NEW = ""
    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


class Outcome(StrEnum):
    """What one check says. Only `FAIL` counts against a release."""

    PASS = "pass"  # noqa: S105  # an outcome, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """Asked and answered, but there is too little to judge by: no traffic, no series."""
    ERROR = "error"
    """Could not be asked, or the answer made no sense."""


class Ending(StrEnum):
    """How a run came to its end."""

    PROMOTED = "promoted"
    FAILED = "failed"
    ABORTED = "aborted"
    """Taken back because somebody said so."""
    CANCELLED = "cancelled"
    """The target was set back to the promoted version: nothing is left to release."""
    SUPERSEDED = "superseded"
    """A newer revision took its place."""


class Record(BaseModel):
    """The base of everything kept in a status: frozen, camelCase outside, lenient inside.

    Lenient because a newer version may have written fields that this one doesn't know, and a
    status that can't be read would be a run that can't be continued.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


class Split(Record):
    """The split of traffic that is wanted, in whole percent; the weights add up to 100."""

    primary: int = 100
    canary: int = 0
    mirrored: bool = False
    """Requests to the primary are copied to the canary, whose answers nobody sees."""
    matched: bool = False
    """Only requests that match `analysis.match` are split; all others go to the primary."""

    @classmethod
    def to_canary(cls, weight: int, *, mirrored: bool = False, matched: bool = False) -> "Split":
        return cls(primary=100 - weight, canary=weight, mirrored=mirrored, matched=matched)


class CheckRecord(Record):
    """One check as it was made: enough to explain it to somebody who was not there."""

    name: str
    outcome: Outcome
    reason: str = ""
    """In words, for people."""
    query: str = ""
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    """Requests (or data points) behind the value, where the source can tell."""
    window: float = 0.0
    """Seconds of traffic behind the value."""
    certain: bool = False
    """A failure that no traffic in the rest of the interval can undo."""


class GateRecord(Record):
    """A gate that has been asked. It is announced when it changes, not each time it is asked."""

    open: bool
    since: datetime
    hook: str = ""
    detail: str = ""


class IntentRecord(Record):
    """Something a person or a pipeline asked of a run, and what became of it."""

    id: str
    verb: str
    who: str = ""
    why: str = ""
    at: datetime
    applied: bool = True
    detail: str = ""
    """Why it was ignored, if it was."""
    cleared: bool = False
    """The annotation has been seen gone, so the same words are a new intent."""


class Pause(Record):
    who: str = ""
    why: str = ""
    since: datetime


class Verdict(Record):
    outcome: Ending
    reason: str
    at: datetime


class Announcement(Record):
    """Something to tell, recorded together with the transition that caused it.

    `key` is unique for the Canary, so telling it again after a crash can be recognised.
    """

    key: str
    text: str
    type: Literal["Normal", "Warning"] = "Normal"
    severity: Literal["", "info", "warn", "error"] = ""
    """Of the alert; empty means that only an event is written."""
    phase: Phase = Phase.NEW
    """The phase that hooks and readers of the event are given."""
    hooks: str = ""
    """The type of hooks to call with it (`post-rollout`); their answers change nothing."""


class Run(Record):
    """One release, from the moment its revision was noticed to its verdict."""

    id: str
    revision: str
    images: tuple[str, ...] = ()
    trigger: str = ""
    started_at: datetime
    step: int = 0
    """How many times traffic has been moved on."""
    split: Split = Split()
    """What traffic should look like. The world is brought to it, never the other way round."""
    since: datetime | None = None
    """When the interval that is being watched began; None while nothing is being watched."""
    interval: int = 0
    """Counts the intervals, so that hooks can tell a repeated call from a new one."""
    prepared: bool = False
    """The pre-rollout hooks have passed."""
    known_good: str = ""
    """The revision that the primary carried when the run began, kept to go back to."""
    stranded: bool = False
    """It began with a broken primary and all traffic on the canary: there is nothing to shift, and
    promoting it is what repairs the primary."""
    restoring: bool = False
    """The primary was changed and is on its way back: shift only once it is ready again."""
    unready_since: datetime | None = None
    held_since: datetime | None = None
    """Since when checks say neither yes nor no."""
    looked_at: datetime | None = None
    """When they last did. The interval then goes on rather than beginning again, so that a source
    that is slow to have data comes to have enough."""
    checks: tuple[CheckRecord, ...] = ()
    gates: dict[str, GateRecord] = {}
    left_awake: bool = False
    """The target was not put to sleep at the end, since a newer revision was about to need it."""
    paused: Pause | None = None
    step_back: bool = False
    """Promoting with `stepWeightPromotion`: at least one step back has been made."""
    wanted: Literal["", "skip-step", "promote"] = ""
    """What an intent asked for and the run has not got round to yet."""
    verdict: Verdict | None = None


class Condition(Record):
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_update_time: datetime | None = None
    last_transition_time: datetime | None = None


class CanaryStatus(Record):
    """The whole status. Fields up to `conditions` are those of the compatible API."""

    phase: Phase = Phase.NEW
    failed_checks: int = 0
    canary_weight: int = 0
    iterations: int = 0
    tracked_configs: dict[str, str] | None = None
    last_applied_spec: str = ""
    last_promoted_spec: str = ""
    session_affinity_cookie: str = ""
    primary_session_affinity_cookie: str = ""
    previous_session_affinity_cookie: str = ""
    last_transition_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    run: Run | None = None
    """The current run, or the last one; None before the first."""
    entered_at: datetime | None = None
    """When the phase was entered. `lastTransitionTime` moves with every write, this does not."""
    deadline: datetime | None = None
    """When something happens even if nothing changes; None in phases that are final."""
    stalled: str = ""
    """Why a person should look; empty while everything goes its way."""
    suspended: bool = False
    """`spec.suspend` has been noticed and announced."""
    intents: tuple[IntentRecord, ...] = ()
    """The last few, newest last."""
    transition: int = 0
    """Counts the transitions that had something to tell."""
    announcements: tuple[Announcement, ...] = ()
    """What the last transition has to tell; replaced by the next one's."""

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.conditions if each.type == kind), None)
