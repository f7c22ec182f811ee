"""Where requests go: one Envoy cluster for each side of a Route, and their endpoints."""

import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from canary.crd.duration import Duration
from canary.local.envoy.names import CANARY, PRIMARY, Json, Key, seconds, typed
from canary.local.envoy.propagation import b3_upstream
from canary.local.envoy.routes import mirror_names

UNLIMITED = 2**32 - 1
"""Envoy's own limits are there to protect large fleets, and would surprise on one machine."""

POLICIES = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_CONN": "LEAST_REQUEST",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
    "round-robin": "ROUND_ROBIN",
    "least-request": "LEAST_REQUEST",
    "random": "RANDOM",
    "ring-hash": "RING_HASH",
    "maglev": "MAGLEV",
}


def sources(key: Key, spec: Json) -> dict[str, str]:
    """Cluster to the Process whose endpoints it has."""
    sides = {f"{key}/{side}": spec[side]["process"] for side in (PRIMARY, CANARY)}
    return sides | {f"{key}/mirror/{name}": name for name in mirror_names(spec)}


def cluster(name: str, spec: Json) -> Json:
    policy = spec.get("service", {}).get("trafficPolicy", {})
    made = typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        # Its endpoints come with it, see `with_endpoints`.
        type="STATIC",
        connect_timeout="1s",
        circuit_breakers=_limits(policy, spec.get("settings", {})),
        # Envoy would rather send to ejected processes than to none; a proper 503 is clearer.
        common_lb_config={"healthy_panic_threshold": {"value": _min_health(policy)}},
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _protocol(spec, policy)
        },
        **_balancer(policy.get("loadBalancer", {}), spec.get("settings", {}).get("loadBalancer")),
    )
    if (outliers := policy.get("outlierDetection")) is not None:
        made["outlier_detection"] = _outliers(outliers)
    if socket := _tls(policy.get("tls", {})):
        made["transport_socket"] = socket
    return made


def collector(key: Key, tracing: Json) -> Json:
    """The cluster of an OTLP collector."""
    name = f"{key}/otlp"
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STRICT_DNS",
        connect_timeout="1s",
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(tracing["host"], tracing["port"])]}],
        },
    )


def endpoints(rows: Iterable[Json]) -> list[Json]:
    """The ready ones of a Process's endpoints, each with the name of its process.

    Raises `ValueError` for an address that is not an IP.
    """
    ready = sorted(
        (str(ip_address(each["address"])), int(each["port"]), each.get("instance", ""))
        for each in rows
        if each.get("ready")
    )
    return [
        {
            **_endpoint(address, port),
            "metadata": {"filter_metadata": {"canary": {"instance": instance}}},
        }
        for address, port, instance in ready
    ]


def with_endpoints(cluster: Json, rows: list[Json]) -> Json:
    """The cluster as it is sent.

    Endpoints of their own (EDS) would take a watched file for each cluster, see `shard_of`.
    """
    assignment = {"cluster_name": cluster["name"], "endpoints": [{"lb_endpoints": rows}]}
    return {**cluster, "load_assignment": assignment}


def _endpoint(address: str, port: int) -> Json:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def _limits(policy: Json, settings: Json) -> Json:
    pool = policy.get("connectionPool", {}).get("http", {})
    limits: Json = {
        "max_connections": settings.get("maxConnections", UNLIMITED),
        "max_pending_requests": pool.get("http1MaxPendingRequests", UNLIMITED),
        "max_requests": pool.get("http2MaxRequests", UNLIMITED),
        "track_remaining": True,
    }
    if "maxRetries" in pool:
        limits["max_retries"] = pool["maxRetries"]
    else:
        # A share of what is under way, so that retries can't bury a service that is down.
        limits["retry_budget"] = {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}
    return {"thresholds": [limits]}


def _min_health(policy: Json) -> int:
    return int(policy.get("outlierDetection", {}).get("minHealthPercent", 0))


