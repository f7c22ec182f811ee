"""What a Canary's `service` and `analysis` are in an HTTPRoute: matches, filters, durations.

Everything is written out as an API server would default it, and in a fixed order, so that what
was written compares equal to what is read back.
"""

import re
from collections.abc import Mapping
from typing import Any

from canary.crd import Canary
from canary.crd.analysis import HeaderMatch
from canary.crd.duration import Duration
from canary.crd.service import BackendRef, CorsPolicy, HeaderOperations, HttpMatch, StringMatch
from canary.errors import Problem
from canary.routers.shared import service_of, where_of

Json = dict[str, Any]

DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
"""The subset of Go's durations that the Gateway API takes."""
UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
EVERYTHING: Json = {"path": {"type": "PathPrefix", "value": "/"}}
MAX_AGE = 5
"""Seconds for which a browser keeps a CORS answer unless told; the API server's default."""


def matches(canary: Canary, problems: list[Problem]) -> list[Json]:
    """The requests that are this service's: `service.match`, or all of them.

    Entries without anything that an HTTPRoute can match are passed over.
    """
    found = [
        match
        for i, each in enumerate(service_of(canary).match)
        if (match := _match(canary, f"spec.service.match[{i}]", each, problems))
    ]
    return [{**EVERYTHING, **match} for match in found] or [EVERYTHING]


def chosen(canary: Canary, base: list[Json], problems: list[Problem]) -> list[Json]:
    """The requests of an A/B test: each of the service's, with the conditions of each choice.

    Headers, and query parameters, of the analysis take the place of the service's own.
    """
    made = []
    for i, each in enumerate(canary.spec.analysis.match):
        place = f"spec.analysis.match[{i}]"
        found = _conditions(canary, place, each.headers, each.query_params, problems)
        if each.source_labels or not found:
            # Passed over, it would send everybody to the canary.
            wanted = "headers or queryParams: an HTTPRoute knows nothing else of a request"
            given = "sourceLabels" if each.source_labels else "no condition"
            problems.append(Problem(where_of(canary), place, given, wanted))
        made += [{**match, **found} for match in base]
    if not made:
        wanted = "headers or queryParams of those who see the canary"
        problems.append(Problem(where_of(canary), "spec.analysis.match", "nothing", wanted))
    return made


def with_cookie(base: list[Json], cookie: str) -> list[Json]:
    """The same requests, if they carry this cookie (`name=value`); it is asked for once."""
    name, _, value = cookie.partition("=")
    pattern = f".*{_quoted(name)}.*{_quoted(value)}.*"
    wanted = {"type": "RegularExpression", "name": "Cookie", "value": pattern}
    return [
        {
            **match,
            "headers": _by_name(
                [wanted, *(h for h in match.get("headers", ()) if h["name"].lower() != "cookie")]
            ),
        }
        for match in base
    ]


def filters(canary: Canary, *, cors: bool, copy: bool, problems: list[Problem]) -> list[Json]:
    """What is done to every request and response, in the API's usual order.

    `copy` mirrors requests to the canary; `cors` says whether the version has that filter.
    """
    service = service_of(canary)
    headers, made = service.headers, list[Json]()
    if headers and (changes := _changes(headers.request)):
        made.append(_filter("RequestHeaderModifier", changes))
    if headers and (changes := _changes(headers.response)):
        made.append(_filter("ResponseHeaderModifier", changes))
        if canary.spec.analysis.session_affinity and _names_cookie(headers.response):
            field, wanted = "spec.service.headers.response", "no Set-Cookie beside sessionAffinity"
            problems.append(Problem(where_of(canary), field, "Set-Cookie", wanted))
    if rewrite := _rewrite(canary):
        made.append(_filter("URLRewrite", rewrite))
    for mirror in service.mirror:
        made.append(_filter("RequestMirror", {"backendRef": _backend(mirror.backend_ref)}))
    if copy:
        to = BackendRef(name=canary.canary_service, port=service.port)
        made.append(_filter("RequestMirror", {"backendRef": _backend(to)}))
    if cors and service.cors_policy:
        made.append(_filter("CORS", _cors(service.cors_policy)))
    return made


def giving_cookie(there: list[Json], cookie: str) -> list[Json]:
    """These filters and a `Set-Cookie` for every response; a rule may have but one modifier."""
    added = {"name": "Set-Cookie", "value": cookie}
    if not any(each["type"] == "ResponseHeaderModifier" for each in there):
        return [*there, _filter("ResponseHeaderModifier", {"add": [added]})]
    return [
        _filter(
            each["type"],
            {
                **each["responseHeaderModifier"],
                "add": _by_name([*each["responseHeaderModifier"].get("add", ()), added]),
            },
        )
        if each["type"] == "ResponseHeaderModifier"
        else each
        for each in there
    ]


