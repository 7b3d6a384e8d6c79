"""Events in, results out: one event, an array, or a line each."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api import replies
from service.api.bodies import EVENTS
from service.api.names import StreamName
from service.api.posting import JSON, LINES, NDJSON, PARAMETERS, post
from service.api.state import ApiState, api_of
from service.api.templates import stream_or_made

router = APIRouter(prefix="/v1/streams", tags=["events"], responses=replies.PROBLEMS)

_EVENTS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/Event"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
                    ]
                },
                "examples": {
                    "one event": {"value": {"x": {"temperature": 21.5}}},
                    "several": {
                        "value": [
                            {"ts": "2026-01-01T00:00:00Z", "x": {"temperature": 21.5}},
                            {"ts": "2026-01-01T00:01:00Z", "x": {"temperature": 21.7}},
                        ]
                    },
                },
            },
            NDJSON: {
                "schema": {"type": "string"},
                "examples": {
                    "a line each": {
                        "value": '{"x":{"temperature":21.5}}\n{"x":{"temperature":21.7}}\n'
                    }
                },
            },
        },
    },
    "parameters": PARAMETERS,
}
_Answers = list[replies.Result | replies.Duplicate | replies.Problem]
_EVENTS_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": replies.Result | replies.Duplicate | _Answers,
        "description": "All applied: the results in the form the events came in.",
        "content": LINES,
    },
    202: {"model": replies.Accepted, "description": "Taken, with `ack` received or logged."},
    207: {
        "model": _Answers | replies.Accepted,
        "description": "Some were refused, and have their problem in their place.",
        "content": LINES,
    },
    422: {
        "model": _Answers | replies.Accepted,
        "description": "All were refused.",
        "content": LINES | replies.PROBLEMS["4XX"]["content"],
    },
}


@router.post(
    "/{stream}/events",
    operation_id="post_events",
    responses=_EVENTS_REPLIES,
    openapi_extra=_EVENTS_BODY,
)
async def post_events(stream: StreamName, request: Request) -> Response:
    """Learn from events, and answer each with what the learner thought of it beforehand."""
    # Without the detour of a dependency: this is the hot path.
    return await post(api_of(request), stream, request, EVENTS, stream_or_made)


@router.get(
    "/{stream}/results", operation_id="get_results", responses={200: {"model": replies.ResultsPage}}
)
async def get_results(
    stream: StreamName,
    api: ApiState,
    after: int = Query(0, ge=0, le=2**53, description="The offset before the first result."),
    limit: int = Query(1_000, ge=1, le=10_000, description="How many results at most."),
) -> Response:
    """Return results in order; `next` is the `after` of the next page."""
    row = await api.journal.look_up(stream)
    lines = await api.journal.results(row.uid, after, limit)
    return Response(
        b'{"results":[%b],"next":%d}' % (b",".join(lines), after + len(lines)), media_type=JSON
    )
