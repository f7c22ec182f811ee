"""What only the Gateway API router does: rules for cookies and tests, filters, answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary
from canary.crd.duration import Duration
from canary.crd.status import CanaryStatus, Split
from canary.errors import SpecError
from canary.routers.gatewayapi import GatewayV1, GatewayV1Beta1
from canary.routers.gatewayapi_rules import DURATION, duration
from tests.routers.manifests import canary, write

GATEWAYS = [{"name": "public"}]
REF = Ref(Kind("gateway.networking.k8s.io/v1", "HTTPRoute"), "test", "shop")
MATCHED = Split.to_canary(100, matched=True)
ROOT = {"path": {"type": "PathPrefix", "value": "/"}}


def subject(
    service: dict[str, Any] | None = None, analysis: dict[str, Any] | None = None, **spec: Any
) -> Canary:
    return canary("gatewayapi:v1", {"gatewayRefs": GATEWAYS, **(service or {})}, analysis, **spec)


def rules(
    made: Canary, split: Split, now: dict[Ref, Manifest] | None = None
) -> list[dict[str, Any]]:
    [route] = GatewayV1().render(made, now or {}, split)
    found: list[dict[str, Any]] = route["spec"]["rules"]
    return found


def weights(rule: dict[str, Any]) -> dict[str, int]:
    return {ref["name"].removeprefix("shop-"): ref["weight"] for ref in rule["backendRefs"]}


def header(name: str, value: str, kind: str = "Exact") -> dict[str, str]:
    return {"type": kind, "name": name, "value": value}


def modifier(rule: dict[str, Any]) -> dict[str, Any]:
    """The response headers of a rule or a backend, of which the API allows one set."""
    [found] = [each for each in rule["filters"] if each["type"] == "ResponseHeaderModifier"]
    changes: dict[str, Any] = found["responseHeaderModifier"]
    return changes


# ------------------------------------------------------------------------ rules


def test_a_plain_release_has_one_rule_with_both_sides() -> None:
    backend = {"group": "", "kind": "Service", "port": 80}
    assert rules(subject(), Split.to_canary(30)) == [
        {
            "matches": [ROOT],
            "backendRefs": [
                {**backend, "name": "shop-primary", "weight": 70},
                {**backend, "name": "shop-canary", "weight": 30},
            ],
        }
    ]


MATCH = [{"uri": {"prefix": "/a"}, "headers": {"x-t": {"exact": "1"}}}, {"uri": {"exact": "/b"}}]
A, B = {"type": "PathPrefix", "value": "/a"}, {"type": "Exact", "value": "/b"}
AB = {
    "iterations": 5,
    "match": [
        {"headers": {"x-b": {"exact": "1"}, "x-a": {"regex": "2"}}},
        {"queryParams": {"q": {"exact": "3"}}},
    ],
}


def test_an_ab_test_has_two_rules_the_second_for_everybody_else() -> None:
    chosen, rest = rules(subject({"match": MATCH, "timeout": "5s"}, AB), MATCHED)
    both = [header("x-a", "2", "RegularExpression"), header("x-b", "1")]
    asked = [header("q", "3")]
    assert chosen["matches"] == [
        {"path": A, "headers": both},
        {"path": B, "headers": both},
        {"path": A, "headers": [header("x-t", "1")], "queryParams": asked},
        {"path": B, "queryParams": asked},
    ]
    assert weights(chosen) == {"primary": 0, "canary": 100}
    assert rest["matches"] == [{"path": A, "headers": [header("x-t", "1")]}, {"path": B}]
    # Whatever the weights are: a single backend gets all there is.
    assert weights(rest) == {"primary": 100}
    assert chosen["timeouts"] == rest["timeouts"] == {"request": "5s"}


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_headers_are_sorted_so_that_their_order_is_no_drift(names: list[str]) -> None:
    match = [{"headers": {name: {"exact": name} for name in names}}]
    made = subject({"match": match}, {"iterations": 5, "match": match})
    for rule in rules(made, MATCHED):
        assert [each["name"] for each in rule["matches"][0]["headers"]] == sorted(names)


MAPPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a path by pattern": (
        {"uri": {"regex": "/.*"}},
        {"path": {"type": "RegularExpression", "value": "/.*"}},
    ),
    "a method that is exact": ({"method": {"exact": "GET"}}, {**ROOT, "method": "GET"}),
    "a method that is not, which is nothing": ({"method": {"prefix": "G"}}, ROOT),
    "what an HTTPRoute does not know": ({"sourceLabels": {"app": "web"}}, ROOT),
    "a header by pattern": (
        {"headers": {"x": {"regex": "a|b"}}},
        {**ROOT, "headers": [header("x", "a|b", "RegularExpression")]},
    ),
}


@pytest.mark.parametrize(("match", "expected"), MAPPED.values(), ids=MAPPED)
def test_maps_matches(match: dict[str, Any], expected: dict[str, Any]) -> None:
    assert rules(subject({"match": [match]}), Split())[0]["matches"] == [expected]


def test_replacing_a_prefix_takes_one_rule_for_each_match() -> None:
    match = [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]
    rewrite = {"uri": "/", "type": "ReplacePrefixMatch"}
    made = subject({"match": match, "rewrite": rewrite}, AB)
    found = rules(made, MATCHED)
    assert [len(rule["matches"]) for rule in found] == [1] * 6
    assert GatewayV1().read(made, write(GatewayV1(), made, {}, MATCHED)) == MATCHED


# -------------------------------------------------------------------- affinity

COOKIES = CanaryStatus(
    session_affinity_cookie="c.1=abc",
    primary_session_affinity_cookie="p=def",
    previous_session_affinity_cookie="c.1=old",
)


def sticky(primary: str = "p", service: dict[str, Any] | None = None) -> Canary:
    affinity = {"cookieName": "c.1", "maxAge": 60} | (
        {"primaryCookieName": primary} if primary else {}
    )
    made = subject(service, {"sessionAffinity": affinity})
    return made.model_copy(update={"status": COOKIES})


def asked(rule: dict[str, Any]) -> list[str]:
    """The patterns of cookies that a rule asks for, in each of its matches."""
    named = [h for match in rule["matches"] for h in match.get("headers", ())]
    return [h["value"] for h in named if h["name"] == "Cookie"]


def test_visitors_stay_and_newcomers_are_split() -> None:
    tried, kept, new = rules(sticky(), Split.to_canary(20))
    assert (asked(tried), weights(tried)) == ([r".*c\.1.*abc.*"], {"primary": 0, "canary": 100})
    assert (asked(kept), weights(kept)) == ([".*p.*def.*"], {"primary": 100, "canary": 0})
    assert (asked(new), weights(new)) == ([], {"primary": 80, "canary": 20})
    cookies = [modifier(ref)["add"] for ref in new["backendRefs"]]
    assert cookies == [
        # As long as one interval: then it is time to ask again who may try the canary.
        [{"name": "Set-Cookie", "value": "p=def; Max-Age=60"}],
        [{"name": "Set-Cookie", "value": "c.1=abc; Max-Age=60"}],
    ]


def test_nobody_is_held_on_a_primary_that_gets_nothing() -> None:
    """All weight on the canary may mean that the primary can't answer."""
    tried, new = rules(sticky(), Split.to_canary(100))
    assert asked(tried) == [r".*c\.1.*abc.*"]
    assert weights(new) == {"primary": 0, "canary": 100}


