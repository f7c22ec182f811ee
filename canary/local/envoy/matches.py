"""Which requests a rule is for: the Canary's matches in Envoy's words."""

import re
from typing import Any

from canary.local.envoy.names import Json

PSEUDO = {"method": ":method", "scheme": ":scheme", "authority": ":authority"}


def http_match(service: Json, analysis: Json | None = None) -> Json:
    """A RouteMatch for a match of the service and, in an A/B test, one of the analysis.

    Headers and query parameters of both must hold; for a name in both, the analysis decides.
    """
    analysis = analysis or {}
    headers = {**service.get("headers", {}), **analysis.get("headers", {})}
    params = {**service.get("queryParams", {}), **analysis.get("queryParams", {})}
    pseudo = {PSEUDO[name]: service[name] for name in PSEUDO if name in service}
    without = service.get("withoutHeaders", {})
    rows = [_header(name, how) for name, how in [*sorted(pseudo.items()), *sorted(headers.items())]]
    rows += [{**_header(name, how), "invert_match": True} for name, how in sorted(without.items())]
    made = _path(service.get("uri", {}), ignore_case=service.get("ignoreUriCase", False))
    if rows:
        made["headers"] = rows
    if params:
        made["query_parameters"] = [_param(name, how) for name, how in sorted(params.items())]
    return made


def with_cookie(match: Json, cookie: str) -> Json:
    """The same match, for requests that carry this `name=value` among their cookies."""
    # Whole cookies only: the value of another one may contain this text.
    regex = rf"(.*;\s*)?{re.escape(cookie)}(\s*;.*)?"
    header = {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}
    return {**match, "headers": [*match.get("headers", []), header]}


def string_match(how: Json) -> Json | None:
    """A StringMatcher, or None when any text will do."""
    for word in ("exact", "prefix", "suffix"):
        if how.get(word) is not None:
            return {word: how[word]}
    return {"safe_regex": {"regex": how["regex"]}} if how.get("regex") is not None else None


def _path(uri: Json, *, ignore_case: bool) -> Json:
    made: dict[str, Any] = {"prefix": "/"}
    if "exact" in uri:
        made = {"path": uri["exact"]}
    elif "prefix" in uri:
        made = {"prefix": uri["prefix"]}
    elif "regex" in uri:
        return {"safe_regex": {"regex": ("(?i)" if ignore_case else "") + uri["regex"]}}
    return {**made, "case_sensitive": False} if ignore_case else made


def _header(name: str, how: Json) -> Json:
    match = string_match(how)
    # An empty prefix or suffix is not a matcher to Envoy; it holds for every value there is.
    if match is None or match in ({"prefix": ""}, {"suffix": ""}):
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": match}


def _param(name: str, how: Json) -> Json:
    match = string_match(how)
    if match is None or match == {"prefix": ""}:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": match}
