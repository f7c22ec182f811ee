"""Canary `spec.service.trafficPolicy`: how a data plane treats one side, in Istio's words."""

from typing import ClassVar, Literal

from pydantic import Field

from canary.crd.base import Flag, Int, Model, Natural, OneOf, Percent
from canary.crd.duration import Duration


class HttpPool(Model):
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    http1_max_pending_requests: Natural | None = None
    http2_max_requests: Natural | None = None
    max_requests_per_connection: Natural | None = None
    max_retries: Natural | None = None
    idle_timeout: Duration | None = None


class ConnectionPool(Model):
    http: HttpPool | None = None


class HttpCookie(Model):
    name: str | None = None
    path: str | None = None
    ttl: Duration | None = None


class ConsistentHash(Model):
    """Requests with the same value of one thing go to the same process."""

    one_of: ClassVar = (
        OneOf(("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")),
    )

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: Flag | None = None
    http_query_parameter_name: str | None = None
    minimum_ring_size: Natural | None = None


class Distribute(Model):
    from_: str | None = Field(None, alias="from")
    to: dict[str, Percent] = Field(default_factory=dict)
    """Locality to its share in percent."""


class Failover(Model):
    from_: str | None = Field(None, alias="from")
    to: str | None = None


class LocalityLbSetting(Model):
    enabled: Flag | None = None
    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()


class LoadBalancer(Model):
    one_of: ClassVar = (OneOf(("simple", "consistentHash")),)

    simple: (
        Literal["ROUND_ROBIN", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "LEAST_REQUEST"] | None
    ) = None
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    warmup_duration_secs: Duration | None = None


class OutlierDetection(Model):
    """When a process that answers badly is left out for a while."""

    base_ejection_time: Duration | None = None
    interval: Duration | None = None
    consecutive_5xx_errors: Natural | None = Field(None, alias="consecutive5xxErrors")
    consecutive_errors: Int | None = None
    consecutive_gateway_errors: Natural | None = None
    consecutive_local_origin_failures: Natural | None = None
    max_ejection_percent: Percent | None = None
    min_health_percent: Percent | None = None
    split_external_local_origin_errors: Flag | None = None


class Tls(Model):
    """How the data plane speaks TLS to the service. Files are paths on the data plane."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] | None = None
    ca_certificates: str | None = None
    client_certificate: str | None = None
    private_key: str | None = None
    sni: str | None = None
    subject_alt_names: tuple[str, ...] = ()


class TrafficPolicy(Model):
    connection_pool: ConnectionPool | None = None
    load_balancer: LoadBalancer | None = None
    outlier_detection: OutlierDetection | None = None
    tls: Tls | None = None