def test_without_a_name_for_it_the_primary_has_no_cookie() -> None:
    tried, new = rules(sticky(primary=""), Split.to_canary(20))
    assert asked(tried) == [r".*c\.1.*abc.*"]
    assert ["filters" in ref for ref in new["backendRefs"]] == [False, True]


def test_v1beta1_has_no_cookie_for_the_primary() -> None:
    [route] = GatewayV1Beta1().render(sticky(), {}, Split.to_canary(20))
    assert [asked(rule) for rule in route["spec"]["rules"]] == [[r".*c\.1.*abc.*"], []]


def test_after_a_release_its_cookie_is_taken_back() -> None:
    leaving, all_ = rules(sticky(), Split())
    assert asked(leaving) == [r".*c\.1.*old.*"]
    assert weights(leaving) == weights(all_) == {"primary": 100, "canary": 0}
    assert modifier(leaving) == {"add": [{"name": "Set-Cookie", "value": "c.1=old; Max-Age=-1"}]}
    assert "filters" not in all_


def test_without_a_previous_cookie_there_is_nothing_to_take_back() -> None:
    made = sticky().model_copy(update={"status": CanaryStatus()})
    assert len(rules(made, Split())) == 1
    # Nor is there one to give before it is recorded.
    assert len(rules(made, Split.to_canary(20))) == 1


