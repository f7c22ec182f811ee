"""Custom resource definitions of others, read from Go modules and never copied.

A mesh joins with a line in `SOURCES`.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import yaml

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import Api
from tests.cluster.harness.downloads import go_module

CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True)
class Source:
    module: str
    version: str
    path: str
    """A file or a folder in it."""


SOURCES = {
    "contour": Source(
        "github.com/projectcontour/contour", "v1.33.8", "examples/contour/01-crds.yaml"
    ),
    "gatewayapi": Source("sigs.k8s.io/gateway-api", "v1.5.1", "config/crd/standard"),
    "istio": Source("istio.io/api", "v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml"),
    "keda": Source(
        "github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"
    ),
    "knative": Source("knative.dev/serving", "v0.51.0", "config/core/300-resources"),
    "smi": Source("github.com/servicemeshinterface/smi-sdk-go", "v0.5.0", "crds/split.yaml"),
    "traefik": Source(
        "github.com/traefik/traefik/v3", "v3.7.13", "integration/fixtures/k8s/01-traefik-crd.yml"
    ),
}


def read(name: str) -> list[Manifest]:
    """The definitions of one of `SOURCES`. Goes to the network the first time."""
    source = SOURCES[name]
    path = go_module(source.module, source.version) / source.path
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return [each for file in files for each in _definitions(file)]


def _definitions(file: Path) -> list[Manifest]:
    documents = yaml.safe_load_all(file.read_text())
    return [each for each in documents if each and each["kind"] == CRD.name]


async def install(api: Api, definitions: list[Manifest]) -> None:
    """Apply them, and return once the server takes objects of their kinds."""
    await asyncio.gather(*(api.apply(each) for each in definitions))
    await asyncio.gather(*(api.until(Ref.of(each), established) for each in definitions))


def established(definition: Manifest) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