def _protocol(spec: Json, policy: Json) -> Json:
    pool = policy.get("connectionPool", {}).get("http", {})
    common: dict[str, Any] = {}
    if limit := pool.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = limit
    if pool.get("idleTimeout"):
        common["idle_timeout"] = seconds(Duration(pool["idleTimeout"]).seconds)
    upgrade = pool.get("h2UpgradePolicy")
    http2 = upgrade == "UPGRADE" or (spec.get("http2") and upgrade != "DO_NOT_UPGRADE")
    version = "http2_protocol_options" if http2 else "http_protocol_options"
    made = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={version: {}},
    )
    if common:
        made["common_http_protocol_options"] = common
    if spec.get("settings", {}).get("tracing"):
        made["http_filters"] = b3_upstream()
    return made


def _balancer(asked: Json, setting: str | None) -> Json:
    hashed = asked.get("consistentHash")
    policy = POLICIES[setting or asked.get("simple", "ROUND_ROBIN")]
    if hashed and policy != "MAGLEV":
        policy = "RING_HASH"
    made: Json = {"lb_policy": policy}
    if policy == "RING_HASH" and hashed and "minimumRingSize" in hashed:
        made["ring_hash_lb_config"] = {"minimum_ring_size": hashed["minimumRingSize"]}
    if policy in ("ROUND_ROBIN", "LEAST_REQUEST") and asked.get("warmupDurationSecs"):
        window = seconds(Duration(asked["warmupDurationSecs"]).seconds)
        made[f"{policy.lower()}_lb_config"] = {"slow_start_config": {"slow_start_window": window}}
    return made


def _outliers(asked: Json) -> Json:
    # With two processes, Envoy's default of 10 percent would never eject anybody.
    made: Json = {"always_eject_one_host": True}
    gateway = asked.get("consecutiveGatewayErrors", asked.get("consecutiveErrors"))
    for field, name in (
        ("consecutive5xxErrors", "consecutive_5xx"),
        ("maxEjectionPercent", "max_ejection_percent"),
        ("splitExternalLocalOriginErrors", "split_external_local_origin_errors"),
        ("consecutiveLocalOriginFailures", "consecutive_local_origin_failure"),
    ):
        if field in asked:
            made[name] = asked[field]
    if gateway is not None:
        made["consecutive_gateway_failure"] = gateway
        made["enforcing_consecutive_gateway_failure"] = 100 if gateway > 0 else 0
    if asked.get("consecutive5xxErrors") == 0:
        made["enforcing_consecutive_5xx"] = 0
    for field, name in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if asked.get(field):
            made[name] = seconds(Duration(asked[field]).seconds)
    return made


def _tls(asked: Json) -> Json | None:
    """The TLS with which Envoy calls the service."""
    mode = asked.get("mode", "DISABLE")
    if mode == "DISABLE":
        return None
    context: Json = {"common_tls_context": {"validation_context": _validation(asked)}}
    if mode == "MUTUAL":
        context["common_tls_context"]["tls_certificates"] = [
            {
                "certificate_chain": {"filename": asked["clientCertificate"]},
                "private_key": {"filename": asked["privateKey"]},
            }
        ]
    if sni := asked.get("sni"):
        context["sni"] = sni
    kind = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(kind, **context)}


def _validation(asked: Json) -> Json:
    # Without a CA of its own, the service is checked against the system's: never against none.
    ca = asked.get("caCertificates") or ssl.get_default_verify_paths().cafile
    made: Json = {"trusted_ca": {"filename": ca or "/etc/ssl/certs/ca-certificates.crt"}}
    if names := asked.get("subjectAltNames"):
        made["match_typed_subject_alt_names"] = [
            {"san_type": kind, "matcher": {"exact": name}}
            for name in names
            for kind in ("DNS", "URI", "IP_ADDRESS")
        ]
    return made
