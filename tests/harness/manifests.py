"""What the tests put into the cluster, and what they ask of it."""

from typing import Any

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import Api

CONFIG_MAP = Kind("v1", "ConfigMap")
DEPLOYMENT = Kind("apps/v1", "Deployment")
JOB = Kind("batch/v1", "Job")
POD = Kind("v1", "Pod")
SECRET = Kind("v1", "Secret")
SERVICE = Kind("v1", "Service")
SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice")
PORT = 9898
PROBE = {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}


def container(image: str = "podinfo:1", **fields: Any) -> Manifest:
    ports = [{"name": "http", "containerPort": PORT}]
    probe = {"readinessProbe": PROBE} if image.startswith("podinfo") else {}
    return {"name": "app", "image": image, "ports": ports, **probe, **fields}


def script(text: str, **fields: Any) -> Manifest:
    """A container that runs a shell script on this machine."""
    return {"name": "app", "image": "host", "command": ["sh", "-c", text], **fields}


def pod(namespace: str, *containers: Manifest, name: str = "podinfo", **spec: Any) -> Manifest:
    body = {"containers": list(containers) or [container()], **spec}
    return Ref(POD, namespace, name).manifest(metadata={"labels": {"app": name}}, spec=body)


def deployment(
    namespace: str, *containers: Manifest, name: str = "podinfo", replicas: int = 2, **spec: Any
) -> Manifest:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": list(containers) or [container()]},
    }
    body = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": template,
        **spec,
    }
    return Ref(DEPLOYMENT, namespace, name).manifest(spec=body)


def service(namespace: str, name: str = "podinfo") -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    return Ref(SERVICE, namespace, name).manifest(spec={"selector": {"app": name}, "ports": ports})


def ready(found: Manifest) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def rolled(found: Manifest) -> bool:
    """Whether a Deployment is what its spec says, and nothing of an older one is left."""
    status, replicas = found.get("status", {}), found["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return seen and counts == [replicas] * 3


def app(found: Manifest) -> Manifest:
    """The status of a pod's only container, or an empty one."""
    statuses = found.get("status", {}).get("containerStatuses") or [{"state": {}}]
    return dict(statuses[0])


def waits_for(reason: str) -> Any:
    return lambda found: app(found)["state"].get("waiting", {}).get("reason") == reason


async def endpoints(api: Api, namespace: str, name: str = "podinfo") -> dict[str, bool]:
    """For each address of a Service, whether it may be given requests."""
    slices = await api.list(SLICE, namespace, labelSelector=f"kubernetes.io/service-name={name}")
    return {
        address: bool(each["conditions"].get("ready"))
        for part in slices
        for each in part["endpoints"] or []
        for address in each["addresses"]
    }
