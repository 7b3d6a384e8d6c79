"""What a commit tells the processes that did not make it, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from service.formats import FORMAT, OLDEST
from service.journal.base import Applied

VERSIONED = 3


class Unknown(ValueError):
    """News in a format of another build"""


@dataclass(slots=True)
class Said:
    """What a commit said of one stream."""

    uid: int
    offset: int
    digest: str
    status: Mapping[str, Any]
    results: list[bytes]
    spec: tuple[bytes, int] | None


def encode(
    previous: int,
    applied: Sequence[Applied],
    versions: Mapping[int, int],
    replies: Iterable[tuple[bytes, list[bytes]]],
    write_format: int = FORMAT,
) -> bytes:
    """Write what came of a commit: a line that says where, then results, then other replies.

    Before that stands the format, on a line of its own, where it is `VERSIONED` or newer.
    A reply that is one of the results, as most are, is written as its place among them.
    """
    lines = [line for each in applied for line in each.results]
    places = {line: i for i, line in enumerate(lines)}
    answered = []
    for token, answers in replies:
        where = []
        for line in answers:
            place = places.get(line)
            if place is None:
                place = places[line] = len(lines)
                lines.append(line)
            where.append(place)
        is_run = where == list(range(where[0], where[0] + len(where))) if where else False
        answered.append([token.decode(), [where[0], len(where)] if is_run else where, is_run])
    streams = [
        [
            each.stream,
            each.offset,
            each.digest,
            each.status,
            len(each.results),
            None if each.spec is None else [each.spec.decode(), versions[each.stream]],
        ]
        for each in applied
    ]
    version = [] if write_format < VERSIONED else [b"%d" % write_format]
    return b"\n".join([*version, to_json([previous, streams, answered]), *lines])


def decode(payload: bytes) -> tuple[int, list[Said], dict[bytes, list[bytes]]]:
    """Read where a commit began, what it said, and the replies by the tokens of their records.

    Raises `Unknown` if it is in a format that this build does not know.
    """
    head, *lines = payload.split(b"\n")
    if not head.startswith(b"["):
        if head not in (b"%d" % OLDEST, b"%d" % FORMAT):
            raise Unknown(head)
        head, *lines = lines
    previous, streams, answered = from_json(head)
    said, first = [], 0
    for uid, offset, digest, status, n, spec in streams:
        changed = None if spec is None else (spec[0].encode(), int(spec[1]))
        said.append(Said(uid, offset, digest, status, lines[first : first + n], changed))
        first += n
    replies = {}
    for token, where, is_run in answered:
        places = range(where[0], where[0] + where[1]) if is_run else where
        replies[token.encode()] = [lines[i] for i in places]
    return previous, said, replies
