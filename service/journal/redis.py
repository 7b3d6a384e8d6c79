"""The shared engine: a journal in a Redis or Valkey server, which any number of processes use."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from service.errors import Fenced, JournalUnavailable, NotReady, ResultsExpired
from service.formats import FORMAT
from service.journal.base import (
    MAX_RECORD_ENTRIES,
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
from service.journal.mirror import Mirror
from service.journal.redis_adopt import Adoption
from service.journal.redis_calls import Calls
from service.journal.redis_check import check
from service.journal.redis_feed import Feed
from service.journal.redis_keys import Keys, partition_of
from service.journal.redis_leases import Leases
from service.journal.redis_partition import Partition
from service.journal.redis_reader import Reader
from service.journal.redis_replies import Replies
from service.journal.redis_sender import Parcel, Sender
from service.journal.redis_server import Server
from service.journal.redis_streams import Streams
from service.journal.redis_templates import Templates
from service.journal.redis_upkeep import trim
from service.journal.redis_watch import Watch
from service.schemas import Entry, encode_entry
from service.tasks import end


class RedisJournal:
    """A `Journal` in a Redis or Valkey server or cluster.

    A partition is one hash slot, so its log, its lease, its state and its results have one history:
    what a failover loses of it, it loses from the end, and of all of them together.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "synaptide",
        partitions: int = 64,
        lease_seconds: float = 10.0,
        follows_results: bool = True,
        replicas: int = 1,
        max_queued_entries: int = 100_000,
        max_queued_bytes: int = 1 << 28,
        results_kept: int = 10_000,
        log_kept_entries: int = 100_000,
        log_kept_seconds: float = 3_600.0,
        write_format: int = FORMAT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.partitions: Sequence[int] = range(partitions)
        self._server = Server(url)
        self._prefix = prefix
        self._keys = [Keys(prefix, partition) for partition in self.partitions]
        self._results_kept = results_kept
        self._log_kept_entries, self._log_kept_seconds = log_kept_entries, log_kept_seconds
        self._clock = clock
        self._mirror = Mirror()
        self._replies = Replies(max_queued_entries)
        self._leases = Leases(self._server, prefix, self._keys, lease_seconds, write_format)
        self.owned, self.name = self._leases.owned, self._leases.name
        self._sender = Sender(
            self._server, self._keys, max_queued_entries, max_queued_bytes, replicas, self._deepen
        )
        self._streams = Streams(self._server, self._keys, self._mirror, self._replies, clock)
        self._templates = Templates(self._server, prefix, clock)
        self._reader = Reader(self._server, self._keys)
        self._feeds = self._followers(follows_results)
        self._partitions = [self._partition(partition) for partition in self.partitions]
        self._watch = Watch(
            self._server,
            self._partitions,
            self._feeds,
            self._sender,
            self._replies,
            self._leases,
        )
        self._calls = Calls()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False

    def _followers(self, follows_results: bool) -> list[Feed]:
        """Return one feed, or in a cluster one for each partition: each is on another server."""
        groups = [[p] for p in self.partitions] if self._server.is_cluster else [self.partitions]
        return [
            Feed(
                self._server,
                self._keys,
                group,
                self._mirror,
                self._replies,
                follows_results,
                self._interrupted,
            )
            for group in groups
        ]

    def _partition(self, partition: int) -> Partition:
        return Partition(
            self._server,
            partition,
            self._keys[partition],
            self._leases,
            self._mirror,
            self._feeds[partition if self._server.is_cluster else 0],
            self._streams.exists,
            self._results_kept,
            self._clock,
        )

    async def open(self) -> None:
        """Connect, or raise `SettingsError` if the server is not fit for this."""
        self._loop = asyncio.get_running_loop()
        await self._server.open()
        try:
            await check(self._server, self._prefix, len(self.partitions))
            await self._watch.begin()
            for feed in self._feeds:
                await feed.begin()
        except BaseException:
            await self._server.close()
            raise
        self._is_open = True
        self._tasks = [asyncio.create_task(feed.run()) for feed in self._feeds]
        self._tasks.append(asyncio.create_task(self._watch.run()))

    async def close(self) -> None:
        """Give up what is owned and disconnect."""
        if not self._is_open:
            return
        self._is_open = False
        await self._sender.close()
        await end(self._tasks)
        await self._calls.end()
        closed = JournalUnavailable("the journal is closed", retry_after_seconds=1)
        self._replies.close(closed)
        self._mirror.close(closed)
        with suppress(JournalUnavailable):
            for partition in list(self.owned):
                await self.release(partition)
            await self._leases.go()
        await self._server.close()

    # Streams

    async def create_stream(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""
        self._check_open()
        return await self._streams.create(name, spec)

    async def adopt(self, moved: Moved) -> StreamRow | None:
        """Take in a stream from another store, whole or not at all; `None` if its name is taken."""
        self._check_open()
        partitions = len(self.partitions)
        partition = partition_of(moved.row.name, partitions)
        if partition not in self.owned and await self.acquire(partition) is None:
            raise Fenced(
                f"partition {partition}: got another process that applies it, "
                "or one that died whose lease has not ended"
            )
        # What the format of its snapshots is is found out when the partition is looked at.
        await self.need(partition, FORMAT)
        adoption = Adoption(
            self._server,
            self._keys[partition],
            partition,
            partitions,
            *self._leases.token(partition),
            self._results_kept,
        )
        row = await adoption.take(moved)
        return None if row is None else self._mirror.put(row)

    async def delete_stream(self, uid: int) -> None:
        """Remove a stream and everything kept of it."""
        self._existing(uid)
        self._partitions[self.partition_of(uid)].depth = await self._streams.delete(uid)

    def stream(self, name: str) -> StreamRow:
        """Return a stream by name, or raise `StreamNotFound`; may be some milliseconds behind."""
        return self._mirror.stream(name)

    async def look_up(self, name: str) -> StreamRow:
        """Return a stream as it stands now, or raise `StreamNotFound`."""
        self._check_open()
        return await self._streams.look_up(name)

    def stream_by_uid(self, uid: int) -> StreamRow | None:
        """Return a stream, or `None` if it was deleted."""
        return self._mirror.rows.get(uid)

    def streams(self) -> list[StreamRow]:
        """Return every stream, by name."""
        return self._mirror.streams()

    def partition_of(self, uid: int) -> int:
        """Return the partition that holds a stream, today and always."""
        return uid % len(self.partitions)

    def stream_count(self) -> int:
        """Return how many streams there are."""
        return len(self._mirror.rows)

    async def behind(self, partition: int) -> list[int]:
        """Return the streams that had records since their newest snapshot."""
        return await self._reader.behind(partition)

    async def probe(self) -> None:
        """Write to the server, and see that somebody applies what is written there."""
        self._check_open()
        await self._server.call("SET", f"{self._prefix}:probe", 1, "EX", 60)
        if not self.owned and not await self._leases.anybody():
            raise JournalUnavailable("no process applies events: got none with the role worker")

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
        self._check_open()
        return await self._templates.put(name, pattern, spec)

    async def delete_template(self, name: str) -> None:
        """Remove a template, or raise `TemplateNotFound`. Streams made from it stay."""
        self._check_open()
        await self._templates.delete(name)

    async def templates(self) -> list[TemplateRow]:
        """Return every template, by name."""
        self._check_open()
        return await self._templates.all()

    # The log

    async def append(self, uid: int, entries: Sequence[Entry], ack: Ack) -> list[int]:
        """Append entries in order and return the positions of the records that hold them."""
        self._existing(uid)
        if not entries:
            return []
        size, records = MAX_RECORD_ENTRIES, []
        for i in range(0, len(entries), size):
            part = [encode_entry(entry) for entry in entries[i : i + size]]
            records.append((len(part), secrets.token_hex(6).encode(), b"\n".join(part)))
        asked = ack == "applied"
        tokens = [token for _, token, _ in records]
        if asked:
            for token in tokens:
                self._replies.expect(uid, token)
        partition = self.partition_of(uid)
        parcel = Parcel(uid, partition, self._clock(), asked, ack == "replicated", records)
        try:
            positions = await self._sender.send(parcel)
        except BaseException:
            self._replies.unplaced(tokens)
            raise
        if asked:
            for token, position in zip(tokens, positions, strict=True):
                self._replies.placed(uid, token, position)
        return positions

    async def replies(self, uid: int, position: int) -> list[bytes]:
        """Wait until a stream's record is applied and return the reply to each of its entries."""
        return await self._replies.wait(uid, position)

    async def read(
        self, partition: int, after: int, limit_entries: int, wait: bool = True
    ) -> list[Record]:
        """Return the records after a position, oldest first, at least one if `wait`."""
        log = self._checked(partition).log
        records = await self._calls.run(log.read(after, limit_entries, wait))
        self._checked(partition)
        return records

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records after a position and up to another, oldest first."""
        if uid not in self._mirror.rows:
            return []
        return await self._partitions[self.partition_of(uid)].log.history(uid, after, upto)

    # Partitions

    async def acquire(self, partition: int) -> int | None:
        """Take a partition in order to apply it; return the epoch, or `None` if it is taken."""
        self._check_open()
        return await self._partitions[partition].acquire()

    async def renew(self) -> list[int]:
        """Hold on to the partitions this process owns, and return those it has lost."""
        return await self._leases.renew()

    async def release(self, partition: int) -> None:
        """Let another process take a partition at once."""
        await self._leases.release(partition)

    async def present(self) -> list[str]:
        """Say that this process applies partitions; return the names of all that do."""
        return await self._leases.present()

    async def leave(self) -> None:
        """Say that this process applies partitions no more."""
        await self._leases.leave()

    def reads(self, name: str) -> int:
        """Return the newest format that a process reads."""
        return self._leases.reads(name)

    @property
    def write_format(self) -> int:
        """The newest format that may be written, so that every process here can read it."""
        return self._leases.write_format

    def needed(self, partition: int) -> int:
        """Return the format it takes to read a partition; may be a second behind."""
        return self._partitions[partition].needed

    async def need(self, partition: int, wanted: int) -> None:
        """Note which format it takes to read a partition that this process owns."""
        await self._partitions[partition].need(wanted)

    def deaths(self, partition: int) -> int:
        """Return how many owners of a partition died in a row, before this one, at no progress."""
        return self._leases.deaths.get(partition, 0)

    async def mark(self, partition: int, place: Place) -> int:
        """Note that an entry is about to be stepped; return how many owners died at this note."""
        return await self._leases.mark(partition, place)

    async def committed(self, partition: int) -> int:
        """Return the position up to which everything is applied."""
        self._check_open()
        return await self._partitions[partition].committed()

    async def commit(
        self,
        partition: int,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> None:
        """Say that the records in (previous, upto] are applied, with all that came of them."""
        its = self._checked(partition)
        answered = await its.commit(previous, upto, applied, replies)
        self._replies.answer(answered)

    # What came of it

    async def results(
        self, uid: int, after: int, limit: int, wait_seconds: float = 0.0
    ) -> list[bytes]:
        """Return committed results with offsets above `after`, oldest first, without a gap."""
        deadline = self._loop.time() + wait_seconds
        while True:
            row = self._existing(uid)
            lines = self._mirror.recent.since(uid, after, limit)
            if lines:
                return lines
            head = row.offset
            lines, oldest = await self._reader.results(uid, after, limit)
            if lines:
                return lines
            if oldest is None and after < head:
                self._existing(uid)
                oldest = head + 1
            if oldest is not None:
                raise ResultsExpired(
                    f"after: got {after}, expected {oldest - 1} or more", oldest=oldest
                )
            if after < self._existing(uid).offset:
                continue
            seconds = deadline - self._loop.time()
            if seconds <= 0:
                return []
            await self._mirror.recent.more(uid, seconds)

    async def put_snapshot(self, uid: int, blob: bytes, offset: int) -> int:
        """Keep a snapshot that a client sent; return its id."""
        self._existing(uid)
        return await self._streams.keep_snapshot(uid, blob, offset)

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""
        return await self._reader.snapshots(uid)

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes, or raise `SnapshotNotFound`."""
        return await self._reader.snapshot(uid, snapshot_id)

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and the position it stands at."""
        return await self._reader.latest_snapshot(uid)

    async def snapshot_formats(self, partition: int) -> dict[int, int]:
        """Return the format of each stream's newest snapshot written by a commit."""
        return await self._reader.snapshot_formats(partition)

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there."""
        return await self._partitions[self.partition_of(uid)].log.entries_after(uid, after)

    async def dead_letters(self, uid: int, limit: int = 1_000) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""
        return await self._reader.dead_letters(uid, limit)

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places, after a position, of entries that a learner could not step."""
        return await self._reader.passed_over(uid, after)

    async def trim(self, now: float) -> int:
        """Forget what retention lets go of in the partitions owned; return how many records."""
        before = now - self._log_kept_seconds
        trimmed = 0
        for partition in list(self.owned):
            keys = self._keys[partition]
            trimmed += await trim(self._server, keys, self._log_kept_entries, before)
        return trimmed

    def depth(self, partition: int | None = None) -> int:
        """Return how many entries, of one partition or all, are appended and not yet applied."""
        chosen = self._partitions if partition is None else [self._partitions[partition]]
        return sum(each.depth for each in chosen)

    # Parts

    def _check_open(self) -> None:
        if not self._is_open:
            raise NotReady("the journal is not open", retry_after_seconds=1)

    def _checked(self, partition: int) -> Partition:
        self._check_open()
        its = self._partitions[partition]
        its.check()
        return its

    def _existing(self, uid: int) -> StreamRow:
        self._check_open()
        return self._streams.existing(uid)

    def _deepen(self, partition: int, depth: int) -> None:
        self._partitions[partition].depth = depth

    def _interrupted(self, partitions: Sequence[int]) -> None:
        """Take what was read for what may be lost: the server was out of reach."""
        for partition in partitions:
            self._partitions[partition].in_doubt = True
