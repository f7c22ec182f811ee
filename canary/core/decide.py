"""The whole decision: given a canary and what is known, what should happen next?"""

from typing import Any, assert_never

from canary.core.actions import Action, Ask, SetFinalizer
from canary.core.facts import Seen
from canary.core.idle import idle
from canary.core.intents import heed
from canary.core.progress import progress
from canary.core.promote import finalising, promoting
from canary.core.rival import accept, refuse, refused
from canary.core.setup import initialise
from canary.core.start import new_run
from canary.core.takeback import take_back
from canary.core.terminate import FINALIZER, terminate
from canary.core.transition import Say, deadline, move
from canary.core.waiting import waiting
from canary.crd import Canary
from canary.crd.status import Ending, Phase


def decide(canary: Canary, seen: Seen) -> list[Action]:
    """Questions, deeds and how long to wait. An empty list means: rest until something changes.

    Deciding again with the same facts gives the same answer, and after the deeds are done it goes
    on from where they led. That is what makes a crash between any two of them harmless.
    """
    if seen.rival:
        return refuse(canary, seen)
    if canary.deleting:
        return terminate(canary, seen)
    if refused(canary):
        return accept(canary, seen)
    if FINALIZER not in canary.finalizers:
        return [SetFinalizer(present=True)]
    if canary.spec.suspend:
        return _suspended(canary, seen)
    if canary.status.suspended:
        return _resumed(canary, seen)
    return heed(canary, seen) or _by_phase(canary, seen)


def _by_phase(canary: Canary, seen: Seen) -> list[Action]:  # one line a phase
    phase, run = canary.status.phase, canary.status.run
    if canary.status.deadline is None and (until := deadline(canary, phase, seen)):
        # Another program began this phase, or an older version of this one.
        return [move(canary, seen, entered_at=seen.now, deadline=until)]
    match phase:
        case Phase.NEW | Phase.INITIALIZING:
            return initialise(canary, seen)
        case Phase.INITIALIZED | Phase.SUCCEEDED | Phase.FAILED:
            return idle(canary, seen)
        case Phase.TERMINATING | Phase.TERMINATED:
            # Not being deleted, so this is left over from an object of the same name.
            return [move(canary, seen, phase=Phase.INITIALIZING)]
        case Phase.WAITING:
            return waiting(canary, seen)
        case Phase.PROGRESSING | Phase.WAITING_PROMOTION | Phase.PROMOTING | Phase.FINALISING:
            pass
        case _:
            assert_never(phase)
    if run is None:
        return _take_over(canary, seen)
    if run.verdict and run.verdict.outcome not in {Ending.PROMOTED, Ending.SUPERSEDED}:
        return take_back(canary, seen, run, run.verdict)
    match phase:
        case Phase.PROMOTING:
            return promoting(canary, seen, run)
        case Phase.FINALISING:
            return finalising(canary, seen, run)
        case _:
            return progress(canary, seen, run)


def _take_over(canary: Canary, seen: Seen) -> list[Action]:
    """A run that another program began and left no record of: continue from what can be seen.

    Phase and counters are kept. The weight that traffic has is the weight that was intended, and
    the revision under analysis is the one the target has.
    """
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    target, live = seen.workloads.target, seen.live.split
    if target is None or live is None:
        return [move(canary, seen, phase=Phase.INITIALIZING)]
    run = new_run(canary, seen, target, "taken over").model_copy(
        update={"split": live, "since": seen.now, "prepared": True, "stranded": False}
    )
    return [
        move(
            canary,
            seen,
            Say(f"the run of {canary.target_name} is taken over at {live.canary}%"),
            run=run,
            last_applied_spec=target.revision,
        )
    ]


def _suspended(canary: Canary, seen: Seen) -> list[Action]:
    """Hands off: weights, replicas and status stay as they are until it is taken back."""
    if canary.status.suspended:
        return []
    return [move(canary, seen, Say("suspended: nothing is done"), suspended=True)]


def _resumed(canary: Canary, seen: Seen) -> list[Action]:
    """Go on where it stopped, with the time that passed meanwhile taken off the clocks."""
    run, status = canary.status.run, canary.status
    fields: dict[str, Any] = {}
    if status.deadline and status.last_transition_time:
        fields["deadline"] = status.deadline + (seen.now - status.last_transition_time)
    if run and status.last_transition_time:
        passed = seen.now - status.last_transition_time
        clocks = {"unready_since": run.unready_since, "held_since": run.held_since}
        shifted = {name: at and at + passed for name, at in clocks.items()}
        run = run.model_copy(update={**shifted, "since": run.since and seen.now})
    return [move(canary, seen, Say("no longer suspended"), run=run, suspended=False, **fields)]
