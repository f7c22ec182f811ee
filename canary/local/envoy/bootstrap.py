"""What Envoy is started with: where the rest is, and how it counts."""

from canary.local.envoy.names import Json, Paths, typed

BUCKETS = [
    *(0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500),
    *(600, 750, 1000, 1500, 2000, 2500, 3000, 5000, 7500, 10000, 15000, 30000, 60000),
]
"""Milliseconds. Envoy's own steps double or more, too coarse to say where a p99 lies."""

CONNECTIONS = 50_000
"""Of all users together: a limit below that of open files fails in a way one can see."""


def bootstrap(paths: Paths, admin_port: int) -> Json:
    return {
        "node": {"id": "canary-local", "cluster": "canary-local"},
        "admin": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}
        },
        "dynamic_resources": {
            "lds_config": paths.source("lds"),
            "cds_config": paths.source("cds"),
        },
        # Numbers are made up when somebody asks, so that they are never seconds old.
        "stats_flush_on_admin": True,
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "_rq_time"}, "buckets": BUCKETS},
            ]
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        max_active_downstream_connections=CONNECTIONS,
                    ),
                }
            ]
        },
    }
