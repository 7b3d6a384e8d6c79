"""The embedded engine's streams: made, moved in, deleted and trimmed, on disk and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from service.errors import JournalUnavailable
from service.journal import sqlite_upkeep as upkeep
from service.journal.base import Moved, StreamRow
from service.journal.mirror import Mirror, gone
from service.journal.moved import placed, waiting
from service.journal.sqlite_adopt import adopt
from service.journal.sqlite_outbox import Outbox
from service.journal.tail import Tail

_TRIMMED_AT_ONCE = 64


class Streams:
    """Has the writing thread change streams, and the mirror and the tail follow it."""

    def __init__(
        self, outbox: Outbox, tail: Tail, mirror: Mirror, clock: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._tail = tail
        self._mirror = mirror
        self._clock = clock
        self._deleting: set[int] = set()

    async def create(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""
        now = self._clock()

        def made(uid: int | None) -> tuple[StreamRow, bool]:
            if uid is None:
                return self._mirror.names[name], False
            return self._mirror.put(StreamRow(uid, name, spec, 1, now, spec)), True

        result: tuple[StreamRow, bool] = await self._outbox.call(
            made, upkeep.create_stream, name, spec, now
        )
        return result

    async def adopt(self, moved: Moved) -> StreamRow | None:
        """Take in a stream from another store, whole or not at all; `None` if its name is taken."""
        if self._tail.depth:
            raise waiting(0, self._tail.depth)
        count = len(moved.records)
        base = self._tail.skip(count)
        here = placed(moved, base, range(base + 1, base + 1 + count))

        def made(uid: int | None) -> StreamRow | None:
            return None if uid is None else self._mirror.put(replace(here.row, uid=uid))

        result: StreamRow | None = await self._outbox.call(made, adopt, here, base + count)
        return result

    def existing(self, uid: int) -> StreamRow:
        """Return a stream that is not being deleted, or raise `StreamNotFound`."""
        row = self._mirror.rows.get(uid)
        if row is None or uid in self._deleting:
            raise gone(uid)
        return row

    async def delete(self, uid: int) -> None:
        """Remove a stream and everything kept of it."""
        # From here on it takes no appends: one queued behind would be written to a stream gone.
        self._deleting.add(uid)

        def deleted(backlog: int) -> None:
            self._tail.drop_stream(uid, backlog)
            self._mirror.drop(uid)

        def ended(deletion: asyncio.Future[Any]) -> None:
            self._deleting.discard(uid)
            if not deletion.cancelled():
                deletion.exception()  # Marks it as seen: its caller may have gone away.

        deletion = asyncio.ensure_future(self._outbox.call(deleted, upkeep.delete_stream, uid))
        deletion.add_done_callback(ended)
        await asyncio.shield(deletion)
        with suppress(JournalUnavailable):  # It is deleted; `trim` clears what is left.
            await self._clear_gone()

    async def trim(self, entries_kept: int, received_before: float) -> int:
        """Forget what retention lets go of, and what deleted streams left; return how much."""
        trimmed = await self._clear_gone()
        uids = list(self._mirror.rows)
        for i in range(0, len(uids), _TRIMMED_AT_ONCE):
            some, went = uids[i : i + _TRIMMED_AT_ONCE], upkeep.BATCH_ROWS
            while went >= upkeep.BATCH_ROWS:
                went = await self._outbox.call(
                    None, upkeep.trim_streams, some, entries_kept, received_before
                )
                trimmed += went
        return trimmed

    async def _clear_gone(self) -> int:
        cleared, went = 0, upkeep.BATCH_ROWS
        while went >= upkeep.BATCH_ROWS:
            went = await self._outbox.call(None, upkeep.clear_gone)
            cleared += went
        return cleared
