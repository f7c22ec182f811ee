"""Why pods are not ready: a status of the API in, a sentence out."""

from typing import Any

import pytest

from canary.cluster.port import Manifest
from canary.core.facts import Readiness
from canary.targets.reasons import explained, selects, why
from tests.targets.world import workload


def pod(
    *containers: Manifest, revision: str = "b", at: str = "2026-01-02", **status: Any
) -> Manifest:
    meta = {"name": "web-1", "creationTimestamp": at, "labels": {"pod-template-hash": revision}}
    return {"metadata": meta, "status": {"containerStatuses": list(containers), **status}}


def container(name: str = "app", **fields: Any) -> Manifest:
    return {"name": name, "ready": False, "restartCount": 0, **fields}


def waits(reason: str = "", message: str = "", **fields: Any) -> Manifest:
    return container(state={"waiting": {"reason": reason, "message": message}}, **fields)


def crashed(code: int, reason: str = "Error", restarts: int = 3, **more: Any) -> Manifest:
    last = {"terminated": {"exitCode": code, "reason": reason, "message": "password=x", **more}}
    return {"restartCount": restarts, "lastState": last}


def condition(kind: str, reason: str, message: str) -> Manifest:
    return {"type": kind, "status": "False", "reason": reason, "message": message}


PULL = waits("ImagePullBackOff", 'Back-off pulling image "web:2"')
RUNS: Manifest = {"running": {"startedAt": "2026-01-02"}}
READY = container(state=RUNS, ready=True)
UNSCHEDULABLE = condition("PodScheduled", "Unschedulable", "0/3 nodes are available: cpu.")
GATED = {"readinessGates": [{"conditionType": "x.test/lb"}]}
ROWS: dict[str, tuple[list[Manifest], str]] = {
    "nothing is known of no pods": ([], ""),
    "nothing is wrong with ready ones": ([pod(READY)], ""),
    "an image that can't be pulled": (
        [pod(PULL)],
        'ImagePullBackOff: Back-off pulling image "web:2"',
    ),
    "a config that is missing": (
        [pod(waits("CreateContainerConfigError", 'configmap "look" not found'))],
        'CreateContainerConfigError: configmap "look" not found',
    ),
    "a process that ends again and again, without what it printed": (
        [pod(waits("CrashLoopBackOff", "back-off 40s restarting", **crashed(1)))],
        "CrashLoopBackOff: exited with code 1, 3 restarts",
    ),
    "one that needs too much memory": (
        [pod(waits("CrashLoopBackOff", **crashed(137, "OOMKilled", 1)))],
        "CrashLoopBackOff: exited with code 137 (OOMKilled), 1 restart",
    ),
    "one that a signal ended": (
        [pod(waits("CrashLoopBackOff", **crashed(0, "Error", signal=9)))],
        "CrashLoopBackOff: ended by signal 9, 3 restarts",
    ),
    "one that has just ended": (
        [pod(container(state={"terminated": {"exitCode": 2, "reason": "Error"}}))],
        "Error: exited with code 2",
    ),
    "one that was started again and isn't ready": (
        [pod(container(state=RUNS, **crashed(1)))],
        "NotReady: exited with code 1, 3 restarts",
    ),
    "one that fails its probe": (
        [pod(container(state=RUNS))],
        "NotReady: it runs, but its readiness probe has not passed",
    ),
    "no node for it": (
        [pod(conditions=[UNSCHEDULABLE])],
        "Unschedulable: 0/3 nodes are available: cpu.",
    ),
    "an evicted one": (
        [pod(phase="Failed", reason="Evicted", message="The node was low on memory.")],
        "Evicted: The node was low on memory.",
    ),
    "one that is being started is no reason yet": ([pod(waits("ContainerCreating"))], ""),
    "unless its node says what is in the way": (
        [pod(waits("ContainerCreating", "volume not attached"))],
        "ContainerCreating: volume not attached",
    ),
    "of several containers the one is named": (
        [pod(READY, waits("ErrImagePull", "not found", name="proxy"))],
        "container proxy: ErrImagePull: not found",
    ),
    "an init container that fails": (
        [
            pod(
                waits("PodInitializing"),
                initContainerStatuses=[
                    waits("CrashLoopBackOff", name="migrate", **crashed(1, restarts=2))
                ],
            )
        ],
        "init container migrate: CrashLoopBackOff: exited with code 1, 2 restarts",
    ),
    "an init container that still runs is none": (
        [pod(waits("PodInitializing"), initContainerStatuses=[container("migrate", state=RUNS)])],
        "",
    ),
    "a readiness gate that is not met": (
        [{**pod(READY), "spec": GATED}],
        "ReadinessGatesNotReady: readiness gate x.test/lb is not met",
    ),
    "or says why": (
        [{**pod(READY, conditions=[condition("x.test/lb", "", "draining")]), "spec": GATED}],
        "ReadinessGatesNotReady: draining",
    ),
    "how many pods have it": (
        [pod(PULL), pod(PULL), pod(READY)],
        'ImagePullBackOff: Back-off pulling image "web:2" (2 of 3 pods)',
    ),
    "what breaks comes before what takes time, and two are enough": (
        [
            pod(container(state=RUNS)),
            pod(container(state=RUNS, **crashed(1))),
            pod(PULL),
        ],
        (
            'ImagePullBackOff: Back-off pulling image "web:2" (1 of 3 pods); '
            "NotReady: exited with code 1, 3 restarts (1 of 3 pods)"
        ),
    ),
    "pods of an older revision don't count": (
        [pod(PULL, revision="a", at="2026-01-01"), pod(READY)],
        "",
    ),
    "a long message is cut, and is one line": (
        [pod(waits("ErrImagePull", "a\nb " + "x" * 400))],
        "ErrImagePull: a b " + "x" * 295 + "…",
    ),
}


