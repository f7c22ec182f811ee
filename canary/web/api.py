"""The app: routers, errors of one shape, and a description for those who write clients."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from canary import __version__
from canary.web import problems
from canary.web.guard import LoopbackHosts
from canary.web.routes import canaries, events, health, intents, runs
from canary.web.service import Service

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    canaries.router,
    runs.router,
    events.router,
    intents.router,
)
TAGS = [
    {"name": "canaries", "description": "Where every release is, and why."},
    {"name": "runs", "description": "Releases of the past and present, look by look."},
    {"name": "events", "description": "What was told about a Canary."},
    {"name": "intents", "description": "What may be asked of a release."},
    {"name": "health", "description": "For probes and for Prometheus."},
]
ABOUT = """What every Canary does and why, and what may be asked of it.

Errors are problem details (RFC 9457), with each thing that is wrong and the nearest known name."""


class Api(FastAPI):
    """FastAPI, with errors described under the media type they are sent with."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = super().openapi()
            for path in schema["paths"].values():
                for operation in path.values():
                    _describe_problems(operation["responses"])
        return super().openapi()


def make_api(service: Service) -> FastAPI:
    """The app for a service. It asks for nothing until it is called."""
    app = Api(
        title="canary",
        version=__version__,
        summary="Automated canary analysis",
        description=ABOUT,
        openapi_tags=TAGS,
        generate_unique_id_function=_operation,
        # Their scripts come from servers of others, which not everybody can or wants to reach.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(LoopbackHosts, hosts=service.hosts)
    problems.handle_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _operation(route: APIRoute) -> str:
    """The function's name: short and unique, so that generated clients read well."""
    return route.name


def _describe_problems(responses: dict[str, Any]) -> None:
    for response in responses.values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref", "").endswith("/ProblemView"):
            content[problems.MEDIA_TYPE] = content.pop("application/json")
