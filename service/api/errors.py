"""Errors as RFC 9457 documents: the one place where a refusal becomes a reply."""

from __future__ import annotations

import math
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.api.state import api_of
from service.errors import SynaptideError, TooLarge

log = structlog.get_logger()

PROBLEM = "application/problem+json"


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(SynaptideError, refused)
    app.add_exception_handler(RequestValidationError, bad_parameters)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, unexpected)


def reply(problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Return a problem document."""
    return Response(to_json(problem), problem["status"], headers, PROBLEM)


async def refused(request: Request, error: Exception) -> Response:
    """Answer a refusal of our own."""
    assert isinstance(error, SynaptideError)
    if isinstance(error, TooLarge):
        api_of(request).metrics.rejected.labels(reason="too_large").inc()
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    return reply(error.problem() | {"instance": request.url.path}, headers)


async def bad_parameters(request: Request, error: Exception) -> Response:
    """Answer parameters that do not fit, without echoing them."""
    assert isinstance(error, RequestValidationError)
    items = [
        {"pointer": "/" + "/".join(map(str, item["loc"])), "detail": item["msg"]}
        for item in error.errors()
    ]
    where = ", ".join(item["pointer"] for item in items)
    return reply(
        {
            "type": "urn:synaptide:problem:invalid-input",
            "title": "The request does not say what it must",
            "status": 422,
            "detail": f"{where}: {items[0]['detail']}",
            "code": "invalid-input",
            "errors": items,
            "instance": request.url.path,
        }
    )


async def plain(request: Request, error: Exception) -> Response:
    """Answer what the framework refused: no such route, no such method."""
    assert isinstance(error, HTTPException)
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
    problem = {
        "type": f"urn:synaptide:problem:{code}",
        "title": error.detail,
        "status": error.status_code,
        "detail": f"{request.method} {request.url.path}: {error.detail}",
        "code": code,
        "instance": request.url.path,
    }
    return reply(problem, dict(error.headers or {}))


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer our own mistake, which is never blamed on the caller."""
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return reply(SynaptideError("the service failed; its log says more").problem())
