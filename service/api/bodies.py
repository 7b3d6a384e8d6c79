"""Bodies: read within limits, and turned into events or labels."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json
from starlette.requests import ClientDisconnect, Request

from service.errors import InvalidInput, MalformedBody, TooLarge, UnsupportedMedia
from service.schemas import (
    Event,
    Label,
    parse_event,
    parse_events,
    parse_label,
    parse_labels,
)

_BYTES_AT_ONCE = 32_768
_LINES_AT_ONCE = 256
"""How many lines are parsed before others get their turn."""
_BLANK = b" \t\r\n"


Entries = Sequence[Event] | Sequence[Label]


@dataclass(frozen=True, slots=True)
class Kind:
    """What bodies hold: its name, and how one and how many at once are read."""

    name: str
    one: Callable[[bytes], Event | Label]
    many: Callable[[bytes], Entries | None]


EVENTS = Kind("events", parse_event, parse_events)
LABELS = Kind("labels", parse_label, parse_labels)


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
    """What a body held, in order: entries, and a problem in the place of each that is none."""

    items: list[Event | Label | dict[str, Any]]
    lines: Sequence[int]
    """The line, or the place counted from 1, of each item."""

    @property
    def entries(self) -> list[Event | Label]:
        """The items that are events or labels."""
        return [item for item in self.items if not isinstance(item, dict)]

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The items that are not."""
        return [item for item in self.items if isinstance(item, dict)]


async def parse_lines(body: bytes, kind: Kind = EVENTS) -> Batch:
    """Read NDJSON; blank lines are passed over, a broken one is named and the rest go on."""
    items: list[Event | Label | dict[str, Any]] = []
    lines: list[int] = []
    first = 1
    for part in _parts(body):
        entries = _parse_at_once(part, kind)
        if entries is not None:
            items += entries
            lines += range(first, first + len(entries))
        else:
            for number, line in enumerate(part.split(b"\n"), first):
                if line and not line.isspace():
                    lines.append(number)
                    items.append(_parse(line, number, kind))
        first += part.count(b"\n") + 1
        await asyncio.sleep(0)
    return Batch(items, lines)


def _parts(body: bytes) -> Iterator[bytes]:
    """Cut a body between lines, so that parsing a part holds up nobody for long."""
    begin = 0
    while (end := body.find(b"\n", begin + _BYTES_AT_ONCE)) > 0:
        yield body[begin:end]
        begin = end + 1
    yield body[begin:]


def _parse_at_once(part: bytes, kind: Kind) -> Entries | None:
    """Read lines as one array, or return `None` if they take a closer look.

    No entry spans two lines of which each begins and ends with a brace: between two braces JSON
    wants more than a comma, and a line break within a string is refused. So as many entries as
    lines means one on each.
    """
    part = part.removesuffix(b"\n")
    breaks = part.count(b"\n")
    if part.count(b"}\n{") < breaks:
        return None
    entries = kind.many(b"[%b]" % part.replace(b"\n", b",\n"))
    return entries if entries is not None and len(entries) == breaks + 1 else None


async def parse_array(body: bytes, kind: Kind = EVENTS) -> Batch:
    """Read a JSON array; a broken element is named and the rest go on."""
    entries = kind.many(body)
    if entries is not None:
        return Batch(list(entries), range(1, len(entries) + 1))
    return await from_array(body, kind)


async def from_array(text: bytes, kind: Kind = EVENTS) -> Batch:
    """Read the elements of an array one by one."""
    items: list[Event | Label | dict[str, Any]] = []
    # In a thread, because millions of brackets take seconds.
    for place, element in enumerate(await asyncio.to_thread(list, split(text)), 1):
        if place % _LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        items.append(_parse(element, place, kind))
    return Batch(items, range(1, len(items) + 1))


_STRING = rb'"(?:[^"\\]|\\.)*+"'
_COMMA_OR_BRACKET = re.compile(rb'(?:[^][{},"]|%b)*+' % _STRING, re.DOTALL)
_BRACKET = re.compile(rb'(?:[^][{}"]|%b)*+' % _STRING, re.DOTALL)
_MEMBER = re.compile(rb"\s*+(%b)\s*+:(.*)" % _STRING, re.DOTALL)


def split(text: bytes) -> Iterator[bytes]:
    """Yield what stands between the commas of a JSON array or object, as it was written.

    Only brackets and strings are looked at, so that a number too long to read, or brackets too
    deep to follow, are the matter of one part alone. Raises `MalformedBody` unless the brackets
    close where the text ends.
    """
    text = text.strip(_BLANK)
    begin, end, depth = 1, 1, 1
    while depth:
        match = (_COMMA_OR_BRACKET if depth == 1 else _BRACKET).match(text, end)
        end = match.end() if match else len(text)
        mark = text[end : end + 1]
        depth += (mark in (b"[", b"{")) - (mark in (b"]", b"}"))
        if mark in (b"", b'"'):
            raise MalformedBody(f"body: ends at byte {len(text)} before all brackets are closed")
        if depth == 0 and mark != (b"]" if text.startswith(b"[") else b"}"):
            raise MalformedBody(f"body: is closed at byte {end} by another bracket than opened it")
        if depth == 0 or (depth == 1 and mark == b","):
            part = text[begin:end]
            if depth or begin > 1 or part.strip(_BLANK):
                yield part
            begin = end + 1
        end += 1
    if end < len(text):
        raise MalformedBody(f"body: goes on at byte {end}, where all brackets are closed")


def members(text: bytes) -> dict[str, bytes]:
    """Return the values of an object by their keys, as they were written."""
    found: dict[str, bytes] = {}
    for part in split(text):
        match = _MEMBER.fullmatch(part)
        try:
            key = str(from_json(match[1])) if match else ""
        except ValueError:
            match = None
        if match is None:
            raise MalformedBody(f"body: got {part[:40]!r}, expected a key and a value")
        if key in found:
            raise InvalidInput(f"keys: got {key[:40]!r} more than once, expected each once")
        found[key] = match[2]
    return found


def _parse(line: bytes, number: int, kind: Kind) -> Event | Label | dict[str, Any]:
    try:
        return kind.one(line)
    except InvalidInput as error:
        return problem_at(error, number)


def problem_at(error: InvalidInput, number: int) -> dict[str, Any]:
    """Return the problem of one line."""
    problem = error.problem()
    problem["errors"] = [item | {"line": number} for item in problem.get("errors", [])]
    return {"status": problem["status"], "line": number} | problem


def numbered(line: bytes, number: int) -> bytes:
    """Name the line in a problem that was found when its entry was applied."""
    return b'{"line":%d,' % number + line[1:]


def merge(batch: Batch, replies: Sequence[bytes]) -> tuple[list[bytes], int]:
    """Put replies and problems back in order; return them and how many were refused."""
    merged, refused, remaining = [], 0, iter(replies)
    for item, number in zip(batch.items, batch.lines, strict=True):
        if not isinstance(item, dict):
            line = next(remaining)
            if line.startswith(b'{"status"'):
                refused += 1
                line = numbered(line, number)
        else:
            refused += 1
            line = to_json(item)
        merged.append(line)
    return merged, refused
