"""The product's client on the harness's cluster, and fixtures with it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest

from canary.cluster.kubernetes import Kubernetes
from canary.cluster.login import Login
from canary.cluster.port import Kind, Manifest, Ref
from canary.crd.generate import crds
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.crds import install

NAMESPACE = Kind("v1", "Namespace")


@asynccontextmanager
async def connected(
    cluster: Cluster, user: str = "admin", **options: Any
) -> AsyncIterator[Kubernetes]:
    """With the rights of one of the harness's users, on a server that has our CRDs."""
    async with cluster.api() as api:
        await install(api, _definitions())
    async with client_of(Login(str(cluster.kubeconfig(user))), **options) as client:
        yield client


@asynccontextmanager
async def client_of(login: Login, **options: Any) -> AsyncIterator[Kubernetes]:
    client = await Kubernetes.connect(login, **options)
    try:
        yield client
    finally:
        await client.close()


@cache
def _definitions() -> list[Manifest]:
    return crds()


@pytest.fixture
def agent() -> str:
    """One for each test, by which the audit log knows its requests."""
    return f"canary-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def client(bare_cluster: Cluster, agent: str) -> AsyncIterator[Kubernetes]:
    async with connected(bare_cluster, agent=agent) as client:
        yield client


@pytest.fixture
async def place(client: Kubernetes) -> str:
    """The name of a namespace of the test's own."""
    ref = Ref(NAMESPACE, "", f"kubernetes-{uuid.uuid4().hex[:8]}")
    await client.create(ref.manifest())
    return ref.name


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is looked at is no event
            await asyncio.sleep(0.02)
