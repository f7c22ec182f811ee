"""What happens to requests: the route configurations of a Route, ordered rules first to last."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from canary.crd.duration import Duration
from canary.local.envoy.matches import http_match, string_match, with_cookie
from canary.local.envoy.names import APEX, CANARY, PRIMARY, Json, Key, seconds, typed

RETRY_ON = "connect-failure,refused-stream,reset-before-request"
"""What can be tried again without asking: the service has not seen such a request."""
ASKED_RETRY_ON = f"{RETRY_ON},unavailable,cancelled"
"""Retries asked for without saying when. The two more are gRPC's own words for "try again"."""

ROUTE_HEADER = "x-canary-route"
"""Set by the listener over whatever a caller sends, gone before the service sees it."""

CORS = "envoy.filters.http.cors"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"


def virtual_host(key: Key, side: str, spec: Json) -> Json:
    """What one of the Route's listeners does; those of a side send all to it."""
    rules = list(_rules(key, spec) if side == APEX else _side_rules(key, side, spec))
    host: Json = {"name": f"{key}/{side}", "domains": [key], "routes": rules}
    if filters := _filters(spec, side):
        host["typed_per_filter_config"] = filters
    return host


def route_configuration(name: str, hosts: Iterable[Json]) -> Json:
    """The virtual hosts of several Routes; which one it is, a listener says in a header."""
    return {
        "name": name,
        "virtual_hosts": list(hosts),
        "vhost_header": ROUTE_HEADER,
        "request_headers_to_remove": [ROUTE_HEADER],
        # A mirror's cluster may come and go; one missing must not refuse the other rules.
        "validate_clusters": False,
    }


def _rules(key: Key, spec: Json) -> Iterator[Json]:
    split, affinity = spec["split"], spec.get("affinity", {})
    weights = {PRIMARY: split["primary"], CANARY: split["canary"]}
    matches = _matches(spec)
    if split.get("matched"):
        for match in matches:
            for each in spec.get("analysis", {}).get("match", []):
                yield _rule(key, spec, match, weights, analysis=each)
        weights = {PRIMARY: 100, CANARY: 0}
    for side, certain in (
        (CANARY, {PRIMARY: 0, CANARY: 100}),
        (PRIMARY, {PRIMARY: 100, CANARY: 0}),
    ):
        if cookie := affinity.get(side):
            for match in matches:
                yield _rule(key, spec, match, certain, cookie=cookie["cookie"])
    if previous := affinity.get("previous"):
        for match in matches:
            yield _rule(
                key,
                spec,
                match,
                weights,
                cookie=previous["cookie"],
                give=dict.fromkeys(weights, previous["set"]),
            )
    give = {side: affinity[side]["set"] for side in (PRIMARY, CANARY) if side in affinity}
    for match in matches:
        yield _rule(key, spec, match, weights, give=give)


def _side_rules(key: Key, side: str, spec: Json) -> Iterator[Json]:
    weights = {PRIMARY: 0, CANARY: 0, side: 100}
    # Copies are made of users' requests only.
    alone = {**spec, "split": {}, "service": {**spec.get("service", {}), "mirror": []}}
    for match in _matches(spec):
        yield _rule(key, alone, match, weights)


def _matches(spec: Json) -> list[Json]:
    return spec.get("service", {}).get("match") or [{}]


def _rule(
    key: Key,
    spec: Json,
    match: Json,
    weights: dict[str, int],
    *,
    analysis: Json | None = None,
    cookie: str = "",
    give: dict[str, str] | None = None,
) -> Json:
    service = spec.get("service", {})
    made = http_match(match, analysis)
    rule: Json = {
        "match": with_cookie(made, cookie) if cookie else made,
        "route": _action(key, spec, weights, match, give or {}),
    }
    headers = service.get("headers", {})
    for way in ("request", "response"):
        operations = headers.get(way, {})
        if added := _header_options(operations):
            rule[f"{way}_headers_to_add"] = added
        if removed := operations.get("remove"):
            rule[f"{way}_headers_to_remove"] = list(removed)
    return rule


def _action(
    key: Key, spec: Json, weights: dict[str, int], match: Json, give: dict[str, str]
) -> Json:
    service = spec.get("service", {})
    action: Json = {
        "weighted_clusters": {
            "clusters": [
                _weighted(f"{key}/{side}", weight, give.get(side))
                for side, weight in weights.items()
            ]
        },
        # As in a mesh: without a timeout of its own, a request takes as long as it takes.
        "timeout": seconds(Duration(service.get("timeout", "")).seconds),
        "retry_policy": _retries(service),
        **_rewrite(service.get("rewrite", {}), match),
    }
    if mirrors := list(_mirrors(key, spec)):
        action["request_mirror_policies"] = mirrors
    if policy := _hash_policy(service, spec.get("settings", {})):
        action["hash_policy"] = [policy]
    return action


def _weighted(cluster: str, weight: int, cookie: str | None) -> Json:
    made: Json = {"name": cluster, "weight": weight}
    if cookie:
        made["response_headers_to_add"] = [_append("Set-Cookie", cookie)]
    return made


def _mirrors(key: Key, spec: Json) -> Iterator[Json]:
    if spec["split"].get("mirrored"):
        percent = spec.get("analysis", {}).get("mirrorWeight", 100)
        share = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
        yield {"cluster": f"{key}/{CANARY}", "runtime_fraction": share}
    for name in mirror_names(spec):
        yield {"cluster": f"{key}/mirror/{name}"}


