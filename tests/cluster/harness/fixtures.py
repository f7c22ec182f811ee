"""The cluster as pytest fixtures; `tests/conftest.py` names this module as a plugin.

One cluster for each process that runs tests, started when the first test asks for it and ended
with the session; one namespace for each test. A test is inside of the cluster's network from the
moment it has one of these fixtures, so fixtures with sockets of their own come after them.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # tests that need no cluster don't pay for these imports
    from tests.cluster.harness.api import Api
    from tests.cluster.harness.cluster import Cluster
    from tests.cluster.harness.prometheus import Prometheus
    from tests.cluster.harness.traefik import Traefik


@pytest.fixture(scope="session")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Cluster]":
    """For fixtures of wider scope, which do what needs the network in `network.inside()`."""
    from tests.cluster.harness.cluster import Cluster

    with Cluster.prepare(tmp_path_factory.mktemp("cluster")).running() as cluster:
        yield cluster


@pytest.fixture
def bare_cluster(started_cluster: "Cluster") -> "Iterator[Cluster]":
    """All that is sure to be there is the API server: nothing rolls a Deployment."""
    started_cluster.revive()
    with started_cluster.network.inside():
        yield started_cluster


@pytest.fixture
def cluster(bare_cluster: "Cluster") -> "Cluster":
    if bare_cluster.control_plane.controllers is None:
        pytest.skip("KUBEBUILDER_ASSETS has no controller manager, without which no pod is made")
    return bare_cluster


@pytest.fixture
async def api(bare_cluster: "Cluster") -> "AsyncIterator[Api]":
    """A client that may do everything."""
    async with bare_cluster.api() as api:
        yield api


@pytest.fixture
async def namespace(cluster: "Cluster", api: "Api") -> AsyncIterator[str]:
    """A namespace of the test's own, in which pods can be made."""
    from canary.cluster.port import Kind, Ref

    name = f"test-{os.urandom(4).hex()}"
    ref = Ref(Kind("v1", "Namespace"), "", name)
    await api.create(ref.manifest())
    wanted = [
        Ref(Kind("v1", "ServiceAccount"), name, "default"),
        Ref(Kind("v1", "ConfigMap"), name, "kube-root-ca.crt"),
    ]
    await asyncio.gather(*(api.until(each, bool) for each in wanted))
    yield name
    await api.delete(ref)


@pytest.fixture
async def traefik(cluster: "Cluster") -> "Traefik":
    """The cluster's proxy, with all of its providers; the same one for all tests."""
    from tests.cluster.harness.traefik import PROVIDERS

    return await cluster.traefik(*PROVIDERS)


@pytest.fixture
def prometheus(cluster: "Cluster", traefik: "Traefik") -> "Prometheus":
    """The cluster's Prometheus, which reads that proxy; the same one for all tests."""
    return cluster.prometheus({"traefik": traefik.metrics})
