"""ingress-nginx: a canary Ingress beside the user's own, which is read and never changed."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from canary.cluster.ownership import writer
from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.analysis import AnalysisMatch, HeaderMatch
from canary.crd.status import Split
from canary.errors import Problem, SpecError, nearest
from canary.routers.base import Current
from canary.routers.shared import FLUX, GUARDS, where_of

INGRESS = Kind("networking.k8s.io/v1", "Ingress")
MANAGER = "canary"
"""Under whose name our fields are applied."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Nginx:
    """The canary Ingress has the user's paths to the apex, with the canary behind them.

    It follows the user's Ingress. If that goes away, or no longer leads to the apex, it stays as
    it was: taking traffic back must not depend on it, and without the other one it does nothing.
    """

    abilities: ClassVar[Abilities] = Abilities(match=True)
    blends: ClassVar[bool] = True

    prefix: str = "nginx.ingress.kubernetes.io"
    """Of the annotations; a controller may be told to use another one."""

    def owns(self, canary: Canary) -> list[Ref]:
        return [_ours(canary)]

    def reads(self, canary: Canary) -> list[Ref]:
        return [_theirs(canary)]

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:
        theirs, ours = current.get(_theirs(canary)), current.get(_ours(canary))
        spec = _copied(canary, theirs) or (ours or {}).get("spec")
        origin = theirs or ours
        if not spec or not origin:
            raise SpecError(_unroutable(canary, theirs))
        labels = {k: v for k, v in _labels(origin).items() if FLUX not in k}
        annotations = {
            **{k: v for k, v in _notes(origin).items() if not self._left_out(k)},
            **GUARDS,
            **self._split(canary, split, first=ours is None),
        }
        annotations = {**self._cleared(ours or {}, annotations), **annotations}
        meta = {"annotations": annotations, **({"labels": labels} if labels else {})}
        return [_ours(canary).manifest(metadata=meta, spec=spec)]

    def read(self, canary: Canary, current: Current) -> Split | None:
        notes = _notes(current.get(_ours(canary)) or {})
        if notes.get(self._key("")) != "true":
            return None
        if notes.get(self._key("-by-header")) or notes.get(self._key("-by-cookie")):
            return Split.to_canary(100, matched=True)
        weight = _number(notes.get(self._key("-weight")), 0)
        total = _number(notes.get(self._key("-weight-total")), 100) or 100
        return Split.to_canary(min(100, round(100 * weight / total)))

    def pending(self, canary: Canary, current: Current) -> str:
        split = self.read(canary, current)
        if split is None:
            return f"{_ours(canary)} does not exist yet, or is no canary Ingress"
        if split.canary and not _copied(canary, current.get(_theirs(canary))):
            return f"{_theirs(canary)} does not lead to the Service {canary.apex} any more"
        return ""

    def _key(self, what: str) -> str:
        return f"{self.prefix}/canary{what}"

    def _left_out(self, key: str) -> bool:
        """What belongs to one object alone, or is for the canary Ingress to say."""
        return (
            self._key("") in key
            or key == LAST_APPLIED
            or FLUX in key
            or key.startswith("flagger.app/")
        )

    def _split(self, canary: Canary, split: Split, *, first: bool) -> dict[str, str]:
        found, problems = _conditions(canary)
        if split.matched and not found and not problems:
            expected = "headers of those who see the canary"
            problems = [Problem(where_of(canary), "spec.analysis.match", "nothing", expected)]
        # What can't be matched is told before the first release, and never keeps traffic from
        # being taken back.
        if problems and (first or split.matched):
            raise SpecError(*problems)
        if split.matched:
            chosen = {self._key(f"-by-{what}"): value for what, value in found.items()}
        else:
            chosen = {self._key("-weight"): str(split.canary)}
        return {self._key(""): "true", **chosen}

    def _cleared(self, ours: Manifest, wanted: dict[str, str]) -> dict[str, str]:
        """Neutral values for what others left of an earlier split.

        What we wrote ourselves goes away by not being applied again; what somebody else owns, such
        as a controller that was here before, would stay and decide. Once ours, it goes away too.
        """
        left = [key for key in _notes(ours) if self._key("-") in key and key not in wanted]
        theirs = [k for k in left if writer(ours, ("metadata", "annotations", k)) != MANAGER]
        return {key: "100" if key == self._key("-weight-total") else "" for key in theirs}


def _ours(canary: Canary) -> Ref:
    return Ref(INGRESS, canary.namespace, f"{_theirs(canary).name}-canary")


def _theirs(canary: Canary) -> Ref:
    if canary.spec.ingress_ref is None:
        problem = Problem(where_of(canary), "spec.ingressRef", "nothing", "one: nginx needs it")
        raise SpecError(problem)
    return Ref(INGRESS, canary.namespace, canary.spec.ingress_ref.name)


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest.get("metadata", {}).get("labels") or {}


