"""The worker: the only writer of its streams. Reads, steps, commits; on any error, begins again.

State in memory may run ahead of what is committed, by the batches whose commits are on their way.
Whenever a commit fails, all of it is dropped and loaded anew, which is always right.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from service import held
from service.answers import Answers
from service.careful import Care, Suspected
from service.commits import Commits
from service.errors import CommitRefused, Fenced, JournalUnavailable, Unreadable
from service.journal.base import Journal, Record, StreamRow
from service.loading import Loader
from service.metrics import Metrics
from service.recovery import repeat_command
from service.residents import Residents, give_back_memory
from service.rewriting import Formats
from service.saving import SAVE_QUIET_SECONDS, Saver
from service.schemas import Command
from service.settings import Settings
from service.stepping import Stepper
from service.stream_commands import Commands
from service.turns import Turns
from service.work import Waiting, Work, batches

log = structlog.get_logger()

MAX_COMMITS_AHEAD = 2
BATCH_SECONDS = 5e-3
"""How much work is taken at once, so that a lone event never waits long."""
MAX_BATCH_ENTRIES = 1_024


class Worker:
    """Applies the log of one partition, exactly once, in order."""

    def __init__(
        self,
        journal: Journal,
        partition: int,
        settings: Settings,
        metrics: Metrics,
        pool: ThreadPoolExecutor,
        turns: Turns,
    ) -> None:
        self.journal = journal
        self.partition = partition
        self.settings = settings
        self.metrics = metrics
        self.live = Residents(settings.max_learners_bytes)
        self.healthy = True
        self._pool = pool
        self._turns = turns
        self._commits = Commits(journal, partition)
        self._care = Care(journal, partition)
        limit = settings.max_snapshot_bytes
        self._loader = Loader(journal, self._commits, self.live, pool, limit)
        self._stepper = Stepper(self._commits, self._loader, self._care, metrics, pool)
        self._answers = Answers(journal, self._commits, metrics)
        self._saver = Saver(
            journal,
            partition,
            self._commits,
            self.live,
            self._loader,
            metrics,
            pool,
            settings.snapshot_every_seconds,
        )
        self._formats = Formats(journal, partition, self._commits)
        self._commands = Commands(journal, self._saver, pool, limit)
        self._stopping = False
        self._reader: asyncio.Task[None] | None = None
        self._idle = False

    async def run(self) -> None:
        """Apply records until told to stop."""
        self._reader = asyncio.current_task()
        with suppress(JournalUnavailable):
            await held.revive(self.journal, self.partition)
        while not self._stopping:
            try:
                await self._follow()
            except asyncio.CancelledError:
                if not (self._stopping and self._idle):
                    raise
            except Fenced as error:
                await self._abandon(error.code, error.detail, 0.0)
                return  # Another process owns the partition, and is at work on it.
            except Suspected:
                await self._wait_for_sleepers()
            except (JournalUnavailable, CommitRefused) as error:
                await self._abandon(error.code, error.detail, error.retry_after_seconds or 0.05)
            except Exception as error:
                log.exception("worker failed")
                await self._abandon("failed", str(error), 1.0)

    async def stop(self) -> None:
        """Finish the batch at hand, commit, and leave a snapshot of every changed stream."""
        self._stopping = True
        if self._reader is not None:
            if self._idle:
                self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        try:
            await self._commits.settle()
            await self._saver.commit(self.live.items())
        except (JournalUnavailable, CommitRefused) as error:
            log.warning("stopped without snapshots", reason=error.code, detail=error.detail)
            await self._commits.abandon()

    async def abandon(self) -> None:
        """Drop everything, after the partition was lost."""
        await self._commits.abandon()
        self.live.clear()

    async def tidy(self) -> None:
        """Let go of streams that were deleted."""
        gone = [uid for uid, _ in self.live.items() if self.journal.stream_by_uid(uid) is None]
        if not gone:
            return
        for uid in gone:
            self.live.drop(uid)
        await asyncio.get_running_loop().run_in_executor(self._pool, give_back_memory)

    async def _follow(self) -> None:
        await self._commits.begin()
        self._care.begin()
        self._formats.begin()
        behind = await self.journal.behind(self.partition)
        while not self._stopping:
            async with self._turns.together():
                await self._formats.keep_to(self._saver.rewrite)
                if self._saver.quiet_is_due():
                    await self._saver.save_quiet(behind)
            records = await self._read()
            if not records:
                await self._commits.settle(max(0, len(self._commits) - 1))
                continue
            for batch in batches(records):
                if self._care:
                    async with self._turns.alone():
                        await self._apply(batch)
                        await self._commits.settle()
                else:
                    async with self._turns.together():
                        await self._apply(batch)
                    await self._commits.settle(MAX_COMMITS_AHEAD)
                self._care.passed(sum(len(record.entries) for record in batch))
            if self.live.held_bytes > self.live.limit_bytes:
                await self._saver.write_out()
            self.healthy = True

    async def _read(self) -> list[Record]:
        """Read on; wait for more only when no commit is on its way, so that none fails unseen."""
        self._idle = not (self._commits or self._formats.ahead or self._stopping)
        try:
            async with asyncio.timeout(SAVE_QUIET_SECONDS if self._idle else None):
                return await self.journal.read(
                    self.partition, self._commits.position, self._batch_entries(), wait=self._idle
                )
        except TimeoutError:
            return []
        finally:
            self._idle = self._idle and self._stopping

    def _batch_entries(self) -> int:
        if self._care:
            return 1
        return min(MAX_BATCH_ENTRIES, max(1, int(BATCH_SECONDS / max(self.live.slowest(), 1e-6))))

    async def _abandon(self, reason: str, detail: str, pause_seconds: float) -> None:
        """Drop all state that may have run ahead of the journal."""
        self.healthy = False
        await self._commits.abandon()
        self.live.clear()
        self.metrics.commits_rejected.labels(reason=reason).inc()
        log.warning("worker begins again", reason=reason, detail=detail)
        await asyncio.sleep(pause_seconds)

    async def _wait_for_sleepers(self) -> None:
        """Give owners that are taken for dead a lease's time to say that they only stood still.

        Others of this process go on meanwhile: the turn is over.
        """
        await self.abandon()
        self._idle = True  # So that it can be told to stop.
        try:
            await asyncio.sleep(self.settings.lease_seconds)
        finally:
            self._idle = False

    async def _apply(self, records: list[Record]) -> None:
        shares: dict[int, list[Record]] = {}
        for record in records:
            shares.setdefault(record.stream, []).append(record)
        works, waiting = list[Work](), list[Waiting]()
        for uid, own in shares.items():
            row = self.journal.stream_by_uid(uid)
            if row is None:
                self.live.drop(uid)
                continue
            try:
                works.append(await self._begin(row, own))
            except Unreadable as error:
                held.hold(self.journal, row, error)
                waiting.append(held.waiting(row, own, self._commits.position, error))
        command = records[0].entries[0]
        if works and not isinstance(command, Command):
            await self._stepper.step(works)
        for work in works:
            if work.records:
                await self._finish(work)
        if isinstance(command, Command):
            for work in works:
                work.answers[records[0].position] = [await self._commands.carry_out(work, command)]
        self._commits.send(records[-1].position, [*works, *waiting])
        if isinstance(command, Command) or any(work.caught_up for work in works):
            # Replay passes over commands, so nothing may build on one before it is durable.
            # What was held must not be taken up again.
            await self._commits.settle()

    async def _begin(self, row: StreamRow, own: list[Record]) -> Work:
        """Return a stream's share of a batch, or raise `Unreadable`.

        Its share are also the records that were held while it could not be read.
        """
        entry = own[0].entries[0]
        try:
            work = Work(row, await self._loader.load(row), [])
        except Unreadable as lost:
            work = await self._loader.begin_anew(row, entry, lost)
        if row.held_after is not None:
            await self._catch_up(work, row.held_after)
        if not isinstance(entry, Command):
            work.records += own
        return work

    async def _catch_up(self, work: Work, after: int) -> None:
        """Apply what was held since the stream could not be read, commands left out."""
        work.caught_up = True
        upto = self._commits.position
        for batch in batches(await self.journal.history(work.row.uid, after, upto)):
            command = batch[0].entries[0]
            if not isinstance(command, Command):
                work.records += batch
                await self._stepper.step([work])
            elif not work.live.stream.keeps_state:
                # A later replay will carry it out, although it was refused.
                repeat_command(work.live.stream, command)
                work.spec = work.live.stream.spec.to_json()
        log.info("stream is back", stream=work.row.name, offset=work.live.stream.offset)

    async def _finish(self, work: Work) -> None:
        """Answer, and take a snapshot when one is due."""
        await self._answers.give(work)
        self.live.measure(work.live)
        self.metrics.peaks.note(work.row.uid, work.live.stream.standing.take_peak())
        await self._saver.take_if_due(work)
