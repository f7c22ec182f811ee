"""Errors as RFC 9457 has them: one shape for all, readable, and never a traceback."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from canary.errors import (
    CanaryError,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Problem,
    SpecError,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[CanaryError], HTTPStatus], ...] = (
    (SpecError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (ClusterError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Wrong(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(examples=["body"], description="The part of the request, or the object.")
    field: str = Field("", examples=["verb"], description="The field; empty for all of it.")
    found: str = Field(examples=["'promot'"])
    expected: str = Field(examples=["one of abort, pause, promote, resume, retry, skip-step"])
    nearest: str = Field("", examples=["promote"], description="The nearest name that is known.")

    @classmethod
    def of(cls, problem: Problem) -> "Wrong":
        return cls(
            where=problem.where,
            field=problem.field,
            found=problem.found,
            expected=problem.expected,
            nearest=problem.nearest,
        )


class ProblemView(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no Canary test/podinfoo; did you mean 'podinfo'?",
                    "instance": "/api/v1/canaries/test/podinfoo",
                    "errors": [],
                }
            ]
        }
    )

    type: str = Field("about:blank", description="The status code says which kind it is.")
    title: str = Field(description="The status code in words.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What went wrong, for a person.")
    instance: str = Field(description="The path of the request.")
    errors: list[Wrong] = Field(default=[], description="Each thing that is wrong, if known.")


class ApiError(Exception):
    """An answer that is a problem."""

    def __init__(self, status: HTTPStatus, detail: str, *errors: Problem) -> None:
        self.status, self.detail, self.errors = status, detail, errors
        super().__init__(detail)


def problem_response(
    request: Request,
    status: int,
    detail: str,
    errors: Sequence[Problem] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    view = ProblemView(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=[Wrong.of(each) for each in errors],
    )
    return JSONResponse(view.model_dump(), status, headers, media_type=MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Give every error of an app this shape."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return problem_response(request, error.status, error.detail, error.errors)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [_wrong(each) for each in error.errors()]
        detail = "; ".join(str(each) for each in wrong)
        return problem_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, wrong)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        detail = _plain(request, error.status_code, str(error.detail))
        return problem_response(request, error.status_code, detail, headers=headers)

    @app.exception_handler(CanaryError)
    async def canary_error(request: Request, error: CanaryError) -> JSONResponse:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
        problems = error.problems if isinstance(error, SpecError) else ()
        return problem_response(request, status or HTTPStatus.BAD_GATEWAY, str(error), problems)

    @app.exception_handler(Exception)
    async def bug(request: Request, _error: Exception) -> JSONResponse:
        # The traceback goes to the log, where the server writes it.
        detail = "this is a bug in canary; its log says more"
        return problem_response(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _plain(request: Request, status: int, detail: str) -> str:
    match status:
        case HTTPStatus.NOT_FOUND:
            return f"there is nothing at {request.url.path}; /openapi.json says what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.method} can't be used on {request.url.path}"
        case _:
            return detail


def _wrong(error: Any) -> Problem:
    """One validation error in the words that all other errors use."""
    where, *path = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid":
        return Problem(where, "", "text that is not JSON", "a JSON object")
    field = ".".join(path)
    match error["type"]:
        case "missing":
            return Problem(where, field, "nothing", "a value")
        case "extra_forbidden":
            return Problem(where, field, "an unknown field", "none of that name")
        case _:
            expected = str(error["msg"]).removeprefix("Input should be ")
            return Problem(where, field, _shown(error["input"]), expected)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
