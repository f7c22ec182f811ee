"""MetricTemplate and AlertProvider: what Canaries refer to."""

from typing import ClassVar, Literal

from pydantic import Field

from canary.crd.base import DnsName, Flag, Model, OneOf, Text, Url
from canary.crd.resource import Resource

MetricProviderType = Literal[
    "prometheus",
    "influxdb",
    "datadog",
    "externalmetrics",
    "stackdriver",
    "cloudwatch",
    "newrelic",
    "graphite",
    "dynatrace",
    "keptn",
    "splunk",
]


class SecretRef(Model):
    """A Secret in the namespace of the object that names it."""

    name: DnsName


class MetricProvider(Model):
    type: MetricProviderType
    address: str | None = None
    """The base URL; what an absent one means depends on the provider."""
    headers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    secret_ref: SecretRef | None = None
    region: str | None = None
    insecure_skip_verify: Flag = False


class MetricTemplateSpec(Model):
    provider: MetricProvider
    query: Text
    """Go template text."""


class MetricTemplate(Resource):
    api_version: Literal["flagger.app/v1beta1"] = "flagger.app/v1beta1"
    kind: Literal["MetricTemplate"] = "MetricTemplate"
    spec: MetricTemplateSpec

    plural: ClassVar[str] = "metrictemplates"


class AlertProviderSpec(Model):
    one_of: ClassVar = (OneOf(("address", "secretRef")),)

    type: Literal["slack", "msteams", "discord", "rocket", "gchat"]
    channel: str = "general"
    username: str = "flagger"
    address: Url | None = None
    proxy: Url | None = None
    secret_ref: SecretRef | None = None
    """A Secret with the key `address`, and `token` where the service wants one."""


class AlertProvider(Resource):
    api_version: Literal["flagger.app/v1beta1"] = "flagger.app/v1beta1"
    kind: Literal["AlertProvider"] = "AlertProvider"
    spec: AlertProviderSpec

    plural: ClassVar[str] = "alertproviders"
