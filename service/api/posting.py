"""Posts of entries for the log: one, an array, or a line each, with the answers in that form."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, cast, get_args

from fastapi import Request
from pydantic_core import from_json
from starlette.responses import Response

from service.api import replies
from service.api.bodies import EVENTS, Batch, Kind, merge, parse_array, parse_lines, read_body
from service.api.names import answer
from service.api.state import Api, check_alive
from service.errors import InvalidInput, QueueFull, TooLarge, UnsupportedMedia
from service.journal.base import Ack, StreamRow
from service.schemas import Event, Label

NDJSON = "application/x-ndjson"
JSON = "application/json"
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "ack",
        "in": "query",
        "description": "When to answer: `received` may lose what was posted in a crash, `logged` "
        "when it is durable, `replicated` when a replica of the Redis server has it too, "
        "`applied` with what came of it.",
        "schema": {"enum": list(get_args(Ack)), "default": "applied"},
    },
    {
        "name": "atomic",
        "in": "query",
        "description": "Take all of the body or nothing.",
        "schema": {"type": "boolean", "default": False},
    },
]
LINES: dict[str, Any] = {NDJSON: {"schema": {"type": "string"}}}


def describe_body(entry: str, one: Any, several: Any, lines: str) -> dict[str, Any]:
    """Describe a body that holds one entry, an array or a line each, with an example of each."""
    schema = {"$ref": f"#/components/schemas/{entry}"}
    name = entry.lower()
    return {
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"oneOf": [schema, {"type": "array", "items": schema}]},
                    "examples": {f"one {name}": {"value": one}, "several": {"value": several}},
                },
                NDJSON: {
                    "schema": {"type": "string"},
                    "examples": {"a line each": {"value": lines}},
                },
            },
        },
        "parameters": PARAMETERS,
    }


def describe_answers(one: Any, what: str) -> dict[int | str, dict[str, Any]]:
    """Describe the answers to such a body; `one` is the model of the answer to one entry."""
    several = list[one | replies.Problem]
    return {
        200: {"model": one | several, "description": f"All applied: {what}.", "content": LINES},
        202: {"model": replies.Accepted, "description": "Taken, with `ack` received or logged."},
        207: {
            "model": several | replies.Accepted,
            "description": "Some were refused, and have their problem in their place.",
            "content": LINES,
        },
        422: {
            "model": several | replies.Accepted,
            "description": "All were refused.",
            "content": LINES | replies.PROBLEMS["4XX"]["content"],
        },
    }


Form = Literal["one", "array", "lines"]
Find = Callable[[Api, str], Awaitable[StreamRow]]


async def post(api: Api, stream: str, request: Request, kind: Kind, find: Find) -> Response:
    """Take what a body holds into a stream's log, and answer as `ack` asks."""
    ack, atomic = _options(request)
    body = await read_body(request, api.settings.max_body_bytes)
    form = _form(request, body)
    journal = api.writable()
    row = await find(api, stream)
    check_alive(row)
    uid = row.uid
    if form == "one":
        return await _post_one(api, stream, uid, body, ack, kind)
    batch = await (parse_lines(body, kind) if form == "lines" else parse_array(body, kind))
    problems = batch.problems
    if problems:
        api.metrics.refused(kind.name, "invalid", len(problems))
        if atomic:
            raise InvalidInput(
                f"{len(problems)} of {len(batch.items)} {kind.name} are invalid, so none was taken",
                errors=[item for problem in problems[:100] for item in problem["errors"]],
            )
    entries, begun = batch.entries, time.perf_counter()
    positions = await _append(api, uid, entries, ack, kind) if entries else []
    if ack != "applied":
        return _accepted(batch, len(entries))
    said = [line for position in positions for line in await journal.replies(uid, position)]
    if said and kind is EVENTS:
        api.metrics.latency.observe("http", stream, said[-1], time.perf_counter() - begun)
    lines, refused = merge(batch, said)
    status = 207 if 0 < refused < len(lines) else 422 if refused else 200
    if form == "lines":
        return Response(b"\n".join(lines) + b"\n" if lines else b"", status, media_type=NDJSON)
    return Response(b"[" + b",".join(lines) + b"]", status, media_type=JSON)


async def _post_one(api: Api, stream: str, uid: int, body: bytes, ack: Ack, kind: Kind) -> Response:
    try:
        entry = kind.one(body)
    except InvalidInput:
        api.metrics.refused(kind.name, "invalid", 1)
        raise
    begun = time.perf_counter()
    (position,) = await _append(api, uid, (entry,), ack, kind)
    if ack != "applied":
        return answer({"accepted": 1}, 202)
    (line,) = await api.journal.replies(uid, position)
    if kind is EVENTS:
        api.metrics.latency.observe("http", stream, line, time.perf_counter() - begun)
    if line.startswith(b'{"status"'):
        return Response(line, from_json(line)["status"], media_type="application/problem+json")
    return Response(line, media_type=JSON)


async def _append(
    api: Api, uid: int, entries: Sequence[Event | Label], ack: Ack, kind: Kind
) -> list[int]:
    most = api.settings.max_queued_entries
    if len(entries) > most:
        raise TooLarge(f"{kind.name}: got {len(entries)} at once, expected at most {most}")
    try:
        positions = await api.journal.append(uid, entries, ack)
    except QueueFull:
        api.metrics.refused(kind.name, "throttled", len(entries))
        raise
    api.metrics.took(kind.name, "http", len(entries))
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
    return cast(Ack, ack), atomic == "true"


def _form(request: Request, body: bytes) -> Form:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in (NDJSON, "application/jsonl", "application/ndjson"):
        return "lines"
    if declared != JSON:
        raise UnsupportedMedia(f"Content-Type: got {declared[:80]!r}, expected {JSON} or {NDJSON}")
    return "array" if body.lstrip(b" \t\r\n")[:1] == b"[" else "one"