def test_taking_a_cookie_back_is_merged_with_the_services_own_headers() -> None:
    """A second modifier is what the API refuses, and the weighted rule must not take it back."""
    service = {"headers": {"response": {"add": {"x-b": "2", "x-a": "1"}, "remove": ["x-c"]}}}
    leaving, all_ = rules(sticky(service=service), Split())
    own = [{"name": "x-a", "value": "1"}, {"name": "x-b", "value": "2"}]
    taken = {"name": "Set-Cookie", "value": "c.1=old; Max-Age=-1"}
    assert modifier(leaving) == {"add": [taken, *own], "remove": ["x-c"]}
    assert modifier(all_) == {"add": own, "remove": ["x-c"]}


def test_a_cookie_is_asked_for_beside_the_services_own_conditions() -> None:
    match = [{"uri": {"prefix": "/a"}, "headers": {"cookie": {"exact": "x"}, "x": {"exact": "1"}}}]
    tried = rules(sticky("", {"match": match}), Split.to_canary(20))[0]
    # Of two headers of one name the API would only look at the first.
    cookie = header("Cookie", r".*c\.1.*abc.*", "RegularExpression")
    assert tried["matches"] == [{"path": A, "headers": [cookie, header("x", "1")]}]


def test_affinity_and_an_ab_test_exclude_each_other() -> None:
    affinity = {"sessionAffinity": {"cookieName": "c"}}
    with pytest.raises(SpecError, match="match already says whose requests see the canary"):
        subject(analysis={**AB, **affinity})


# --------------------------------------------------------------------- filters


def test_filters_come_in_the_apis_order() -> None:
    service = {
        "corsPolicy": {"allowOrigin": ["https://a.test"]},
        "mirror": [{"backendRef": {"name": "tap", "port": 81}}],
        "rewrite": {"uri": "/app", "authority": "inside.test"},
        "headers": {
            "response": {"set": {"b": "2", "a": "1"}},
            "request": {"add": {"r": "1"}},
        },
    }
    made = subject(service, {"iterations": 5, "mirror": True})
    [rule] = rules(made, Split(mirrored=True))
    port = {"group": "", "kind": "Service"}
    assert rule["filters"] == [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"add": [{"name": "r", "value": "1"}]},
        },
        {
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {
                "set": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
            },
        },
        {
            "type": "URLRewrite",
            "urlRewrite": {
                "hostname": "inside.test",
                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/app"},
            },
        },
        {
            "type": "RequestMirror",
            "requestMirror": {"backendRef": {**port, "name": "tap", "port": 81}},
        },
        {
            "type": "RequestMirror",
            "requestMirror": {"backendRef": {**port, "name": "shop-canary", "port": 80}},
        },
        {"type": "CORS", "cors": {"allowOrigins": ["https://a.test"], "maxAge": 5}},
    ]


def cors(**policy: Any) -> dict[str, Any]:
    [rule] = rules(subject({"corsPolicy": policy}), Split())
    found: dict[str, Any] = rule["filters"][0]["cors"]
    return found


def test_cors_keeps_what_can_be_said() -> None:
    assert cors(
        allowOrigin=["https://a.test"],
        allowOrigins=[{"exact": "https://b.test"}, {"regex": ".*"}],
        allowMethods=["GET"],
        allowHeaders=["x"],
        exposeHeaders=["y"],
        allowCredentials=True,
        maxAge="1h30m",
    ) == {
        "allowOrigins": ["https://a.test", "https://b.test"],
        "allowMethods": ["GET"],
        "allowHeaders": ["x"],
        "exposeHeaders": ["y"],
        "allowCredentials": True,
        "maxAge": 5400,
    }
    # The API server refuses 0, and fills in what is missing.
    assert cors(maxAge="0s")["maxAge"] == 1
    assert cors(allowCredentials=False) == {"maxAge": 5}


