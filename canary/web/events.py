"""Server-sent events: what there is first, then what comes, and comments while nothing does."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import structlog
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel

from canary.cluster.port import Manifest, Ref
from canary.cluster.store import ChangeType
from canary.errors import ClusterError, Expired
from canary.web.describe import canary_view
from canary.web.service import CANARY, EVENT, Service
from canary.web.views import DeletedView, EventView

log = structlog.get_logger(__name__)

MEDIA_TYPE = "text/event-stream"
BEAT = b": still here\n\n"
# Proxies such as nginx otherwise keep a stream back until they have enough of it.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}

Chunks = AsyncGenerator[bytes, None]


def respond(service: Service, source: Chunks) -> StreamingResponse:
    """A stream that lives until its source, the client or the server ends."""
    return StreamingResponse(_alive(service, source), headers=HEADERS, media_type=MEDIA_TYPE)


async def events_about(service: Service, ref: Ref) -> list[EventView]:
    """The Events about an object, oldest first."""
    listing = await service.cluster.list(EVENT, ref.namespace)
    return [EventView.of(each) for each in _about(ref, listing.items)]


async def follow_events(service: Service, ref: Ref, last: str = "") -> Chunks:
    """The Events about an object after the one with the id `last`, and from then on all of them.

    What was told between two connections is sent on the second. An id from another life of the
    cluster is taken for none.
    """
    while True:
        listing = await service.cluster.list(EVENT, ref.namespace)
        known = "" if _newer(last, listing.resource_version) else last
        for event in _about(ref, listing.items):
            if not known or _newer(_version(event), known):
                yield _chunk("event", EventView.of(event), _version(event))
        last = listing.resource_version
        yield _bookmark(last)
        try:
            async for change in service.cluster.watch(EVENT, ref.namespace, last):
                last = _version(change.object)
                if change.type == "BOOKMARK":
                    yield _bookmark(last)
                elif change.type != "DELETED" and _is_about(ref, change.object):
                    yield _chunk("event", EventView.of(change.object), last)
        except Expired:
            log.info(
                "events came faster than they were read; they are listed again", about=str(ref)
            )


async def follow_canaries(service: Service, namespace: str = "") -> Chunks:
    """Every Canary as it is, `synced` when that was all of them, then those that change.

    A reader that is slow gets the newest state of each, not every state in between.
    """
    changed: dict[Ref, tuple[ChangeType, Manifest]] = {}
    more = asyncio.Event()

    def note(change: ChangeType, _old: Manifest | None, new: Manifest) -> None:
        ref = Ref.of(new)
        if namespace in ("", ref.namespace):
            changed[ref] = change, new
            more.set()

    end = service.cache.subscribe(CANARY, note)
    try:
        while changed:
            yield _canary_chunk(service, *changed.pop(next(iter(changed))))
        yield _chunk("synced", None)
        while True:
            await more.wait()
            more.clear()
            while changed:
                yield _canary_chunk(service, *changed.pop(next(iter(changed))))
    finally:
        end()


def _canary_chunk(service: Service, change: ChangeType, manifest: Manifest) -> bytes:
    meta = manifest["metadata"]
    if change == "DELETED":
        gone = DeletedView(namespace=meta["namespace"], name=meta["name"], uid=meta["uid"])
        return _chunk("deleted", gone)
    return _chunk("canary", canary_view(service, manifest), meta["resourceVersion"])


async def _alive(service: Service, source: Chunks) -> Chunks:
    """The source, with a comment whenever it is silent for a while, until the server stops."""
    closing = asyncio.create_task(service.closing.wait())
    step: asyncio.Task[bytes | None] | None = None
    try:
        while not service.closing.is_set():
            step = step or asyncio.create_task(_next(source))
            await asyncio.wait(
                {step, closing}, timeout=service.heartbeat, return_when="FIRST_COMPLETED"
            )
            if not step.done():
                if not closing.done():
                    yield BEAT
                continue
            chunk, step = step.result(), None
            if chunk is None:
                return
            yield chunk
    except ClusterError as error:
        # The client connects again, and says what it got last.
        log.warning("a stream ended", error=str(error))
    finally:
        closing.cancel()
        if step and not step.done():
            step.cancel()
        else:
            await source.aclose()


async def _next(source: Chunks) -> bytes | None:
    return await anext(source, None)


def _chunk(event: str, view: BaseModel | None, ident: str | None = None) -> bytes:
    data = view.model_dump_json(by_alias=True) if view else "{}"
    return format_sse_event(event=event, data_str=data, id=ident)


def _bookmark(version: str) -> bytes:
    """Nothing to tell, only how far the client is: browsers note the id and tell nobody."""
    return format_sse_event(id=version)


def _about(ref: Ref, events: Iterable[Manifest]) -> list[Manifest]:
    return sorted((each for each in events if _is_about(ref, each)), key=_order)


def _is_about(ref: Ref, event: Manifest) -> bool:
    involved: dict[str, Any] = event.get("involvedObject") or {}
    return involved.get("kind") == ref.kind.name and involved.get("name") == ref.name


def _version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


def _order(manifest: Manifest) -> int:
    version = _version(manifest)
    return int(version) if version.isdigit() else 0


def _newer(version: str, than: str) -> bool:
    """Whether one resourceVersion comes after another; one that isn't a number comes last."""
    return not version.isdigit() or not than.isdigit() or int(version) > int(than)
