"""The embedded engine: one SQLite file in a folder, one writing thread, nothing to install."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from service.errors import (
    InvalidInput,
    JournalUnavailable,
    NotReady,
    QueueFull,
    ResultsExpired,
    SnapshotNotFound,
    TemplateNotFound,
)
from service.formats import FORMAT
from service.journal import sqlite_upkeep as upkeep
from service.journal.base import (
    Ack,
    Applied,
    DeadLetter,
    Moved,
    Place,
    Record,
    SnapshotRow,
    StreamChanges,
    StreamRow,
    TemplateRow,
)
from service.journal.lock import FolderLock
from service.journal.mirror import Mirror
from service.journal.sqlite_operations import Append, Commit, Transaction, put_snapshot
from service.journal.sqlite_outbox import Outbox
from service.journal.sqlite_reader import Reader
from service.journal.sqlite_schema import LOCK_NAME, Synchronous, open_reader, open_writer
from service.journal.sqlite_streams import Streams
from service.journal.tail import Tail
from service.schemas import Entry


class SqliteJournal:
    """A `Journal` in one SQLite file, of one process.

    Appends that nobody waits for stay in memory until the next commit, and are written in its
    transaction: a lone event costs one sync of the disk, not two.

    When a write fails, records may be lost: `Outbox` says how the two threads agree on which.
    """

    partitions: Sequence[int] = (0,)

    def __init__(
        self,
        data_dir: Path,
        *,
        synchronous: Synchronous = "FULL",
        max_queued_entries: int = 100_000,
        results_kept: int = 10_000,
        log_kept_entries: int = 1_000_000,
        log_kept_seconds: float = 7 * 86_400,
        write_format: int = FORMAT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = Path(data_dir)
        self._synchronous: Synchronous = synchronous
        self._max_queued_entries = max_queued_entries
        self._results_kept = results_kept
        self._log_kept_entries, self._log_kept_seconds = log_kept_entries, log_kept_seconds
        self._clock = clock
        self.write_format = write_format
        self._needed = FORMAT
        self._lock = FolderLock(self._folder, LOCK_NAME)
        self._is_open = False
        self._mirror = Mirror()
        self._templates: dict[str, TemplateRow] = {}
        self._owned: dict[int, int] = {}
        self.owned: Mapping[int, int] = self._owned
        self.name = "embedded"

    async def open(self) -> None:
        """Take the folder for this process, or raise `SettingsError`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        for row in await self._reader.streams():
            self._mirror.put(row)
        self._templates = {row.name: row for row in await self._reader.templates()}
        backlog_end, depth = await self._reader.backlog()
        self._tail = Tail(backlog_end, depth, self._max_queued_entries)
        tx = Transaction(self._connection.cursor(), backlog_end, self._results_kept)
        self._outbox = Outbox(self._connection, tx, self._tail.lose)
        self._streams = Streams(self._outbox, self._tail, self._mirror, self._clock)
        self._is_open = True

    def _open(self) -> None:
        self._lock.acquire()
        try:
            self._connection = open_writer(self._folder, self._synchronous)
            self._reader = Reader(open_reader(self._folder))
        except BaseException:
            self._lock.release()
            raise

    async def close(self) -> None:
        """Write what is pending and let the folder go."""
        if not self._is_open:
            return
        self._is_open = False
        await self._outbox.close()
        closed = JournalUnavailable("the journal is closed", retry_after_seconds=1)
        self._tail.close(closed)
        self._mirror.close(closed)
        await self._reader.close()
        await asyncio.to_thread(self._connection.close)
        self._lock.release()

    # Streams

    async def create_stream(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""
        self._check_open()
        return await self._streams.create(name, spec)

    async def adopt(self, moved: Moved) -> StreamRow | None:
        """Take in a stream from another store, whole or not at all; `None` if its name is taken."""
        self._check_open()
        return await self._streams.adopt(moved)

    async def delete_stream(self, uid: int) -> None:
        """Remove a stream and everything kept of it."""
        self._existing(uid)
        await self._streams.delete(uid)

    def stream(self, name: str) -> StreamRow:
        """Return a stream by name, or raise `StreamNotFound`."""
        return self._mirror.stream(name)

    async def look_up(self, name: str) -> StreamRow:
        """Return a stream as it stands now, or raise `StreamNotFound`."""
        return self.stream(name)

    def stream_by_uid(self, uid: int) -> StreamRow | None:
        """Return a stream, or `None` if it was deleted."""
        return self._mirror.rows.get(uid)

    def streams(self) -> list[StreamRow]:
        """Return every stream, by name."""
        return self._mirror.streams()

    def partition_of(self, uid: int) -> int:
        """Return the partition that holds a stream: the only one."""
        return 0

    def stream_count(self) -> int:
        """Return how many streams there are."""
        return len(self._mirror.rows)

    async def behind(self, partition: int) -> list[int]:
        """Return no streams: a log on disk may wait for their next event."""
        return []

    async def probe(self) -> None:
        """Have the writing thread make a transaction."""
        self._check_open()
        await self._outbox.call(None, Transaction.committed)

    def hold(self, uid: int, reason: str) -> None:
        """Note why a stream cannot be brought back, until it is."""
        self._mirror.hold(uid, reason)

    def held_count(self) -> int:
        """Return how many streams cannot be brought back."""
        return len(self._mirror.held)

    async def changes(self, cursor: str | None, wait_seconds: float = 0.0) -> StreamChanges:
        """Return what changed after a cursor, waiting that long for the first change."""
        self._check_open()
        return await self._mirror.changed(cursor, wait_seconds)

    # Templates

    async def put_template(self, name: str, pattern: str, spec: bytes) -> tuple[TemplateRow, bool]:
        """Make or replace a template; return it, and whether it was made now."""
        old = self._templates.get(name)
        row = TemplateRow(name, pattern, spec, self._clock() if old is None else old.created_at)
        await self._outbox.call(
            lambda _: self._templates.__setitem__(name, row),
            upkeep.put_template,
            name,
            pattern,
            spec,
            row.created_at,
        )
        return row, old is None

    async def delete_template(self, name: str) -> None:
        """Remove a template, or raise `TemplateNotFound`. Streams made from it stay."""
        if name not in self._templates:
            raise TemplateNotFound(f"template: got {name!r}, expected one that exists")
        await self._outbox.call(
            lambda _: self._templates.pop(name, None), upkeep.delete_template, name
        )

    async def templates(self) -> list[TemplateRow]:
        """Return every template, by name."""
        return [self._templates[name] for name in sorted(self._templates)]

    # The log

    async def append(self, uid: int, entries: Sequence[Entry], ack: Ack) -> list[int]:
        """Append entries in order and return the positions of the records that hold them."""
        self._existing(uid)
        if ack == "replicated":
            raise InvalidInput("ack: got 'replicated', and an embedded journal has no replicas")
        if self._tail.depth + len(entries) > self._max_queued_entries:
            raise QueueFull(
                f"entries: got {len(entries)} beside {self._tail.depth} waiting, "
                f"expected at most {self._max_queued_entries} in all",
                retry_after_seconds=1,
            )
        if not entries:
            return []
        records = self._tail.append(uid, entries, self._clock(), answered=ack == "applied")
        operation = Append(records, self._outbox.generation)
        if ack == "logged":
            await self._outbox.write(operation)
        else:
            self._outbox.buffer(operation)
        return [record.position for record in records]

    async def replies(self, uid: int, position: int) -> list[bytes]:
        """Wait until a stream's record is applied and return the reply to each of its entries."""
        return await self._tail.replies(position)

    # Partitions: there is one, and the lock on the folder is its lease

    async def acquire(self, partition: int) -> int | None:
        """Take the partition."""
        return self._owned.setdefault(partition, 1)

    async def renew(self) -> list[int]:
        """Return the partitions lost, which are none."""
        return []

    async def release(self, partition: int) -> None:
        """Give the partition up."""
        self._owned.pop(partition, None)

    async def present(self) -> list[str]:
        """Return the names of all processes that apply partitions: this one alone."""
        return [self.name]

    async def leave(self) -> None:
        """Apply partitions no more."""

    def reads(self, name: str) -> int:
        """Return the newest format that this process reads, which is alone."""
        return FORMAT

    def needed(self, partition: int) -> int:
        """Return the format it takes to read all snapshots."""
        return self._needed

    async def need(self, partition: int, wanted: int) -> None:
        """Note, in memory, which format it takes to read all snapshots."""
        self._needed = wanted

    async def snapshot_formats(self, partition: int) -> dict[int, int]:
        """Return the format of each stream's newest snapshot written by a commit."""
        return await self._reader.snapshot_formats()

    def deaths(self, partition: int) -> int:
        """Return how many processes died here: it is not counted."""
        return 0

    async def mark(self, partition: int, place: Place) -> int:
        """Note nothing."""
        return 0

    async def committed(self, partition: int) -> int:
        """Return the position up to which everything is applied, behind all that is queued."""

        def begun_again(position: int) -> int:
            self._outbox.begin_again()
            return position

        position: int = await self._outbox.call(begun_again, Transaction.committed)
        return position

    async def read(
        self, partition: int, after: int, limit_entries: int, wait: bool = True
    ) -> list[Record]:
        """Return the records after a position, oldest first, at least one if `wait`."""
        while True:
            self._check()
            records: list[Record] = []
            if after < self._tail.floor:
                records = await self._reader.records(after, self._tail.floor, limit_entries)
                self._check()
            records = records or self._tail.read(after, limit_entries)
            if records or not wait:
                return records
            await self._tail.more()

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records after a position and up to another, oldest first."""
        floor, newer = self._tail.floor, self._tail.of_stream(uid, after, upto)
        return await self._reader.history(uid, after, min(upto, floor)) + newer

    async def commit(
        self,
        partition: int,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> None:
        """Say that the records in (previous, upto] are applied, with all that came of them."""
        self._check()
        commit = Commit(previous, upto, applied, replies, self._clock(), self._outbox.generation)

        def committed(from_disk: int) -> None:
            self._tail.applied(upto, from_disk, replies)
            for each in applied:
                row = self._mirror.rows.get(each.stream)
                spec = None if row is None or each.spec is None else (each.spec, row.version + 1)
                self._mirror.applied(
                    each.stream, each.offset, each.digest, each.status, each.results, spec
                )

        commit.then = committed
        await self._outbox.write(commit)

    # What came of it

    async def results(
        self, uid: int, after: int, limit: int, wait_seconds: float = 0.0
    ) -> list[bytes]:
        """Return committed results with offsets above `after`, oldest first, without a gap."""
        deadline = self._loop.time() + wait_seconds
        while True:
            row = self._existing(uid)
            if after < row.offset:
                break
            seconds = deadline - self._loop.time()
            if seconds <= 0:
                return []
            await self._mirror.recent.more(uid, seconds)
        lines = self._mirror.recent.since(uid, after, limit)
        if lines is not None:
            return lines
        head = row.offset
        lines, oldest = await self._reader.results(uid, after, limit)
        if not lines:
            self._existing(uid)
            oldest = head + 1 if oldest is None else oldest
            raise ResultsExpired(
                f"after: got {after}, expected {oldest - 1} or more", oldest=oldest
            )
        return lines

    async def put_snapshot(self, uid: int, blob: bytes, offset: int) -> int:
        """Keep a snapshot that a client sent; return its id."""
        now = self._clock()
        made: int = await self._outbox.call(None, put_snapshot, uid, offset, now, blob)
        return made

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""
        return await self._reader.snapshots(uid)

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes, or raise `SnapshotNotFound`."""
        blob = await self._reader.snapshot(uid, snapshot_id)
        if blob is None:
            raise SnapshotNotFound(
                f"snapshot: got {snapshot_id}, expected one kept of stream {uid}"
            )
        return blob

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and the position it stands at."""
        return await self._reader.latest_snapshot(uid)

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there."""
        return await self._reader.entries_after(uid, after)

    async def dead_letters(self, uid: int, limit: int = 1_000) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""
        return await self._reader.dead_letters(uid, limit)

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places, after a position, of entries that a learner could not step."""
        return await self._reader.passed_over(uid, after)

    async def trim(self, now: float) -> int:
        """Forget what retention lets go of; return how many records went."""
        before = now - self._log_kept_seconds
        return await self._streams.trim(self._log_kept_entries, before)

    def depth(self, partition: int | None = None) -> int:
        """Return how many entries are appended and not yet applied."""
        return self._tail.depth

    # Parts

    def _check(self) -> None:
        self._check_open()
        self._outbox.check()

    def _check_open(self) -> None:
        if not self._is_open:
            raise NotReady("the journal is not open", retry_after_seconds=1)

    def _existing(self, uid: int) -> StreamRow:
        self._check_open()
        return self._streams.existing(uid)
