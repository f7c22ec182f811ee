"""Gateway API: an HTTPRoute named after the apex, with its weights in `backendRefs`.

The rules of a route are one list to an API server, so it is written as a whole: first our rules,
made anew each time, then those of others as they are. What others put into our rules is kept
where the Canary has no words for it: `retry`, `sessionPersistence`, extension filters.
"""

from typing import ClassVar

from canary.cluster.port import Kind, Manifest, Ref
from canary.core.facts import Abilities
from canary.crd import Canary
from canary.crd.service import GatewayRef
from canary.crd.status import Split
from canary.errors import Problem, SpecError
from canary.routers.base import Current
from canary.routers.gatewayapi_rules import (
    Json,
    chosen,
    filters,
    giving_cookie,
    matches,
    prefix_rewrite,
    timeouts,
    with_cookie,
)
from canary.routers.shared import metadata_of, service_of, set_cookie, where_of

GROUP = "gateway.networking.k8s.io"
OUR_FILTERS = frozenset(
    {"RequestHeaderModifier", "ResponseHeaderModifier", "URLRewrite", "RequestMirror"}
)


class GatewayV1:
    """Weighted, by header, mirrored during blue/green, and with cookies that make visitors stay."""

    abilities: ClassVar[Abilities] = Abilities(match=True, mirror_iterations=True, affinity=True)
    blends: ClassVar[bool] = True
    version: ClassVar[str] = "v1"
    complete: ClassVar[bool] = True
    """Whether this version has timeouts and CORS, and whether routes say that they are accepted."""

    def owns(self, canary: Canary) -> list[Ref]:
        return [self._ref(canary)]

    def reads(self, canary: Canary) -> list[Ref]:  # noqa: ARG002 - the contract's signature
        return []

    def render(self, canary: Canary, current: Current, split: Split) -> list[Manifest]:
        service, problems = service_of(canary), list[Problem]()
        if not service.gateway_refs:
            found, expected = "nothing", "at least one Gateway that the route belongs to"
            problems.append(Problem(where_of(canary), "spec.service.gatewayRefs", found, expected))
        ours, theirs = _sorted_out(canary, current.get(self._ref(canary)))
        rules = self._rules(canary, split, problems)
        rules = _one_match_each(canary, rules, problems) if prefix_rewrite(canary) else rules
        if problems:
            raise SpecError(*problems)
        spec: Json = {
            "parentRefs": [_parent(ref) for ref in service.gateway_refs],
            "rules": [*self._kept(ours, rules), *theirs],
        }
        if service.hosts:
            spec["hostnames"] = list(service.hosts)
        return [self._ref(canary).manifest(metadata=metadata_of(canary), spec=spec)]

    def read(self, canary: Canary, current: Current) -> Split | None:
        """What our last rule says; where that has the primary alone, the one before is an A/B test.

        All rules before the last are exceptions for some visitors.
        """
        ours, _ = _sorted_out(canary, current.get(self._ref(canary)))
        if not ours:
            return None
        copied = any(_copies(canary, rule) for rule in ours)
        both = [rule for rule in ours if len(rule["backendRefs"]) > 1]
        if not both:
            return Split(mirrored=copied)
        share = _share(canary, both[-1])
        matched = bool(share) and ours[-1] is not both[-1]
        return None if share is None else Split.to_canary(share, mirrored=copied, matched=matched)

    def pending(self, canary: Canary, current: Current) -> str:
        route = current.get(self._ref(canary))
        if route is None:
            return f"{self._ref(canary)} does not exist yet"
        if not self.complete:
            return ""
        refs = (route.get("spec") or {}).get("parentRefs") or []
        return next((why for ref in refs if (why := _unaccepted(route, ref))), "")

    def _ref(self, canary: Canary) -> Ref:
        return Ref(Kind(f"{GROUP}/{self.version}", "HTTPRoute"), canary.namespace, canary.apex)

    def _rules(self, canary: Canary, split: Split, problems: list[Problem]) -> list[Json]:
        base = matches(canary, problems)
        done = filters(canary, cors=self.complete, copy=split.mirrored, problems=problems)
        both = _both(canary, split.primary, split.canary)
        if split.matched:
            only = [_backend(canary, canary.primary_service, 100)]
            some = chosen(canary, base, problems)
            return [self._rule(canary, some, done, both), self._rule(canary, base, done, only)]
        if canary.spec.analysis.session_affinity is None:
            return [self._rule(canary, base, done, both)]
        if split.canary:
            return self._sticky(canary, split, base, done)
        return self._forgetting(canary, base, done, both)

    def _sticky(
        self, canary: Canary, split: Split, base: list[Json], done: list[Json]
    ) -> list[Json]:
        """Visitors stay on the side whose cookie they have; all others are split, and given one."""
        affinity, status = canary.spec.analysis.session_affinity, canary.status
        primary, target = _both(canary, split.primary, split.canary)
        made = []
        if affinity and (cookie := status.session_affinity_cookie):
            text = set_cookie(cookie, affinity, affinity.max_age_seconds)
            target = {**target, "filters": giving_cookie([], text)}
            stay = with_cookie(base, cookie)
            made.append(self._rule(canary, stay, done, _both(canary, 0, 100)))
        cookie = status.primary_session_affinity_cookie
        # With nothing left for the primary it may be because it can't answer.
        if affinity and affinity.primary_cookie_name and cookie and self.complete and split.primary:
            age = int(canary.spec.analysis.interval_seconds())
            primary = {**primary, "filters": giving_cookie([], set_cookie(cookie, affinity, age))}
            stay = with_cookie(base, cookie)
            made.append(self._rule(canary, stay, done, _both(canary, 100, 0)))
        return [*made, self._rule(canary, base, done, [primary, target])]

    def _forgetting(
        self, canary: Canary, base: list[Json], done: list[Json], both: list[Json]
    ) -> list[Json]:
        """Take the cookie of the last release away from those who still have it."""
        affinity = canary.spec.analysis.session_affinity
        cookie = canary.status.previous_session_affinity_cookie
        rule = self._rule(canary, base, done, both)
        if affinity is None or not cookie:
            return [rule]
        taking = giving_cookie(done, set_cookie(cookie, affinity, -1))
        return [self._rule(canary, with_cookie(base, cookie), taking, both), rule]

    def _rule(
        self, canary: Canary, these: list[Json], done: list[Json], backends: list[Json]
    ) -> Json:
        rule: Json = {"matches": these, "backendRefs": backends}
        if done:
            rule["filters"] = done
        if self.complete and (limits := timeouts(canary)):
            rule["timeouts"] = limits
        return rule

    def _kept(self, ours: list[Json], rules: list[Json]) -> list[Json]:
        """Our rules with what others put into the last one. Its name stays its own."""
        if not ours:
            return rules
        written = {"matches", "backendRefs", "filters"} | ({"timeouts"} if self.complete else set())
        kinds = OUR_FILTERS | ({"CORS"} if self.complete else set())
        rest = {key: value for key, value in ours[-1].items() if key not in written}
        also = [each for each in ours[-1].get("filters") or () if each.get("type") not in kinds]
        name = {"name": rest.pop("name")} if "name" in rest else {}
        made = []
        for rule in rules:
            done = [*rule.get("filters", ()), *also]
            made.append({**rest, **rule, **({"filters": done} if done else {})})
        return [*made[:-1], {**made[-1], **name}]


