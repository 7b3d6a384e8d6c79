"""Snapshots that a worker writes: when they are due, of quiet streams, and to make room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

import structlog

from service.commits import Commits
from service.errors import Unreadable
from service.formats import START_BYTES, format_in
from service.journal.base import Journal, NewSnapshot
from service.loading import Loader
from service.metrics import Metrics
from service.residents import Residents, give_back_memory
from service.snapshots import snapshot
from service.work import Live, Work

log = structlog.get_logger()

WRITTEN_OUT_AT_ONCE = 32
SAVE_QUIET_SECONDS = 5.0


class Saver:
    """Takes snapshots of the streams of one partition, and commits those no batch comes for."""

    def __init__(
        self,
        journal: Journal,
        partition: int,
        commits: Commits,
        residents: Residents,
        loader: Loader,
        metrics: Metrics,
        pool: ThreadPoolExecutor,
        every_seconds: float,
    ) -> None:
        self._journal = journal
        self._partition = partition
        self._commits = commits
        self._residents = residents
        self._loader = loader
        self._metrics = metrics
        self._pool = pool
        self._every_seconds = every_seconds
        self._quiet_at = time.monotonic() + SAVE_QUIET_SECONDS

    async def take(self, work: Work, kept: bool = False) -> None:
        """Take a snapshot, to be written with the commit of the work."""
        loop = asyncio.get_running_loop()
        write_format = self._journal.write_format
        blob = await loop.run_in_executor(self._pool, snapshot, work.live.stream, write_format)
        written = format_in(blob[:START_BYTES])
        if written > self._journal.needed(self._partition):
            # Said before it is written, so that nobody takes over what it cannot read.
            await self._journal.need(self._partition, written)
        work.snapshots.append(NewSnapshot(blob, kept))
        work.live.snapshot_taken()
        self._metrics.checkpointed(self._partition, len(blob))

    async def take_if_due(self, work: Work) -> None:
        """Take a snapshot if the last is some entries, or some time, ago."""
        live = work.live
        if not live.unsaved or not live.stream.keeps_state:
            return
        due = live.unsaved >= live.stream.spec.snapshot_every_events
        if due or time.monotonic() - live.snapshot_at > self._every_seconds:
            await self._try_to_take(work)

    async def _try_to_take(self, work: Work) -> None:
        """Take a snapshot, or leave it to the log to keep the state until the next is due."""
        try:
            await self.take(work)
        except Exception:
            log.exception("no snapshot", stream=work.row.name, offset=work.live.stream.offset)
            work.live.snapshot_taken()

    async def commit(self, chosen: Sequence[tuple[int, Live]]) -> list[Work]:
        """Write a snapshot of each stream that has changed since its last one."""
        works = []
        for uid, live in chosen:
            row = self._journal.stream_by_uid(uid)
            if row is None or row.held_after is not None:
                continue  # A snapshot that stands here would pass over the records that wait.
            if live.unsaved and live.stream.keeps_state:
                works.append(Work(row, live, []))
                await self._try_to_take(works[-1])
        if works:
            self._commits.send(self._commits.position, works)
            await self._commits.settle()
        return works

    async def rewrite(self, uid: int) -> None:
        """Write a stream's snapshot anew, if it is not held; raise `Unreadable` if it has to be."""
        row, was_resident = self._journal.stream_by_uid(uid), self._residents.get(uid) is not None
        if row is None or row.held_after is not None:
            return
        live = await self._loader.load(row)
        live.unsaved = max(1, live.unsaved)
        await self.commit([(uid, live)])
        if not was_resident:
            self._residents.drop(uid)

    def quiet_is_due(self) -> bool:
        """Say whether it is time for `save_quiet`."""
        return time.monotonic() >= self._quiet_at

    async def save_quiet(self, behind: list[int]) -> None:
        """Write a snapshot of streams that had events some time ago, and none since.

        Until then the log has to be kept for them, those of others among it. `behind` are streams
        that a process before left without one.
        """
        self._quiet_at = time.monotonic() + SAVE_QUIET_SECONDS
        for uid in [behind.pop() for _ in range(min(len(behind), WRITTEN_OUT_AT_ONCE))]:
            row = self._journal.stream_by_uid(uid)
            if row is not None:
                with suppress(Unreadable):
                    await self._loader.load(row)
        now, most = time.monotonic(), self._every_seconds
        old = [each for each in self._residents.items() if now - each[1].snapshot_at > most]
        await self.commit(old[:WRITTEN_OUT_AT_ONCE])

    async def write_out(self) -> None:
        """Have the streams that have been quiet longest wait for their next event on disk."""
        chosen = list(islice(self._residents.surplus(), WRITTEN_OUT_AT_ONCE))
        works = await self.commit(chosen)
        kept_in = {work.row.uid for work in works if not work.snapshots}
        for uid, _ in chosen:
            if uid not in kept_in:
                self._residents.drop(uid)
        log.info("streams written out", streams=len(chosen), in_memory=len(self._residents))
        await asyncio.get_running_loop().run_in_executor(self._pool, give_back_memory)
