"""The Canary: what is released, how it is reached, and how a release is validated."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from canary.crd.analysis import Analysis
from canary.crd.base import ApiVersion, DnsLabel, DnsName, Flag, Model, Natural, Positive, cel
from canary.crd.resource import Resource
from canary.crd.service import Service
from canary.crd.status import CanaryStatus

Provider = Literal[
    "apisix",
    "appmesh",
    "appmesh:v1beta2",
    "consul",
    "consul:http",
    "contour",
    "envoy",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
]

KNATIVE = "serving.knative.dev/v1"
PROCESS = "local.canary/v1"


class TargetRef(Model):
    api_version: ApiVersion
    kind: Literal["DaemonSet", "Deployment", "Process", "Service"]
    name: DnsName

    @property
    def knative(self) -> bool:
        return self.kind == "Service" and self.api_version == KNATIVE


class ScalerReplicas(Model):
    min_replicas: Positive | None = None
    max_replicas: Positive | None = None


class AutoscalerRef(Model):
    api_version: ApiVersion
    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    name: DnsName
    primary_scaler_queries: dict[str, str] = Field(default_factory=dict)
    """KEDA: name of a trigger to the query that the primary's scaler uses for it."""
    primary_scaler_replicas: ScalerReplicas | None = None


class IngressRef(Model):
    api_version: ApiVersion
    kind: Literal["Ingress"]
    name: DnsName


class RouteRef(Model):
    api_version: ApiVersion
    kind: Literal["ApisixRoute"]
    name: DnsName


class UpstreamRef(Model):
    """A Gloo Upstream whose settings are copied."""

    api_version: ApiVersion
    kind: Literal["Upstream"]
    name: DnsName
    namespace: DnsLabel | None = None


class CanarySpec(Model):
    model_config = ConfigDict(
        json_schema_extra=cel(
            "(self.targetRef.kind == 'Service' &&"
            f" self.targetRef.apiVersion == '{KNATIVE}')"
            " == (has(self.provider) && self.provider == 'knative')",
            "a Knative Service needs the provider knative, and only it does",
        )
    )

    provider: Provider | None = None
    """Absent means the provider of the place where it runs."""
    metrics_server: str | None = None
    """The Prometheus for built-in checks and inline queries; absent means the global one."""
    progress_deadline_seconds: Natural = 600
    target_ref: TargetRef
    autoscaler_ref: AutoscalerRef | None = None
    ingress_ref: IngressRef | None = None
    route_ref: RouteRef | None = None
    upstream_ref: UpstreamRef | None = None
    service: Service | None = None
    """Only a Knative target goes without."""
    analysis: Analysis
    skip_analysis: Flag = False
    revert_on_deletion: Flag = False
    suspend: Flag = False


class Canary(Resource):
    api_version: Literal["flagger.app/v1beta1"] = "flagger.app/v1beta1"
    kind: Literal["Canary"] = "Canary"
    spec: CanarySpec
    status: CanaryStatus = Field(default_factory=CanaryStatus)

    plural: ClassVar[str] = "canaries"

    @property
    def target_name(self) -> str:
        return self.spec.target_ref.name

    @property
    def apex(self) -> str:
        """The name that users of the service call."""
        service = self.spec.service
        return (service.name if service else "") or self.spec.target_ref.name

    @property
    def primary_service(self) -> str:
        return f"{self.apex}-primary"

    @property
    def canary_service(self) -> str:
        return f"{self.apex}-canary"

    @property
    def primary_workload(self) -> str:
        """Always made from the target's name, whatever the service is called."""
        return f"{self.spec.target_ref.name}-primary"
