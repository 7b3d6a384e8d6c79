"""Operations: health, metrics, version."""

from __future__ import annotations

import asyncio
import platform
from typing import Annotated

from fastapi import APIRouter, Query, Request
from prometheus_client.exposition import choose_encoder
from starlette.responses import PlainTextResponse, Response

from service.api import replies
from service.api.names import answer
from service.api.state import ApiState
from service.errors import JournalUnavailable, NotReady
from service.formats import FORMAT
from service.version import VERSION

router = APIRouter(tags=["operations"])

PROBE_SECONDS = 2.0


@router.get("/livez", operation_id="get_livez", responses={200: {"model": replies.Health}})
async def livez() -> Response:
    """Say that the process answers. Depends on nothing else."""
    return answer({"status": "alive"})


@router.get(
    "/readyz",
    operation_id="get_readyz",
    responses={200: {"model": replies.Health}, 503: replies.PROBLEMS["5XX"]},
)
async def readyz(api: ApiState) -> Response:
    """Say whether an event posted now would be applied at once."""
    reason = api.why_not_ready()
    if reason:
        raise NotReady(reason, retry_after_seconds=1)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await api.journal.probe()
    except TimeoutError:
        raise NotReady("the journal does not answer", retry_after_seconds=1) from None
    except JournalUnavailable as error:
        raise NotReady(error.detail, retry_after_seconds=1) from None
    return answer({"status": "ready"})


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=PlainTextResponse,
    responses={"4XX": replies.PROBLEMS["4XX"]},
)
async def metrics(
    request: Request,
    api: ApiState,
    stream: Annotated[
        list[str] | None,
        Query(
            max_length=1_000,
            description="Only the series of these streams, nothing else.",
            examples=[["boiler"]],
        ),
    ] = None,
) -> Response:
    """Return metrics for Prometheus."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    modern = content_type.startswith("application/openmetrics-text")
    names = frozenset(stream or ())
    rows = api.metrics.rows(bool(names))
    # In a thread, so that no event waits until thousands of lines are written.
    body = await asyncio.to_thread(api.metrics.expose, encode, modern, rows, names)
    return Response(body, headers={"Content-Type": content_type})


@router.get("/version", operation_id="get_version", responses={200: {"model": replies.VersionView}})
async def version() -> Response:
    """Return the version of the service, of Python, and of the snapshots it writes."""
    return answer(
        {
            "version": VERSION,
            "python": platform.python_version(),
            "snapshot_format": FORMAT,
        }
    )