def test_a_cors_age_in_days_is_not_taken_for_nothing() -> None:
    with pytest.raises(SpecError, match="did you mean '24h'"):
        subject({"corsPolicy": {"maxAge": "1d"}})


DURATIONS = {"10s": "10s", "1m30s": "1m30s", "1.5s": "1s500ms", "0s": "0s", "10us": "1ms"}


@pytest.mark.parametrize(("given_", "written"), DURATIONS.items(), ids=DURATIONS)
def test_timeouts(given_: str, written: str) -> None:
    [rule] = rules(subject({"timeout": given_, "backendTimeout": given_}), Split())
    assert rule["timeouts"] == {"request": written, "backendRequest": written}


@given(st.integers(0, 10**9), st.sampled_from(["ms", "s", "m"]))
def test_any_duration_is_one_of_the_apis_and_as_long(count: int, unit: str) -> None:
    wanted = Duration(f"{count / 8:.3f}{unit}")
    if wanted.seconds > 3600 * 99_999:
        return
    made = duration(wanted)
    assert DURATION.fullmatch(made)
    assert Duration(made).seconds == pytest.approx(wanted.seconds, abs=0.001)


def test_v1beta1_has_neither_timeouts_nor_cors() -> None:
    made = subject({"timeout": "5s", "corsPolicy": {"allowOrigin": ["*"]}})
    [route] = GatewayV1Beta1().render(made, {}, Split())
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1beta1"
    assert route["spec"]["rules"][0].keys() == {"matches", "backendRefs"}


# --------------------------------------------------------------- others' doing

RULE = rules(subject(), Split.to_canary(30))[0]
ADMIN = {
    "matches": [{"path": {"type": "Exact", "value": "/admin"}}],
    "backendRefs": [{"name": "x"}],
}
TESTERS = {"backendRefs": [{"name": "shop-canary", "port": 80}]}
DIRECT = {"backendRefs": [{"name": "shop-primary", "port": 80}]}
ELSEWHERE = {
    "backendRefs": [
        {"name": "shop-primary", "namespace": "other"},
        {"name": "shop-canary", "namespace": "other"},
    ]
}
REDIRECT = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 443}}]}


def live(*found: dict[str, Any], **spec: Any) -> dict[Ref, Manifest]:
    return {REF: REF.manifest(spec={"rules": list(found), **spec})}


FOREIGN = {
    "another path to another Service": ADMIN,
    "a way to the canary for testers": TESTERS,
    "a way to the primary past every release": DIRECT,
    "the same names in another namespace": ELSEWHERE,
    "a redirect without backends": REDIRECT,
}


@pytest.mark.parametrize("theirs", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("split", [Split(), Split.to_canary(40), MATCHED])
def test_rules_of_others_stay_and_are_no_weights(theirs: dict[str, Any], split: Split) -> None:
    made = subject(analysis=AB)
    now = write(GatewayV1(), made, live(theirs, RULE), split)
    found = now[REF]["spec"]["rules"]
    assert found[-1] == theirs
    assert found[:-1] == rules(made, split)
    assert GatewayV1().read(made, now) == split


def test_a_route_that_was_there_before_gets_our_rules_first() -> None:
    """Of rules that match alike the first one counts."""
    before = {"matches": [ROOT], "backendRefs": [{"name": "shop", "port": 80}]}
    assert GatewayV1().read(subject(), live(before)) is None
    now = write(GatewayV1(), subject(), live(before), Split())
    assert now[REF]["spec"]["rules"] == [*rules(subject(), Split()), before]


EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "Y", "name": "z"}}


