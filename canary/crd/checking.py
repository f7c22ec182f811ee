"""Walks an object and applies the rules of every model on the way."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from canary.crd.base import Model, OneOf, model_of
from canary.crd.canary import Canary, CanarySpec
from canary.crd.describe import step
from canary.crd.finding import Finding, Place, Rule
from canary.crd.problems import path
from canary.crd.resource import Resource
from canary.crd.rules import RULES
from canary.crd.spec_rules import SPEC_RULES
from canary.errors import Problem


class Checked(NamedTuple):
    errors: tuple[Problem, ...]
    """The object can't be acted on."""
    warnings: tuple[Problem, ...]
    """The object can be acted on, but its author may expect something else."""


ALL_RULES: dict[type[Model], tuple[Rule, ...]] = {**RULES, CanarySpec: SPEC_RULES}


def check(resource: Resource, where: str = "", unread: tuple[Place, ...] = ()) -> Checked:
    """All problems between the fields of one object.

    `where` names it in the problems; empty means its kind and key. `unread` are places that
    were left out because they were wrong in themselves: what seems to be missing there is not.
    """
    return _sorted(_findings(resource, ()), where or f"{resource.kind} {resource.key}", unread)


def check_shape(
    manifest: dict[Any, Any], model: type[Model], where: str, unread: tuple[Place, ...] = ()
) -> Checked:
    """Problems with which fields were written together, whether their values are valid or not."""
    return _sorted(_shapes(manifest, model, ()), where, unread)


def _sorted(
    found: Iterator[tuple[Place, Finding]], where: str, unread: tuple[Place, ...]
) -> Checked:
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for place, finding in found:
        if finding.absent and any(_hides(lost, place, finding) for lost in unread):
            continue
        field = path(place + finding.field)
        problem = Problem(where, field, finding.found, finding.expected, finding.nearest)
        (warnings if finding.warning else errors).append(problem)
    return Checked(tuple(errors), tuple(warnings))


def foreign_references(canary: Canary, where: str = "") -> tuple[Problem, ...]:
    """References to other namespaces, for places where those are not allowed."""
    spec, analysis = canary.spec, canary.spec.analysis
    named: list[tuple[Place, str | None]] = []
    if spec.upstream_ref:
        named.append((("spec", "upstreamRef"), spec.upstream_ref.namespace))
    for i, metric in enumerate(analysis.metrics):
        if metric.template_ref:
            place = ("spec", "analysis", "metrics", i, "templateRef")
            named.append((place, metric.template_ref.namespace))
    for i, alert in enumerate(analysis.alerts):
        place = ("spec", "analysis", "alerts", i, "providerRef")
        named.append((place, alert.provider_ref.namespace))
    where = where or f"{canary.kind} {canary.key}"
    only = f"{canary.namespace!r}: references to other namespaces are switched off"
    return tuple(
        Problem(where, path((*place, "namespace")), repr(namespace), only)
        for place, namespace in named
        if namespace and namespace != canary.namespace
    )


def _hides(lost: Place, place: Place, finding: Finding) -> bool:
    """Whether something that could not be read explains that something seems to be missing."""
    field = place + finding.field
    return lost[:-1] == place or field[: len(lost)] == lost or lost[: len(field)] == field


def _findings(model: Model, place: Place) -> Iterator[tuple[Place, Finding]]:
    for rule in ALL_RULES.get(type(model), ()):
        for finding in rule(model):
            yield place, finding
    for name, field in type(model).model_fields.items():
        if name in model.model_fields_set:
            yield from _inside(getattr(model, name), (*place, field.alias or name))


def _inside(value: Any, place: Place) -> Iterator[tuple[Place, Finding]]:
    if isinstance(value, Model):
        yield from _findings(value, place)
    elif isinstance(value, tuple):
        for i, each in enumerate(value):
            yield from _inside(each, (*place, i))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _inside(each, (*place, key))


def _shapes(value: Any, annotation: Any, place: Place) -> Iterator[tuple[Place, Finding]]:
    """Apply `one_of` to what was written, which needs no valid values, only keys."""
    if isinstance(value, dict):
        model = model_of(annotation)
        written = [key for key, each in value.items() if each is not None]
        for rule in getattr(model, "one_of", ()):
            for finding in _one_of(written, rule):
                yield place, finding
    within = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in within:
        inner = step(annotation, key)
        if inner is not None and isinstance(each, dict | list):
            yield from _shapes(each, inner, (*place, key))


def _one_of(written: list[Any], rule: OneOf) -> Iterator[Finding]:
    given = [field for field in rule.fields if field in written]
    listed = ", ".join(rule.fields)
    if len(given) > 1:
        amount = "exactly one" if rule.exactly else "at most one"
        yield Finding((), " and ".join(given), f"{amount} of {listed}")
    elif not given and rule.exactly:
        yield Finding((), f"none of {listed}", "exactly one of them", absent=True)
