"""What routes share: the service, names in paths, and how errors are documented."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from canary.web.problems import ProblemView
from canary.web.service import Service


async def _service(request: Request) -> Service:  # not async, it would go through a thread
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]
Namespace = Annotated[str, Path(description="The namespace.", examples=["test"])]
Name = Annotated[str, Path(description="The name of the Canary.", examples=["podinfo"])]

_WORDS = {
    HTTPStatus.FORBIDDEN: "The request comes from a web page of somebody else.",
    HTTPStatus.NOT_FOUND: "There is no such thing; the nearest name is suggested.",
    HTTPStatus.CONFLICT: "Another intent has not been read yet.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not sent as `application/json`.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request, or the manifest, can't be acted on.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The cluster does not answer.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for OpenAPI."""
    return {
        status: {"model": ProblemView, "description": _WORDS[HTTPStatus(status)]}
        for status in statuses
    }
