"""Events in, results out: one event, an array, or a line each."""

from __future__ import annotations

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api import replies
from service.api.bodies import EVENTS
from service.api.names import StreamName
from service.api.posting import JSON, describe_answers, describe_body, post
from service.api.state import ApiState, api_of
from service.api.templates import stream_or_made

router = APIRouter(prefix="/v1/streams", tags=["events"], responses=replies.PROBLEMS)

_BODY = describe_body(
    "Event",
    {"x": {"temperature": 21.5}},
    [
        {"ts": "2026-01-01T00:00:00Z", "x": {"temperature": 21.5}},
        {"ts": "2026-01-01T00:01:00Z", "x": {"temperature": 21.7}},
    ],
    '{"x":{"temperature":21.5}}\n{"x":{"temperature":21.7}}\n',
)
_ANSWERS = describe_answers(
    replies.Result | replies.Duplicate, "the results in the form the events came in"
)


@router.post(
    "/{stream}/events",
    operation_id="post_events",
    responses=_ANSWERS,
    openapi_extra=_BODY,
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