@given(
    st.lists(
        st.sampled_from([Split(), Split.to_canary(40), MATCHED, Split(mirrored=True)]), max_size=6
    )
)
def test_what_others_put_into_our_rule_survives_every_walk(walk: list[Split]) -> None:
    made = subject({"headers": {"request": {"add": {"a": "1"}}}}, AB)
    bent = {
        **rules(made, Split())[0],
        "name": "shop",
        "retry": {"attempts": 3},
        "sessionPersistence": {"type": "Header"},
    }
    bent["filters"] = [*bent["filters"], EXTENSION]
    now = live(bent, hostnames=["theirs.test"])
    for split in walk:
        now = write(GatewayV1(), made, now, split)
    spec = now[REF]["spec"]
    assert spec["hostnames"] == ["theirs.test"]
    # A name is that of one rule.
    assert [rule.get("name") for rule in spec["rules"]] == [None] * (len(spec["rules"]) - 1) + [
        "shop"
    ]
    for rule in spec["rules"]:
        assert rule["retry"] == {"attempts": 3}
        assert [each for each in rule["filters"] if each["type"] == "ExtensionRef"] == [EXTENSION]


def test_what_the_canary_no_longer_asks_for_does_not_stay() -> None:
    before = subject({"timeout": "5s", "headers": {"response": {"remove": ["x"]}}})
    now = write(GatewayV1(), before, {}, Split.to_canary(30))
    assert write(GatewayV1(), subject(), now, Split.to_canary(30))[REF]["spec"]["rules"] == [RULE]


def test_drift_is_mended_with_the_current_weights() -> None:
    bent = live({**RULE, "matches": [{"path": A}], "timeouts": {"request": "1s"}})
    split = GatewayV1().read(subject(), bent)
    assert split == Split.to_canary(30)
    assert write(GatewayV1(), subject(), bent, split)[REF]["spec"]["rules"] == [RULE]


# --------------------------------------------------------------------- reading

P, C = {"name": "shop-primary"}, {"name": "shop-canary"}
READ: dict[str, tuple[dict[Ref, Manifest], Split | None]] = {
    "no route": ({}, None),
    "a route without rules": (live(), None),
    "a rule without backends": (live(REDIRECT), None),
    "backends without weights, which count as 1": (
        live({"backendRefs": [P, C]}),
        Split.to_canary(50),
    ),
    "one without a weight": (
        live({"backendRefs": [{**P, "weight": 3}, C]}),
        Split.to_canary(25),
    ),
    "no weight at all": (
        live({"backendRefs": [{**P, "weight": 0}, {**C, "weight": 0}]}),
        None,
    ),
    "a third backend, which gets its share too": (
        live(
            {
                "backendRefs": [
                    {**P, "weight": 40},
                    {**C, "weight": 10},
                    {"name": "x", "weight": 50},
                ]
            }
        ),
        Split.to_canary(10),
    ),
}


@pytest.mark.parametrize(("now", "split"), READ.values(), ids=READ)
def test_reads(now: dict[Ref, Manifest], split: Split | None) -> None:
    assert GatewayV1().read(subject(), now) == split


@given(st.integers(0, 100))
def test_reads_the_split_among_rules_for_cookies(weight: int) -> None:
    split = Split.to_canary(weight)
    assert GatewayV1().read(sticky(), write(GatewayV1(), sticky(), {}, split)) == split


# ------------------------------------------------------------------- refusing


def homeless() -> Canary:
    """Without Gateways, as no file may be: the provider may come from the settings, though."""
    made, service = subject(), subject().spec.service
    assert service is not None
    service = service.model_copy(update={"gateway_refs": ()})
    return made.model_copy(update={"spec": made.spec.model_copy(update={"service": service})})


REFUSED: dict[str, tuple[Canary, str]] = {
    "no Gateway": (
        homeless(),
        r"spec\.service\.gatewayRefs: found nothing, expected at least one Gateway",
    ),
    "a header by its beginning": (
        subject({"match": [{"headers": {"x": {"prefix": "a"}}}]}),
        r"service\.match\[0\]\.headers\.x: found prefix, expected exact or regex",
    ),
    "a query parameter by its beginning": (
        subject({"match": [{"queryParams": {"x": {"prefix": "a"}}}]}),
        r"service\.match\[0\]\.queryParams\.x: found prefix",
    ),
    "labels of callers, as everybody would match": (
        subject(analysis={"iterations": 5, "match": [{"sourceLabels": {"app": "web"}}]}),
        r"analysis\.match\[0\]: found sourceLabels, expected headers or queryParams",
    ),
    "a match without conditions, as everybody would match": (
        subject(analysis={"iterations": 5, "match": [{"headers": {}}]}),
        r"analysis\.match\[0\]: found no condition",
    ),
    "no match at all": (subject(analysis={"iterations": 5}), r"analysis\.match: found nothing"),
    "a prefix to replace where there is none": (
        subject(
            {
                "match": [{"uri": {"exact": "/login"}}],
                "rewrite": {"uri": "/", "type": "ReplacePrefixMatch"},
            },
            AB,
        ),
        r"service\.match: found a uri that is exact or a regex, expected uri\.prefix everywhere",
    ),
}


