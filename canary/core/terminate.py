"""Leaving: the target takes over from its primary, and only then what was ours goes."""

from canary.core.actions import Action, Ask, Release, Scale, SetFinalizer
from canary.core.facts import Seen
from canary.core.safety import bring
from canary.core.transition import Say, deadline, move, overdue, stall, wait
from canary.crd import Canary
from canary.crd.status import Phase, Split

FINALIZER = "finalizer.flagger.app"


def terminate(canary: Canary, seen: Seen) -> list[Action]:
    """Wake the target, move traffic to it, let go; the first line that applies wins.

    A target that is gone can't take over, and must not hold up the deletion for ever.
    """
    if FINALIZER not in canary.finalizers:
        return []
    if canary.status.phase == Phase.NEW:
        # Nobody has touched anything yet.
        return [SetFinalizer(present=False)]
    if canary.status.phase != Phase.TERMINATING or canary.status.deadline is None:
        say = Say(f"giving {canary.target_name} in {canary.namespace} back")
        until = deadline(canary, Phase.TERMINATING, seen)
        return [move(canary, seen, say, phase=Phase.TERMINATING, deadline=until)]
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    target = seen.workloads.target
    if target is not None and target.idle:
        return [Scale(up=True)]
    if target is not None and not target.readiness.ready:
        why = f"the target is not ready to take over: {target.readiness.reason}"
        if overdue(canary, seen):
            return stall(canary, seen, why)
        return wait(canary, seen, canary.status.deadline, why)
    if target is not None and seen.live.split is not None:
        split = Split.to_canary(100)
        if actions := bring(canary, seen, seen.live, seen.workloads, split):
            return actions
    return [Release(), SetFinalizer(present=False)]
