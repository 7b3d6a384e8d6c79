"""The worker: the only writer of its streams. Reads, steps, commits; on any error, begins again.

State in memory may run ahead of what is committed, by the batches whose commits are on their way.
Whenever a commit fails, all of it is dropped and loaded anew, which is always right.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from pydantic_core import to_json

from service.errors import (
    CommitRefused,
    JournalUnavailable,
    Quarantined,
    ResultsExpired,
    SpecConflict,
    StreamNotFound,
    SynaptideError,
)
from service.journal.base import (
    START,
    Applied,
    DeadLetter,
    Journal,
    NewSnapshot,
    Record,
    StreamRow,
)
from service.metrics import Metrics
from service.schemas import Command, Entry, Event, StreamSpec, encode_entry
from service.settings import Settings
from service.stream import Fate, Reply, Stream, restored, revived

log = structlog.get_logger()

MAX_TRIES = 3
MAX_COMMITS_AHEAD = 2
INLINE_SECONDS = 100e-6
"""Work shorter than this costs less on the event loop than a hop to a thread."""
BATCH_SECONDS = 5e-3
"""How much work is taken at once, so that a lone event never waits long."""
MAX_BATCH_ENTRIES = 1_024
_SMOOTHING = 0.2


class Raised(Exception):
    """A learner raised while it stepped an entry"""

    def __init__(self, record: int, entry: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.record, self.entry = record, entry


@dataclass(slots=True)
class Live:
    """A stream in memory."""

    stream: Stream
    kind: str
    snapshot_offset: int
    snapshot_at: float
    seconds_per_entry: float = 0.0
    respecified: bool = False

    def observe(self, entries: int, seconds: float) -> None:
        """Learn how long an entry takes."""
        each = seconds / entries
        weight = _SMOOTHING if self.seconds_per_entry else 1.0
        self.seconds_per_entry += weight * (each - self.seconds_per_entry)


@dataclass(slots=True)
class Work:
    """One stream's share of a batch, and what came of it so far."""

    row: StreamRow
    live: Live
    records: list[Record]
    replies: list[list[Reply]] = field(default_factory=list)
    answers: dict[int, list[bytes]] = field(default_factory=dict)
    results: list[bytes] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    snapshots: list[NewSnapshot] = field(default_factory=list)

    def take(self, replies: list[Reply], reply: Reply) -> None:
        """Note the reply to the next entry."""
        replies.append(reply)
        if reply.fate is Fate.APPLIED:
            self.results.append(reply.line)


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
        self.live: dict[int, Live] = {}
        self.healthy = True
        self._pool = pool
        self._position = 0
        self._commits: deque[asyncio.Task[None]] = deque()
        self._stopping = False
        self._reader: asyncio.Task[None] | None = None
        self._idle = False

    async def run(self) -> None:
        """Apply records until told to stop."""
        self._reader = asyncio.current_task()
        while not self._stopping:
            try:
                await self._follow()
            except asyncio.CancelledError:
                if not (self._stopping and self._idle):
                    raise
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
            await self._settle(0)
            await self._commit_snapshots()
        except (JournalUnavailable, CommitRefused) as error:
            log.warning("stopped without snapshots", reason=error.code, detail=error.detail)

    async def _follow(self) -> None:
        self._position = await self.journal.committed(self.partition)
        while not self._stopping:
            records = await self._read()
            if not records:
                await self._settle(len(self._commits) - 1)
                continue
            for batch in _batches(records):
                await self._apply(batch)
                await self._settle(MAX_COMMITS_AHEAD)
            self.healthy = True

    async def _read(self) -> list[Record]:
        """Read on; wait for more only when no commit is on its way, so that none fails unseen."""
        self._idle = not self._commits
        try:
            return await self.journal.read(
                self.partition, self._position, self._batch_entries(), wait=self._idle
            )
        finally:
            self._idle = self._idle and self._stopping

    def _batch_entries(self) -> int:
        slowest = max((live.seconds_per_entry for live in self.live.values()), default=0.0)
        return min(MAX_BATCH_ENTRIES, max(1, int(BATCH_SECONDS / max(slowest, 1e-6))))

    async def _settle(self, ahead: int) -> None:
        """Wait until at most `ahead` commits are on their way."""
        while len(self._commits) > ahead:
            await self._commits.popleft()

    async def _abandon(self, reason: str, detail: str, pause_seconds: float) -> None:
        """Drop all state that may have run ahead of the journal."""
        self.healthy = False
        for commit in self._commits:
            commit.cancel()
        await asyncio.gather(*self._commits, return_exceptions=True)
        self._commits.clear()
        self.live.clear()
        self.metrics.commits_rejected.labels(reason=reason).inc()
        log.warning("worker begins again", reason=reason, detail=detail)
        await asyncio.sleep(pause_seconds)

    # Applying

    async def _apply(self, records: list[Record]) -> None:
        shares: dict[int, list[Record]] = {}
        for record in records:
            shares.setdefault(record.stream, []).append(record)
        works = []
        for uid, own in shares.items():
            row = self.journal.stream_by_uid(uid)
            if row is None:
                self.live.pop(uid, None)
            else:
                works.append(Work(row, await self._load(row), own))
        command = records[0].entries[0]
        if isinstance(command, Command):
            for work in works:
                work.answers[records[0].position] = [await self._command(work, command)]
        else:
            await self._step_all(works)
            for work in works:
                await self._finish(work)
        self._commit(records[-1].position, works)
        if isinstance(command, Command):
            # Replay passes over commands, so nothing may build on one before it is durable.
            await self._settle(0)

    async def _step_all(self, works: list[Work]) -> None:
        loop = asyncio.get_running_loop()
        if _is_short(works):
            raised = [self._step(work) for work in works]
        else:
            raised = await asyncio.gather(
                *(loop.run_in_executor(self._pool, self._step, work) for work in works)
            )
        for work, error in zip(works, raised, strict=True):
            while error is not None:
                await self._set_aside(work, error)
                error = await loop.run_in_executor(self._pool, self._step, work)

    def _step(self, work: Work) -> Raised | None:
        """Step a stream on through its records, to the end or to an entry its learner cannot."""
        step, begun, done = work.live.stream.step, time.perf_counter(), 0
        raised: Raised | None = None
        for i, record in enumerate(work.records):
            if len(work.replies) <= i:
                work.replies.append([])
            replies, received_at = work.replies[i], record.received_at
            for j in range(len(replies), len(record.entries)):
                try:
                    work.take(replies, step(record.entries[j], received_at))  # type: ignore[arg-type]
                except Exception as error:
                    raised = Raised(i, j, error)
                    break
                done += 1
            if raised is not None:
                break
        if done:
            seconds = time.perf_counter() - begun
            work.live.observe(done, seconds)
            self.metrics.stepped(work.live.kind, done, seconds)
        return raised

    async def _finish(self, work: Work) -> None:
        """Turn fates into answers, and take a snapshot when one is due."""
        counts = {Fate.DUPLICATE: 0, Fate.REFUSED: 0}
        for record, replies in zip(work.records, work.replies, strict=True):
            answers = work.answers[record.position] = [reply.line for reply in replies]
            for j, reply in enumerate(replies):
                if reply.fate is Fate.APPLIED:
                    continue
                counts[reply.fate] += 1
                if reply.fate is Fate.DUPLICATE:
                    answers[j] = await self._first_result(work, reply)
                else:
                    work.dead.append(_letter(record, j, "invalid", reply.line.decode()))
        self.metrics.rejected.labels(reason="duplicate").inc(counts[Fate.DUPLICATE])
        self.metrics.rejected.labels(reason="refused").inc(counts[Fate.REFUSED])
        live = work.live
        new = live.stream.offset - live.snapshot_offset
        age = time.monotonic() - live.snapshot_at
        due = new >= live.stream.spec.snapshot_every_events
        if new and (due or age > self.settings.snapshot_every_seconds):
            await self._snapshot(work)

    async def _first_result(self, work: Work, reply: Reply) -> bytes:
        """Return the result a duplicate's first was answered with, while it is kept."""
        base = work.live.stream.offset - len(work.results)
        if reply.offset > base:
            first = work.results[reply.offset - base - 1]
        else:
            await self._settle(0)
            try:
                (first,) = await self.journal.results(work.row.uid, reply.offset - 1, 1)
            except (ResultsExpired, StreamNotFound, ValueError):
                return reply.line
        return first[:-1] + b',"duplicate":true}'

    async def _snapshot(self, work: Work, kept: bool = False) -> None:
        live = work.live
        loop = asyncio.get_running_loop()
        blob = await loop.run_in_executor(self._pool, live.stream.snapshot)
        work.snapshots.append(NewSnapshot(blob, kept))
        live.snapshot_offset, live.snapshot_at = live.stream.offset, time.monotonic()

    # Commands

    async def _command(self, work: Work, command: Command) -> bytes:
        """Carry out a command; a snapshot keeps what it changed."""
        try:
            if command.command == "restore":
                await self._restore(work, command.snapshot or 0)
            elif command.command == "configure":
                spec = StreamSpec.model_validate_json(to_json(command.spec))
                work.live.stream.configure(spec)
                work.live.respecified = True
            elif command.command == "resume":
                work.live.stream.resume()
        except SynaptideError as error:
            return to_json({"status": error.status} | error.problem())
        except ValueError as error:
            return to_json({"status": 409} | SpecConflict(str(error)).problem())
        await self._snapshot(work, kept=command.command == "snapshot")
        stream = work.live.stream
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

    async def _set_aside(self, work: Work, cause: Raised) -> None:
        """Try the entry again from a clean state; at last pass over it and stop learning."""
        record, name = work.records[cause.record], work.row.name
        event = record.entries[cause.entry]
        assert isinstance(event, Event)
        loop = asyncio.get_running_loop()
        for attempt in range(1, MAX_TRIES):
            log.warning("learner raised", stream=name, attempt=attempt, error=str(cause))
            await self._reload_before(work, record, cause.entry)
            step = work.live.stream.step
            try:
                reply = await loop.run_in_executor(self._pool, step, event, record.received_at)
            except Exception as error:
                cause = Raised(cause.record, cause.entry, error)
                continue
            work.take(work.replies[cause.record], reply)
            return
        await self._reload_before(work, record, cause.entry)
        work.live.stream.quarantine(event)
        log.error(
            "stream quarantined", stream=name, offset=work.live.stream.offset, error=str(cause)
        )
        self.metrics.dead_lettered.labels(reason="raised").inc()
        work.dead.append(_letter(record, cause.entry, "raised", str(cause)))
        problem = Quarantined(str(cause), event_id=event.id).problem()
        line = to_json({"status": 422} | problem)
        work.replies[cause.record].append(Reply(Fate.SET_ASIDE, line, work.live.stream.offset))

    async def _reload_before(self, work: Work, record: Record, index: int) -> None:
        """Rebuild a stream as it stood before one entry of a record."""
        live = await self._recover(work.row, record.position - 1, work.dead)
        for j, entry in enumerate(record.entries[:index]):
            _repeat(live.stream, record, j, entry, work.dead)
        work.live = self.live[work.row.uid] = live

    # Loading

    async def _load(self, row: StreamRow) -> Live:
        live = self.live.get(row.uid)
        if live is None:
            live = self.live[row.uid] = await self._recover(row, self._position, [])
        return live

    async def _recover(self, row: StreamRow, upto: int, letters: Sequence[DeadLetter]) -> Live:
        """Load the newest snapshot and replay, without a word, what was applied after it."""
        begun = time.monotonic()
        after, blob = await self.journal.latest_snapshot(row.uid) or (START, None)
        history = await self.journal.history(row.uid, after, upto)
        dead = [*await self.journal.dead_letters(row.uid), *letters]
        loop = asyncio.get_running_loop()
        stream = await loop.run_in_executor(self._pool, self._replay, row, blob, history, dead)
        if history:
            log.info(
                "stream recovered",
                stream=row.name,
                offset=stream.offset,
                records=len(history),
                seconds=round(time.monotonic() - begun, 3),
            )
        # A spec that changed, and whose row was not yet rewritten at a crash, is rewritten now.
        respecified = stream.spec.to_json() != row.spec
        # The age of the state on disk is unknown: let the next one be due by events alone.
        return Live(
            stream,
            stream.spec.learner.kind,
            snapshot_offset=stream.offset - sum(len(record.entries) for record in history),
            snapshot_at=begun,
            respecified=respecified,
        )

    def _replay(
        self,
        row: StreamRow,
        blob: bytes | None,
        history: Sequence[Record],
        dead: Sequence[DeadLetter],
    ) -> Stream:
        if blob is None:
            stream = Stream(StreamSpec.model_validate_json(row.spec))
        else:
            stream = revived(blob, self.settings.max_snapshot_bytes)
        for record in history:
            for j, entry in enumerate(record.entries):
                _repeat(stream, record, j, entry, dead)
        return stream

    # Committing

    def _commit(self, upto: int, works: Sequence[Work]) -> None:
        applied = [
            Applied(
                work.row.uid,
                work.live.stream.offset,
                work.live.stream.digest.hex(),
                work.results,
                work.live.stream.status(),
                work.snapshots,
                work.dead,
            )
            for work in works
        ]
        replies = {
            position: answers for work in works for position, answers in work.answers.items()
        }
        commit = self.journal.commit(self.partition, self._position, upto, applied, replies)
        self._commits.append(asyncio.ensure_future(self._after(commit, works)))
        self._position = upto

    async def _after(self, commit: Coroutine[Any, Any, None], works: Sequence[Work]) -> None:
        await commit
        for work in works:
            if work.live.respecified:
                work.live.respecified = False
                await self.journal.set_spec(work.row.uid, work.live.stream.spec.to_json())

    async def _commit_snapshots(self) -> None:
        works = []
        for uid, live in self.live.items():
            row = self.journal.stream_by_uid(uid)
            if row is not None and live.stream.offset > live.snapshot_offset:
                works.append(Work(row, live, []))
                await self._snapshot(works[-1])
        if works:
            self._commit(self._position, works)
            await self._settle(0)


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    """Cut records so that a command stands alone."""
    batch: list[Record] = []
    for record in records:
        if isinstance(record.entries[0], Command):
            if batch:
                yield batch
            yield [record]
            batch = []
        else:
            batch.append(record)
    if batch:
        yield batch


def _is_short(works: Sequence[Work]) -> bool:
    """Say whether the work is surely done sooner than a thread would begin it."""
    expected = 0.0
    for work in works:
        if not work.live.seconds_per_entry:
            return False
        entries = sum(len(record.entries) for record in work.records)
        expected += work.live.seconds_per_entry * entries
    return expected < INLINE_SECONDS


def _repeat(
    stream: Stream, record: Record, index: int, entry: Entry, dead: Sequence[DeadLetter]
) -> None:
    """Apply an entry once more, as it was applied the first time."""
    if not isinstance(entry, Event):
        return  # A snapshot was written with every command.
    place = (record.position, index)
    if any((each.position, each.index) == place and each.reason == "raised" for each in dead):
        stream.quarantine(entry)
    else:
        stream.step(entry, record.received_at)


def _letter(
    record: Record, index: int, reason: Literal["invalid", "raised"], detail: str
) -> DeadLetter:
    line = encode_entry(record.entries[index])
    return DeadLetter(
        record.stream, record.position, index, reason, detail, line, record.received_at
    )