def _notes(manifest: Manifest) -> dict[str, str]:
    return manifest.get("metadata", {}).get("annotations") or {}


def _number(text: str | None, otherwise: int) -> int:
    """As nginx takes it: what is no whole number counts as not given."""
    return int(text) if text and text.isdecimal() else otherwise


def _copied(canary: Canary, theirs: Manifest | None) -> dict[str, Any] | None:
    """The user's spec with the canary in place of the apex; None if it doesn't lead there.

    Paths to other Services are left out: they would only lead where they lead already.
    """
    spec = (theirs or {}).get("spec") or {}
    rest = {key: value for key, value in spec.items() if key not in {"rules", "defaultBackend"}}
    rules = [
        {**rule, "http": {**rule["http"], "paths": paths}}
        for rule in spec.get("rules") or []
        if (paths := [_moved(canary, path) for path in _paths(rule) if _leads(canary, path)])
    ]
    found = {"rules": rules} if rules else {}
    if _leads(canary, default := {"backend": spec.get("defaultBackend")}):
        found["defaultBackend"] = _moved(canary, default)["backend"]
    return {**rest, **found} if found else None


def _paths(rule: dict[str, Any]) -> list[dict[str, Any]]:
    return (rule.get("http") or {}).get("paths") or []


def _service(path: dict[str, Any]) -> str:
    """The name of the Service behind a path; empty where there is none, but another resource."""
    name: str = ((path.get("backend") or {}).get("service") or {}).get("name", "")
    return name


def _leads(canary: Canary, path: dict[str, Any]) -> bool:
    return _service(path) == canary.apex


def _moved(canary: Canary, path: dict[str, Any]) -> dict[str, Any]:
    service = {**path["backend"]["service"], "name": canary.canary_service}
    return {**path, "backend": {**path["backend"], "service": service}}


def _unroutable(canary: Canary, theirs: Manifest | None) -> Problem:
    where, field = where_of(canary), "spec.ingressRef"
    if theirs is None:
        return Problem(where, field, f"no {_theirs(canary)}", "an Ingress in the same namespace")
    spec = theirs.get("spec") or {}
    paths = [path for rule in spec.get("rules") or [] for path in _paths(rule)]
    names = sorted({_service(path) for path in paths} - {""})
    found = f"{_theirs(canary)} with {', '.join(names) or 'no Service'} as its backend"
    near = nearest(canary.apex, names)
    return Problem(where, field, found, f"a path to the Service {canary.apex}", near)


def _conditions(canary: Canary) -> tuple[dict[str, str], list[Problem]]:
    """Whose requests see the canary, by the ends of annotation keys, and what can't be said so.

    nginx knows one header and one cookie, either of which is enough; of several headers the last
    one counts, as users of the compatible API know it.
    """
    analysis, found, problems = canary.spec.analysis, dict[str, str](), list[Problem]()
    if analysis.strategy != "ab-testing":
        return found, problems
    for i, match in enumerate(analysis.match):
        place = f"spec.analysis.match[{i}]"
        problems += _unmatched(where_of(canary), place, match)
        for name, wanted in sorted(match.headers.items()):
            made = _cookie(wanted) if name.lower() == "cookie" else _header(name, wanted)
            if made is None:
                expected = "exact, with the name of a cookie that is set to always"
                field = f"{place}.headers.{name}"
                problems.append(Problem(where_of(canary), field, "another form", expected))
                continue
            kind = next(iter(made))
            found = {k: v for k, v in found.items() if not k.startswith(kind)} | made
    return found, problems


def _unmatched(where: str, place: str, match: AnalysisMatch) -> list[Problem]:
    """Conditions that would be passed over, so that others than those meant saw the canary."""
    given = {
        "queryParams": bool(match.query_params),
        "sourceLabels": bool(match.source_labels),
    }
    expected = "headers: nginx matches by a header or a cookie"
    found = [Problem(where, f"{place}.{key}", key, expected) for key, has in given.items() if has]
    if not match.headers and not found:
        found.append(Problem(where, place, "no condition", expected))
    return found


def _cookie(wanted: HeaderMatch) -> dict[str, str] | None:
    return {"cookie": wanted.exact} if wanted.exact else None


def _header(name: str, wanted: HeaderMatch) -> dict[str, str] | None:
    if wanted.exact:
        return {"header": name, "header-value": wanted.exact}
    pattern = wanted.regex
    if wanted.prefix:
        pattern = f"^{re.escape(wanted.prefix)}"
    elif wanted.suffix:
        pattern = f"{re.escape(wanted.suffix)}$"
    return {"header": name, "header-pattern": pattern} if pattern else None
