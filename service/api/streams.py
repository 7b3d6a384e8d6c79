"""Streams: made, shown, deleted; their state, snapshots and dead letters."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.responses import Response

from service.api import replies
from service.api.bodies import read_body
from service.api.names import StreamName, answer
from service.api.specs import SPEC_BODY, accept, facts
from service.api.state import ApiState, check_alive
from service.api.templates import create
from service.errors import (
    InvalidInput,
    NoSnapshots,
    SnapshotError,
    SpecConflict,
    StreamNotFound,
    Unreadable,
)
from service.held import refusal
from service.journal.base import Journal, StreamRow
from service.schemas import Command, StreamSpec, Wire, invalid, parse_spec
from service.snapshots import restored
from service.specs import read_spec, same_learner, shown_spec
from service.stream import Stream
from service.tallies import SHORT_WINDOW, WINDOW
from service.tutor import Asked

router = APIRouter(prefix="/v1/streams", tags=["streams"], responses=replies.PROBLEMS)

_LEARNING_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"state": {"enum": ["learning", "paused", "auto"]}},
                    "required": ["state"],
                    "additionalProperties": False,
                },
                "examples": {
                    "learn again": {"value": {"state": "auto"}},
                    "pause": {"value": {"state": "paused"}},
                },
            }
        },
    }
}
_OCTETS: dict[str, Any] = {
    "description": "The snapshot, as bytes.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.put(
    "/{stream}",
    operation_id="put_stream",
    responses={200: {"model": replies.StreamView}, 201: {"model": replies.StreamView}},
    openapi_extra=SPEC_BODY,
)
async def put_stream(stream: StreamName, request: Request, api: ApiState) -> Response:
    """Make a stream, or change what may change of one: threshold, title, policies."""
    spec = parse_spec(await read_body(request, api.settings.max_body_bytes))
    await accept(spec, api.settings.max_stream_bytes)
    journal = api.writable()
    try:
        row, made = await journal.look_up(stream), False
    except StreamNotFound:
        row, made = await create(api, stream, spec.to_json())
    if not made:
        row = await _reconfigure(journal, row, spec)
    return answer(describe(row), 201 if made else 200, {"ETag": f'"{row.version}"'})


async def _reconfigure(journal: Journal, row: StreamRow, spec: StreamSpec) -> StreamRow:
    old = read_spec(row.spec)
    if old == spec:
        return row
    if row.unreadable:
        if reason := refusal(row, spec):
            raise Unreadable(reason)
    elif isinstance(old, StreamSpec) and (conflict := same_learner(old, spec)):
        raise SpecConflict(f"{conflict}; delete the stream to begin with another learner")
    await _command(journal, row, Command(command="configure", spec=spec.model_dump(mode="json")))
    return await journal.look_up(row.name)


async def _command(journal: Journal, row: StreamRow, command: Command) -> dict[str, Any]:
    """Put a command in the log and wait until it is carried out."""
    (position,) = await journal.append(row.uid, [command], "applied")
    (reply,) = await journal.replies(row.uid, position)
    said: dict[str, Any] = json.loads(reply)
    if "status" in said:
        refusals = {each.code: each for each in (SpecConflict, NoSnapshots, Unreadable)}
        raise refusals.get(said["code"], SnapshotError)(said["detail"])
    return said


def describe(row: StreamRow) -> dict[str, Any]:
    """Return a stream as the API shows it."""
    return {
        "name": row.name,
        "spec": shown_spec(row.spec),
        "version": row.version,
        "created_at": datetime.fromtimestamp(row.created_at, UTC),
        "offset": row.offset,
        "digest": row.digest,
        **facts(row.spec),
        "status": row.shown,
    }


@router.get("", operation_id="list_streams", responses={200: {"model": replies.Streams}})
async def list_streams(api: ApiState) -> Response:
    """Return every stream, by name."""
    return answer({"streams": [describe(row) for row in api.journal.streams()]})


@router.get("/{stream}", operation_id="get_stream", responses={200: {"model": replies.StreamView}})
async def get_stream(stream: StreamName, api: ApiState) -> Response:
    """Return a stream's spec and status."""
    row = await api.journal.look_up(stream)
    return answer(describe(row), headers={"ETag": f'"{row.version}"'})


@router.delete("/{stream}", operation_id="delete_stream", status_code=204)
async def delete_stream(stream: StreamName, api: ApiState) -> Response:
    """Delete a stream with its log, results and snapshots. This cannot be undone."""
    journal = api.writable()
    await journal.delete_stream((await journal.look_up(stream)).uid)
    return Response(status_code=204)


@router.get("/{stream}/state", operation_id="get_state", responses={200: {"model": replies.State}})
async def get_state(stream: StreamName, api: ApiState) -> Response:
    """Return offset, digest, what the stream is doing, and its signals."""
    row = await api.journal.look_up(stream)
    snapshots = await api.journal.snapshots(row.uid)
    newest = {"id": snapshots[0].id, "offset": snapshots[0].offset} if snapshots else None
    return answer(
        {"learning": "warming", "signals": {}}
        | row.shown
        | {"offset": row.offset, "digest": row.digest, "last_snapshot": newest}
    )


@router.get(
    "/{stream}/metrics", operation_id="get_metrics_of", responses={200: {"model": replies.Judged}}
)
async def get_metrics_of(
    stream: StreamName,
    api: ApiState,
    window: int = Query(
        WINDOW, description="Over how many of the last labels: 100 or 1000.", examples=[100]
    ),
) -> Response:
    """Return prequential quality: each prediction judged as it was when its event came."""
    if window not in _WINDOWS:
        raise InvalidInput(f"window: got {window}, expected one of {', '.join(map(str, _WINDOWS))}")
    row = await api.journal.look_up(stream)
    quality = {"task": None, "overall": {}} | row.status.get("quality", {})
    counts = {
        "events": row.offset,
        "labeled": row.status.get("labeled", 0),
        "window_size": window,
    }
    return answer(counts | _over(quality, _WINDOWS[window]))


