"""What the node tells of a pod, and what it gives to its containers."""

import asyncio
import sys
import time
from typing import Any

import aiohttp
import pytest

from canary.cluster.port import Manifest, Ref
from tests.cluster.harness.api import Api
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.node.settings import Program
from tests.harness.eventually import eventually
from tests.harness.manifests import (
    CONFIG_MAP,
    PORT,
    SECRET,
    app,
    container,
    endpoints,
    pod,
    ready,
    script,
    service,
    waits_for,
)


def refers_to(kind: str, **reference: Any) -> Manifest:
    return script("sleep 60", env=[{"name": "X", "valueFrom": {kind: reference}}])


WAITING = {
    "an image that nobody knows": (container("nginx:1"), "ImagePullBackOff", "nginx:1"),
    "a ConfigMap that isn't there": (
        refers_to("configMapKeyRef", name="settings", key="x"),
        "CreateContainerConfigError",
        'configmap "settings" not found',
    ),
    "a Secret that isn't there": (
        script("sleep 60", envFrom=[{"secretRef": {"name": "password"}}]),
        "CreateContainerConfigError",
        'secret "password" not found',
    ),
    "a process that ends again and again": (
        script("exit 7"),
        "CrashLoopBackOff",
        "restarting failed container=app",
    ),
}


@pytest.mark.parametrize(("broken", "reason", "words"), WAITING.values(), ids=WAITING)
async def test_says_what_a_container_waits_for(
    api: Api, namespace: str, broken: Manifest, reason: str, words: str
) -> None:
    created = await api.create(pod(namespace, broken))
    found = await api.until(Ref.of(created), waits_for(reason))
    assert words in app(found)["state"]["waiting"]["message"]
    assert not ready(found)


