"""Events in, results out: one event, an array, or a line each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, get_args

from fastapi import APIRouter, Query, Request
from pydantic_core import from_json
from starlette.responses import Response

from service.api import replies
from service.api.bodies import Batch, merge, parse_array, parse_lines, read_body
from service.api.names import StreamName, answer
from service.api.state import Api, ApiState, api_of, check_alive
from service.api.templates import stream_or_made
from service.errors import InvalidInput, QueueFull, TooLarge, UnsupportedMedia
from service.journal.base import Ack
from service.schemas import Event, parse_event

router = APIRouter(prefix="/v1/streams", tags=["events"], responses=replies.PROBLEMS)

NDJSON = "application/x-ndjson"
JSON = "application/json"
Form = Literal["one", "array", "lines"]

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
    "parameters": [
        {
            "name": "ack",
            "in": "query",
            "description": "When to answer: `received` may lose the event in a crash, `logged` "
            "when it is durable, `applied` with its result.",
            "schema": {"enum": list(get_args(Ack)), "default": "applied"},
        },
        {
            "name": "atomic",
            "in": "query",
            "description": "Take all events of the body or none.",
            "schema": {"type": "boolean", "default": False},
        },
    ],
}
_Answers = list[replies.Result | replies.Duplicate | replies.Problem]
_LINES = {NDJSON: {"schema": {"type": "string"}}}
_EVENTS_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": replies.Result | replies.Duplicate | _Answers,
        "description": "All applied: the results in the form the events came in.",
        "content": _LINES,
    },
    202: {"model": replies.Accepted, "description": "Taken, with `ack` received or logged."},
    207: {
        "model": _Answers | replies.Accepted,
        "description": "Some were refused, and have their problem in their place.",
        "content": _LINES,
    },
    422: {
        "model": _Answers | replies.Accepted,
        "description": "All were refused.",
        "content": _LINES | replies.PROBLEMS["4XX"]["content"],
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
    api = api_of(request)  # Without the detour of a dependency: this is the hot path.
    ack, atomic = _options(request)
    body = await read_body(request, api.settings.max_body_bytes)
    form = _form(request, body)
    journal = api.writable()
    row = await stream_or_made(api, stream)
    check_alive(row)
    uid = row.uid
    if form == "one":
        return await _post_one(api, stream, uid, body, ack)
    batch = await (parse_lines(body) if form == "lines" else parse_array(body))
    problems = batch.problems
    if problems:
        api.metrics.rejected.labels(reason="invalid").inc(len(problems))
        if atomic:
            raise InvalidInput(
                f"{len(problems)} of {len(batch.items)} events are invalid, so none was taken",
                errors=[item for problem in problems[:100] for item in problem["errors"]],
            )
    events, begun = batch.events, time.perf_counter()
    positions = await _append(api, uid, events, ack) if events else []
    if ack != "applied":
        return _accepted(batch, len(events))
    replies = [line for position in positions for line in await journal.replies(uid, position)]
    if replies:
        api.metrics.latency.observe("http", stream, replies[-1], time.perf_counter() - begun)
    lines, refused = merge(batch, replies)
    status = 207 if 0 < refused < len(lines) else 422 if refused else 200
    if form == "lines":
        return Response(b"\n".join(lines) + b"\n" if lines else b"", status, media_type=NDJSON)
    return Response(b"[" + b",".join(lines) + b"]", status, media_type=JSON)


async def _post_one(api: Api, stream: str, uid: int, body: bytes, ack: Ack) -> Response:
    try:
        event = parse_event(body)
    except InvalidInput:
        api.metrics.rejected.labels(reason="invalid").inc()
        raise
    begun = time.perf_counter()
    (position,) = await _append(api, uid, (event,), ack)
    if ack != "applied":
        return answer({"accepted": 1}, 202)
    (line,) = await api.journal.replies(uid, position)
    api.metrics.latency.observe("http", stream, line, time.perf_counter() - begun)
    if line.startswith(b'{"status"'):
        return Response(line, from_json(line)["status"], media_type="application/problem+json")
    return Response(line, media_type=JSON)


async def _append(api: Api, uid: int, events: Sequence[Event], ack: Ack) -> list[int]:
    most = api.settings.max_queued_entries
    if len(events) > most:
        raise TooLarge(f"events: got {len(events)} at once, expected at most {most}")
    try:
        positions = await api.journal.append(uid, events, ack)
    except QueueFull:
        api.metrics.rejected.labels(reason="throttled").inc(len(events))
        raise
    api.metrics.ingested.labels(transport="http").inc(len(events))
    return positions


def _accepted(batch: Batch, accepted: int) -> Response:
    problems = batch.problems
    if not problems:
        return answer({"accepted": accepted}, 202)
    return answer({"accepted": accepted, "refused": problems}, 207 if accepted else 422)


def _options(request: Request) -> tuple[Ack, bool]:
    if not request.scope["query_string"]:
        return "applied", False
    ack = request.query_params.get("ack", "applied")
    if ack not in get_args(Ack):
        raise InvalidInput(f"ack: got {ack[:40]!r}, expected one of {', '.join(get_args(Ack))}")
    atomic = request.query_params.get("atomic", "false")
    if atomic not in ("true", "false"):
        raise InvalidInput(f"atomic: got {atomic[:40]!r}, expected true or false")
    return ack, atomic == "true"  # type: ignore[return-value]


def _form(request: Request, body: bytes) -> Form:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in (NDJSON, "application/jsonl", "application/ndjson"):
        return "lines"
    if declared != JSON:
        raise UnsupportedMedia(f"Content-Type: got {declared[:80]!r}, expected {JSON} or {NDJSON}")
    return "array" if body.lstrip(b" \t\r\n")[:1] == b"[" else "one"


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
