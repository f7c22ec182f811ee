from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from canary.cluster.port import Manifest, Ref
from canary.crd.canary import Canary
from canary.errors import NotFound
from canary.http import Http

CanaryOf = Callable[..., Canary]


class Objects(dict[Ref, Manifest]):
    """A cluster that is as it is: what the watch cache and the API server would hand out."""

    async def read(self, ref: Ref) -> Manifest:
        if ref not in self:
            raise NotFound(f"{ref} does not exist")
        return self[ref]

    def add(self, manifest: Manifest) -> None:
        self[Ref.of(manifest)] = manifest


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


@pytest.fixture
def canary_of() -> CanaryOf:
    def make(
        *metrics: Mapping[str, Any], run: str = "r1", name: str = "podinfo", **spec: Any
    ) -> Canary:
        return Canary.model_validate(
            {
                "apiVersion": "flagger.app/v1beta1",
                "kind": "Canary",
                "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
                "spec": {
                    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    "service": {"port": 80},
                    "analysis": {
                        "interval": "10s", "threshold": 2, "stepWeight": 10,
                        "metrics": list(metrics),
                    },
                    **spec,
                },
                "status": {
                    "run": {
                        "id": run, "revision": "1",
                        "startedAt": "2026-01-01T00:00:00Z", "enteredAt": "2026-01-01T00:00:00Z",
                    }
                },
            }
        )  # fmt: skip

    return make
