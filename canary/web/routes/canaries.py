"""Canaries as they are, and why."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from canary.web.describe import canary_view, detail_view
from canary.web.events import MEDIA_TYPE, follow_canaries, respond
from canary.web.lookup import canary_of, explanation_of, manifest_of, manifests
from canary.web.routes.common import Name, Namespace, Serving, errors
from canary.web.views import CanaryDetailView, CanaryListView, ExplanationView

router = APIRouter(prefix="/api/v1", tags=["canaries"])

SLICE = 20
"""So many are looked at in one go: releases under way must not wait for a long list."""

OneNamespace = Annotated[
    str, Query(description="Only of this namespace; empty for all.", examples=["test"])
]


@router.get("/canaries", summary="All Canaries", responses=errors(422))
async def canaries(service: Serving, namespace: OneNamespace = "") -> CanaryListView:
    """Where every release is, by namespace and name."""
    views = []
    for number, each in enumerate(manifests(service, namespace), 1):
        views.append(canary_view(service, each))
        if number % SLICE == 0:
            await asyncio.sleep(0)
    return CanaryListView(items=views)


@router.get("/canaries/{namespace}/{name}", summary="One Canary", responses=errors(404, 422))
async def canary(service: Serving, namespace: Namespace, name: Name) -> CanaryDetailView:
    """Where its release is, and the whole object."""
    return detail_view(service, manifest_of(service, namespace, name))


@router.get(
    "/canaries/{namespace}/{name}/explain",
    summary="Why is it where it is?",
    responses=errors(404, 422),
)
async def explain(service: Serving, namespace: Namespace, name: Name) -> ExplanationView:
    """The reasons, the checks, what would happen next and what may be asked, in words."""
    return ExplanationView.of(explanation_of(service, canary_of(service, namespace, name)))


@router.get(
    "/stream",
    summary="All Canaries, as they change",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`canary` (a CanaryView) for each there is, `synced` after the last of "
            "them, then `canary` for each that changes and `deleted` for each that goes. Whoever "
            "connects again gets everything again.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **errors(422),
    },
)
async def stream(service: Serving, namespace: OneNamespace = "") -> StreamingResponse:
    """Server-sent events."""
    return respond(service, follow_canaries(service, namespace))
