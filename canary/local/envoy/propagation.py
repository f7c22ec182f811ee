"""Trace context in and out of Envoy in both formats: W3C's, which its tracer speaks, and B3.

The tracer that exports OTLP knows `traceparent` only. A B3 context that comes in is therefore
put into W3C's format before the tracer looks, and the one that goes out is told in B3, too.
"""

from canary.local.envoy.names import Json, typed

_H = "request.headers"
_MULTI = f"'x-b3-traceid' in {_H} && 'x-b3-spanid' in {_H}"
_SINGLE = f"!({_MULTI}) && 'b3' in {_H} && size({_H}['b3']) >= 49"
# `b3: <32 hex>-<16 hex>-1`; its first 49 characters are the middle of a traceparent.

LUA = """
function envoy_on_request(handle)
  local parent = handle:headers():get("traceparent")
  if parent == nil then return end
  local trace, span, flags = string.match(parent, "^%x%x%-(%x+)%-(%x+)%-(%x%x)$")
  if trace == nil then return end
  local sampled = (tonumber(flags, 16) % 2 == 1) and "1" or "0"
  local headers = handle:headers()
  headers:replace("x-b3-traceid", trace)
  headers:replace("x-b3-spanid", span)
  headers:replace("x-b3-sampled", sampled)
  headers:remove("x-b3-parentspanid")
  headers:replace("b3", trace .. "-" .. span .. "-" .. sampled)
end
"""


def b3_downstream() -> list[Json]:
    """Early mutations, made before the tracer looks: a `traceparent` where only B3 is given."""
    flags = f"{_H}['x-b3-sampled'] == '0' ? '-00' : '-01'"
    multi = [
        _cel(_MULTI, "'00-'"),
        _cel(f"{_MULTI} && size({_H}['x-b3-traceid']) == 16", "'0000000000000000'"),
        _cel(_MULTI, f"{_H}['x-b3-traceid']"),
        _cel(_MULTI, "'-'"),
        _cel(_MULTI, f"{_H}['x-b3-spanid']"),
        _cel(f"{_MULTI} && 'x-b3-sampled' in {_H}", flags),
        _cel(f"{_MULTI} && !('x-b3-sampled' in {_H})", "'-01'"),
    ]
    single = [
        _cel(_SINGLE, "'00-'"),
        _cel(_SINGLE, f"{_H}['b3']", most=49),
        _cel(_SINGLE, f"{_H}['b3'].endsWith('-0') ? '-00' : '-01'"),
    ]
    return [_add_traceparent("".join(multi)), _add_traceparent("".join(single))]


def b3_upstream() -> list[Json]:
    """Filters of the upstream side, where the outgoing `traceparent` is known."""
    lua = typed(
        "envoy.extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": LUA}
    )
    codec = typed("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec")
    return [
        {"name": "envoy.filters.http.lua", "typed_config": lua},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]


def _cel(condition: str, value: str, most: int = 0) -> str:
    limit = f":{most}" if most else ""
    return f"%CEL({condition} ? ({value}) : ''){limit}%"


def _add_traceparent(value: str) -> Json:
    return {
        "append": {
            "header": {"key": "traceparent", "value": value},
            "append_action": "ADD_IF_ABSENT",
            # All pieces are empty when there is no B3, and then nothing is added.
            "keep_empty_value": False,
        }
    }