async def test_an_image_is_pulled_once_somebody_knows_it(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    ref = Ref.of(await api.create(pod(namespace, container("late:1"))))
    await api.until(ref, waits_for("ImagePullBackOff"))
    cluster.use_images({"late:*": Program(["sleep", "60"])})
    await api.until(ref, ready)


async def test_a_crash_is_told_with_its_code_and_counted(api: Api, namespace: str) -> None:
    ref = Ref.of(await api.create(pod(namespace, script("exit 7"))))
    found = await api.until(ref, lambda found: app(found).get("restartCount", 0) >= 2)
    last = app(found)["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (7, "Error")


async def test_a_program_that_is_missing_is_a_failed_start(api: Api, namespace: str) -> None:
    broken = {"name": "app", "image": "host", "command": ["/no/such/program"]}
    ref = Ref.of(await api.create(pod(namespace, broken, restartPolicy="Never")))
    found = await api.until(ref, lambda found: found["status"].get("phase") == "Failed")
    assert app(found)["state"]["terminated"]["exitCode"] in (127, 128)


async def told(cluster: Cluster, namespace: str, line: str) -> list[str]:
    """The log of the pod's container, once it has that line."""

    async def lines() -> list[str]:
        return cluster.log(namespace, "podinfo", "app").splitlines()

    return await eventually(lines, lambda found: line in found)


async def test_environment(cluster: Cluster, api: Api, namespace: str) -> None:
    settings, secret = (Ref(kind, namespace, "it") for kind in (CONFIG_MAP, SECRET))
    await api.create(settings.manifest(data={"COLOR": "blue", "SIZE": "7"}))
    await api.create(secret.manifest(stringData={"password": "hunter2"}))
    env = [
        {"name": "PLAIN", "value": "a value"},
        {"name": "TWICE", "value": "$(PLAIN), $(PLAIN)"},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "it", "key": "COLOR"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "it", "key": "password"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    ]
    maps = [
        {"configMapRef": {"name": "it"}, "prefix": "MY_"},
        {"secretRef": {"name": "none", "optional": True}},
    ]
    spec = script("env; echo done; sleep 60", env=env, envFrom=maps)
    created = await api.create(pod(namespace, spec))
    found = await api.until(Ref.of(created), ready)
    lines = set(await told(cluster, namespace, "done"))
    assert lines >= {
        "PLAIN=a value",
        "TWICE=a value, a value",
        "KEY=blue",
        "WORD=hunter2",
        "NAME=podinfo",
        f"IP={found['status']['podIP']}",
        f"HOST={found['status']['podIP']}",
        "APP=podinfo",
        "MY_COLOR=blue",
        "MY_SIZE=7",
    }


async def test_volumes(cluster: Cluster, api: Api, namespace: str) -> None:
    await api.create(Ref(CONFIG_MAP, namespace, "it").manifest(data={"a.yaml": "color: blue"}))
    spec = script(
        "/bin/cat $FILE; echo; echo done; sleep 60",
        env=[{"name": "FILE", "value": "/etc/app/a.yaml"}],
        volumeMounts=[{"name": "config", "mountPath": "/etc/app"}],
    )
    volumes = [{"name": "config", "configMap": {"name": "it"}}]
    await api.create(pod(namespace, spec, volumes=volumes))
    assert "color: blue" in await told(cluster, namespace, "done")


WHO_AM_I = """
import asyncio
from kubernetes.aio import client, config
async def main():
    config.load_incluster_config()
    async with client.ApiClient() as api:
        review = client.V1SelfSubjectReview()
        found = await client.AuthenticationV1Api(api).create_self_subject_review(review)
        print(found.status.user_info.username, flush=True)
asyncio.run(main())
"""


async def test_a_client_in_a_pod_finds_its_service_account(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    cluster.use_images({"client:*": Program([sys.executable, "-c", WHO_AM_I])})
    await api.create(pod(namespace, container("client:1"), restartPolicy="Never"))
    await told(cluster, namespace, f"system:serviceaccount:{namespace}:default")


async def test_logs_are_asked_for_through_the_api_server(
    cluster: Cluster, api: Api, namespace: str
) -> None:
    ref = Ref.of(await api.create(pod(namespace, script("echo one; echo two; sleep 60"))))
    await told(cluster, namespace, "two")
    path = await api.path(ref, "log")
    assert await api.request("GET", path) == "one\ntwo\n"
    assert await api.request("GET", path, params={"tailLines": "1"}) == "two\n"


async def test_init_containers_come_first(cluster: Cluster, api: Api, namespace: str) -> None:
    first = script("echo first > $POD_NAME.txt", name="first")
    main = script("cat $POD_NAME.txt; echo done; sleep 60")
    await api.create(pod(namespace, main, initContainers=[first]))
    assert "first" in await told(cluster, namespace, "done")


async def test_liveness_ends_what_hangs(api: Api, namespace: str) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    ref = Ref.of(await api.create(pod(namespace, script("sleep 60", livenessProbe=probe))))
    await api.until(ref, lambda found: app(found).get("restartCount", 0) >= 1)


async def test_a_tcp_probe_waits_for_the_port(api: Api, namespace: str) -> None:
    late = container(
        readinessProbe={"tcpSocket": {"port": PORT}}, startupProbe={"tcpSocket": {"port": "http"}}
    )
    deaf = script("sleep 60", readinessProbe={"tcpSocket": {"port": PORT}})
    good = Ref.of(await api.create(pod(namespace, late)))
    bad = Ref.of(await api.create(pod(namespace, deaf, name="deaf")))
    await api.until(good, ready)
    found = await api.until(bad, lambda found: "running" in app(found)["state"])
    assert not ready(found)


async def test_a_selector_that_fits_no_node_leaves_a_pod_pending(api: Api, namespace: str) -> None:
    lost = Ref.of(await api.create(pod(namespace, name="lost", nodeSelector={"disk": "ssd"})))
    other = Ref.of(await api.create(pod(namespace)))
    await api.until(other, ready)
    assert "nodeName" not in (await api.get(lost))["spec"]


async def test_a_deleted_pod_leaves_its_endpoints_before_it_ends(api: Api, namespace: str) -> None:
    await api.create(service(namespace))
    ref = Ref.of(await api.create(pod(namespace)))
    address = (await api.until(ref, ready))["status"]["podIP"]
    await eventually(lambda: endpoints(api, namespace), lambda found: found.get(address))
    await api.delete(ref)
    async with aiohttp.ClientSession() as session:
        await eventually(lambda: endpoints(api, namespace), lambda found: not any(found.values()))
        async with session.get(f"http://{address}:{PORT}/") as reply:
            assert reply.status == 200
        await api.until_gone(ref)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{address}:{PORT}/")


async def test_a_pod_that_does_not_listen_is_killed_after_its_grace(
    api: Api, namespace: str
) -> None:
    stubborn = script("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    spec = pod(namespace, stubborn, terminationGracePeriodSeconds=2)
    ref = Ref.of(await api.create(spec))
    await api.until(ref, ready)
    began = time.monotonic()
    await api.delete(ref)
    await api.until_gone(ref, timeout=10)
    assert time.monotonic() - began >= 2


async def test_force_kills_at_once(api: Api, namespace: str) -> None:
    ref = Ref.of(await api.create(pod(namespace)))
    address = (await api.until(ref, ready))["status"]["podIP"]
    await api.delete(ref, gracePeriodSeconds=0)

    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection(address, PORT)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await eventually(refused, timeout=1)


async def test_the_end_of_a_pod_leaves_the_next_one_of_its_name_alone(
    api: Api, namespace: str
) -> None:
    ref = Ref.of(await api.create(pod(namespace)))
    await api.until(ref, ready)
    await api.delete(ref, gracePeriodSeconds=0)
    created = await api.create(pod(namespace, script("sleep 60")))
    await api.until(ref, ready)
    # Another pod's whole life is longer than what is left of the first one's.
    other = Ref.of(await api.create(pod(namespace, name="other")))
    await api.until(other, ready)
    await api.delete(other)
    await api.until_gone(other)
    found = await api.get(ref)
    assert found["metadata"]["uid"] == created["metadata"]["uid"]
    assert app(found)["restartCount"] == 0
