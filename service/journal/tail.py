"""The end of the log in memory: what is appended and not yet applied, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from service.errors import JournalUnavailable, StreamNotFound, SynaptideError
from service.journal.base import MAX_RECORD_ENTRIES, Record
from service.schemas import Entry


class Tail:
    """Records by position, from just above `floor` on. All of it on the event loop."""

    def __init__(self, floor: int, depth: int, max_unclaimed_entries: int) -> None:
        self.floor = floor
        """Records up to here are on disk only."""
        self.depth = depth
        """Entries not yet applied, those on disk only among them."""
        self._last = floor
        self._records: dict[int, Record] = {}
        self._readers: set[asyncio.Future[None]] = set()
        self._replies: dict[int, asyncio.Future[list[bytes]]] = {}
        self._unclaimed: deque[tuple[int, int]] = deque()
        self._unclaimed_entries = 0
        self._max_unclaimed_entries = max_unclaimed_entries

    def append(
        self, uid: int, entries: Sequence[Entry], now: float, answered: bool
    ) -> list[Record]:
        """Give entries their positions; `answered` if someone will ask for the replies."""
        size, position = MAX_RECORD_ENTRIES, self._last
        if len(entries) <= size:
            records = [Record(position + 1, uid, now, entries)]
        else:
            parts = [entries[i : i + size] for i in range(0, len(entries), size)]
            records = [Record(position + i, uid, now, part) for i, part in enumerate(parts, 1)]
        for record in records:
            self._records[record.position] = record
            if answered:
                self._replies[record.position] = asyncio.get_running_loop().create_future()
        # Never lowered, not even when records are lost: a position then names one record for good.
        self._last = records[-1].position
        self.depth += len(entries)
        if self._readers:
            self.wake()
        return records

    def skip(self, count: int) -> int:
        """Leave positions to records that are written elsewhere; return the one before them.

        Only while none are in memory.
        """
        before = self._last
        self._last = self.floor = before + count
        return before

    def read(self, after: int, limit_entries: int) -> list[Record]:
        """Return records in memory after a position, at least one if there is any."""
        found: list[Record] = []
        if not self._records:
            return found
        for position in range(max(after, self.floor) + 1, self._last + 1):
            record = self._records.get(position)
            if record is None:
                continue
            limit_entries -= len(record.entries)
            if limit_entries < 0 and found:
                break
            found.append(record)
        return found

    def of_stream(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records in memory after a position and up to another."""
        first = max(after, self.floor) + 1
        records = map(self._records.get, range(first, min(upto, self._last) + 1))
        return [record for record in records if record is not None and record.stream == uid]

    async def more(self) -> None:
        """Wait until a record is appended, or those that were are lost."""
        woken = asyncio.get_running_loop().create_future()
        self._readers.add(woken)
        try:
            await woken
        finally:
            self._readers.discard(woken)

    def wake(self) -> None:
        """Have readers look again."""
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
        self._readers.clear()

    async def replies(self, position: int) -> list[bytes]:
        """Wait for the replies to a record."""
        future = self._replies.get(position)
        if future is None:
            raise LookupError(
                f"position: got {position}, expected one appended with ack 'applied' "
                "whose replies were not asked for yet"
            )
        try:
            return await future
        finally:
            self._replies.pop(position, None)

    def applied(self, upto: int, from_disk: int, replies: Mapping[int, list[bytes]]) -> None:
        """Let go of the records up to a position, and hand over the replies to them."""
        self.depth -= from_disk
        for position in range(self.floor + 1, upto + 1):
            record = self._records.pop(position, None)
            if record is not None:
                self.depth -= len(record.entries)
                if position in self._replies:
                    self._answer(record, replies.get(position))
        self.floor = max(self.floor, upto)

    def _answer(self, record: Record, lines: list[bytes] | None) -> None:
        if lines is None:
            error = JournalUnavailable("replies: got none, expected one an entry")
            self._refuse(record.position, error)
            return
        future = self._replies[record.position]
        if not future.done():
            future.set_result(lines)
        self._leave(record.position, len(lines))

    def _leave(self, position: int, entries: int) -> None:
        """Bound what callers leave behind who were cancelled before they asked."""
        self._unclaimed.append((position, entries))
        self._unclaimed_entries += entries
        while self._unclaimed_entries > self._max_unclaimed_entries and len(self._unclaimed) > 1:
            oldest, n = self._unclaimed.popleft()
            self._replies.pop(oldest, None)
            self._unclaimed_entries -= n

    def lose(self, durable: int, error: JournalUnavailable) -> None:
        """Drop the records after the last durable one."""
        self._drop(lambda record: record.position > durable, error)
        self.wake()

    def drop_stream(self, uid: int, from_disk: int) -> None:
        """Drop a stream's records."""
        self.depth -= from_disk
        self._drop(lambda record: record.stream == uid, StreamNotFound("the stream was deleted"))

    def close(self, error: SynaptideError) -> None:
        """Drop everything; whoever waits is told why."""
        for position in list(self._replies):
            self._refuse(position, error)
        for reader in self._readers:
            if not reader.done():
                reader.set_exception(error)
        self._readers.clear()
        self._records.clear()

    def _drop(self, is_lost: Callable[[Record], bool], error: SynaptideError) -> None:
        for record in [record for record in self._records.values() if is_lost(record)]:
            del self._records[record.position]
            self.depth -= len(record.entries)
            self._refuse(record.position, error)

    def _refuse(self, position: int, error: SynaptideError) -> None:
        future = self._replies.get(position)
        if future is None:
            return
        if not future.done():
            future.set_exception(error)
            future.exception()  # Marks it as seen: its caller may have gone away.
        self._leave(position, 1)
