import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.crd.analysis import Metric
from canary.errors import SpecError
from canary.metrics.template import Place, query_of, render, values

PLACE = Place("MetricTemplate default/errors", "spec.query")
VALUES = {"target": "podinfo", "interval": "1m"}
VARIABLES = {"direction": "inbound"}

RENDERED = {
    "a name becomes its value": ("up{app='{{ target }}'}", "up{app='podinfo'}"),
    "spaces inside don't matter": ("{{target}}{{  interval\n}}", "podinfo1m"),
    "a variable is one of the metric": ("{{ variables.direction }}", "inbound"),
    "a minus inside the braces trims what is outside": ("a \n{{- target -}}\n b", "apodinfob"),
    "a minus on one side trims that side": (
        "a {{- target }} b {{ target -}} c",
        "apodinfo b podinfoc",
    ),
    "text without braces stays": ("sum(rate(x[1m])) }}", "sum(rate(x[1m])) }}"),
    "single braces are PromQL": ("x{a='b'}", "x{a='b'}"),
    "a value is not rendered again": ("{{ variables.nested }}", "{{ target }}"),
}


@pytest.mark.parametrize(("text", "expected"), RENDERED.values(), ids=RENDERED)
def test_renders(text: str, expected: str) -> None:
    assert render(text, VALUES, {**VARIABLES, "nested": "{{ target }}"}, PLACE) == expected


REFUSED = {
    "an unknown name, with the nearest": (
        "x{{ targe }}", "line 1, column 2: found 'targe', .*did you mean 'target'",
    ),
    "a missing variable is an error, not an empty text": (
        "a\n  {{ variables.other }}", "line 2, column 3: found 'variables.other', expected one of",
    ),
    "pipelines are not understood": ("{{ target | printf }}", r"found 'target \| printf'"),
    "conditionals are not understood": ("{{ if target }}x{{ end }}", "found 'if target'"),
    "an action without an end": ("a {{ target", "column 3: found '{{' without an end"),
    "an empty action": ("{{ }}", "found ''"),
    "a minus without a space is not a trim marker": ("{{-target}}", "found '-target'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_the_place(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        render(text, VALUES, VARIABLES, PLACE)
    assert str(caught.value).startswith("MetricTemplate default/errors: spec.query, line ")


@given(st.text(), st.text(alphabet=" \n\tab"), st.text())
def test_never_sends_half_of_a_template(before: str, inside: str, after: str) -> None:
    try:
        text = render(f"{before}{{{{{inside}}}}}{after}", VALUES, VARIABLES, PLACE)
    except SpecError:
        return
    assert not re.search(r"\{\{[^}]*\}\}", text)


def test_the_values_are_those_of_the_canary(canary_of: Any) -> None:
    canary = canary_of(
        service={"port": 80, "name": "front"},
        ingressRef={"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "in"},
    )
    assert values(canary, Metric(name="x")) == {
        "name": "podinfo", "namespace": "default", "target": "podinfo", "service": "front",
        "ingress": "in", "route": "podinfo", "interval": "1m",
    }  # fmt: skip


def test_an_empty_interval_is_a_minute_in_templates_too(canary_of: Any) -> None:
    metric = Metric.model_validate({"name": "x", "interval": ""})
    assert values(canary_of(), metric)["interval"] == "1m"


def test_a_query_is_sent_on_one_line(canary_of: Any) -> None:
    text = "sum(\n  rate(x{app='{{ target }}'}[{{ interval }}])\n)\n"
    metric = Metric.model_validate({"name": "x", "interval": "30s"})
    assert query_of(canary_of(), metric, text, PLACE) == "sum( rate(x{app='podinfo'}[30s]) )"
