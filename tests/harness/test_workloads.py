"""Deployments, Services and Jobs: what Kubernetes' own controllers make of the node's pods."""

import operator
from functools import partial
from pathlib import Path

import aiohttp

from canary.cluster.port import Ref
from tests.cluster.harness.api import Api
from tests.harness.eventually import eventually
from tests.harness.manifests import (
    DEPLOYMENT,
    JOB,
    POD,
    PORT,
    container,
    deployment,
    endpoints,
    rolled,
    script,
    service,
)


async def version(address: str) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}:{PORT}/") as reply,
    ):
        return str((await reply.json())["version"])


async def test_a_deployment_rolls(api: Api, namespace: str) -> None:
    ref = Ref(DEPLOYMENT, namespace, "podinfo")
    await api.apply(deployment(namespace))
    await api.until(ref, rolled)
    await api.apply(deployment(namespace, container("podinfo:2")))
    await api.until(ref, rolled)
    pods = await eventually(lambda: api.list(POD, namespace), lambda found: len(found) == 2)
    assert {await version(pod["status"]["podIP"]) for pod in pods} == {"2"}


async def test_a_release_that_crashes_leaves_the_old_pods_alone(api: Api, namespace: str) -> None:
    ref = Ref(DEPLOYMENT, namespace, "podinfo")
    await api.apply(deployment(namespace, progressDeadlineSeconds=2))
    await api.until(ref, rolled)
    crashing = deployment(namespace, container("podinfo:2-missing"), progressDeadlineSeconds=2)
    await api.apply(crashing)

    def stuck(found: dict[str, object]) -> bool:
        return "ProgressDeadlineExceeded" in str(found["status"])

    found = await api.until(ref, stuck)
    assert found["status"]["availableReplicas"] == 2


async def test_a_service_gets_its_slices(api: Api, namespace: str) -> None:
    await api.apply(service(namespace))
    await api.apply(deployment(namespace))
    found = await eventually(
        lambda: endpoints(api, namespace), lambda found: list(found.values()) == [True, True]
    )
    assert all(address.startswith("10.244.") for address in found)
    assert {await version(address) for address in found} == {"1"}


async def test_a_pod_that_fails_its_probe_leaves_the_slices_and_comes_back(
    api: Api, namespace: str, tmp_path: Path
) -> None:
    healthy = tmp_path / "healthy"
    healthy.touch()
    probe = {"exec": {"command": ["test", "-e", str(healthy)]}, "periodSeconds": 1}
    await api.apply(service(namespace))
    spec = container(readinessProbe={**probe, "failureThreshold": 1})
    await api.apply(deployment(namespace, spec, replicas=1))
    for up in (True, False, True):
        if up:
            healthy.touch()
        else:
            healthy.unlink()
        await eventually(partial(readiness, api, namespace), partial(operator.eq, [up]))


async def readiness(api: Api, namespace: str) -> list[bool]:
    return list((await endpoints(api, namespace)).values())


async def test_min_ready_seconds_count_from_the_first_success(api: Api, namespace: str) -> None:
    ref = Ref(DEPLOYMENT, namespace, "podinfo")
    await api.apply(deployment(namespace, replicas=1, minReadySeconds=2))
    found = await api.until(ref, lambda found: found.get("status", {}).get("readyReplicas") == 1)
    assert not found["status"].get("availableReplicas")
    await api.until(ref, rolled)


async def test_a_job_completes(api: Api, namespace: str) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [script("exit 0")]}}
    ref = Ref(JOB, namespace, "migrate")
    await api.create(ref.manifest(spec={"template": template}))
    await api.until(ref, lambda found: found.get("status", {}).get("succeeded") == 1)


async def test_a_job_that_fails_tries_again_and_gives_up(api: Api, namespace: str) -> None:
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [script("exit 3")]}}
    ref = Ref(JOB, namespace, "migrate")
    await api.create(ref.manifest(spec={"template": template, "backoffLimit": 1}))
    await api.until(ref, lambda found: "BackoffLimitExceeded" in str(found.get("status")))