class GatewayV1Beta1(GatewayV1):
    """The same for clusters without v1: no timeouts, no CORS, no cookie for the primary."""

    version: ClassVar[str] = "v1beta1"
    complete: ClassVar[bool] = False


def _parent(ref: GatewayRef) -> Json:
    made: Json = {"group": ref.group, "kind": ref.kind, "name": ref.name}
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    return made | {field: value for field, value in optional.items() if value is not None}


def _backend(canary: Canary, name: str, weight: int) -> Json:
    port = service_of(canary).port
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}


def _both(canary: Canary, primary: int, target: int) -> list[Json]:
    return [
        _backend(canary, canary.primary_service, primary),
        _backend(canary, canary.canary_service, target),
    ]


def _one_match_each(canary: Canary, rules: list[Json], problems: list[Problem]) -> list[Json]:
    """The same rules, one for each match, as the API demands where a prefix is replaced."""
    if any(match["path"]["type"] != "PathPrefix" for rule in rules for match in rule["matches"]):
        expected = "uri.prefix everywhere: only a prefix can be replaced by rewrite.uri"
        field, found = "spec.service.match", "a uri that is exact or a regex"
        problems.append(Problem(where_of(canary), field, found, expected))
    return [{**rule, "matches": [match]} for rule in rules for match in rule["matches"]]


