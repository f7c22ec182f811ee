"""What was told about a Canary."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from canary.cluster.port import Ref
from canary.web.events import HEADERS, MEDIA_TYPE, events_about, follow_events, respond
from canary.web.lookup import manifest_of
from canary.web.routes.common import Name, Namespace, Serving, errors
from canary.web.views import EventListView

router = APIRouter(prefix="/api/v1/canaries/{namespace}/{name}", tags=["events"])


@router.get(
    "/events",
    summary="The events of a Canary",
    response_model=EventListView,
    responses={
        200: {
            "description": "A list; or, with `Accept: text/event-stream`, first those there are "
            "and then each as it comes, an EventView named `event`. A stream is resumed with "
            "`Last-Event-ID`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **errors(404, 422, 503),
    },
)
async def events(
    service: Serving,
    namespace: Namespace,
    name: Name,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[
        str, Header(description="The id of the last event that was received.", examples=["1042"])
    ] = "",
) -> Response:
    """Oldest first, as a list or as server-sent events."""
    ref = Ref.of(manifest_of(service, namespace, name))
    if MEDIA_TYPE in accept.lower():
        return respond(service, follow_events(service, ref, last_event_id))
    view = EventListView(items=await events_about(service, ref))
    return JSONResponse(view.model_dump(mode="json", by_alias=True), headers=HEADERS)