def prefix_rewrite(canary: Canary) -> bool:
    """Whether paths lose their prefix: the API then allows a rule one match, by path prefix."""
    rewrite = service_of(canary).rewrite
    return bool(rewrite and rewrite.uri and rewrite.type == "ReplacePrefixMatch")


def timeouts(canary: Canary) -> Json:
    service = service_of(canary)
    given = {"request": service.timeout, "backendRequest": service.backend_timeout}
    return {field: duration(value) for field, value in given.items() if value}


def duration(value: Duration) -> str:
    """A duration as the Gateway API takes it: whole milliseconds, in at most four parts.

    >>> duration(Duration("10s")), duration(Duration("1.5s")), duration(Duration("0.5h0.25s"))
    ('10s', '1s500ms', '30m250ms')
    """
    if DURATION.fullmatch(value):
        return str(value)
    # What is more than nothing must not become nothing, which means no limit.
    rest, parts = round(value.seconds * 1000) or int(value.seconds > 0), []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _match(canary: Canary, place: str, match: HttpMatch, problems: list[Problem]) -> Json:
    made = _conditions(canary, place, match.headers, match.query_params, problems)
    if path := _path(match.uri):
        made["path"] = path
    if match.method and match.method.exact:
        made["method"] = match.method.exact
    return made


def _path(uri: StringMatch | None) -> Json | None:
    if uri is None:
        return None
    kinds = {"RegularExpression": uri.regex, "Exact": uri.exact, "PathPrefix": uri.prefix}
    return next(({"type": kind, "value": value} for kind, value in kinds.items() if value), None)


def _conditions(
    canary: Canary,
    place: str,
    headers: Mapping[str, HeaderMatch | StringMatch],
    params: Mapping[str, StringMatch],
    problems: list[Problem],
) -> Json:
    made = {}
    for field, conditions in (("headers", headers), ("queryParams", params)):
        listed = []
        for name, wanted in conditions.items():
            if wanted.exact:
                listed.append({"type": "Exact", "name": name, "value": wanted.exact})
            elif wanted.regex:
                listed.append({"type": "RegularExpression", "name": name, "value": wanted.regex})
            else:
                form = next(iter(wanted.model_fields_set), "nothing")
                where, at = where_of(canary), f"{place}.{field}.{name}"
                problems.append(Problem(where, at, form, "exact or regex, and not empty"))
        if listed:
            made[field] = _by_name(listed)
    return made


def _by_name(listed: list[Json]) -> list[Json]:
    return sorted(listed, key=lambda each: (each["name"], each["value"]))


def _filter(kind: str, body: Json) -> Json:
    """A filter, with its body under the field that the API has for its type."""
    fields = {"URLRewrite": "urlRewrite", "CORS": "cors"}
    return {"type": kind, fields.get(kind, kind[0].lower() + kind[1:]): body}


def _changes(operations: HeaderOperations | None) -> Json:
    if operations is None:
        return {}
    made: Json = {
        field: _by_name([{"name": name, "value": value} for name, value in each.items()])
        for field, each in (("add", operations.add), ("set", operations.set))
        if each
    }
    return made | ({"remove": list(operations.remove)} if operations.remove else {})


def _names_cookie(operations: HeaderOperations | None) -> bool:
    names = (*operations.add, *operations.set, *operations.remove) if operations else ()
    return any(name.lower() == "set-cookie" for name in names)


def _rewrite(canary: Canary) -> Json:
    rewrite = service_of(canary).rewrite
    if rewrite is None:
        return {}
    made: Json = {"hostname": rewrite.authority} if rewrite.authority else {}
    if not rewrite.uri:
        return made
    if prefix_rewrite(canary):
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": rewrite.uri}
    else:
        path = {"type": "ReplaceFullPath", "replaceFullPath": rewrite.uri}
    return {**made, "path": path}


def _backend(ref: BackendRef) -> Json:
    made = {"group": ref.group, "kind": ref.kind, "name": ref.name}
    optional = {"namespace": ref.namespace, "port": ref.port}
    return made | {field: value for field, value in optional.items() if value is not None}


def _cors(policy: CorsPolicy) -> Json:
    """Origins by pattern have no counterpart and are left out: such pages are refused."""
    exact = (each.exact for each in policy.allow_origins if each.exact)
    lists = {
        "allowOrigins": list(dict.fromkeys((*policy.allow_origin, *exact))),
        "allowMethods": list(policy.allow_methods),
        "allowHeaders": list(policy.allow_headers),
        "exposeHeaders": list(policy.expose_headers),
    }
    made: Json = {field: values for field, values in lists.items() if values}
    if policy.allow_credentials:
        made["allowCredentials"] = True
    # A second is the least there is.
    made["maxAge"] = max(1, int(policy.max_age.seconds)) if policy.max_age else MAX_AGE
    return made


def _quoted(text: str) -> str:
    """The text as a regular expression of any dialect: only what has a meaning is escaped."""
    return re.sub(r"([][\\^$.|?*+(){}])", r"\\\1", text)
