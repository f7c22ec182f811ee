"""`canary local` as a process of its own, and the services that it releases."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from canary.local.ports import free_port

PATIENCE = 30.0
LOOK = 0.05
"""Seconds between two looks at something that is waited for."""
SAMPLE = ("$(PYTHON)", "-m", "canary.local.sample")
SUCCESS = {"name": "request-success-rate", "thresholdRange": {"min": 95}}

View = dict[str, Any]


async def until(
    what: str, done: Callable[[], Awaitable[Any] | Any], patience: float = PATIENCE
) -> Any:
    """Wait until a condition holds, and return what it answered."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        found = done()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert clock() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(LOOK)


class Place:
    """A folder, its state, and a `canary local` over both."""

    def __init__(self, home: Path) -> None:
        self.folder, self.state = home / "folder", home / "state"
        self.log = home / "controller.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.api_port = free_port("127.0.0.1")
        self.process: Process | None = None
        self.environment: dict[str, str] = {}

    async def start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "canary", "local", str(self.folder)),
                *("--state", str(self.state), "--port", str(self.api_port)),
                *("--minimum-interval", "1s", *arguments),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "XDG_STATE_HOME": str(self.state), **self.environment},
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

    async def get(self, path: str) -> Any:
        """What the status API says, or None while nobody answers."""
        url = f"http://127.0.0.1:{self.api_port}{path}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, timeout=aiohttp.ClientTimeout(5)) as answer,
            ):
                return await answer.json() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def post(self, path: str, body: View) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.api_port}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            return answer.status, await answer.json()

    async def ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.get("/readyz") is None:
                assert self.process is not None
                assert self.process.returncode is None, self.said()
                await asyncio.sleep(LOOK)

    def said(self) -> str:
        """Everything that it logged."""
        return self.log.read_text() if self.log.exists() else ""

    async def says(self, *phrases: str, after: int = 0) -> str:
        """Wait until the log, from a position on, has all of these phrases."""
        try:
            await until("", lambda: all(each in self.said()[after:] for each in phrases), 20)
        except AssertionError:
            missing = [each for each in phrases if each not in self.said()[after:]]
            raise AssertionError(f"never said {missing}, but\n{self.said()[after:]}") from None
        return self.said()[after:]

    def write(self, name: str, *manifests: View | str) -> None:
        """Save a file as editors do: whole or not at all."""
        texts = (each if isinstance(each, str) else yaml.safe_dump(each) for each in manifests)
        draft = self.folder / f".{name}"
        draft.write_text("---\n".join(texts))
        draft.replace(self.folder / name)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


class Shop:
    """A service of a place: a Canary and a Process of one name, in a file each."""

    def __init__(
        self,
        place: Place,
        name: str = "shop",
        *,
        service: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
        **analysis: Any,
    ) -> None:
        self.place, self.name = place, name
        self.port = free_port("127.0.0.1")
        self.service = {"port": self.port, **(service or {})}
        self.spec = dict(spec or {})
        self.analysis: dict[str, Any] = {
            "interval": "1s",
            "threshold": 1,
            "metrics": [SUCCESS],
            **analysis,
        }
        if not {"iterations", "stepWeight"} & analysis.keys():
            self.analysis.setdefault("stepWeights", [30, 60])
        self.write_canary()

    @property
    def url(self) -> str:
        """Where users call the service."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def path(self) -> str:
        return f"/api/v1/canaries/default/{self.name}"

    @property
    def canary_file(self) -> str:
        return f"{self.name}-canary.yaml"

    @property
    def process_file(self) -> str:
        return f"{self.name}-process.yaml"

    def write_canary(self, **spec: Any) -> None:
        """Save the Canary, with fields of its spec changed."""
        target = {"apiVersion": "local.canary/v1", "kind": "Process", "name": self.name}
        self.spec |= spec
        manifest = {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": self.name},
            "spec": {
                "targetRef": target,
                "service": self.service,
                "analysis": self.analysis,
                **self.spec,
            },
        }
        self.place.write(self.canary_file, manifest)

    def release(
        self,
        version: str,
        env: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = SAMPLE,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        """Edit the Process as a person would."""
        template = {
            "command": list(command),
            "env": {"VERSION": version, **(env or {})},
            "readinessProbe": {"httpGet": {"path": "/readyz"}},
        }
        manifest = {
            "apiVersion": "local.canary/v1",
            "kind": "Process",
            "metadata": {"name": self.name},
            "spec": {"replicas": 1, "template": template, **(spec or {})},
        }
        self.place.write(self.process_file, manifest)

    async def ask(self, path: str = "") -> Any:
        return await self.place.get(self.path + path)

    async def intend(self, verb: str, why: str = "a test") -> None:
        """Ask for something, and see that it is heeded."""
        body = {"verb": verb, "why": why, "who": "ann"}
        status, answer = await self.place.post(f"{self.path}/intents?wait=10", body)
        assert (status, answer["state"]) == (200, "applied"), (status, answer)

    async def until(self, done: Callable[[View], Any], patience: float = PATIENCE) -> View:
        """Wait until the Canary is as wanted; says what happened when it doesn't come to be."""
        last: View | None = None
        try:
            async with asyncio.timeout(patience):
                while True:
                    seen: View | None = await self.ask()
                    if seen is not None:
                        last = seen
                        if done(seen):
                            return last
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            words = f"waited in vain; last seen:\n{json.dumps(last)}\n{self.place.said()[-3000:]}"
            raise AssertionError(words) from None

    async def phase(self, *wanted: str) -> View:
        return await self.until(lambda seen: seen["phase"] in wanted)

    async def weight(self, wanted: int) -> View:
        return await self.until(lambda seen: seen["weight"] == wanted)

    async def events(self) -> list[str]:
        return [each["message"] for each in (await self.ask("/events"))["items"]]

    async def explained(self) -> str:
        """What `canary explain` says, in one text."""
        said = await self.ask("/explain")
        following = [f"{each['when']}: {each['what']}" for each in said["next"]]
        return "\n".join((said["summary"], *said["because"], *following))

    @asynccontextmanager
    async def loaded(self, rate: float = 40.0) -> AsyncIterator[list[Report]]:
        """Users, all the time; what became of their requests is in the list afterwards."""
        load = Load(Plan(self.url, rate=rate, duration=300.0, capture=("x-version",)))
        running = asyncio.create_task(load.run())
        reports: list[Report] = []
        try:
            yield reports
        finally:
            load.stop()
            reports.append(await running)


def unharmed(reports: Sequence[Report], *but: str) -> None:
    """No request failed, except those that one of these versions answered."""
    (report,) = reports
    tallies = report.captured["x-version"]
    failures = {name: tally.failures for name, tally in tallies.items() if tally.failures}
    assert set(failures) <= set(but), f"requests failed that no release is to blame for: {failures}"
    assert not report.errors, report.errors
    assert report.dropped == 0
    assert report.requests > 0


class Controller(Place):
    """A place with one service."""

    def __init__(self, home: Path, **analysis: Any) -> None:
        super().__init__(home)
        self.shop = Shop(self, **analysis)
        self.port, self.url = self.shop.port, self.shop.url

    def release(self, version: str, **env: str) -> None:
        self.shop.release(version, env, spec={"replicas": 2})

    async def until(self, done: Callable[[View], Any]) -> View:
        return await self.shop.until(done)
