"""Where a release goes next: weights, iterations, mirroring."""

from dataclasses import dataclass

from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.analysis import Analysis
from canary.crd.status import Split

DEFAULT_ITERATIONS = 10
"""For a provider that can't split by weight, as users of the compatible API know it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where traffic is moved to and then watched for an interval."""

    split: Split
    iteration: int = 0


def strategy(analysis: Analysis, abilities: Abilities) -> str:
    """The strategy that is carried out: `canary`, `blue-green` or `ab-testing`."""
    if not abilities.weights:
        return "blue-green"
    return analysis.strategy


def iterations(analysis: Analysis) -> int:
    return analysis.iterations or DEFAULT_ITERATIONS


def next_weight(analysis: Analysis, weight: int) -> int | None:
    """The weight after this one, in percent; None when it is time to promote.

    A list that was edited during the run is entered at the next larger weight.
    """
    if analysis.step_weights and not analysis.step_weight:
        capped = (min(100, each) for each in analysis.step_weights)
        return next((each for each in capped if weight < each), None)
    if weight >= (analysis.max_weight or 100):
        return None
    return min(100, weight + max(1, analysis.step_weight or 0))


def next_stop(canary: Canary, abilities: Abilities) -> Stop | None:
    """The next stop of the run in progress; None when it is time to promote."""
    analysis, status = canary.spec.analysis, canary.status
    split = status.run.split if status.run else Split()
    match strategy(analysis, abilities):
        case "canary":
            if analysis.mirror and abilities.mirror and not split.canary and not split.mirrored:
                return Stop(Split(mirrored=True))
            weight = next_weight(analysis, split.canary)
            return None if weight is None else Stop(Split.to_canary(weight))
        case "ab-testing":
            if status.iterations >= iterations(analysis):
                return None
            return Stop(Split.to_canary(100, matched=True), status.iterations + 1)
        case _:
            return _blue_green(analysis, abilities, split, status.iterations)


def _blue_green(analysis: Analysis, abilities: Abilities, split: Split, done: int) -> Stop | None:
    """Iterations beside the primary, then one with all traffic where traffic can be moved."""
    count = iterations(analysis)
    if done < count:
        return Stop(Split(mirrored=analysis.mirror and abilities.mirror_iterations), done + 1)
    if abilities.weights and not split.canary:
        return Stop(Split.to_canary(100), done + 1)
    return None


def planned_stops(analysis: Analysis, abilities: Abilities) -> int:
    """How many intervals a release takes when every check passes."""
    if strategy(analysis, abilities) != "canary":
        return iterations(analysis) + 1
    stops, weight = int(bool(analysis.mirror)), next_weight(analysis, 0)
    while weight is not None:
        stops, weight = stops + 1, next_weight(analysis, weight)
    return stops
