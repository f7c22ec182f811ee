"""Load tests that manifests ask for, carried out on this machine.

A `load-test` webhook names a load tester that lives in a cluster. In local mode there is none:
its command is carried out by our own generator (or by `hey` where that is installed), and the
names of Services in its URL are those of Envoy's listeners.
"""

from collections.abc import Awaitable

from canary.cluster.cache import Cache
from canary.cluster.port import Kind, Manifest
from canary.core.facts import HookAnswer
from canary.crd import Canary
from canary.crd.analysis import Webhook
from canary.errors import CanaryError
from canary.loadtest.runner import Loads

ROUTE = Kind("local.canary/v1", "Route")
SIDES = {"-primary": "primary", "-canary": "canary", "": "apex"}


class LocalLoads:
    """Answers load-test hooks. A release's load ends with the release."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._loads = Loads(locate=self._locate)

    def intercept(self, canary: Canary, hook: Webhook) -> Awaitable[HookAnswer] | None:
        """Carry out a hook that is a command for a load tester; None for any other."""
        command = (hook.metadata or {}).get("cmd")
        if not command or (hook.metadata or {}).get("type", "cmd") != "cmd":
            return None
        return self._start(canary.key, hook.name, command)

    async def stop(self, key: str) -> None:
        await self._loads.stop(key)

    async def close(self) -> None:
        await self._loads.close()

    async def _start(self, key: str, name: str, command: str) -> HookAnswer:
        try:
            return HookAnswer(name, passed=True, detail=self._loads.start(key, command))
        except CanaryError as error:
            return HookAnswer(name, passed=False, detail=str(error))

    def _locate(self, host: str, port: int) -> tuple[str, int] | None:
        """Where a Service of a manifest is on this machine: `podinfo-canary.test:9898`."""
        name, _, rest = host.partition(".")
        namespace = rest.split(".")[0] or "default"
        for route in self._cache.items(ROUTE, namespace):
            for suffix, side in SIDES.items():
                if name == route["metadata"]["name"] + suffix:
                    return _listener(route, side)
        del port
        return None


def _listener(route: Manifest, side: str) -> tuple[str, int] | None:
    listener = route.get("status", {}).get("listeners", {}).get(side)
    if not listener:
        return None
    host, _, port = listener.rpartition(":")
    return host, int(port)