_WINDOWS = {SHORT_WINDOW: "latest", WINDOW: "window"}


def _over(quality: dict[str, Any], scope: str) -> dict[str, Any]:
    """Return quality with one of its windows."""
    chosen = {name: value for name, value in quality.items() if name not in _WINDOWS.values()}
    chosen["window"] = quality.get(scope, {})
    if "confusion" in quality:
        chosen["confusion"] = _over(quality["confusion"], scope)
        chosen["confusion"]["others"] = {
            name: quality["confusion"]["others"][source]
            for name, source in (("overall", "overall"), ("window", scope))
        }
    return chosen


class Wanted(Wire):
    """What a stream is to do."""

    state: Asked


@router.put(
    "/{stream}/learning",
    operation_id="put_learning",
    responses={200: {"model": replies.Changed}},
    openapi_extra=_LEARNING_BODY,
)
async def put_learning(stream: StreamName, request: Request, api: ApiState) -> Response:
    """Have a stream learn, pause, or do as its governor says; all but a pause end a quarantine."""
    try:
        wanted = Wanted.model_validate_json(await read_body(request, api.settings.max_body_bytes))
    except ValidationError as error:
        raise invalid(error) from None
    journal = api.writable()
    row = await journal.look_up(stream)
    check_alive(row)
    return answer(await _command(journal, row, Command(command="learning", state=wanted.state)))


@router.get(
    "/{stream}/dead-letters",
    operation_id="list_dead_letters",
    responses={200: {"model": replies.DeadLetters}},
)
async def list_dead_letters(stream: StreamName, api: ApiState) -> Response:
    """Return the events and labels that could not be applied, oldest first, with the reasons."""
    letters = await api.journal.dead_letters((await api.journal.look_up(stream)).uid)
    return answer(
        {
            "dead_letters": [
                {
                    "reason": letter.reason,
                    "detail": letter.detail,
                    **_entry(letter.entry),
                    "received_at": datetime.fromtimestamp(letter.created_at, UTC),
                }
                for letter in letters
            ]
        }
    )


def _event_of(entry: bytes) -> Any:
    """Return the event of a dead letter, or its text if that is why it is one."""
    try:
        return from_json(entry)
    except (ValueError, TypeError):
        return entry.decode(errors="replace") if isinstance(entry, bytes) else str(entry)


def _entry(line: bytes) -> dict[str, Any]:
    entry = _event_of(line)
    is_label = isinstance(entry, dict) and "event_id" in entry
    return {"label" if is_label else "event": entry}


@router.post(
    "/{stream}/snapshots",
    operation_id="post_snapshot",
    responses={201: {"model": replies.SnapshotTaken}},
    status_code=201,
)
async def post_snapshot(stream: StreamName, api: ApiState) -> Response:
    """Take a snapshot now and keep it until the stream is deleted."""
    journal = api.writable()
    row = await journal.look_up(stream)
    check_alive(row)
    said = await _command(journal, row, Command(command="snapshot"))
    kept = [each for each in await journal.snapshots(row.uid) if each.kept]
    return answer(
        {
            "id": kept[0].id,
            "offset": said["offset"],
            "digest": said["digest"],
            "size_bytes": said["size_bytes"],
        },
        201,
    )


@router.get(
    "/{stream}/snapshots",
    operation_id="list_snapshots",
    responses={200: {"model": replies.Snapshots}},
)
async def list_snapshots(stream: StreamName, api: ApiState) -> Response:
    """Return a stream's snapshots, newest first."""
    rows = await api.journal.snapshots((await api.journal.look_up(stream)).uid)
    return answer(
        {
            "snapshots": [
                {
                    "id": row.id,
                    "offset": row.offset,
                    "size_bytes": row.size_bytes,
                    "kept": row.kept,
                    "created_at": datetime.fromtimestamp(row.created_at, UTC),
                }
                for row in rows
            ]
        }
    )


@router.get(
    "/{stream}/snapshots/{snapshot_id}",
    operation_id="get_snapshot",
    response_class=Response,
    responses={200: _OCTETS},
)
async def get_snapshot(
    stream: StreamName, snapshot_id: Annotated[int, Path(ge=0, lt=2**63)], api: ApiState
) -> Response:
    """Return a snapshot's bytes."""
    blob = await api.journal.snapshot((await api.journal.look_up(stream)).uid, snapshot_id)
    return Response(blob, media_type="application/octet-stream")


@router.post(
    "/{stream}/restore",
    operation_id="restore_stream",
    responses={200: {"model": replies.Changed}},
    openapi_extra={"requestBody": {"required": True} | _OCTETS},
)
async def restore_stream(stream: StreamName, request: Request, api: ApiState) -> Response:
    """Give the stream the learner in this snapshot; a stream without events becomes its twin."""
    journal = api.writable()
    row = await journal.look_up(stream)
    limit = api.settings.max_snapshot_bytes
    blob = await read_body(request, limit)
    spec = read_spec(row.spec)
    if isinstance(spec, str):
        raise Unreadable(f"{row.name}: {spec}; PUT another spec first, or DELETE the stream")
    fresh = Stream(spec)
    tried = await asyncio.to_thread(restored, fresh, blob, limit)
    snapshot_id = await journal.put_snapshot(row.uid, blob, tried.offset)
    command = Command(command="restore", snapshot=snapshot_id)
    return answer(await _command(journal, row, command))
