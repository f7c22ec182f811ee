"""The controller's own metrics, under the names and labels that existing dashboards use."""

from typing import Any

import pytest

from tests.engine.place import Place
from tests.engine.world import canary, process

HERE = {"name": "app", "namespace": "test"}
ENDED = {"deployment_strategy": "canary", "analysis_status": "completed"}
METRICS = [
    {"name": "request-success-rate", "thresholdRange": {"min": 99}},
    {"name": "request-duration", "thresholdRange": {"max": 500}},
]


async def release(place: Place, v: str, *, bad: bool = False) -> None:
    if bad:
        place.requests.bad.add(v)
    await place.release(v)
    await place.ended(v)
    await place.rests()


async def test_after_a_good_release(place: Place) -> None:
    await place.ready(metrics=METRICS)
    await release(place, "2")
    expected: dict[str, tuple[dict[str, str], float]] = {
        "flagger_canary_total": ({"namespace": "test"}, 1),
        "flagger_canary_status": (HERE, 1),
        "flagger_canary_successes_total": ({**HERE, **ENDED}, 1),
    }
    assert {name: place.series(name, **labels) for name, (labels, _) in expected.items()} == {
        name: value for name, (_, value) in expected.items()
    }
    weight = {"namespace": "test"}
    assert place.series("flagger_canary_weight", workload="app", **weight) == 0
    assert place.series("flagger_canary_weight", workload="app-primary", **weight) == 100
    analysis = "flagger_canary_metric_analysis"
    assert place.series(analysis, metric="request-success-rate", **HERE) == 100
    assert place.series(analysis, metric="request-duration", **HERE) == pytest.approx(0.12)
    assert (place.series("flagger_canary_duration_seconds_count", **HERE) or 0) > 3
    assert place.series("flagger_canary_failures_total", **HERE, **ENDED) is None


async def test_after_a_bad_release(place: Place) -> None:
    await place.ready()
    await release(place, "2", bad=True)
    assert place.series("flagger_canary_status", **HERE) == 2
    assert place.series("flagger_canary_failures_total", **HERE, **ENDED) == 1
    assert place.series("flagger_canary_successes_total", **HERE, **ENDED) is None
    assert (
        place.series("flagger_canary_metric_analysis", metric="request-success-rate", **HERE) == 50
    )


STRATEGIES: dict[str, tuple[dict[str, Any], bool, str, str]] = {
    "weights": ({}, False, "canary", "completed"),
    "iterations": ({"stepWeights": None, "iterations": 2}, False, "blue-green", "completed"),
    "a match": (
        {"stepWeights": None, "iterations": 1, "match": [{"headers": {"x": {"exact": "y"}}}]},
        False,
        "ab-testing",
        "completed",
    ),
    "no analysis": ({}, True, "canary", "skipped"),
}


@pytest.mark.parametrize(
    ("analysis", "skip", "strategy", "how"), STRATEGIES.values(), ids=STRATEGIES
)
async def test_how_it_was_released(
    place: Place, analysis: dict[str, Any], *, skip: bool, strategy: str, how: str
) -> None:
    manifest = canary(**analysis)
    manifest["spec"]["skipAnalysis"] = skip
    await place.apply(process(), manifest)
    await place.until("app", lambda each: each.status.phase == "Initialized")
    await release(place, "2")
    labels = {**HERE, "deployment_strategy": strategy, "analysis_status": how}
    assert place.series("flagger_canary_successes_total", **labels) == 1


async def test_while_a_release_is_under_way(place: Place) -> None:
    await place.ready(stepWeights=[30, 60])
    place.parts.checks._minimum = 60
    await place.release("2")
    await place.until("app", lambda each: each.status.canary_weight == 30)
    assert place.series("flagger_canary_status", **HERE) == 0
    assert place.series("flagger_canary_weight", workload="app", namespace="test") == 30
    assert place.series("flagger_canary_weight", workload="app-primary", namespace="test") == 70


async def test_those_at_rest_are_shown_after_a_restart(place: Place) -> None:
    await place.ready()
    await release(place, "2", bad=True)
    await place.restart()
    assert place.series("flagger_canary_status", **HERE) == 2
    assert place.series("flagger_canary_total", namespace="test") == 1
    assert place.series("flagger_canary_failures_total", **HERE, **ENDED) is None, "counted once"


def test_version_and_provider_are_told() -> None:
    from canary import __version__
    from canary.engine.numbers import Numbers

    labels = {"version": __version__, "mesh_provider": "envoy"}
    assert Numbers("envoy").registry.get_sample_value("flagger_info", labels) == 1
