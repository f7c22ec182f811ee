"""Canary `spec.analysis`: how a release is validated."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from canary.crd.base import (
    Flag,
    Int,
    Model,
    Name,
    Natural,
    Number,
    OneOf,
    Percent,
    Positive,
    Url,
    cel,
)
from canary.crd.duration import Duration
from canary.crd.service import StringMatch

Strategy = Literal["canary", "blue-green", "ab-testing"]
HookType = Literal[
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "rollback",
    "event",
]
Severity = Literal["info", "warn", "error"]
OnTimeout = Literal["wait", "approve", "reject"]

MINUTE = 60.0
DAY = 86400
BUILTIN_METRICS = ("request-success-rate", "request-duration")


class HeaderMatch(Model):
    """Exactly one way to compare a header."""

    one_of: ClassVar = (OneOf(("exact", "prefix", "suffix", "regex")),)

    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    regex: str | None = None


class AnalysisMatch(Model):
    """Whose requests see the canary in an A/B test."""

    headers: dict[str, HeaderMatch] = Field(default_factory=dict)
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    source_labels: dict[str, str] = Field(default_factory=dict)


class Range(Model):
    """Inclusive bounds; an absent one does not bind."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            "!has(self.min) || !has(self.max) || self.min <= self.max", "min is above max"
        )
    )

    min: Number | None = None
    max: Number | None = None


class NamespacedRef(Model):
    name: Name
    namespace: str | None = None
    """Absent means the Canary's own."""


class Metric(Model):
    name: Name
    interval: Duration = Duration("1m")
    """The window of a query; empty means a minute."""
    threshold: Number | None = None
    """The older form of `thresholdRange`: a minimum for the success rate, else a maximum."""
    threshold_range: Range | None = None
    query: str = ""
    """PromQL, written in the Canary itself."""
    template_ref: NamespacedRef | None = None
    template_variables: dict[str, str] = Field(default_factory=dict)

    @property
    def interval_seconds(self) -> float:
        return self.interval.seconds or MINUTE

    @property
    def builtin(self) -> bool:
        return self.name in BUILTIN_METRICS


class Alert(Model):
    name: Name
    severity: Literal[Severity, ""] = ""
    provider_ref: NamespacedRef

    @property
    def level(self) -> Severity:
        """Empty is documented as `info`, and here it is sent as that."""
        return self.severity or "info"


class Webhook(Model):
    name: Name
    url: Url
    type: Literal[HookType, ""] = ""
    mute_alert: Flag = False
    timeout: Duration = Duration("10s")
    retries: Natural = 0
    disable_tls: Flag = Field(False, alias="disableTLS")
    """Skips the verification of certificates, whatever its name says."""
    metadata: dict[str, str] = Field(default_factory=dict)
    deadline: Duration | None = None
    """How long a gate may stay closed before `onTimeout` says how it ends."""
    on_timeout: OnTimeout = "wait"

    @property
    def hook(self) -> HookType:
        return self.type or "rollout"

    @property
    def timeout_seconds(self) -> float:
        return self.timeout.seconds or 10.0


class SessionAffinity(Model):
    """Visitors who have seen the canary keep seeing it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            "!has(self.primaryCookieName) || self.primaryCookieName != self.cookieName",
            "cookieName and primaryCookieName must differ",
        )
    )

    cookie_name: Name
    primary_cookie_name: str = ""
    domain: str = ""
    http_only: Flag = False
    max_age: Natural = Field(DAY, json_schema_extra={"x-crd-default": True})
    """Seconds; 0 means a day, too."""
    partitioned: Flag = False
    path: str = ""
    same_site: Literal["Strict", "Lax", "None"] | None = None
    secure: Flag = False

    @property
    def max_age_seconds(self) -> int:
        return self.max_age or DAY


class Analysis(Model):
    one_of: ClassVar = (OneOf(("iterations", "stepWeight", "stepWeights")),)

    interval: Duration
    """How long one weight, or one iteration, is watched. Empty means a minute."""
    threshold: Int
    """Failed checks until the release is taken back; anything below 1 counts as 1."""
    iterations: Natural = 0
    step_weight: Natural = 0
    step_weights: tuple[Positive, ...] = Field(
        (),
        max_length=100,
        json_schema_extra=cel(
            "self.isSorted() && self.all(w, self.exists_one(other, other == w))",
            "every weight must be larger than the one before",
        ),
    )
    max_weight: Percent = 100
    step_weight_promotion: Natural = 0
    mirror: Flag = False
    mirror_weight: Percent = 0
    primary_ready_threshold: Percent = 100
    canary_ready_threshold: Percent = 100
    match: tuple[AnalysisMatch, ...] = ()
    metrics: tuple[Metric, ...] = ()
    alerts: tuple[Alert, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    session_affinity: SessionAffinity | None = None
    drain: Duration | None = None
    """How long the canary stays up after its last weight was taken away."""
    verify_weight: Flag = False
    """Wait until the observed share of traffic follows a weight before judging it."""

    def interval_seconds(self, floor: float = 10.0) -> float:
        """The tick period in seconds, never below `floor`."""
        return max(self.interval.seconds if self.interval else MINUTE, floor)

    @property
    def effective_threshold(self) -> int:
        return max(self.threshold, 1)

    @property
    def effective_max_weight(self) -> int:
        """The weight at which promotion starts: the last of `stepWeights` wins over `maxWeight`."""
        if self.step_weights:
            return min(self.step_weights[-1], 100)
        return self.max_weight or 100

    @property
    def strategy(self) -> Strategy:
        if self.iterations <= 0:
            return "canary"
        return "ab-testing" if self.match else "blue-green"
