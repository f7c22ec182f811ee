"""Canary `spec.service`: the generated Services and what routing objects carry."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from canary.crd.base import (
    DNS_LABEL,
    DNS_NAME,
    DnsLabel,
    DnsName,
    Flag,
    Model,
    Natural,
    OneOf,
    Port,
    PortOrName,
    Says,
    cel,
)
from canary.crd.duration import Duration
from canary.crd.traffic_policy import TrafficPolicy

DEFAULTED: dict[str, JsonValue] = {"x-crd-default": True}
"""The API server fills this default in; all others stay unwritten."""

ObjectName = Annotated[
    str, Field(min_length=1, max_length=253), Says("a name of at most 253 characters")
]
DnsNameOrEmpty = Annotated[
    str, Field(pattern=f"^$|{DNS_NAME}", max_length=253), Says("an API group such as apps, or none")
]


class StringMatch(Model):
    """One way to compare a text; none of them matches anything."""

    one_of: ClassVar = (OneOf(("exact", "prefix", "regex"), exactly=False),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class HttpMatch(Model):
    """A condition on requests, in the shape of Istio's HTTP match; all of its parts must hold."""

    name: str | None = None
    port: Port | None = None
    source_namespace: str | None = None
    gateways: tuple[str, ...] = ()
    source_labels: dict[str, str] = Field(default_factory=dict)
    ignore_uri_case: Flag = False
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)


class GatewayRef(Model):
    """A Gateway API parent."""

    group: DnsNameOrEmpty = Field("gateway.networking.k8s.io", json_schema_extra=DEFAULTED)
    kind: Annotated[
        str,
        Field(pattern="^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", min_length=1, max_length=63),
        Says("a kind such as Gateway"),
    ] = Field("Gateway", json_schema_extra=DEFAULTED)
    namespace: DnsLabel | None = None
    name: ObjectName
    section_name: DnsName | None = None
    port: Port | None = None


class BackendRef(Model):
    """Where a copy of the requests goes. A Service needs a port."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            "has(self.port) || (has(self.group) && self.group != '')"
            " || (has(self.kind) && self.kind != 'Service')",
            "a Service needs its port",
        )
    )

    group: DnsNameOrEmpty = Field("", json_schema_extra=DEFAULTED)
    kind: Annotated[str, Field(min_length=1, max_length=63), Says("a kind such as Service")] = (
        Field("Service", json_schema_extra=DEFAULTED)
    )
    name: ObjectName
    namespace: DnsLabel | None = None
    port: Port | None = None


class Mirror(Model):
    # Required here: the reference means it to be, and a mirror to nowhere is a mistake.
    backend_ref: BackendRef


class Rewrite(Model):
    uri: str | None = None
    authority: str | None = None
    type: str | None = None
    """`ReplacePrefixMatch`, or anything else for `ReplaceFullPath`."""


class Retries(Model):
    attempts: Natural = 0
    per_try_timeout: Duration | None = None
    retry_on: str | None = None


class HeaderOperations(Model):
    add: dict[str, str] = Field(default_factory=dict)
    set: dict[str, str] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Headers(Model):
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class Origin(Model):
    one_of: ClassVar = (OneOf(("exact", "prefix", "regex")),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class CorsPolicy(Model):
    allow_credentials: Flag | None = None
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    allow_origins: tuple[Origin, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None


class CustomMetadata(Model):
    """Labels and annotations for one of the generated objects."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class UnmanagedMetadata(Model):
    """Keys that are left alone on the generated Services."""

    annotations: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Service(Model):
    name: Annotated[
        str,
        Field(pattern=f"^$|{DNS_LABEL}", max_length=63),
        Says("a name of at most 63 characters (letters a-z, digits and hyphens)"),
    ] = ""
    """The apex name; empty means the target's."""
    port: Port
    port_name: str = "http"
    target_port: PortOrName = 0
    """Absent, 0 and the text `0` all mean `port`."""
    app_protocol: str | None = None
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    port_discovery: Flag = False
    headless: Flag = False
    timeout: Duration | None = None
    backend_timeout: Duration | None = None
    gateways: tuple[str, ...] = ()
    gateway_refs: tuple[GatewayRef, ...] = Field((), max_length=32)
    hosts: tuple[str, ...] = ()
    delegation: Flag = False
    traffic_policy: TrafficPolicy | None = None
    match: tuple[HttpMatch, ...] = ()
    rewrite: Rewrite | None = None
    retries: Retries | None = None
    headers: Headers | None = None
    mirror: tuple[Mirror, ...] = ()
    cors_policy: CorsPolicy | None = None
    mesh_name: str | None = None
    backends: tuple[str, ...] = ()
    apex: CustomMetadata | None = None
    primary: CustomMetadata | None = None
    canary: CustomMetadata | None = None
    unmanaged_metadata: UnmanagedMetadata | None = None

    @property
    def effective_target_port(self) -> int | str:
        """The port, or the name of the port, that the workload listens on."""
        return self.port if self.target_port in (0, "0") else self.target_port
