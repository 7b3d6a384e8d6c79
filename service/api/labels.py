"""Labels that come after their events: one, an array, or a line each."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api import replies
from service.api.bodies import LABELS
from service.api.names import StreamName
from service.api.posting import JSON, LINES, NDJSON, PARAMETERS, post
from service.api.state import Api, api_of
from service.errors import StreamNotFound
from service.journal.base import StreamRow

router = APIRouter(prefix="/v1/streams", tags=["labels"], responses=replies.PROBLEMS)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/Label"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/Label"}},
                    ]
                },
                "examples": {
                    "one label": {"value": {"event_id": "reading-17", "y": "ok"}},
                    "several": {
                        "value": [
                            {"event_id": "reading-17", "y": "ok"},
                            {"event_id": "@18", "y": "worn"},
                        ]
                    },
                },
            },
            NDJSON: {
                "schema": {"type": "string"},
                "examples": {
                    "a line each": {
                        "value": '{"event_id":"@17","y":"ok"}\n{"event_id":"@18","y":"worn"}\n'
                    }
                },
            },
        },
    },
    "parameters": PARAMETERS,
}
_Answers = list[replies.Labeled | replies.LabeledBefore | replies.Problem]
_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": replies.Labeled | replies.LabeledBefore | _Answers,
        "description": "All applied: what became of each, in the form the labels came in.",
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
    "/{stream}/labels",
    operation_id="post_labels",
    responses=_REPLIES,
    openapi_extra=_BODY,
)
async def post_labels(stream: StreamName, request: Request) -> Response:
    """Say what was true of earlier events, in any order: judged by what was predicted of each."""
    return await post(api_of(request), stream, request, LABELS, _existing)


async def _existing(api: Api, name: str) -> StreamRow:
    with suppress(StreamNotFound):
        return api.journal.stream(name)
    return await api.journal.look_up(name)