@pytest.mark.parametrize(("found", "expected"), ROWS.values(), ids=ROWS)
def test_why(found: list[Manifest], expected: str) -> None:
    assert why(found) == expected


def test_pods_on_their_way_out_do_not_count() -> None:
    leaving = pod(PULL)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-03"
    assert why([leaving]) == ""


def test_the_reasons_of_pods_follow_the_count() -> None:
    waiting = Readiness(ready=False, desired=2, reason="0 of 2 pods available", hopeless=True)
    told = explained(waiting, [pod(PULL)])
    words = 'ImagePullBackOff: Back-off pulling image "web:2"'
    assert told.reason == f"0 of 2 pods available; {words}"
    assert told.hopeless
    ready = Readiness(ready=True)
    assert explained(ready, [pod(PULL)]) is ready
    assert explained(waiting, [pod(READY)]) is waiting


def expression(operator: str, key: str = "app", *values: str) -> Manifest:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


# A selector, and whether it selects a pod labelled app=web.
SELECTORS: dict[str, tuple[Manifest, bool]] = {
    "its label": ({"matchLabels": {"app": "web"}}, True),
    "another value": ({"matchLabels": {"app": "x"}}, False),
    "one label more": ({"matchLabels": {"app": "web", "b": "c"}}, False),
    "one of": (expression("In", "app", "web", "x"), True),
    "none of": (expression("NotIn", "app", "web"), False),
    "there": (expression("Exists"), True),
    "not there": (expression("DoesNotExist", "b"), True),
    "not there, but it is": (expression("DoesNotExist"), False),
}


@pytest.mark.parametrize(("selector", "expected"), SELECTORS.values(), ids=SELECTORS)
def test_selects(selector: Manifest, expected: bool) -> None:
    subject = workload()
    subject["spec"]["selector"] = selector
    assert selects(subject, {"metadata": {"labels": {"app": "web"}}}) is expected
