"""Live: results as they come, over server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Header, Query
from pydantic_core import to_json
from starlette.responses import StreamingResponse

from service.api import replies
from service.api.names import StreamName
from service.api.state import Api, ApiState
from service.errors import InvalidInput, SynaptideError

router = APIRouter(prefix="/v1/streams", tags=["events"], responses=replies.PROBLEMS)

HEARTBEAT_SECONDS = 15.0
RESULTS_AT_ONCE = 256
_STREAM: dict[str, Any] = {
    "description": "An event for each result; its id is the offset.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "examples": {
                "a result": {
                    "value": 'id: 1\nevent: result\ndata: {"event_id":"@1","offset":1}\n\n'
                }
            },
        }
    },
}


@router.get(
    "/{stream}/live",
    operation_id="follow_results",
    response_class=StreamingResponse,
    responses={200: _STREAM},
)
async def live(
    stream: StreamName,
    api: ApiState,
    after: int | None = Query(None, ge=0, le=2**53, description="Begin after this offset."),
    last_event_id: str | None = Header(None, description="Go on after this offset."),
) -> StreamingResponse:
    """Follow a stream's results as server-sent events; without a place, begin with the next."""
    row = await api.journal.look_up(stream)
    place = row.offset if after is None else after
    if last_event_id is not None:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 17):
            raise InvalidInput(f"Last-Event-ID: got {last_event_id[:40]!r}, expected an offset")
        place = int(last_event_id)
    if place < row.offset:
        # A place that is no longer kept is refused now, while there still is a status to send.
        await api.journal.results(row.uid, place, 1)
    return StreamingResponse(
        _events(api, row.uid, place),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(api: Api, uid: int, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    try:
        while not api.draining.is_set():
            lines = await _next_results(api, uid, after)
            if not lines:
                yield b": still here\n\n"
            yield b"".join(
                b"id: %d\nevent: result\ndata: %b\n\n" % (after + i, line)
                for i, line in enumerate(lines, 1)
            )
            after += len(lines)
    except SynaptideError as error:
        api.metrics.missed(error, after)
        yield b"event: problem\ndata: %b\n\n" % to_json(error.problem())


async def _next_results(api: Api, uid: int, after: int) -> list[bytes]:
    """Wait for results, but no longer than the service goes on."""
    results = asyncio.ensure_future(
        api.journal.results(uid, after, RESULTS_AT_ONCE, HEARTBEAT_SECONDS)
    )
    drained = asyncio.ensure_future(api.draining.wait())
    try:
        await asyncio.wait((results, drained), return_when=asyncio.FIRST_COMPLETED)
        return results.result() if results.done() else []
    finally:
        results.cancel()
        drained.cancel()
