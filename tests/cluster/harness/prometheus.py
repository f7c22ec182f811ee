"""Prometheus, which scrapes each second what it is told to, and pods that ask for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.harness.downloads import debian_package
from tests.cluster.harness.process import Component, free_port, says_ok


@dataclass(frozen=True)
class Prometheus:
    process: Component
    url: str
    _targets: Path

    @staticmethod
    def binary() -> Path:
        """Debian's; goes to the network the first time."""
        return debian_package("prometheus", "prometheus")

    @classmethod
    def at(cls, folder: Path, binary: Path, pods: Path) -> "Prometheus":
        """One that isn't started. `pods` is the file in which the node tells of its pods."""
        targets = folder / "targets.json"
        targets.write_text("[]")
        config = _config(targets, pods)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        argv = [
            str(binary),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        url = f"http://{address}"
        log = folder / "prometheus.log"
        process = Component("prometheus", argv, log, lambda: says_ok(f"{url}/-/ready"))
        return cls(process, url, targets)

    def scrape(self, jobs: Mapping[str, str]) -> None:
        """From now on these and no others: host and port by job; it notices by itself."""
        entries = [{"targets": [address], "labels": {"job": job}} for job, address in jobs.items()]
        beside = self._targets.with_suffix(".new")
        beside.write_text(json.dumps(entries))
        beside.replace(self._targets)


def _config(*targets: Path) -> dict[str, Any]:
    """Debian's Prometheus is built without the discovery that asks an API server."""
    jobs = [
        {
            "job_name": path.stem,
            "file_sd_configs": [{"files": [str(path)], "refresh_interval": "1s"}],
        }
        for path in targets
    ]
    seconds = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {"global": seconds, "scrape_configs": jobs}
