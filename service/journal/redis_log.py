"""Reading the log, and remembering what was read until it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from service.journal.base import Record
from service.journal.redis_keys import Fields, Keys, entry_id, position_in
from service.journal.redis_server import BLOCK_SECONDS, Server
from service.schemas import decode_entry

RECORDS_AT_ONCE = 256
INLINE_RECORDS = 16


@dataclass(slots=True)
class Seen:
    """A record that was read: what a commit has to know of it."""

    uid: int
    entries: int
    token: bytes
    size: int
    asked: bool


@dataclass(slots=True)
class Covered:
    """The records that a commit covers."""

    records: int = 0
    token: bytes = b""
    size: int = 0
    entries: dict[int, int] = field(default_factory=dict)
    """How many by stream."""
    last: dict[int, int] = field(default_factory=dict)
    """The position of each stream's last record."""
    asked: dict[int, bytes] = field(default_factory=dict)
    """The tokens of records whose replies are awaited, by position."""


class Log:
    """The log of one partition, as one worker reads it."""

    def __init__(
        self, server: Server, keys: Keys, exists: Callable[[int], Awaitable[bool]]
    ) -> None:
        self._server = server
        self._keys = keys
        self._exists = exists
        self._seen: dict[int, Seen] = {}
        self._ahead: list[Record] = []
        self._ahead_of = -1

    def begin_again(self) -> None:
        """Forget what was read."""
        self._seen.clear()
        self._ahead.clear()

    async def read(self, after: int, limit_entries: int, wait: bool) -> list[Record]:
        """Return records after a position, at least one if `wait`."""
        place = after
        while not (self._ahead and self._ahead_of == after):
            count = max(1, min(RECORDS_AT_ONCE, limit_entries))
            seconds = BLOCK_SECONDS if wait else 0.0
            found = await self._server.wait_for({self._keys.log: entry_id(place)}, count, seconds)
            entries = found.get(self._keys.log, [])
            self._ahead, self._ahead_of = await self._take(entries), after
            if entries:
                # Those of deleted streams are passed over here, and covered by the next commit.
                place = position_in(entries[-1][0])
            elif not wait:
                return []
        return self._cut(limit_entries)

    def _cut(self, limit_entries: int) -> list[Record]:
        taken = 0
        for record in self._ahead:
            limit_entries -= len(record.entries)
            if limit_entries < 0 and taken:
                break
            taken += 1
        records, self._ahead = self._ahead[:taken], self._ahead[taken:]
        self._ahead_of = records[-1].position
        return records

    async def _take(self, entries: list[tuple[bytes, Fields]]) -> list[Record]:
        for entry, fields in entries:
            self._seen[position_in(entry)] = Seen(
                int(fields[b"u"]),
                int(fields[b"n"]),
                fields[b"x"],
                len(fields[b"d"]),
                fields[b"a"] == b"1",
            )
        uids = {int(fields[b"u"]) for _, fields in entries}
        there = {uid for uid in uids if await self._exists(uid)}
        return await decoded(entries, there)

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records after a position and up to another, oldest first."""
        records: list[Record] = []
        last = entry_id(upto)
        while after < upto:
            entries: list[Any] = await self._server.call(
                "XRANGE", self._keys.log, f"({entry_id(after)}", last, "COUNT", RECORDS_AT_ONCE
            )
            records += await decoded(entries, {uid})
            if len(entries) < RECORDS_AT_ONCE:
                break
            after = position_in(entries[-1][0])
        return records

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there.

        Walks the log: it is asked when a snapshot is lost, and at no other time.
        """
        wanted, entries, whole, place = b"%d" % uid, 0, None, "-"
        while True:
            found: list[Any] = await self._server.call(
                "XRANGE", self._keys.log, place, "+", "COUNT", RECORDS_AT_ONCE
            )
            for entry, fields in found:
                if fields[b"u"] == wanted:
                    n = int(fields[b"n"])
                    whole = int(fields[b"s"]) == n if whole is None else whole
                    entries += n if position_in(entry) > after else 0
            if len(found) < RECORDS_AT_ONCE:
                return entries, bool(whole)
            place = f"({found[-1][0].decode()}"

    def cover(self, previous: int, upto: int) -> Covered:
        """Return what was read after a position and up to another."""
        covered = Covered()
        for position, seen in self._seen.items():
            if position > upto:
                break
            if position <= previous:
                continue
            covered.records += 1
            covered.size += seen.size
            covered.entries[seen.uid] = covered.entries.get(seen.uid, 0) + seen.entries
            covered.last[seen.uid] = position
            if seen.asked:
                covered.asked[position] = seen.token
            covered.token = seen.token if position == upto else b""
        return covered

    def forget(self, upto: int) -> None:
        """Remember no more what is committed."""
        while self._seen and (position := next(iter(self._seen))) <= upto:
            del self._seen[position]


async def decoded(entries: list[tuple[bytes, Fields]], uids: Iterable[int]) -> list[Record]:
    """Read the records of some streams; many of them in a thread."""
    wanted = {b"%d" % uid for uid in uids}
    chosen = [each for each in entries if each[1][b"u"] in wanted]
    if len(chosen) <= INLINE_RECORDS:
        return _decode(chosen)
    return await asyncio.to_thread(_decode, chosen)


def _decode(entries: list[tuple[bytes, Fields]]) -> list[Record]:
    return [
        Record(
            position_in(entry),
            int(fields[b"u"]),
            float(fields[b"t"]),
            [decode_entry(line) for line in fields[b"d"].split(b"\n")],
        )
        for entry, fields in entries
    ]
