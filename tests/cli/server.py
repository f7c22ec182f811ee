"""The real status API over the embedded cluster, in a thread, and who heeds its intents."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.cluster.store import ChangeType
from canary.core.actions import Action, ClearIntent, SetSplit, SetStatus, Wait
from canary.core.facts import Live, Seen, Workloads
from canary.core.intents import ANNOTATION, heed
from canary.crd import Canary, parse
from canary.crd.status import (
    CanaryStatus,
    CheckRecord,
    Condition,
    Ending,
    GateRecord,
    Outcome,
    Phase,
    Run,
    Split,
    Verdict,
)
from canary.engine.journal import Journal
from canary.web.api import make_api
from canary.web.serve import serve
from canary.web.service import CANARY, EVENT, Service

NOW = datetime.now(UTC).replace(microsecond=0)
CHECKS = (
    CheckRecord(
        name="request-success-rate",
        outcome=Outcome.FAIL,
        query="sum(rate(ok[1m]))",
        value=91.25,
        unit="%",
        low=99,
        samples=1200,
        reason="91.25% is below 99%",
    ),
    CheckRecord(name="request-duration", outcome=Outcome.PASS, value=12, unit="ms", high=500),
)
RUN = Run(
    id="run-2",
    revision="c1-new",
    images=("podinfo:2",),
    trigger="a new revision",
    started_at=NOW - timedelta(minutes=2),
    step=2,
    split=Split.to_canary(20),
    since=NOW - timedelta(seconds=30),
    prepared=True,
    checks=CHECKS,
    gates={
        "confirm-traffic-increase": GateRecord(
            open=False, since=NOW, hook="office-hours", detail="it is late"
        )
    },
)
BEFORE = Run(
    id="run-1",
    revision="c1-old",
    images=("podinfo:1",),
    started_at=NOW - timedelta(hours=3),
    verdict=Verdict(
        outcome=Ending.PROMOTED, reason="all checks passed", at=NOW - timedelta(hours=2, minutes=59)
    ),
)
PROGRESSING = CanaryStatus(
    phase=Phase.PROGRESSING,
    canary_weight=20,
    failed_checks=1,
    last_applied_spec="c1-new",
    last_promoted_spec="c1-old",
    last_transition_time=NOW,
    entered_at=NOW - timedelta(minutes=2),
    deadline=NOW + timedelta(hours=1),
    conditions=(
        Condition(
            type="Promoted",
            status="Unknown",
            reason="Progressing",
            message="A new revision is being analysed.",
            last_transition_time=NOW,
        ),
    ),
    run=RUN,
)


def canary(name: str, namespace: str = "default", **analysis: Any) -> Manifest:
    plan = {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10, **analysis}
    spec = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "service": {"port": 80},
        "analysis": plan,
    }
    return Ref(CANARY, namespace, name).manifest(spec=spec)


PODINFO = Ref(CANARY, "default", "podinfo")


class Server:
    """One that runs in a thread. `url` is where it answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.url = ""
        self.heeds = True
        """Whether somebody acts on intents."""

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def start(self) -> None:
        self.journal = Journal()
        self.cluster = await Embedded.open(None)
        self.cache = Cache(self.cluster)
        await self.cache.start(CANARY)
        await self.cache.wait_synced()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cache.subscribe(CANARY, self._heed)
        service = Service(
            self.cluster,
            self.cache,
            self.journal,
            CollectorRegistry(),
            ready=list,
            waits=lambda _: None,
            provider="envoy",
        )
        self._server = await serve(make_api(service), port=0)
        self.url = self._server.url

    async def stop(self) -> None:
        await self._server.stop()
        await self.cache.close()
        await self.cluster.close()
        self.journal.close()
        # Connections that were told to close do so in the next turns of the loop.
        for _ in range(5):
            await asyncio.sleep(0)

    def create(self, manifest: Manifest, status: CanaryStatus | None = None) -> None:
        self.do(self.cluster.create(manifest))
        if status:
            self.set_status(Ref.of(manifest), status)

    async def note(self, manifest: Manifest, *actions: Action) -> None:
        """Write a look at a Canary into the journal."""
        resource = parse(await self.cluster.get(Ref.of(manifest)))
        assert isinstance(resource, Canary)
        self.journal.note(resource, Seen(NOW), actions)

    def remember(self, manifest: Manifest) -> None:
        """A run that ended well, and the one that is under way."""
        before = PROGRESSING.model_copy(update={"run": BEFORE, "phase": Phase.SUCCEEDED})
        self.do(self.note(manifest, SetStatus(before)))
        self.do(self.note(manifest, SetStatus(PROGRESSING), SetSplit(Split.to_canary(20))))
        self.do(self.note(manifest, Wait(NOW + timedelta(seconds=30), "watching 20%")))

    def set_status(self, ref: Ref, status: CanaryStatus) -> None:
        self.do(self._write(ref, status))

    def status(self, ref: Ref) -> CanaryStatus:
        return CanaryStatus.model_validate(self.do(self.cluster.get(ref))["status"])

    def leave(self) -> None:
        """Stop answering."""
        self.do(self._server.stop())

    def tell(self, about: Ref, message: str, type_: str = "Normal") -> None:
        event = Ref(EVENT, about.namespace, f"{about.name}.{abs(hash(message))}")
        involved = {"kind": about.kind.name, "namespace": about.namespace, "name": about.name}
        manifest = event.manifest(
            involvedObject=involved,
            message=message,
            type=type_,
            reason="Synced",
            eventTime=NOW.isoformat(),
        )
        self.do(self.cluster.create(manifest))

    async def _write(self, ref: Ref, status: CanaryStatus) -> None:
        patch = {"status": status.model_dump(mode="json", by_alias=True, exclude_none=True)}
        await self.cluster.patch(ref, patch, manager="tests", status=True)

    def _heed(self, change: ChangeType, _old: Manifest | None, new: Manifest) -> None:
        if self.heeds and change == "MODIFIED":
            task = asyncio.create_task(self._answer(parse(new)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, resource: Any) -> None:
        """What the engine does with an intent, without a world to act on."""
        assert isinstance(resource, Canary)
        if ANNOTATION not in resource.annotations:
            return
        ref = Ref(CANARY, resource.namespace, resource.name)
        facts = Seen(datetime.now(UTC), workloads=Workloads(None, None), live=Live(Split()))
        for action in heed(resource, facts):
            match action:
                case SetStatus(status):
                    await self._write(ref, status)
                case ClearIntent():
                    patch = {"metadata": {"annotations": {ANNOTATION: None}}}
                    await self.cluster.patch(ref, patch, manager="tests")
                case _:
                    pytest.fail(f"nothing here can {action}")


@contextmanager
def running() -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(loop)
    try:
        server.do(server.start())
        try:
            yield server
        finally:
            server.do(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
