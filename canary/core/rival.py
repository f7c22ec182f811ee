"""Two Canaries on one target: the older one releases it, the younger one keeps its hands off."""

from canary.core.actions import Action, SetFinalizer
from canary.core.facts import Seen
from canary.core.terminate import FINALIZER
from canary.core.transition import Say, move, warn
from canary.crd import Canary

REFUSED = "nothing is done here: "
"""How `stalled` begins for this reason, so that it can be told from others and taken back."""


def refuse(canary: Canary, seen: Seen) -> list[Action]:
    """Touch nothing but the own status, which says why."""
    if canary.deleting:
        # What it may have made by these names serves the other one now.
        return [SetFinalizer(present=False)] if FINALIZER in canary.finalizers else []
    ref = canary.spec.target_ref
    why = (
        f"{REFUSED}{ref.kind} {canary.namespace}/{ref.name} is released by the older "
        f"Canary {seen.rival}; delete one of the two, or name another target"
    )
    if canary.status.stalled == why:
        return []
    return [move(canary, seen, warn(why, "error"), stalled=why)]


def refused(canary: Canary) -> bool:
    """Whether this reason is still recorded."""
    return canary.status.stalled.startswith(REFUSED)


def accept(canary: Canary, seen: Seen) -> list[Action]:
    """The older one is gone, or went to another target: this one goes on where it was."""
    ref = canary.spec.target_ref
    say = Say(f"no other Canary releases {ref.kind} {canary.namespace}/{ref.name} any more")
    return [move(canary, seen, say, stalled="")]
