"""Where requests come in: the three listeners of a Route."""

from typing import Any

from canary.local.envoy.access_log import access_log
from canary.local.envoy.names import APEX, Json, Key, Paths, seconds, shard_of, typed
from canary.local.envoy.propagation import b3_downstream
from canary.local.envoy.routes import (
    CORS,
    RATE_LIMIT,
    ROUTE_HEADER,
    route_configuration,
    virtual_host,
)

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def listener(key: Key, side: str, spec: Json, address: tuple[str, int], paths: Paths) -> Json:
    """One listener; `address` is (IP, port)."""
    settings = spec.get("settings", {})
    routes = _shared_routes(key, paths) if side == APEX else _own_routes(key, side, spec)
    manager = {**_manager(f"{key}/{side}", key, settings, paths), **routes}
    chain: Json = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    if tls := settings.get("tls"):
        chain["transport_socket"] = _tls(tls)
    return typed(
        "envoy.config.listener.v3.Listener",
        name=f"{key}/{side}",
        address={"socket_address": {"address": address[0], "port_value": address[1]}},
        # With it a second program could bind the same port and take half of the connections.
        enable_reuse_port=False,
        filter_chains=[chain],
    )


def _shared_routes(key: Key, paths: Paths) -> Json:
    """Weights change all the time: they are in a file that can change without the listener."""
    shard = shard_of(key)
    return {"rds": {"route_config_name": shard, "config_source": paths.source("rds", shard)}}


def _own_routes(key: Key, side: str, spec: Json) -> Json:
    return {"route_config": route_configuration(f"{key}/{side}", [virtual_host(key, side, spec)])}


def _manager(name: str, key: Key, settings: Json, paths: Paths) -> Json:
    tracing = settings.get("tracing")
    made: dict[str, Any] = {
        "stat_prefix": name,
        "http_filters": _filters(),
        "access_log": [access_log(name, paths)],
        "early_header_mutation_extensions": [_mutations(key, traced=bool(tracing))],
        "use_remote_address": True,
        # Nobody may change retries or timeouts by sending Envoy's own headers.
        "internal_address_config": {"unix_sockets": False},
        "server_header_transformation": "PASS_THROUGH",
        "preserve_external_request_id": True,
        "normalize_path": True,
        "drain_timeout": "1s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    if tracing:
        made["tracing"] = _tracing(key, tracing)
    return typed(HCM, **made)


def _mutations(key: Key, *, traced: bool) -> Json:
    """What is done to a request before anything looks at it."""
    route = {
        "append": {
            "header": {"key": ROUTE_HEADER, "value": key},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    mutations = [route, *(b3_downstream() if traced else [])]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(kind, mutations=mutations),
    }


def _filters() -> list[Json]:
    """The same for all, so that a change of limits or CORS is a change of routes only."""
    limit = typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", stat_prefix="rate_limit"
    )
    cors = typed("envoy.extensions.filters.http.cors.v3.Cors")
    router = typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
    return [
        {"name": CORS, "typed_config": cors},
        {"name": RATE_LIMIT, "typed_config": limit},
        {"name": "envoy.filters.http.router", "typed_config": router},
    ]


def _tracing(key: Key, tracing: Json) -> Json:
    """Spans over OTLP; the sampling is a percentage of requests that come without a context."""
    uri = f"http://{tracing['host']}:{tracing['port']}/v1/traces"
    config = typed(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        service_name=key,
        http_service={
            "http_uri": {"uri": uri, "cluster": f"{key}/otlp", "timeout": seconds(1)},
        },
    )
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
        "random_sampling": {"value": tracing["sampling"]},
    }


def _tls(files: Json) -> Json:
    common: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [
            {
                "certificate_chain": {"filename": files["cert"]},
                "private_key": {"filename": files["key"]},
            }
        ],
    }
    context: Json = {"common_tls_context": common}
    if ca := files.get("clientCa"):
        common["validation_context"] = {"trusted_ca": {"filename": ca}}
        context["require_client_certificate"] = True
    kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(kind, **context)}
