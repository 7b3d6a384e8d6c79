"""Bringing a worker's streams into memory: recovered, or begun anew where that cannot be done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from service import held
from service.commits import Commits
from service.errors import SynaptideError, Unreadable
from service.journal.base import Journal, Place, Record, StreamRow
from service.recovery import Recovery, repeat
from service.residents import Residents
from service.schemas import Command, Entry
from service.snapshots import snapshot
from service.work import Live, Work


class Loader:
    """Puts streams among the residents, as they stood where they are to go on."""

    def __init__(
        self,
        journal: Journal,
        commits: Commits,
        residents: Residents,
        pool: ThreadPoolExecutor,
        max_snapshot_bytes: int,
    ) -> None:
        self._journal = journal
        self._commits = commits
        self._residents = residents
        self._pool = pool
        self._max_snapshot_bytes = max_snapshot_bytes
        self._recovery = Recovery(journal, pool, max_snapshot_bytes)

    async def load(self, row: StreamRow) -> Live:
        """Return a stream, from memory if it is there, or raise `Unreadable`."""
        live = self._residents.get(row.uid)
        if live is None:
            if row.unreadable:
                raise Unreadable(row.unreadable)
            upto = self._commits.position if row.held_after is None else row.held_after
            live = await self._recovered(row, upto)
            self._residents.put(row.uid, live)
        return live

    async def load_before(self, work: Work, record: Record, index: int) -> None:
        """Rebuild a stream as it stood before one entry of a record."""
        passed_over = {(each.position, each.index) for each in work.dead if each.reason == "raised"}
        live = await self._recovered(work.row, record.position - 1, passed_over, work.base)
        repeat(live.stream, record, index, passed_over)
        self._residents.put(work.row.uid, live)
        work.live = live

    async def begin_anew(self, row: StreamRow, entry: Entry, lost: Unreadable) -> Work:
        """Return the work on a stream that begins anew, if a command lets it, or raise `lost`."""
        # Where the row stands, the commits on their way have to have been taken in.
        await self._commits.settle()
        blob = None
        if isinstance(entry, Command) and entry.command == "restore":
            with suppress(SynaptideError):
                blob = await self._journal.snapshot(row.uid, entry.snapshot or 0)
        loop = asyncio.get_running_loop()
        stream = await loop.run_in_executor(
            self._pool, held.begun_anew, row, entry, blob, self._max_snapshot_bytes, lost
        )
        live = Live(stream, unsaved=0, snapshot_at=time.monotonic())
        self._residents.put(row.uid, live)
        after = self._commits.position if row.held_after is None else row.held_after
        base = after, await loop.run_in_executor(self._pool, snapshot, stream)
        return Work(row, live, [], spec=stream.spec.to_json(), base=base)

    async def _recovered(
        self,
        row: StreamRow,
        upto: int,
        passed_over: Set[Place] = frozenset(),
        base: tuple[int, bytes] | None = None,
    ) -> Live:
        try:
            return await self._recovery.after(row, upto, passed_over, base)
        except Unreadable as lost:
            # What is replayed is compared with what is committed, which has to be all there is.
            await self._commits.settle()
            stands_at = self._commits.position if row.held_after is None else row.held_after
            return await self._recovery.without_newest(row, upto, stands_at, passed_over, lost)