def _sorted_out(canary: Canary, route: Manifest | None) -> tuple[list[Json], list[Json]]:
    """The route's rules: ours, and those of others.

    Ours have both sides as their backends, or the primary alone with all of the weight.
    A way to the canary for testers is somebody's own rule.
    """
    ours, theirs = list[Json](), list[Json]()
    for rule in ((route or {}).get("spec") or {}).get("rules") or []:
        (ours if _is_ours(canary, rule) else theirs).append(rule)
    return ours, theirs


def _is_ours(canary: Canary, rule: Json) -> bool:
    weights = _weights(canary, rule)
    if {canary.primary_service, canary.canary_service} <= weights.keys():
        return True
    # A weight that nobody wrote would be 1.
    return len(rule.get("backendRefs") or ()) == 1 and weights == {canary.primary_service: 100}


def _weights(canary: Canary, rule: Json) -> dict[str, int]:
    """The weight of each Service of the Canary's namespace; one without a weight has 1."""
    return {
        ref["name"]: int(ref.get("weight", 1))
        for ref in rule.get("backendRefs") or ()
        if not ref.get("group")
        and ref.get("kind", "Service") == "Service"
        and ref.get("namespace", canary.namespace) == canary.namespace
    }


def _share(canary: Canary, rule: Json) -> int | None:
    """The canary's share in percent; None if the weights name none."""
    weights = _weights(canary, rule)
    target, total = weights[canary.canary_service], sum(weights.values())
    return round(100 * target / total) if total else None


def _copies(canary: Canary, rule: Json) -> bool:
    mirrors = [each.get("requestMirror") or {} for each in rule.get("filters") or ()]
    names = [(each.get("backendRef") or {}).get("name") for each in mirrors]
    return canary.canary_service in names


def _unaccepted(route: Manifest, ref: Json) -> str:
    """Why a Gateway does not carry the route as it is now; empty once it does."""
    namespace = route["metadata"]["namespace"]
    generation = route["metadata"].get("generation", 0)
    who = f"{ref.get('kind', 'Gateway')} {ref.get('namespace', namespace)}/{ref['name']}"
    reported = [
        condition
        for parent in (route.get("status") or {}).get("parents") or ()
        if _same(parent.get("parentRef") or {}, ref, namespace)
        for condition in parent.get("conditions") or ()
        if condition.get("type") == "Accepted"
    ]
    fresh = [each for each in reported if each.get("observedGeneration", 0) >= generation]
    if any(each.get("status") == "True" for each in fresh):
        return ""
    if not reported:
        return f"nobody has answered for {who} yet; does it exist, and has it a controller?"
    if not fresh:
        return f"{who} has not taken generation {generation} of the route yet"
    said = fresh[0].get("message") or fresh[0].get("reason") or "without a reason"
    return f"{who} does not accept the route: {said}"


def _same(one: Json, other: Json, namespace: str) -> bool:
    defaults = {"group": GROUP, "kind": "Gateway", "namespace": namespace}
    return {**defaults, **one} == {**defaults, **other}
