"""From a workload that serves alone to a primary that serves while the target sleeps."""

from canary.core.actions import Action, Ask, CreatePrimary, Scale
from canary.core.facts import Seen, Workloads
from canary.core.safety import bring, drained
from canary.core.transition import Say, move, overdue, stall, wait, warn
from canary.crd import Canary
from canary.crd.status import Phase, Split


def initialise(canary: Canary, seen: Seen) -> list[Action]:
    """Copy, wait, shift, put to sleep; the first line that applies wins.

    Until the primary is ready neither the target nor its traffic is touched: whatever goes wrong
    here, users are served as they were before.
    """
    if canary.status.phase != Phase.INITIALIZING:
        return [move(canary, seen, phase=Phase.INITIALIZING)]
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    target, primary = seen.workloads.target, seen.workloads.primary
    if primary is None:
        if target is None:
            return _missing(canary, seen)
        found = [move(canary, seen, stalled="")] if canary.status.stalled else []
        return [*found, CreatePrimary(target.revision)]
    if not primary.readiness.ready:
        if _mended(seen.workloads):
            return [CreatePrimary(target.revision)] if target else []
        return _not_ready(canary, seen, primary.readiness.reason, primary.readiness.hopeless)
    if actions := bring(canary, seen, seen.live, seen.workloads, Split()):
        return actions
    if target is not None and target.awake:
        return drained(canary, seen) or [Scale(up=False)]
    # What the primary carries is what is known to work. A target that was changed meanwhile
    # differs from it, and so gets a run of its own as soon as this one is over.
    promoted = target.revision if target and seen.workloads.alike else primary.revision
    kind = canary.spec.target_ref.kind
    return [
        move(
            canary,
            seen,
            Say(f"{kind} {canary.target_name} is set up; its primary serves", severity="info"),
            phase=Phase.INITIALIZED,
            last_applied_spec=promoted,
            last_promoted_spec=promoted,
            tracked_configs=dict(target.configs) if target and target.configs is not None else None,
        )
    ]


def _missing(canary: Canary, seen: Seen) -> list[Action]:
    """A target that isn't there yet is no failure: people apply things in any order."""
    ref = canary.spec.target_ref
    why = f"{ref.kind} {canary.namespace}/{ref.name} does not exist; create it or mend targetRef"
    if canary.status.stalled != why:
        return [move(canary, seen, warn(why), stalled=why)]
    return []


def _mended(workloads: Workloads) -> bool:
    """The first version did not run, and the target, which serves, has been changed since.

    Nobody depends on such a primary yet, and it would never become ready.
    """
    target, primary = workloads.target, workloads.primary
    if target is None or target.idle or primary is None or primary.readiness.serving:
        return False
    changed = target.revision != primary.revision and not workloads.alike
    return changed and target.readiness.ready and target.readiness.serving > 0


def _not_ready(canary: Canary, seen: Seen, reason: str, hopeless: bool) -> list[Action]:
    status = canary.status
    why = f"the primary is not ready: {reason or 'still starting'}"
    if hopeless and status.stalled != why:
        # Told once; that it crashed one more time is only recorded.
        say = () if status.stalled else (warn(why, "error"),)
        return [move(canary, seen, *say, stalled=why)]
    if overdue(canary, seen):
        return stall(canary, seen, why)
    return wait(canary, seen, status.deadline or seen.now, why)
