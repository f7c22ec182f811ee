"""Which pods Prometheus reads: those with the usual annotations, under the usual labels."""

import json
from collections.abc import Sequence
from pathlib import Path

from canary.cluster.port import Manifest

SCRAPE, PORT = "prometheus.io/scrape", "prometheus.io/port"


def target(pod: Manifest, address: str) -> Manifest | None:
    """The entry of a pod in a file of targets; None if it doesn't ask to be read.

    >>> meta = {"namespace": "test", "name": "podinfo-1"}
    >>> wishes = {"prometheus.io/scrape": "true", "prometheus.io/port": "9898"}
    >>> target({"metadata": {**meta, "annotations": wishes}}, "10.244.0.2")["targets"]
    ['10.244.0.2:9898']
    >>> target({"metadata": meta}, "10.244.0.2")
    """
    meta = pod["metadata"]
    wishes = meta.get("annotations", {})
    if wishes.get(SCRAPE) != "true" or PORT not in wishes:
        return None
    labels = {"namespace": meta["namespace"], "pod": meta["name"]}
    return {"targets": [f"{address}:{wishes[PORT]}"], "labels": labels}


def write(folder: Path, targets: Sequence[Manifest | None]) -> None:
    """Put them where Prometheus looks, all at once."""
    path = folder / "scrape" / "pods.json"
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps([each for each in targets if each]))
    beside.replace(path)
