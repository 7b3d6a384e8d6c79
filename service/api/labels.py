"""Labels that come after their events: one, an array, or a line each."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import replies
from service.api.bodies import LABELS
from service.api.names import StreamName
from service.api.posting import describe_answers, describe_body, post
from service.api.state import Api, api_of
from service.errors import StreamNotFound
from service.journal.base import StreamRow

router = APIRouter(prefix="/v1/streams", tags=["labels"], responses=replies.PROBLEMS)

_BODY = describe_body(
    "Label",
    {"event_id": "reading-17", "y": "ok"},
    [
        {"event_id": "reading-17", "y": "ok"},
        {"event_id": "@18", "y": "worn"},
    ],
    '{"event_id":"@17","y":"ok"}\n{"event_id":"@18","y":"worn"}\n',
)
_ANSWERS = describe_answers(
    replies.Labeled | replies.LabeledBefore, "what became of each, in the form the labels came in"
)


@router.post(
    "/{stream}/labels",
    operation_id="post_labels",
    responses=_ANSWERS,
    openapi_extra=_BODY,
)
async def post_labels(stream: StreamName, request: Request) -> Response:
    """Say what was true of earlier events, in any order: judged by what was predicted of each."""
    return await post(api_of(request), stream, request, LABELS, _existing)


async def _existing(api: Api, name: str) -> StreamRow:
    with suppress(StreamNotFound):
        return api.journal.stream(name)
    return await api.journal.look_up(name)
