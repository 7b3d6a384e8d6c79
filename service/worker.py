"""The worker: the only writer of its streams. Reads, steps, commits; on any error, begins again.

State in memory may run ahead of what is committed, by the batches whose commits are on their way.
Whenever a commit fails, all of it is dropped and loaded anew, which is always right.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

import structlog
from pydantic_core import to_json

from service import held
from service.careful import Care
from service.commits import Commits
from service.errors import (
    CommitRefused,
    Fenced,
    JournalUnavailable,
    NoSnapshots,
    Quarantined,
    ResultsExpired,
    SpecConflict,
    StreamNotFound,
    SynaptideError,
    Unreadable,
)
from service.journal.base import Journal, NewSnapshot, Place, Record, StreamRow
from service.metrics import Metrics
from service.recovery import Recovery, repeat, repeat_command
from service.residents import Residents, give_back_memory
from service.schemas import Command, Damaged, Entry, Label, StreamSpec
from service.settings import Settings
from service.snapshots import restored, snapshot
from service.stream import Fate, Reply
from service.work import Live, Raised, Waiting, Work, batches, letter, readable, stays_inline

log = structlog.get_logger()

MAX_TRIES = 3
MAX_COMMITS_AHEAD = 2
BATCH_SECONDS = 5e-3
"""How much work is taken at once, so that a lone event never waits long."""
MAX_BATCH_ENTRIES = 1_024
WRITTEN_OUT_AT_ONCE = 32
SAVE_QUIET_SECONDS = 5.0


class Worker:
    """Applies the log of one partition, exactly once, in order."""

    def __init__(
        self,
        journal: Journal,
        partition: int,
        settings: Settings,
        metrics: Metrics,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.journal = journal
        self.partition = partition
        self.settings = settings
        self.metrics = metrics
        self.live = Residents(settings.max_learners_bytes)
        self.healthy = True
        self._pool = pool
        self._recovery = Recovery(journal, pool, settings.max_snapshot_bytes)
        self._commits = Commits(journal, partition)
        self._care = Care(journal, partition)
        self._stopping = False
        self._reader: asyncio.Task[None] | None = None
        self._idle = False
        self._saving_at = time.monotonic() + SAVE_QUIET_SECONDS

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
            await self._commit_snapshots(self.live.items())
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
        behind = await self.journal.behind(self.partition)
        while not self._stopping:
            records = await self._read()
            if time.monotonic() >= self._saving_at:
                await self._save_quiet(behind)
            if not records:
                await self._commits.settle(max(0, len(self._commits) - 1))
                continue
            for batch in batches(records):
                await self._apply(batch)
                await self._commits.settle(0 if self._care else MAX_COMMITS_AHEAD)
                self._care.passed(sum(len(record.entries) for record in batch))
            if self.live.held_bytes > self.live.limit_bytes:
                await self._write_out()
            self.healthy = True

    async def _read(self) -> list[Record]:
        """Read on; wait for more only when no commit is on its way, so that none fails unseen."""
        self._idle = not self._commits
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

    # Applying

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
            await self._step_all(works)
        for work in works:
            if work.records:
                await self._finish(work)
        if isinstance(command, Command):
            for work in works:
                work.answers[records[0].position] = [await self._command(work, command)]
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
            work = Work(row, await self._load(row), [])
        except Unreadable as lost:
            work = await self._begin_anew(row, entry, lost)
        if row.held_after is not None:
            await self._catch_up(work, row.held_after)
        if not isinstance(entry, Command):
            work.records += own
        return work

    async def _begin_anew(self, row: StreamRow, entry: Entry, lost: Unreadable) -> Work:
        # Where the row stands, the commits on their way have to have been taken in.
        await self._commits.settle()
        blob = None
        if isinstance(entry, Command) and entry.command == "restore":
            with suppress(SynaptideError):
                blob = await self.journal.snapshot(row.uid, entry.snapshot or 0)
        loop, limit = asyncio.get_running_loop(), self.settings.max_snapshot_bytes
        stream = await loop.run_in_executor(
            self._pool, held.begun_anew, row, entry, blob, limit, lost
        )
        live = Live(stream, unsaved=0, snapshot_at=time.monotonic())
        self.live.put(row.uid, live)
        after = self._commits.position if row.held_after is None else row.held_after
        base = after, await loop.run_in_executor(self._pool, snapshot, stream)
        return Work(row, live, [], spec=stream.spec.to_json(), base=base)

    async def _catch_up(self, work: Work, after: int) -> None:
        """Apply what was held since the stream could not be read, commands left out."""
        work.caught_up = True
        upto = self._commits.position
        for batch in batches(await self.journal.history(work.row.uid, after, upto)):
            command = batch[0].entries[0]
            if not isinstance(command, Command):
                work.records += batch
                await self._step_all([work])
            elif not work.live.stream.keeps_state:
                # A later replay will carry it out, although it was refused.
                repeat_command(work.live.stream, command)
                work.spec = work.live.stream.spec.to_json()
        log.info("stream is back", stream=work.row.name, offset=work.live.stream.offset)

    async def _step_all(self, works: list[Work]) -> None:
        loop = asyncio.get_running_loop()
        if self._care:
            for work in works:
                await self._care.step(work, self._step_one, self._set_aside, MAX_TRIES)
            return
        if stays_inline(works):
            raised = [work.step(self.metrics) for work in works]
        else:
            raised = await asyncio.gather(
                *(loop.run_in_executor(self._pool, work.step, self.metrics) for work in works)
            )
        for work, error in zip(works, raised, strict=True):
            while error is not None:
                await self._set_aside(work, error)
                error = await loop.run_in_executor(self._pool, work.step, self.metrics)

    async def _step_one(self, work: Work) -> Raised | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, work.step, self.metrics, 1)

    async def _finish(self, work: Work) -> None:
        """Turn fates into answers, and take a snapshot when one is due."""
        for record, replies in zip(work.records, work.replies, strict=True):
            answers = work.answers[record.position] = [reply.line for reply in replies]
            for j, reply in enumerate(replies):
                if reply.fate is Fate.DUPLICATE:
                    self.metrics.refused("events", "duplicate", 1)
                    answers[j] = await self._first_result(work, reply)
                elif reply.fate is Fate.REPEATED:
                    self.metrics.refused("labels", "duplicate", 1)
                elif reply.fate is Fate.REFUSED:
                    self._bury(work, record, j, reply)
        live = work.live
        self.live.measure(live)
        self.metrics.peaks.note(work.row.uid, live.stream.standing.take_peak())
        age = time.monotonic() - live.snapshot_at
        due = live.unsaved >= live.stream.spec.snapshot_every_events
        if (
            live.unsaved
            and live.stream.keeps_state
            and (due or age > self.settings.snapshot_every_seconds)
        ):
            await self._try_snapshot(work)

    def _bury(self, work: Work, record: Record, index: int, reply: Reply) -> None:
        """Keep an entry that was refused as a dead letter."""
        if isinstance(record.entries[index], Label):
            self.metrics.refused("labels", reply.refusal, 1)
        else:
            self.metrics.refused("events", "refused", 1)
            self.metrics.dead_lettered.labels(reason="invalid").inc()
        work.dead.append(letter(record, index, "invalid", reply.line.decode()))

    async def _first_result(self, work: Work, reply: Reply) -> bytes:
        """Return the result a duplicate's first was answered with, while it is kept."""
        base = work.live.stream.offset - len(work.results)
        if reply.offset > base:
            first = work.results[reply.offset - base - 1]
        else:
            await self._commits.settle()
            try:
                (first,) = await self.journal.results(work.row.uid, reply.offset - 1, 1)
            except (ResultsExpired, StreamNotFound, ValueError):
                return reply.line
        return first[:-1] + b',"duplicate":true}'

    async def _try_snapshot(self, work: Work) -> None:
        """Take a snapshot, or leave it to the log to keep the state until the next is due."""
        try:
            await self._snapshot(work)
        except Exception:
            log.exception("no snapshot", stream=work.row.name, offset=work.live.stream.offset)
            work.live.snapshot_taken()

    async def _snapshot(self, work: Work, kept: bool = False) -> None:
        loop = asyncio.get_running_loop()
        blob = await loop.run_in_executor(self._pool, snapshot, work.live.stream)
        work.snapshots.append(NewSnapshot(blob, kept))
        work.live.snapshot_taken()
        self.metrics.checkpointed(self.partition, len(blob))

    # Commands

    async def _command(self, work: Work, command: Command) -> bytes:
        """Carry out a command; a snapshot keeps what it changed."""
        try:
            if work.base is not None:
                pass  # It is what the stream began anew with.
            elif command.command in ("restore", "snapshot") and not work.live.stream.keeps_state:
                raise NoSnapshots(f"{work.row.name}: its learner is recovered by replaying its log")
            elif command.command == "restore":
                await self._restore(work, command.snapshot or 0)
            elif command.command == "configure":
                spec = StreamSpec.model_validate_json(to_json(command.spec))
                work.live.stream.configure(spec)
                work.spec = spec.to_json()
            elif command.command == "resume":
                work.live.stream.resume()
            elif command.command == "learning":
                work.live.stream.ask(command.state or "auto")
        except SynaptideError as error:
            return to_json({"status": error.status} | error.problem())
        except ValueError as error:
            return to_json({"status": 409} | SpecConflict(str(error)).problem())
        stream, size = work.live.stream, 0
        if stream.keeps_state:
            await self._snapshot(work, kept=command.command == "snapshot")
            size = len(work.snapshots[-1].blob)
        return to_json(
            {
                "command": command.command,
                "offset": stream.offset,
                "digest": stream.digest.hex(),
                "size_bytes": size,
            }
        )

    async def _restore(self, work: Work, snapshot_id: int) -> None:
        """Restore into a copy, so that a snapshot that does not fit changes nothing."""
        blob = await self.journal.snapshot(work.row.uid, snapshot_id)
        work.live.stream = await asyncio.get_running_loop().run_in_executor(
            self._pool, restored, work.live.stream, blob, self.settings.max_snapshot_bytes
        )

    # A learner that raises

    async def _set_aside(self, work: Work, cause: Raised, tries: int = MAX_TRIES) -> None:
        """Try the entry again from a clean state; at last pass over it and stop learning."""
        record, name = work.records[cause.record], work.row.name
        entry = record.entries[cause.entry]
        assert not isinstance(entry, Command)
        tries = 1 if isinstance(entry, Damaged) else tries
        loop = asyncio.get_running_loop()
        # What is not committed yet cannot be recovered from.
        await self._commits.settle()
        for attempt in range(1, tries):
            log.warning("learner raised", stream=name, attempt=attempt, error=str(cause))
            await self._reload_before(work, record, cause.entry)
            apply = work.live.stream.apply
            try:
                reply = await loop.run_in_executor(
                    self._pool, apply, readable(entry), record.received_at
                )
            except Exception as error:
                cause = Raised(cause.record, cause.entry, error)
                continue
            work.take(work.replies[cause.record], reply)
            return
        await self._reload_before(work, record, cause.entry)
        work.live.stream.quarantine(entry)
        log.error(
            "stream quarantined", stream=name, offset=work.live.stream.offset, error=str(cause)
        )
        self.metrics.dead_lettered.labels(reason="raised").inc()
        work.dead.append(letter(record, cause.entry, "raised", str(cause)))
        event_id = entry.event_id if isinstance(entry, Label) else entry.id
        problem = Quarantined(str(cause), event_id=event_id).problem()
        line = to_json({"status": 422} | problem)
        work.replies[cause.record].append(Reply(Fate.SET_ASIDE, line, work.live.stream.offset))

    async def _reload_before(self, work: Work, record: Record, index: int) -> None:
        """Rebuild a stream as it stood before one entry of a record."""
        passed_over = {(each.position, each.index) for each in work.dead if each.reason == "raised"}
        live = await self._recovered(work.row, record.position - 1, passed_over, work.base)
        repeat(live.stream, record, index, passed_over)
        self.live.put(work.row.uid, live)
        work.live = live

    async def _load(self, row: StreamRow) -> Live:
        live = self.live.get(row.uid)
        if live is None:
            if row.unreadable:
                raise Unreadable(row.unreadable)
            upto = self._commits.position if row.held_after is None else row.held_after
            live = await self._recovered(row, upto)
            self.live.put(row.uid, live)
        return live

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

    # Snapshots of quiet streams

    async def _commit_snapshots(self, chosen: Sequence[tuple[int, Live]]) -> list[Work]:
        """Write a snapshot of each stream that has changed since its last one."""
        works = []
        for uid, live in chosen:
            row = self.journal.stream_by_uid(uid)
            if row is None or row.held_after is not None:
                continue  # A snapshot that stands here would pass over the records that wait.
            if live.unsaved and live.stream.keeps_state:
                works.append(Work(row, live, []))
                await self._try_snapshot(works[-1])
        if works:
            self._commits.send(self._commits.position, works)
            await self._commits.settle()
        return works

    async def _save_quiet(self, behind: list[int]) -> None:
        """Write a snapshot of streams that had events some time ago, and none since.

        Until then the log has to be kept for them, those of others among it. `behind` are streams
        that a process before left without one.
        """
        self._saving_at = time.monotonic() + SAVE_QUIET_SECONDS
        for uid in [behind.pop() for _ in range(min(len(behind), WRITTEN_OUT_AT_ONCE))]:
            row = self.journal.stream_by_uid(uid)
            if row is not None:
                with suppress(Unreadable):
                    await self._load(row)
        now, most = time.monotonic(), self.settings.snapshot_every_seconds
        old = [each for each in self.live.items() if now - each[1].snapshot_at > most]
        await self._commit_snapshots(old[:WRITTEN_OUT_AT_ONCE])

    async def _write_out(self) -> None:
        """Have the streams that have been quiet longest wait for their next event on disk."""
        chosen = list(islice(self.live.surplus(), WRITTEN_OUT_AT_ONCE))
        works = await self._commit_snapshots(chosen)
        kept_in = {work.row.uid for work in works if not work.snapshots}
        for uid, _ in chosen:
            if uid not in kept_in:
                self.live.drop(uid)
        log.info("streams written out", streams=len(chosen), in_memory=len(self.live))
        await asyncio.get_running_loop().run_in_executor(self._pool, give_back_memory)
