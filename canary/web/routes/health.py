"""For probes and for Prometheus."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import choose_encoder

from canary.web.routes.common import Serving
from canary.web.views import ReadyView

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse)
async def healthz() -> str:
    """Answers `OK` as long as the event loop runs."""
    return "OK"


@router.get(
    "/readyz",
    summary="Is it ready to work?",
    response_model=ReadyView,
    responses={503: {"model": ReadyView, "description": "Not ready, and why."}},
)
async def readyz(service: Serving) -> JSONResponse:
    """Answers 200 or 503, with the reasons."""
    reasons = service.ready()
    view = ReadyView(ready=not reasons, reasons=reasons)
    return JSONResponse(view.model_dump(), 503 if reasons else 200)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "In the format that the scraper asks for."}},
)
async def metrics(service: Serving, request: Request) -> Response:
    """The controller's own series, under the `flagger_*` names that dashboards know."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(service.registry), headers={"Content-Type": kind})
