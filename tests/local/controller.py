"""`canary local` as a process of its own, to be killed and started again."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from canary.local.processes.ports import free_port

PATIENCE = 60.0


class Controller:
    """A folder, its state, and a `canary local` over both."""

    def __init__(self, home: Path, **analysis: Any) -> None:
        self.folder, self.state = home / "folder", home / "state"
        self.log = home / "controller.log"
        self.folder.mkdir(parents=True)
        self.port, self.api_port = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.process: Process | None = None
        defaults = {
            "interval": "1s",
            "threshold": 1,
            "stepWeights": [30, 60],
            "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 95}}],
        }
        self._write("canary.yaml", self._canary({**defaults, **analysis}))

    @property
    def url(self) -> str:
        """Where users call the service."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/api/v1/canaries/default/shop"

    def release(self, version: str, **env: str) -> None:
        """Edit the Process as a person would."""
        template = {
            "command": [sys.executable, "-m", "canary.local.sample"],
            "env": {"VERSION": version, **env},
            "readinessProbe": {"httpGet": {"path": "/readyz"}},
        }
        self._write(
            "process.yaml",
            {
                "apiVersion": "local.canary/v1",
                "kind": "Process",
                "metadata": {"name": "shop"},
                "spec": {"replicas": 2, "template": template},
            },
        )

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "canary", "local", str(self.folder)),
                *("--state", str(self.state), "--port", str(self.api_port)),
                *("--minimum-interval", "1s"),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "XDG_STATE_HOME": str(self.state)},
            )

    async def kill(self) -> None:
        """As the kernel does when memory is short: no warning, no cleaning up."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """As a person does; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def ask(self, path: str = "") -> Any:
        """What the status API says, or None while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(self.api + path, timeout=aiohttp.ClientTimeout(5)) as answer,
            ):
                return await answer.json() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def intent(self, verb: str) -> int:
        body = {"verb": verb, "why": "a test", "who": "test"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.api}/intents", json=body) as answer,
        ):
            return answer.status

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the Canary is as wanted; says what happened when it doesn't come to be."""
        last: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    seen = await self.ask()
                    if seen is not None:
                        last = seen
                        if done(seen):
                            return last
                    await asyncio.sleep(0.05)
        except TimeoutError:
            tail = self.log.read_text()[-3000:]
            raise AssertionError(f"waited in vain; last seen:\n{json.dumps(last)}\n{tail}") from None

    def _canary(self, analysis: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "shop"},
            "spec": {
                "targetRef": {"apiVersion": "local.canary/v1", "kind": "Process", "name": "shop"},
                "service": {"port": self.port},
                "analysis": analysis,
            },
        }

    def _write(self, name: str, manifest: dict[str, Any]) -> None:
        draft = self.folder / f".{name}"
        draft.write_text(yaml.safe_dump(manifest))
        draft.replace(self.folder / name)
