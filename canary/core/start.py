"""The start of a run: may it begin, what does it remember, and what wakes up."""

from hashlib import sha256
from typing import Any

from canary.core.actions import Action, AskHooks, Remember, Scale
from canary.core.facts import HookAnswer, HookType, Primary, Seen, Target
from canary.core.gates import closed, opened
from canary.core.steps import strategy
from canary.core.transition import Say, deadline, has_hooks, move, warn
from canary.crd import Canary
from canary.crd.status import Phase, Run, Split


def start(canary: Canary, seen: Seen, target: Target, trigger: str) -> list[Action]:
    """Begin a run for the target's revision, or wait at its gate."""
    if refusal := refused(canary, seen):
        # An error in the manifest must not start anything; it is told once per revision.
        if canary.status.stalled == refusal:
            return []
        return [move(canary, seen, warn(refusal, "error"), stalled=refusal)]
    if not has_hooks(canary, HookType.CONFIRM_ROLLOUT):
        return begin(canary, seen, target, trigger)
    answers = seen.hooks.get(HookType.CONFIRM_ROLLOUT)
    if answers is None:
        return [AskHooks(HookType.CONFIRM_ROLLOUT, attempt=target.revision)]
    if shut := closed(answers):
        return [wait_at_gate(canary, seen, target, trigger, shut)]
    return begin(canary, seen, target, trigger, opened(answers))


def refused(canary: Canary, seen: Seen) -> str:
    """Why this Canary can't be released where it runs; empty when it can."""
    analysis = canary.spec.analysis
    if analysis.strategy == "ab-testing" and seen.abilities.weights and not seen.abilities.match:
        return (
            f"spec.analysis.match: provider {canary.spec.provider or 'default'!r} can't route by "
            "header; remove match, or use a provider that can"
        )
    return ""


def wait_at_gate(
    canary: Canary, seen: Seen, target: Target, trigger: str, shut: HookAnswer
) -> Action:
    run = new_run(canary, seen, target, trigger)
    run = run.model_copy(update={"since": seen.now})
    say = Say(
        f"waiting for approval of {shut.name} to release {canary.target_name}"
        + (f" ({shut.detail})" if shut.detail else ""),
        "Warning",
        "" if shut.muted else "warn",
    )
    return move(canary, seen, say, phase=Phase.WAITING, run=run)


def begin(
    canary: Canary, seen: Seen, target: Target, trigger: str, passed: tuple[Say, ...] = ()
) -> list[Action]:
    """Record the run, then the templates it is about, then wake the target."""
    run = new_run(canary, seen, target, trigger)
    fields = {"entered_at": seen.now, "deadline": deadline(canary, Phase.PROGRESSING, seen)}
    say = Say(
        f"{trigger} of {canary.target_name} in {canary.namespace}: scaling it up",
        severity="info",
    )
    return [
        move(
            canary,
            seen,
            *passed,
            *limits(canary, seen),
            say,
            phase=Phase.PROGRESSING,
            run=run,
            failed_checks=0,
            canary_weight=run.split.canary,
            iterations=0,
            last_applied_spec=target.revision,
            tracked_configs=None if target.configs is None else dict(target.configs),
            stalled="",
            **fields,
            **cookies(canary, run.split),
        ),
        Remember(run.revision, run.known_good),
        Scale(up=True),
    ]


def new_run(canary: Canary, seen: Seen, target: Target, trigger: str) -> Run:
    """A fresh record. Its id is derived, so the same decision made twice makes the same run."""
    primary = seen.workloads.primary if seen.workloads else None
    split = _first_split(seen, primary)
    text = f"{canary.uid}/{target.revision}/{seen.now.isoformat()}"
    return Run(
        id=sha256(text.encode()).hexdigest()[:12],
        revision=target.revision,
        images=target.images,
        trigger=trigger,
        started_at=seen.now,
        unready_since=seen.now,
        known_good=_known_good(canary, primary),
        split=split,
        stranded=split.canary == 100,
    )


def _known_good(canary: Canary, primary: Primary | None) -> str:
    return primary.revision if primary else canary.status.last_promoted_spec


def _first_split(seen: Seen, primary: Primary | None) -> Split:
    """All to the primary, unless it is broken and the canary carries everything already.

    That is how a failed promotion ends. The new revision then rolls out where the traffic is,
    and promoting it repairs the primary.
    """
    live = seen.live.split if seen.live else None
    broken = primary is None or primary.readiness.serving == 0
    return live if broken and live and live.canary == 100 and not live.matched else Split()


def limits(canary: Canary, seen: Seen) -> tuple[Say, ...]:
    """What this provider will do differently from what the manifest says."""
    analysis, can = canary.spec.analysis, seen.abilities
    say = []
    if not can.weights and analysis.strategy == "ab-testing":
        say.append(warn("this provider can't route by header: match is left out"))
    if not can.weights and analysis.strategy == "canary":
        say.append(warn("this provider can't split by weight: 10 iterations are made instead"))
    mirrors = can.mirror if strategy(analysis, can) == "canary" else can.mirror_iterations
    if analysis.mirror and not mirrors:
        say.append(warn("this provider can't mirror traffic: that step is skipped"))
    return tuple(say)


def cookies(canary: Canary, split: Split, run: Run | None = None) -> dict[str, Any]:
    """The cookies of session affinity that belong to a split.

    They are recorded together with the split that uses them. With nothing on the canary its
    cookie becomes the previous one, which the router takes away from clients.
    """
    affinity, status = canary.spec.analysis.session_affinity, canary.status
    if affinity is None:
        return {}
    if not split.canary:
        if not status.session_affinity_cookie:
            return {}
        return {
            "previous_session_affinity_cookie": status.session_affinity_cookie,
            "session_affinity_cookie": "",
            "primary_session_affinity_cookie": "",
        }
    run = run or status.run
    if status.session_affinity_cookie or run is None:
        return {}
    made = {"session_affinity_cookie": _cookie(affinity.cookie_name, run)}
    if affinity.primary_cookie_name:
        made["primary_session_affinity_cookie"] = _cookie(affinity.primary_cookie_name, run)
    return made


def _cookie(name: str, run: Run) -> str:
    """`name=value` with ten letters, derived from the run so that nothing here is random."""
    digest = sha256(f"{run.id}/{name}".encode()).digest()
    return f"{name}=" + "".join(chr(ord("a") + byte % 26) for byte in digest[:10])
