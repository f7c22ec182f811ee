"""Which split is safe now, and how the world is brought to the one that is wanted."""

from datetime import timedelta

from canary.core.actions import Action, Ask, SetSplit
from canary.core.facts import Live, Seen, Workloads
from canary.core.transition import move, overdue, stall, wait, warn
from canary.crd import Canary
from canary.crd.status import Split

SETTLE = timedelta(seconds=5)
"""How long after the last change of routes traffic is taken to be gone when nobody can count it."""
POLL = timedelta(seconds=1)


def safe(split: Split, workloads: Workloads) -> Split:
    """The wanted split, unless a side that would get traffic can't answer and the other can."""
    primary = workloads.primary.readiness.serving if workloads.primary else 0
    canary = workloads.target.readiness.serving if workloads.target else 0
    if canary == 0 and primary > 0 and (split.canary or split.mirrored):
        return Split()
    if primary == 0 and canary > 0 and (split.primary or split.matched):
        return Split.to_canary(100)
    return split


def bring(
    canary: Canary, seen: Seen, live: Live, workloads: Workloads, split: Split
) -> list[Action]:
    """Bring traffic to a split as far as it is safe; an empty list once it is there.

    The clock of a step that is being watched starts again: the interval that just passed was not
    spent at the weight that it is taken to speak of.
    """
    want = safe(split, workloads)
    if live.split == want and not live.stale:
        return _follows(canary, seen, live)
    if live.split == want:
        return [SetSplit(want)]
    run = canary.status.run
    say = []
    if live.writer and live.split is not None:
        say.append(
            warn(
                f"{live.writer} changed the traffic split to {_words(live.split)}; "
                f"it is set back to {_words(want)}"
            )
        )
    if want != split:
        say.append(warn(_why(want, workloads), "warn"))
    if run and run.since:
        run = run.model_copy(update={"since": seen.now})
    return [move(canary, seen, *say, run=run), SetSplit(want)]


def _follows(canary: Canary, seen: Seen, live: Live) -> list[Action]:
    """The routes are written; whether the data plane does as they say is for it to tell."""
    if not live.pending:
        return []
    if overdue(canary, seen):
        return stall(canary, seen, f"traffic does not follow its routes: {live.pending}")
    return wait(canary, seen, seen.now + POLL, live.pending)


def drained(canary: Canary, seen: Seen) -> list[Action]:
    """Wait until nothing reaches the canary; an empty list once that is so.

    The routing object alone is no proof: proxies follow late, and requests take their time. Past
    the deadline of the phase people are told, but what is in use is still not put to sleep.
    """
    if seen.traffic is None:
        return [Ask.TRAFFIC]
    status = canary.status
    # Every change of routes is recorded, so they are at least as old as the last record.
    since = (status.run.since if status.run else None) or status.last_transition_time or seen.now
    drain = canary.spec.analysis.drain
    least = timedelta(seconds=drain.seconds) if drain else timedelta(0)
    if seen.traffic.canary is None:
        least = max(least, SETTLE)
    elif seen.traffic.canary > 0:
        words = f"requests still reach the canary ({seen.traffic.canary:g} a second)"
        if overdue(canary, seen):
            return stall(canary, seen, words)
        return wait(canary, seen, seen.now + POLL, words)
    if seen.now < since + least:
        return wait(canary, seen, since + least, "letting the last requests end")
    return []


def _words(split: Split) -> str:
    if split.matched:
        return "matching requests to the canary"
    mirrored = " (mirrored)" if split.mirrored else ""
    return f"{split.primary}/{split.canary}{mirrored}"


def _why(want: Split, workloads: Workloads) -> str:
    if want.canary:
        reason = workloads.primary.readiness.reason if workloads.primary else "it is gone"
        return f"the primary has no ready endpoint ({reason}): the canary takes all traffic"
    reason = workloads.target.readiness.reason if workloads.target else "it is gone"
    return f"the canary has no ready endpoint ({reason}): the primary takes all traffic"
