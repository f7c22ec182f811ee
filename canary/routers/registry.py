"""Which router answers to which provider."""

from importlib import import_module

from canary.errors import UnknownName
from canary.routers.base import Router

ROUTERS = {
    "envoy": "canary.routers.envoy:Envoy",
    "gatewayapi:v1": "canary.routers.gatewayapi:GatewayV1",
    "gatewayapi:v1beta1": "canary.routers.gatewayapi:GatewayV1Beta1",
    "kubernetes": "canary.routers.kubernetes:Kubernetes",
    "nginx": "canary.routers.nginx:Nginx",
    "traefik": "canary.routers.traefik:Traefik",
}
"""Import paths, so a mesh's file is only loaded once a canary asks for it."""


def router(provider: str, where: str) -> Router:
    """The router for a provider; `where` names the object that asked, for the error."""
    path = ROUTERS.get(provider)
    if path is None:
        raise UnknownName(where, "spec.provider", provider, ROUTERS)
    module, name = path.split(":")
    made: Router = getattr(import_module(module), name)()
    return made