def mirror_names(spec: Json) -> list[str]:
    """Processes that get a copy of everything, whatever is being released."""
    return [each["backendRef"]["name"] for each in spec.get("service", {}).get("mirror", [])]


def _retries(service: Json) -> Json:
    policy: Json = {
        "retry_on": RETRY_ON,
        "num_retries": 2,
        # Exponential, and fully jittered by Envoy.
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed(
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                ),
            }
        ],
        "host_selection_retry_max_attempts": 3,
    }
    per_try = service.get("backendTimeout", "")
    if (asked := service.get("retries")) is not None:
        words = [word.strip() for word in asked.get("retryOn", ASKED_RETRY_ON).split(",")]
        codes = [int(word) for word in words if word.isdigit()]
        names = [word for word in words if word and not word.isdigit()]
        if codes:
            policy["retriable_status_codes"] = codes
            names.append("retriable-status-codes")
        policy["retry_on"] = ",".join(dict.fromkeys(names))
        policy["num_retries"] = asked.get("attempts", 0)
        per_try = asked.get("perTryTimeout") or per_try
    if limit := Duration(per_try).seconds:
        policy["per_try_timeout"] = seconds(limit)
    return policy


def _rewrite(rewrite: Json, match: Json) -> Json:
    made: Json = {}
    if authority := rewrite.get("authority"):
        made["host_rewrite_literal"] = authority
    if not (uri := rewrite.get("uri")):
        return made
    prefix = _replaced_prefix(rewrite.get("type"), match.get("uri", {}))
    if not prefix:
        return {**made, "regex_rewrite": _regex("^.*$", uri)}
    if uri.endswith("/") and not prefix.endswith("/"):
        # `/api` to `/` makes `/x` of `/api/x`, not `//x` ...
        return {**made, "regex_rewrite": _regex(f"^{re.escape(prefix)}/?", uri)}
    if prefix.endswith("/") and not uri.endswith("/"):
        # ... and `/` to `/v1` makes `/v1/x` of `/x`.
        uri = f"{uri}/"
    return {**made, "prefix_rewrite": uri}


def _replaced_prefix(kind: str | None, uri: Json) -> str:
    """The part of the path that a rewrite replaces; empty for all of it.

    Without a type it is what Istio does: the prefix, where a prefix was matched.
    """
    if kind == "ReplacePrefixMatch":
        return str(uri.get("prefix", "" if uri else "/"))
    return str(uri.get("prefix", "")) if kind is None else ""


def _regex(pattern: str, text: str) -> Json:
    # Backslashes of a substitution refer to groups.
    literal = text.replace("\\", "\\\\")
    return {"pattern": {"regex": pattern}, "substitution": literal}


def _header_options(operations: Json) -> list[Json]:
    added = [_append(name, value) for name, value in sorted(operations.get("add", {}).items())]
    return added + [
        _append(name, value, "OVERWRITE_IF_EXISTS_OR_ADD")
        for name, value in sorted(operations.get("set", {}).items())
    ]


def _append(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}


def _hash_policy(service: Json, settings: Json) -> Json | None:
    balancer = service.get("trafficPolicy", {}).get("loadBalancer", {})
    asked = balancer.get("consistentHash", {})
    if name := asked.get("httpHeaderName"):
        return {"header": {"header_name": name}}
    if cookie := asked.get("httpCookie"):
        made: Json = {"name": cookie.get("name", "canary")}
        if "ttl" in cookie:
            made["ttl"] = seconds(Duration(cookie["ttl"]).seconds)
        if "path" in cookie:
            made["path"] = cookie["path"]
        return {"cookie": made}
    if name := asked.get("httpQueryParameterName"):
        return {"query_parameter": {"name": name}}
    if asked or settings.get("loadBalancer") in ("ring-hash", "maglev"):
        return {"connection_properties": {"source_ip": True}}
    return None


def _filters(spec: Json, side: str) -> Json:
    """Settings of the filters of every listener, here so that they change with the routes."""
    made: dict[str, Any] = {}
    if policy := spec.get("service", {}).get("corsPolicy"):
        made[CORS] = _cors(policy)
    limit = spec.get("settings", {}).get("rateLimit")
    if limit and side == APEX:
        made[RATE_LIMIT] = typed(
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="rate_limit",
            token_bucket={
                "max_tokens": limit["requests"],
                "tokens_per_fill": limit["requests"],
                "fill_interval": seconds(limit["seconds"]),
            },
            filter_enabled=_always("enabled"),
            filter_enforced=_always("enforced"),
        )
    return made


def _always(name: str) -> Json:
    return {
        "runtime_key": f"rate_limit.{name}",
        "default_value": {"numerator": 100, "denominator": "HUNDRED"},
    }


def _cors(policy: Json) -> Json:
    origins: list[Json | None] = [{"exact": each} for each in policy.get("allowOrigin", [])]
    if "*" in policy.get("allowOrigin", []):
        origins = [{"safe_regex": {"regex": ".*"}}]
    origins += [string_match(each) for each in policy.get("allowOrigins", [])]
    made: Json = {"allow_origin_string_match": origins}
    for field, name in (
        ("allowMethods", "allow_methods"),
        ("allowHeaders", "allow_headers"),
        ("exposeHeaders", "expose_headers"),
    ):
        if values := policy.get(field):
            made[name] = ",".join(values)
    if policy.get("maxAge"):
        made["max_age"] = str(int(Duration(policy["maxAge"]).seconds))
    if policy.get("allowCredentials") is not None:
        made["allow_credentials"] = policy["allowCredentials"]
    return typed("envoy.extensions.filters.http.cors.v3.CorsPolicy", **made)
