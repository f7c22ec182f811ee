"""Where the API server is and who we are there: a kubeconfig, or a pod's service account."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from canary.errors import ClusterError

# The client's loaders check little, and stumble over a file that isn't as it should be.
_ODD = (ConfigException, OSError, yaml.YAMLError, TypeError, AttributeError, ValueError, KeyError)


@dataclass(frozen=True, slots=True)
class Login:
    """Which credentials to use; they are read anew whenever `read` is called."""

    kubeconfig: str = ""
    """A file, or several as in $KUBECONFIG. Empty: the pod's own account, or outside of a pod the
    kubeconfig that kubectl would use."""
    context: str = ""
    """One of the kubeconfig's contexts; empty means its current one."""
    server: str = ""
    """Another address of the API server than the one that is configured."""

    @property
    def in_pod(self) -> bool:
        return not self.kubeconfig and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))

    @property
    def files(self) -> str:
        default = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return self.kubeconfig or default

    @property
    def source(self) -> str:
        """What to tell people about whose credentials these are."""
        return "this pod's service account" if self.in_pod else f"kubeconfig {self.files}"

    async def read(self) -> Configuration:
        """The client's settings as they are now. Raises `ClusterError`."""
        configuration = Configuration()
        try:
            if self.in_pod:
                await asyncio.to_thread(load_incluster_config, client_configuration=configuration)
            else:
                await self._read_files(configuration)
        except _ODD as error:
            raise ClusterError(f"{self.source} can't be used: {error}") from error
        if self.server:
            configuration.host = self.server.rstrip("/")
        # Who asks too much is held back by the limiter; watches last, and each has a connection.
        configuration.connection_pool_maxsize = 0
        return configuration

    async def _read_files(self, configuration: Configuration) -> None:
        names = [name for name in self.files.split(os.pathsep) if name]
        if not await asyncio.to_thread(_any_exists, names):
            raise ClusterError(
                f"there is no kubeconfig at {self.files}: name one, or set KUBECONFIG to it"
            )
        await load_kube_config(
            self.files,
            self.context or None,
            configuration,
            persist_config=False,  # the file is its owner's
        )


def _any_exists(names: list[str]) -> bool:
    return any(Path(name).expanduser().exists() for name in names)
