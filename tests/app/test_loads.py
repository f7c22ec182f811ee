"""Load tests of manifests, carried out on this machine."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from canary.app.loads import ROUTE, LocalLoads
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Ref
from canary.crd import Canary, parse
from canary.crd.analysis import Webhook
from tests.engine.receiver import receiving
from tests.engine.world import canary


@pytest.fixture
async def loads() -> AsyncIterator[LocalLoads]:
    cluster = await Embedded.open(None)
    cache = Cache(cluster)
    await cache.start(ROUTE)
    await cluster.apply(Ref(ROUTE, "test", "app").manifest(spec={}), manager="canary")
    listeners = {f: f"127.0.0.1:{i}" for i, f in enumerate(("apex", "primary", "canary"), 9001)}
    patch = {"status": {"listeners": listeners}}
    await cluster.patch(Ref(ROUTE, "test", "app"), patch, manager="plane", status=True)
    await cache.wait_synced(ROUTE)
    made = LocalLoads(cache)
    yield made
    await made.close()
    await cache.close()
    await cluster.close()


HOSTS: dict[str, tuple[str, tuple[str, int] | None]] = {
    "the apex": ("app.test", ("127.0.0.1", 9001)),
    "the primary": ("app-primary.test", ("127.0.0.1", 9002)),
    "the canary": ("app-canary.test", ("127.0.0.1", 9003)),
    "its whole name": ("app-canary.test.svc.cluster.local", ("127.0.0.1", 9003)),
    "one of another namespace": ("app-canary.prod", None),
    "one without a namespace, which is that of default": ("app-canary", None),
    "anything else": ("example.test", None),
}


@pytest.mark.parametrize(("host", "address"), HOSTS.values(), ids=HOSTS)
async def test_names_of_services(
    loads: LocalLoads, host: str, address: tuple[str, int] | None
) -> None:
    assert loads._locate(host, 9898) == address


def subject() -> Canary:
    made = parse(canary())
    assert isinstance(made, Canary)
    return made


def hook(**metadata: str) -> Webhook:
    return Webhook(name="load", type="rollout", url="http://tester.test/", metadata=metadata)


OTHERS: dict[str, dict[str, str]] = {
    "a hook without metadata": {},
    "a hook with other metadata": {"channel": "#releases"},
    "a command for something else than a shell": {"type": "bash", "cmd": "bats /tests"},
}


@pytest.mark.parametrize("metadata", OTHERS.values(), ids=OTHERS)
def test_other_hooks_are_called_as_they_are(loads: LocalLoads, metadata: dict[str, Any]) -> None:
    assert loads.intercept(subject(), hook(**metadata)) is None


async def test_a_command_is_started_and_ends_with_its_release(loads: LocalLoads) -> None:
    async with receiving() as receiver:
        command = f"hey -z 1m -q 50 -c 1 {receiver.url}"
        answer = loads.intercept(subject(), hook(cmd=command))
        assert answer is not None
        answered = await answer
        assert (answered.name, answered.passed) == ("load", True), answered.detail
        await loads.stop("test/app")


async def test_a_command_that_nobody_knows_is_a_failed_hook_with_a_reason(
    loads: LocalLoads,
) -> None:
    answer = loads.intercept(subject(), hook(cmd="rm -rf /"))
    assert answer is not None
    answered = await answer
    assert answered.passed is False
    assert "rm" in answered.detail
