"""A commit as the server's script takes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from service.journal.base import Applied
from service.journal.redis_keys import snapshot_meta
from service.journal.redis_log import Covered
from service.journal.redis_server import Command

FEED_BYTES = 1 << 20
"""How much of what commits said a partition keeps for those who follow it."""
BLOB_SECONDS = 3_600
"""How long a snapshot lives that no commit came for."""


class Feedback:
    """What this process has put into a partition's feed, to know when the oldest may go."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, int]] = deque()
        self._size = 0

    def sent(self, position: int, size: int) -> None:
        """Note what a commit added."""
        self._sent.append((position, size))
        self._size += size
        while self._size > FEED_BYTES and len(self._sent) > 1:
            self._size -= self._sent.popleft()[1]

    def oldest(self) -> str:
        """Return the id before which entries may go; nothing while there is room."""
        return f"{self._sent[0][0]}-0" if 2 * self._size > FEED_BYTES else ""


def blob_commands(
    applied: Sequence[Applied], blobs: Sequence[Sequence[str]], seconds: int
) -> list[Command]:
    """Return the commands that write snapshots ahead of the commit that points to them."""
    return [
        ("SET", key, snapshot.blob, "EX", seconds)
        for each, keys in zip(applied, blobs, strict=True)
        for key, snapshot in zip(keys, each.snapshots, strict=True)
    ]


def arguments(
    applied: Sequence[Applied],
    covered: Covered,
    versions: Mapping[int, int],
    blobs: Sequence[Sequence[str]],
    upto: int,
    now: float,
) -> list[Any]:
    """Return what the script wants to know of each stream."""
    found: list[Any] = []
    for each, keys in zip(applied, blobs, strict=True):
        uid, spec = each.stream, each.spec
        found += [uid, each.offset, each.digest, to_json(each.status)]
        found += [covered.entries.get(uid, 0), covered.last.get(uid, "")]
        found += ["", ""] if spec is None else [spec, versions[uid]]
        found += [len(each.results), b"\n".join(each.results), len(keys)]
        for key, snapshot in zip(keys, each.snapshots, strict=True):
            size = len(snapshot.blob)
            found += [snapshot_meta(upto, each.offset, now, size, snapshot.kept, key), key]
        found.append(len(each.dead))
        for letter in each.dead:
            found += [letter.position, letter.index, letter.reason]
            found += [repr(letter.created_at), letter.detail, letter.entry]
    return found
