"""A small world for the core to act in, with everything in it that can go wrong.

It knows nothing of how the core thinks. It keeps endpoints, traffic and records, carries out
deeds as a cluster would, and remembers what it was asked to do, so that tests can say what must
never happen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from canary.core.actions import (
    Action,
    Ask,
    AskHooks,
    ClearIntent,
    CreatePrimary,
    Deed,
    Promote,
    Question,
    Release,
    Remember,
    Scale,
    SetFinalizer,
    SetSplit,
    SetStatus,
    Wait,
)
from canary.core.decide import decide
from canary.core.facts import (
    Abilities,
    HookAnswer,
    HookType,
    Live,
    Primary,
    Readiness,
    Seen,
    Target,
    Traffic,
    Workloads,
)
from canary.core.intents import ANNOTATION
from canary.core.revision import PREFIX
from canary.core.terminate import FINALIZER
from canary.crd import Canary, parse
from canary.crd.status import CheckRecord, Outcome, Phase, Split

START = datetime(2026, 1, 1, tzinfo=UTC)
FULL = Abilities(match=True, mirror=True, mirror_iterations=True, affinity=True)


def rev(name: str) -> str:
    return PREFIX + name


def podinfo(**analysis: Any) -> Canary:
    """Steps by 20 up to 50 and gives up after two failed checks, unless told otherwise."""
    spec = analysis.pop("spec", {})
    defaults: dict[str, Any] = {"interval": "1m", "threshold": 2}
    if not {"iterations", "stepWeights", "stepWeight"} & set(analysis):
        defaults |= {"stepWeight": 20, "maxWeight": 50}
    manifest = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {
            "name": "podinfo",
            "namespace": "test",
            "uid": "0123456789",
            "generation": 1,
            "finalizers": [FINALIZER],
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 9898},
            "analysis": {**defaults, **analysis},
            **spec,
        },
    }
    made = parse(manifest)
    assert isinstance(made, Canary)
    return made


class Fault(Exception):
    """The process died, or an effect failed, or its answer was lost."""


Faults = Callable[[str], str]
"""Given the name of an effect: `""` for fine, or `before`, `after` (done, but nobody heard)."""


@dataclass
class World:
    canary: Canary
    good: Callable[[str], bool] = lambda _: True
    """Whether checks of a revision pass."""
    can: Abilities = FULL
    now: datetime = START
    target: str | None = rev("v1")
    awake: bool = True
    target_pods: list[str] = field(default_factory=lambda: [rev("v1")] * 2)
    """The revision of each ready endpoint."""
    primary: str | None = None
    primary_pods: list[str] = field(default_factory=list)
    split: Split | None = None
    reaching: float = 0.0
    """Requests that still reach the canary."""
    recorded: set[str] = field(default_factory=set)
    primary_sick: bool = False
    target_sick: bool = False
    """Pods of this side don't become ready."""
    silent: bool = False
    """No traffic, or no metrics: checks can't say anything."""
    gates: dict[HookType, bool] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    """Intervals whose checks passed while traffic reached this very revision, by revision."""
    log: list[Action] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    calls: list[tuple[str, Phase]] = field(default_factory=list)
    """Hooks called, each attempt once, with the phase they were given."""
    attempts: set[tuple[str, str]] = field(default_factory=set)
    hopeless: bool = False
    """A side that is sick won't recover, and its workload says so."""
    writer: str = ""
    """Who wrote the split last, if it wasn't us."""
    configs: dict[str, str] | None = None
    keys: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    gone: bool = False
    faults: Faults = lambda _: ""
    meanwhile: Callable[["World"], None] = lambda _: None
    """Called between any two effects: the rest of the world doesn't wait."""

    # ------------------------------------------------------------------ facts

    def seen(self) -> Seen:
        return Seen(now=self.now, abilities=self.can)

    def answer(self, seen: Seen, question: Question) -> Seen:
        changes: dict[str, Any]
        match question:
            case Ask.WORKLOADS:
                changes = {"workloads": self.workloads()}
            case Ask.LIVE:
                changes = {"live": Live(self.split, writer=self.writer)}
            case Ask.TRAFFIC:
                changes = {"traffic": Traffic(self.reaching)}
            case Ask.CHECKS:
                changes = {"checks": (self.check(),)}
            case AskHooks(kind, attempt):
                self.call(str(kind), attempt, self.canary.status.phase)
                answer = HookAnswer(str(kind), self.gates.get(kind, True))
                changes = {"hooks": {**seen.hooks, kind: (answer,)}}
        fields = {name: getattr(seen, name) for name in Seen.__slots__}
        return Seen(**{**fields, **changes})

    def call(self, kind: str, attempt: str, phase: Phase) -> None:
        if (kind, attempt) not in self.attempts:
            self.attempts.add((kind, attempt))
            self.calls.append((kind, phase))

    def workloads(self) -> Workloads:
        target = primary = None
        if self.target is not None:
            fresh = [each for each in self.target_pods if each == self.target]
            ready = len(fresh) == len(self.target_pods) == 2 if self.awake else True
            target = Target(
                revision=self.target,
                readiness=self.readiness(ready, self.target_pods, sick=self.target_sick),
                configs=self.configs,
                idle=not self.awake,
            )
        if self.primary is not None:
            fresh = [each for each in self.primary_pods if each == self.primary]
            ready = len(fresh) == len(self.primary_pods) == 2
            readiness = self.readiness(ready, self.primary_pods, sick=self.primary_sick)
            primary = Primary(self.primary, readiness)
        alike = self.target is not None and self.target == self.primary
        return Workloads(target, primary, frozenset(self.recorded), alike)

    def readiness(self, ready: bool, pods: list[str], *, sick: bool) -> Readiness:
        hopeless = sick and self.hopeless
        return Readiness(ready, serving=len(pods), desired=2, hopeless=hopeless)

    def check(self) -> CheckRecord:
        carrying = self.split is not None and (
            self.split.canary or self.split.mirrored or self.canary.status.iterations
        )
        pods = set(self.target_pods)
        if self.silent or not carrying or len(pods) != 1:
            return CheckRecord(name="ok", outcome=Outcome.INCONCLUSIVE, reason="no requests")
        (revision,) = pods
        if self.good(revision):
            self.passed[revision] = self.passed.get(revision, 0) + 1
            return CheckRecord(name="ok", outcome=Outcome.PASS)
        return CheckRecord(name="ok", outcome=Outcome.FAIL, reason="too many errors")

    # ------------------------------------------------------------------ deeds

    def tick(self) -> Wait | None:
        """One tick as the engine makes it. Raises `Fault` where one is injected."""
        self.tell()
        for _ in range(30):
            seen, actions = self.decision()
            deeds = [each for each in actions if not isinstance(each, Wait | Ask | AskHooks)]
            if not deeds:
                return next((each for each in actions if isinstance(each, Wait)), None)
            for deed in deeds:
                self.do(deed, seen)
                if self.gone:
                    return None
            self.tell()
        raise AssertionError(f"never comes to rest: {self.log[-6:]}")

    def decision(self) -> tuple[Seen, list[Action]]:
        seen = self.seen()
        for _ in range(12):
            actions = decide(self.canary, seen)
            questions = [each for each in actions if isinstance(each, Ask | AskHooks)]
            if not questions:
                return seen, actions
            for question in questions:
                seen = self.answer(seen, question)
        raise AssertionError(f"never stops asking: {actions}")

    def do(self, deed: Deed, seen: Seen) -> None:
        name = type(deed).__name__
        fault = self.faults(name)
        if fault == "before":
            raise Fault(name)
        self.examine(deed, seen)
        self.log.append(deed)
        self.effect(deed)
        self.meanwhile(self)
        if fault == "after":
            raise Fault(name)

    def effect(self, deed: Deed) -> None:
        match deed:
            case SetStatus(status):
                self.canary = self.canary.model_copy(update={"status": status})
                if status.run:
                    self.runs.add(status.run.id)
            case CreatePrimary(revision):
                self.recorded.add(revision)
                self.primary = revision
            case Remember(revision, known_good):
                if revision not in self.recorded and self.target != revision:
                    raise Fault("the target is at another revision by now")
                self.recorded |= {revision, known_good} - {""}
            case SetSplit(split):
                if self.split and self.split.canary and not split.canary:
                    self.reaching = 5.0
                self.split, self.writer = split, ""
            case Promote(revision):
                if revision not in self.recorded:
                    self.violations.append(f"promoted {revision}, which nobody recorded")
                self.primary = revision
            case Scale(up):
                self.awake = up
                if not up:
                    self.target_pods = []
            case ClearIntent():
                self.annotate(None)
            case SetFinalizer(present):
                self.gone = self.canary.deleting and not present
            case Release():
                pass

    def annotate(self, text: str | None) -> None:
        annotations = dict(self.canary.annotations)
        annotations.pop(ANNOTATION, None)
        if text is not None:
            annotations[ANNOTATION] = text
        meta = self.canary.metadata.model_copy(update={"annotations": annotations})
        self.canary = self.canary.model_copy(update={"metadata": meta})

    def tell(self) -> None:
        for each in self.canary.status.announcements:
            if each.key not in self.keys:
                self.keys.add(each.key)
                if each.text:
                    self.told.append(each.text)
                if each.hooks:
                    self.call(each.hooks, each.key, each.phase)

    # -------------------------------------------------------- the rest of the world

    def settle(self) -> bool:
        """Pods become what their workloads ask for, one at a time; whether anything moved."""
        before = self.reaching, self.target_pods, self.primary_pods
        self.reaching = 0.0
        if self.target is None or not self.awake:
            self.target_pods = []
        else:
            self.target_pods = _rolled(self.target_pods, self.target, sick=self.target_sick)
        if self.primary is None:
            self.primary_pods = []
        else:
            self.primary_pods = _rolled(self.primary_pods, self.primary, sick=self.primary_sick)
        return before != (self.reaching, self.target_pods, self.primary_pods)

    def run(self, ticks: int = 300) -> Phase:
        """Let time pass until there is nothing left to wait for; returns the phase."""
        for _ in range(ticks):
            waiting = self.tick()
            moved = self.settle()
            if self.gone or not (moved or waiting):
                break
            if waiting and not moved:
                self.now = max(self.now, waiting.until)
        return self.canary.status.phase

    # ---------------------------------------------------------------- what must never happen

    def examine(self, deed: Deed, seen: Seen) -> None:
        """Look at a deed before it is done. `seen` is what it was decided from."""
        facts = seen.workloads
        match deed:
            case SetSplit(split) if facts is not None:
                self._traffic_to_something(split, facts)
            case Scale(up=False):
                if self.split and (self.split.canary or self.split.mirrored):
                    self.violations.append(f"put to sleep while it has {self.split}")
                if seen.traffic is None or seen.traffic.canary:
                    self.violations.append("put to sleep without knowing that nothing reaches it")
            case SetStatus(status):
                lasting = {Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED, Phase.NEW}
                if status.phase not in lasting and status.deadline is None:
                    self.violations.append(f"{status.phase} has no deadline")
            case _:
                pass

    def _traffic_to_something(self, split: Split, facts: Workloads) -> None:
        primary = facts.primary.readiness.serving if facts.primary else 0
        canary = facts.target.readiness.serving if facts.target else 0
        if split.canary and not canary and primary:
            self.violations.append(f"{split} although the canary has no endpoint")
        if split.primary and not primary and canary:
            self.violations.append(f"{split} although the primary has no endpoint")


def _rolled(pods: list[str], wanted: str, *, sick: bool) -> list[str]:
    """One step of a rolling update: a ready new pod first, then an old one goes."""
    if sick:
        return [each for each in pods if each != wanted]
    fresh = [each for each in pods if each == wanted]
    old = [each for each in pods if each != wanted]
    if len(fresh) < 2:
        return [*fresh, wanted, *old][: 3 if old else 2]
    return fresh[:2]
