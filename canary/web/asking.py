"""Intents: written as an annotation, and waited for by watching what becomes of them."""

import asyncio
import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from canary.cluster.port import Manifest, Ref
from canary.cluster.store import ChangeType
from canary.core.intents import ANNOTATION, VERBS, Intent, parse
from canary.crd.status import CanaryStatus, IntentRecord
from canary.errors import Conflict, UnknownName
from canary.web.problems import ApiError
from canary.web.service import CANARY, Service
from canary.web.views import IntentRequest, IntentView

MANAGER = "canary"
TRIES = 8
"""A controller at work writes often; each of its writes costs one try."""


async def ask(service: Service, ref: Ref, asked: IntentRequest) -> IntentView:
    """Write the annotation.

    Raises `UnknownName` for an unknown verb, `ApiError` (409) if another intent has not been read
    yet, `NotFound`, and `Conflict` if others never stop writing.
    """
    if asked.verb not in VERBS:
        raise UnknownName("body", "verb", asked.verb, VERBS)
    said = {"id": uuid4().hex[:12], **asked.model_dump()}
    text = json.dumps({key: value for key, value in said.items() if value})
    for left in reversed(range(TRIES)):
        manifest = await service.cluster.get(ref)
        _nothing_pending(manifest)
        try:
            await _write(service, ref, text, manifest["metadata"]["resourceVersion"])
            break
        except Conflict:
            if not left:
                raise
    suspended = bool(manifest.get("spec", {}).get("suspend"))
    detail = "it is read when spec.suspend is taken back" if suspended else ""
    return IntentView(**said, state="pending", detail=detail)


async def _write(service: Service, ref: Ref, text: str, version: str) -> None:
    await service.cluster.patch(
        ref,
        {"metadata": {"annotations": {ANNOTATION: text}}},
        manager=MANAGER,
        resource_version=version,
    )


async def settle(service: Service, ref: Ref, intent: IntentView, seconds: float) -> IntentView:
    """Wait until it was read; after that time, or when the server stops, it is still pending."""
    heard: asyncio.Future[IntentView] = asyncio.get_running_loop().create_future()

    def changed(change: ChangeType, _old: Manifest | None, new: Manifest) -> None:
        if heard.done() or Ref.of(new) != ref:
            return
        if change == "DELETED":
            detail = "the Canary was deleted"
            heard.set_result(intent.model_copy(update={"state": "ignored", "detail": detail}))
        elif record := _record(new, intent.id):
            heard.set_result(_became(intent, record))

    end = service.cache.subscribe(CANARY, changed)
    closing = asyncio.create_task(service.closing.wait())
    try:
        ends: set[asyncio.Future[Any]] = {heard, closing}
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        end()
        closing.cancel()
    return heard.result() if heard.done() else intent


def _became(intent: IntentView, record: IntentRecord) -> IntentView:
    state = "applied" if record.applied else "ignored"
    return intent.model_copy(update={"state": state, "detail": record.detail})


def _nothing_pending(manifest: Manifest) -> None:
    there = _annotation(manifest)
    if there is None:
        return
    record = _record(manifest, there.id)
    # One that was consumed and is about to be cleared may be replaced: clearing is
    # compare-and-swap, so the new one survives it.
    if record is None or record.cleared:
        raise ApiError(
            HTTPStatus.CONFLICT, f"another intent has not been read yet: {there.words()}"
        )


def _annotation(manifest: Manifest) -> Intent | None:
    text = (manifest["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    return parse(text) if text else None


def _record(manifest: Manifest, ident: str) -> IntentRecord | None:
    status = CanaryStatus.model_validate(manifest.get("status") or {})
    return next((each for each in reversed(status.intents) if each.id == ident), None)
