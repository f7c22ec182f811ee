"""The shapes of answers. What is a record of the status already is shown as that record."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from canary.core.explain import Explanation
from canary.core.intents import VERBS
from canary.crd.status import CheckRecord, Phase, Run, Verdict
from canary.engine.journal import Entry, PastRun

Name = Annotated[str, Field(examples=["podinfo"])]
Namespace = Annotated[str, Field(examples=["test"])]


class View(BaseModel):
    """camelCase outside; the text below a field is its description in OpenAPI."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class ReadyView(View):
    ready: bool
    reasons: list[str] = Field(examples=[["Canaries have not been listed yet"]])
    """Why it is not ready; empty when it is."""


class TargetView(View):
    kind: str = Field("", examples=["Deployment"])
    name: str = Field("", examples=["podinfo"])


class NextView(View):
    at: datetime
    """When it is looked at next even if nothing changes."""
    why: str = Field(examples=["watching 20%, then the checks decide"])


class CanaryView(View):
    """A Canary, and where its release is."""

    namespace: Namespace
    name: Name
    uid: str
    target: TargetView
    provider: str = Field("", examples=["envoy"])
    """Who splits its traffic."""
    strategy: str = Field("", examples=["canary"])
    """`canary`, `blue-green` or `ab-testing`."""
    phase: Phase
    weight: int = Field(0, ge=0, le=100, examples=[20])
    """Percent of the traffic that the canary gets."""
    failed_checks: int = 0
    threshold: int = Field(1, examples=[5])
    """Failed checks at which the release is taken back."""
    iterations: int = 0
    """Iterations begun, of releases that count them."""
    suspended: bool = False
    paused: bool = False
    stalled: str = ""
    """Why a person should look; empty while everything goes its way."""
    interval: str = Field("", examples=["1m"])
    """How long a weight is watched."""
    revision: str = Field("", examples=["c1-5b0c62f1a7d94e38"])
    """The revision of the current release or, between releases, of the last one."""
    images: list[str] = []
    started_at: datetime | None = None
    """When the release began."""
    last_transition_time: datetime | None = None
    """When the status was last written."""
    verdict: Verdict | None = None
    """How the release ended, or will end."""
    checks: list[CheckRecord] = []
    """The last checks, as they were made."""
    next: NextView | None = None
    """None when only a change would start something."""
    problems: list[str] = []
    """What is wrong with the manifest; what runs goes on with the last valid one."""


class CanaryDetailView(CanaryView):
    """A Canary with its whole object."""

    manifest: dict[str, Any]
    """As the cluster has it, with its status and without `managedFields`."""


class CanaryListView(View):
    items: list[CanaryView]
    """By namespace and name."""


class OutlookView(View):
    """One thing that would happen."""

    what: str = Field(examples=["if every check passes, the canary gets 30% of the traffic"])
    at: datetime | None = None
    when: str = Field("", examples=["in 23 s"])
    """`at` in words; empty if nobody can tell."""


class ExplanationView(View):
    """Why a Canary is where it is, in words."""

    summary: str = Field(
        examples=[
            "test/podinfo has been Waiting for 4 s: revision c1-5b waits for approval to start."
        ]
    )
    because: list[str]
    """The reasons, the most important one first."""
    checks: list[CheckRecord]
    next: list[OutlookView]
    """What would happen next."""
    can: list[str] = Field(examples=[["promote", "abort", "pause", "skip-step"]])
    """The verbs that make sense now."""
    intents: list[str] = Field(examples=[["pause by ann: looking at logs - done, 4 min ago"]])
    """What was asked for and what became of it, newest first."""

    @classmethod
    def of(cls, said: Explanation) -> "ExplanationView":
        return cls(
            summary=said.summary,
            because=list(said.because),
            checks=list(said.checks),
            next=[OutlookView(what=each.what, at=each.at, when=each.when) for each in said.next],
            can=list(said.can),
            intents=list(said.intents),
        )


class RunView(Run):
    """A release, from the moment its revision was noticed to its verdict."""

    phase: Phase = Field(description="The phase in which it was recorded last.")
    current: bool = Field(False, description="It is the one the status speaks of.")

    @classmethod
    def of(cls, past: PastRun, current: Run | None) -> "RunView":
        newest = current if current and current.id == past.run.id else past.run
        fields = {name: getattr(newest, name) for name in Run.model_fields}
        return cls(**fields, phase=Phase(past.phase), current=newest is current)


class RunListView(View):
    items: list[RunView]
    """Newest first."""


class EntryView(View):
    """One look: what was seen, what was decided, and how much of it was done."""

    id: int
    at: datetime
    phase: Phase
    seen: dict[str, Any]
    actions: list[dict[str, Any]]
    done: int
    """How many deeds were carried out."""
    error: str = ""
    """What ended it; empty if nothing did."""

    @classmethod
    def of(cls, entry: Entry) -> "EntryView":
        return cls(
            id=entry.id,
            at=datetime.fromisoformat(entry.at),
            phase=Phase(entry.phase),
            seen=entry.seen,
            actions=entry.actions,
            done=entry.done,
            error=entry.error,
        )


class RunDetailView(RunView):
    """A release with the looks at it that are still kept."""

    entries: list[EntryView] = Field([], description="Oldest first.")


class EventView(View):
    """Something that was told about a Canary."""

    id: str = Field(examples=["1042"])
    """The resourceVersion of the Event; a stream is resumed after it."""
    at: datetime | None = None
    type: str = Field(examples=["Normal"])
    """`Normal` or `Warning`."""
    reason: str = Field("", examples=["Synced"])
    message: str = Field(examples=["test/podinfo: the canary gets 20%"])
    count: int = 1

    @classmethod
    def of(cls, event: dict[str, Any]) -> "EventView":
        meta = event["metadata"]
        times = ("eventTime", "lastTimestamp", "firstTimestamp")
        at = next((event[name] for name in times if event.get(name)), None)
        return cls(
            id=meta["resourceVersion"],
            at=at or meta.get("creationTimestamp"),
            type=event.get("type") or "Normal",
            reason=event.get("reason") or "",
            message=event.get("message") or "",
            count=event.get("count") or 1,
        )


class EventListView(View):
    items: list[EventView]
    """Oldest first."""


class DeletedView(View):
    """A Canary that is gone."""

    namespace: Namespace
    name: Name
    uid: str


class IntentRequest(View):
    """Something to ask of the current release, once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"verb": "pause", "why": "looking at the logs first", "who": "ann"}]
        },
    )

    verb: str = Field(max_length=40, examples=["pause"], json_schema_extra={"enum": list(VERBS)})
    why: str = Field("", max_length=1000, examples=["looking at the logs first"])
    who: str = Field("", max_length=200, examples=["ann"])
    revision: str = Field("", max_length=200, examples=["c1-5b0c62f1a7d94e38"])
    """The revision it is meant for: it is ignored if that is not the current one any more."""


class IntentView(View):
    """An intent, and what became of it."""

    id: str = Field(examples=["3f1c9a2b7d04"])
    verb: str = Field(examples=["pause"])
    why: str = ""
    who: str = ""
    revision: str = ""
    state: Literal["pending", "applied", "ignored"]
    """`pending` until the controller has read it."""
    detail: str = ""
    """Why it was ignored, or what it waits for."""
