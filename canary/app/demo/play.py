"""The play: what is changed when, and what has to come of it."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console

from canary.app.demo import view
from canary.app.demo.stage import Act, Result, Stage
from canary.app.local import Local, opened
from canary.app.logging import configure
from canary.cluster.port import Manifest
from canary.crd import Canary
from canary.crd.status import Ending, Phase
from canary.engine.controller import CANARY
from canary.errors import LocalError
from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from canary.local.ports import free_port
from canary.settings import Settings

NAME = "shop"
PATIENCE = 60.0
"""Seconds within which each part of the demo has to come to its end."""


ACTS = (
    Act("2", {}, "a good version 2", Ending.PROMOTED),
    Act("3", {"ERROR_RATE": "0.1"}, "version 3, which fails 10% of its requests", Ending.FAILED),
)


async def run_demo(
    *,
    rate: float = 200.0,
    seconds: float = 5.0,
    plain: bool = False,
    console: Console | None = None,
) -> int:
    """Run the demo; 0 only if the good version was promoted and the bad one taken back."""
    console = console or Console()
    stage = Stage(rate=rate, seconds=seconds, port=free_port("127.0.0.1"))
    interrupted = _interruptible()
    folder = Path(tempfile.mkdtemp(prefix="canary-demo-"))
    try:
        async with _played(folder, stage) as local, _shown(console, stage, local, plain=plain):
            report = await _play(folder, stage)
        view.summary(console, stage, report)
    except asyncio.CancelledError:
        if not interrupted:
            raise
        # As shells count it: 130 for Ctrl-C.
        return 128 + interrupted[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    wanted = [act.ending for act in ACTS]
    return 0 if [each.ending for each in stage.results] == wanted else 1


def _interruptible() -> list[int]:
    """Let the first Ctrl-C or SIGTERM cancel this task; more of them don't end its cleaning up.

    The signal is put into the list that is returned.
    """
    loop, task, heard = asyncio.get_running_loop(), asyncio.current_task(), list[int]()

    def hear(number: int) -> None:
        if not heard and task:
            heard.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear, number)
    return heard


@asynccontextmanager
async def _played(folder: Path, stage: Stage) -> AsyncIterator[Local]:
    """Local mode over a folder of the demo's own; everything is gone when the block is left."""
    _write(folder, stage, "1", {})
    settings = Settings(
        state_dir=folder / ".state", port=0, minimum_interval=1.0, log_level="error"
    )
    configure(settings)
    async with opened(folder, settings, tell=stage.happened.append) as local:
        yield local


@asynccontextmanager
async def _shown(
    console: Console, stage: Stage, local: Local, *, plain: bool
) -> AsyncIterator[None]:
    unsubscribe = local.cache.subscribe(CANARY, lambda _, __, new: _noticed(stage, new))
    shown = asyncio.create_task(view.show(console, stage, local, plain=plain))
    try:
        yield
    finally:
        unsubscribe()
        shown.cancel()
        with suppress(asyncio.CancelledError):
            await shown


def _noticed(stage: Stage, manifest: Manifest) -> None:
    canary = Canary.model_validate(manifest)
    before = stage.canary.status.transition if stage.canary else 0
    stage.canary = canary
    stage.changed.set()
    if canary.status.transition > before:
        stage.happened.extend(each.text for each in canary.status.announcements if each.text)


async def _play(folder: Path, stage: Stage) -> Report:
    await _until(
        stage, "version 1 to serve", lambda canary: canary.status.phase == Phase.INITIALIZED
    )
    plan = Plan(
        f"http://127.0.0.1:{stage.port}/",
        rate=stage.rate,
        duration=4 * PATIENCE,
        capture=("x-version",),
    )
    stage.load = Load(plan)
    load = asyncio.create_task(stage.load.run())
    try:
        for act in ACTS:
            await asyncio.sleep(2)  # so that version 1, too, is seen to serve
            await _release(folder, stage, act)
    finally:
        stage.load.stop()
    return await load


async def _release(folder: Path, stage: Stage, act: Act) -> None:
    stage.title, stage.began = f"releasing {act.title}", datetime.now(UTC)
    before = stage.canary.status.run.id if stage.canary and stage.canary.status.run else ""
    _write(folder, stage, act.version, act.env)

    def ended(canary: Canary) -> bool:
        run = canary.status.run
        return bool(
            run
            and run.id != before
            and run.verdict
            and canary.status.phase in {Phase.SUCCEEDED, Phase.FAILED}
        )

    await _until(stage, f"an end to {act.title}", ended)
    run = stage.canary.status.run if stage.canary else None
    verdict = run.verdict if run else None
    took = (verdict.at - stage.began).total_seconds() if verdict else PATIENCE
    ending, reason = (verdict.outcome, verdict.reason) if verdict else (None, "")
    stage.results.append(Result(act, took, ending, reason))


async def _until(stage: Stage, what: str, done: Callable[[Canary], bool]) -> None:
    """Wait for the Canary to be as wanted. Raises `LocalError` when it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE):
            while stage.canary is None or not done(stage.canary):
                stage.changed.clear()
                await stage.changed.wait()
    except TimeoutError:
        last = "; ".join(stage.happened[-3:])
        raise LocalError(f"waited {PATIENCE:g} s for {what}; last: {last}") from None


def _write(folder: Path, stage: Stage, version: str, env: dict[str, str]) -> None:
    """Write the manifests as a person would edit them; only what changed becomes a new file."""
    process = {
        "apiVersion": "local.canary/v1",
        "kind": "Process",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "template": {
                "command": [sys.executable, "-m", "canary.local.sample"],
                "env": {"VERSION": version, **env},
                "readinessProbe": {"httpGet": {"path": "/readyz"}},
            },
        },
    }
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": NAME},
        "spec": {
            "targetRef": {"apiVersion": "local.canary/v1", "kind": "Process", "name": NAME},
            "service": {"port": stage.port},
            "analysis": {
                "interval": f"{stage.seconds:g}s",
                "threshold": 2,
                "stepWeights": [10, 25, 50],
                "metrics": [
                    {"name": "request-success-rate", "thresholdRange": {"min": 99}},
                    {"name": "request-duration", "thresholdRange": {"max": 500}},
                ],
            },
        },
    }
    for name, manifest in (("canary.yaml", canary), ("process.yaml", process)):
        text = yaml.safe_dump(manifest, sort_keys=False)
        path = folder / name
        if not path.exists() or path.read_text() != text:
            draft = folder / f".{name}.new"
            draft.write_text(text)
            draft.replace(path)