@pytest.mark.parametrize(("made", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses(made: Canary, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        GatewayV1().render(made, {}, MATCHED)
    assert all(problem.where == "Canary test/app" for problem in caught.value.problems)


@pytest.mark.parametrize("operation", ["add", "set"])
def test_affinity_leaves_set_cookie_to_itself(operation: str) -> None:
    service = {"headers": {"response": {operation: {"set-cookie": "a=b"}}}}
    with pytest.raises(SpecError, match="no Set-Cookie beside sessionAffinity"):
        GatewayV1().render(sticky(service=service), {}, Split())


# -------------------------------------------------------------------- pending

ACCEPTED = {"type": "Accepted", "status": "True", "observedGeneration": 2}


def reported(*conditions: dict[str, Any], **ref: Any) -> dict[str, Any]:
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", **ref}
    return {"parentRef": parent, "conditions": list(conditions)}


PENDING: dict[str, tuple[list[dict[str, Any]], str]] = {
    "accepted as it is": ([reported(ACCEPTED)], ""),
    "accepted, with the namespace spelled out": ([reported(ACCEPTED, namespace="test")], ""),
    "accepted by one of two controllers": (
        [reported({**ACCEPTED, "status": "False"}), reported(ACCEPTED)],
        "",
    ),
    "nobody answers": ([], "nobody has answered for Gateway test/public yet; does it exist"),
    "only another Gateway answers": (
        [reported(ACCEPTED, name="private")],
        "nobody has answered for Gateway test/public",
    ),
    "another listener of it answers": (
        [reported(ACCEPTED, sectionName="https")],
        "nobody has answered for Gateway test/public",
    ),
    "other conditions only": (
        [reported({"type": "ResolvedRefs", "status": "True", "observedGeneration": 2})],
        "nobody has answered",
    ),
    "an older generation was accepted": (
        [reported({**ACCEPTED, "observedGeneration": 1})],
        "Gateway test/public has not taken generation 2 of the route yet",
    ),
    "refused with words": (
        [reported({**ACCEPTED, "status": "False", "reason": "R", "message": "no such listener"})],
        "Gateway test/public does not accept the route: no such listener",
    ),
    "refused with a reason": (
        [reported({**ACCEPTED, "status": "False", "reason": "NotAllowedByListeners"})],
        "does not accept the route: NotAllowedByListeners",
    ),
}


def answered(parents: list[dict[str, Any]]) -> dict[Ref, Manifest]:
    now = write(GatewayV1(), subject(), {}, Split())
    route = now[REF]
    meta = {**route["metadata"], "generation": 2}
    return {REF: {**route, "metadata": meta, "status": {"parents": parents}}}


@pytest.mark.parametrize(("parents", "words"), PENDING.values(), ids=PENDING)
def test_pending_says_why(parents: list[dict[str, Any]], words: str) -> None:
    found = GatewayV1().pending(subject(), answered(parents))
    assert found == words if not words else words in found


def test_every_gateway_has_to_accept_the_route() -> None:
    made = subject({"gatewayRefs": [{"name": "public"}, {"name": "inside", "namespace": "infra"}]})
    route = write(GatewayV1(), made, {}, Split())[REF]
    meta = {**route["metadata"], "generation": 2}
    now = {REF: {**route, "metadata": meta, "status": {"parents": [reported(ACCEPTED)]}}}
    assert "Gateway infra/inside" in GatewayV1().pending(made, now)


def test_v1beta1_waits_for_nobody() -> None:
    made = canary("gatewayapi:v1beta1", {"gatewayRefs": GATEWAYS})
    assert "does not exist" in GatewayV1Beta1().pending(made, {})
    assert GatewayV1Beta1().pending(made, write(GatewayV1Beta1(), made, {}, Split())) == ""
