"""Bodies: read within limits, and turned into events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request

from service.errors import InvalidInput, MalformedBody, TooLarge, UnsupportedMedia
from service.schemas import Event, parse_event, parse_events

_LINES_AT_ONCE = 256
"""How many lines are parsed before others get their turn."""


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, or raise `TooLarge` as soon as it is known to be."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"body: got {declared} bytes, expected at most {limit}", limit_bytes=limit)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("Content-Encoding: expected none; send the body as it is")
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"body: got more than {limit} bytes", limit_bytes=limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise MalformedBody("body: the connection was closed before its end") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@dataclass(slots=True)
class Batch:
    """What a body held, in order: events, and a problem in the place of each that is not one."""

    items: list[Event | dict[str, Any]]
    lines: Sequence[int]
    """The line, or the place counted from 1, of each item."""

    @property
    def events(self) -> list[Event]:
        """The items that are events."""
        return [item for item in self.items if isinstance(item, Event)]

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The items that are not."""
        return [item for item in self.items if not isinstance(item, Event)]


async def parse_lines(body: bytes) -> Batch:
    """Read NDJSON; blank lines are passed over, a broken one is named and the rest go on."""
    items: list[Event | dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if number % _LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        if not line or line.isspace():
            continue
        lines.append(number)
        items.append(_parse(line, number))
    return Batch(items, lines)


async def parse_array(body: bytes) -> Batch:
    """Read a JSON array of events; a broken one is named and the rest go on."""
    events = parse_events(body)
    if events is not None:
        return Batch(list(events), range(1, len(events) + 1))
    return from_array(split_array(body))


def split_array(body: bytes) -> list[bytes]:
    """Return the elements of a JSON array as they stand."""
    try:
        elements = json.loads(body, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"body: {_first_line(error)}") from None
    if not isinstance(elements, list):
        raise InvalidInput(f"body: got {type(elements).__name__}, expected an array of events")
    return [_Pairs.dump(element) for element in elements]


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, keys that stand twice included."""

    @staticmethod
    def dump(value: Any) -> bytes:
        """Write a value back."""
        if isinstance(value, _Pairs):
            members = (
                json.dumps(key).encode() + b":" + _Pairs.dump(member) for key, member in value
            )
            return b"{" + b",".join(members) + b"}"
        if isinstance(value, list):
            return b"[" + b",".join(map(_Pairs.dump, value)) + b"]"
        return json.dumps(value).encode()


def from_array(elements: Sequence[bytes]) -> Batch:
    """Read the elements of an array."""
    items = [_parse(element, place) for place, element in enumerate(elements, 1)]
    return Batch(items, range(1, len(items) + 1))


def _parse(line: bytes, number: int) -> Event | dict[str, Any]:
    try:
        return parse_event(line)
    except InvalidInput as error:
        return problem_at(error, number)


def problem_at(error: InvalidInput, number: int) -> dict[str, Any]:
    """Return the problem of one line."""
    problem = error.problem()
    problem["errors"] = [item | {"line": number} for item in problem.get("errors", [])]
    return {"status": problem["status"], "line": number} | problem


def numbered(line: bytes, number: int) -> bytes:
    """Name the line in a problem that was found when its event was applied."""
    return b'{"line":%d,' % number + line[1:]


def merge(batch: Batch, replies: Sequence[bytes]) -> tuple[list[bytes], int]:
    """Put replies and problems back in order; return them and how many were refused."""
    merged, refused, remaining = [], 0, iter(replies)
    for item, number in zip(batch.items, batch.lines, strict=True):
        if isinstance(item, Event):
            line = next(remaining)
            if line.startswith(b'{"status"'):
                refused += 1
                line = numbered(line, number)
        else:
            refused += 1
            line = to_json(item)
        merged.append(line)
    return merged, refused


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
