"""Canaries and live objects for the tests of single routers."""

from pathlib import Path
from typing import Any

import canary as package
from canary.cluster.apply import applied
from canary.cluster.port import Manifest, Ref
from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, Split
from canary.routers.base import Router

EXAMPLES = Path(package.__file__).parents[1] / "examples" / "routers"
MANAGER = "canary"


def canary(
    provider: str,
    service: dict[str, Any] | None = None,
    analysis: dict[str, Any] | None = None,
    status: CanaryStatus | None = None,
    **spec: Any,
) -> Canary:
    """The Canary `test/app` of a Deployment `podinfo`, reached as `shop`; steps are by weight."""
    strategy = {} if analysis and "iterations" in analysis else {"stepWeight": 10}
    made = parse(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "app", "namespace": "test"},
            "spec": {
                "provider": provider,
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "service": {"name": "shop", "port": 80, **(service or {})},
                "analysis": {"interval": "1m", "threshold": 5, **strategy, **(analysis or {})},
                **spec,
            },
        }
    )
    assert isinstance(made, Canary)
    return made.model_copy(update={"status": status}) if status else made


def write(
    router: Router, subject: Canary, now: dict[Ref, Manifest], split: Split
) -> dict[Ref, Manifest]:
    """The objects after this router's fields were applied to them."""
    after = dict(now)
    for manifest in router.render(subject, now, split):
        ref = Ref.of(manifest)
        after[ref] = applied(after.get(ref, ref.manifest()), manifest, MANAGER, "now")
    return after
