"""What may be asked of a release."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from canary.cluster.port import Ref
from canary.web.asking import ask, settle
from canary.web.guard import same_origin_json
from canary.web.lookup import manifest_of
from canary.web.routes.common import Name, Namespace, Serving, errors
from canary.web.views import IntentRequest, IntentView

router = APIRouter(
    prefix="/api/v1/canaries/{namespace}/{name}",
    tags=["intents"],
    dependencies=[Depends(same_origin_json)],
)

LONGEST_WAIT = 60.0


@router.post(
    "/intents",
    summary="Ask for something",
    status_code=HTTPStatus.ACCEPTED,
    response_description="It is written down; the controller reads it at once.",
    responses={
        200: {"model": IntentView, "description": "With `wait`: it was read, and what came of it."},
        **errors(403, 404, 409, 415, 422, 503),
    },
)
async def intents(  # each argument is a part of the request
    service: Serving,
    response: Response,
    namespace: Namespace,
    name: Name,
    asked: IntentRequest,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=LONGEST_WAIT,
            description="Seconds to wait for what becomes of it.",
            examples=[10],
        ),
    ] = 0,
) -> IntentView:
    """Promote, abort, pause, resume, skip a step or retry: each is done once, or ignored with a
    reason. It is refused while another one has not been read yet.
    """
    ref = Ref.of(manifest_of(service, namespace, name))
    intent = await ask(service, ref, asked)
    if wait:
        intent = await settle(service, ref, intent, wait)
    if intent.state != "pending":
        response.status_code = HTTPStatus.OK
    return intent
