"""The shared engine: a journal in a Redis or Valkey server, which any number of processes use."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from pydantic_core import to_json

from service.errors import (
    Fenced,
    JournalUnavailable,
    NotReady,
    Phantom,
    ResultsExpired,
    SnapshotNotFound,
    Stale,
    TemplateNotFound,
)
from service.journal import redis_upkeep as upkeep
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
from service.journal.redis_adopt import Adoption
from service.journal.redis_check import check
from service.journal.redis_commit import Feedback, arguments, blob_commands
from service.journal.redis_feed import Feed, found_row
from service.journal.redis_keys import (
    Keys,
    entry_id,
    partition_of,
    position_in,
    row_in,
    snapshot_in,
    snapshot_meta,
)
from service.journal.redis_leases import Leases
from service.journal.redis_log import Log
from service.journal.redis_mirror import Mirror, gone, not_there
from service.journal.redis_news import encode
from service.journal.redis_replies import Replies
from service.journal.redis_sender import Parcel, Sender
from service.journal.redis_server import Server, end
from service.schemas import Entry, encode_entry

log = structlog.get_logger()

T = TypeVar("T")

CHUNKS_AT_ONCE = 64
BLOB_SECONDS = 3_600
"""How long a snapshot lives that no commit came for."""
PULSE_SECONDS = 1.0
OVERDUE_SECONDS = 5.0


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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.partitions: Sequence[int] = range(partitions)
        self._server = Server(url)
        self._prefix = prefix
        self._keys = [Keys(prefix, partition) for partition in self.partitions]
        self._templates_key = f"{prefix}:templates"
        self._follows_results = follows_results
        self._results_kept = results_kept
        self._log_kept_entries, self._log_kept_seconds = log_kept_entries, log_kept_seconds
        self._clock = clock
        self._mirror = Mirror()
        self._replies = Replies(max_queued_entries)
        self._leases = Leases(self._server, prefix, self._keys, lease_seconds)
        self.owned, self.name = self._leases.owned, self._leases.name
        self._sender = Sender(
            self._server, self._keys, max_queued_entries, max_queued_bytes, replicas, self._deepen
        )
        self._logs = [Log(self._server, keys, self._exists) for keys in self._keys]
        self._locks = [asyncio.Lock() for _ in self.partitions]
        self._feedback = [Feedback() for _ in self.partitions]
        self._depths = dict.fromkeys(self.partitions, 0)
        self._doubtful: set[int] = set()
        self._deleting: set[int] = set()
        self._history = ""
        self._feeds: list[Feed] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[Any]] = set()
        self._is_open = False

    async def open(self) -> None:
        """Connect, or raise `SettingsError` if the server is not fit for this."""
        self._loop = asyncio.get_running_loop()
        await self._server.open()
        try:
            await check(self._server, self._prefix, len(self.partitions))
            self._history, self._sender.full = await upkeep.pulse(self._server)
            groups = (
                [[p] for p in self.partitions]
                if self._server.is_cluster
                else [list(self.partitions)]
            )
            self._feeds = [
                Feed(
                    self._server,
                    self._keys,
                    group,
                    self._mirror,
                    self._replies,
                    self._follows_results,
                    self._interrupted,
                )
                for group in groups
            ]
            for feed in self._feeds:
                await feed.begin()
            await self._measure()
        except BaseException:
            await self._server.close()
            raise
        self._is_open = True
        self._tasks = [asyncio.create_task(feed.run()) for feed in self._feeds]
        self._tasks.append(asyncio.create_task(self._beat()))

    async def close(self) -> None:
        """Give up what is owned and disconnect."""
        if not self._is_open:
            return
        self._is_open = False
        await self._sender.close()
        await end([*self._tasks, *self._calls])
        closed = JournalUnavailable("the journal is closed", retry_after_seconds=1)
        self._replies.close(closed)
        self._mirror.recent.close(closed)
        self._mirror.changes.close(closed)
        with suppress(JournalUnavailable):
            for partition in list(self.owned):
                await self.release(partition)
        await self._server.close()

    # Streams

    async def create_stream(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""
        self._check_open()
        partition = partition_of(name, len(self.partitions))
        keys, now = self._keys[partition], self._clock()
        uid, made = await self._server.run(
            "create",
            [keys.names, keys.head, keys.pending, keys.news],
            *(keys.prefix, name, spec, repr(now), partition, len(self.partitions)),
        )
        if not made:
            return await self.look_up(name), False
        return self._mirror.put(StreamRow(int(uid), name, spec, 1, now, spec)), True

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
        partition, keys = self._place(uid)
        self._deleting.add(uid)
        try:
            left = await self._server.run(
                "delete", [keys.names, keys.head, keys.pending, keys.news], keys.prefix, uid
            )
        finally:
            self._deleting.discard(uid)
        self._mirror.drop(uid)
        self._replies.drop_stream(uid)
        if left < 0:
            raise gone(uid)
        self._depths[partition] = int(left)

    def stream(self, name: str) -> StreamRow:
        """Return a stream by name, or raise `StreamNotFound`; may be some milliseconds behind."""
        return self._mirror.stream(name)

    async def look_up(self, name: str) -> StreamRow:
        """Return a stream as it stands now, or raise `StreamNotFound`."""
        self._check_open()
        keys = self._keys[partition_of(name, len(self.partitions))]
        found = found_row(await self._server.run("find", [keys.names], keys.prefix, name))
        if found is None:
            known = self._mirror.names.get(name)
            if known is not None:
                self._mirror.drop(known.uid)
            raise not_there(name)
        return self._mirror.put(row_in(*found))

    def stream_by_uid(self, uid: int) -> StreamRow | None:
        """Return a stream, or `None` if it was deleted."""
        return self._mirror.rows.get(uid)

    def streams(self) -> list[StreamRow]:
        """Return every stream, by name."""
        return [self._mirror.names[name] for name in sorted(self._mirror.names)]

    def partition_of(self, uid: int) -> int:
        """Return the partition that holds a stream, today and always."""
        return uid % len(self.partitions)

    def stream_count(self) -> int:
        """Return how many streams there are."""
        return len(self._mirror.rows)

    async def behind(self, partition: int) -> list[int]:
        """Return the streams that had records since their newest snapshot."""
        keys = self._keys[partition]
        found = await self._server.run("behind", [keys.pending], keys.prefix)
        return [int(uid) for uid in found]

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
        changes = self._mirror.changes
        if wait_seconds > 0:
            await changes.more(cursor, wait_seconds)
        changed = changes.since(cursor)
        rows = [self._mirror.rows[uid] for uid in changed.uids]
        return StreamChanges(changed.cursor, changed.full, rows, changed.gone)

    # Templates

    async def put_template(self, name: str, pattern: str, spec: bytes) -> tuple[TemplateRow, bool]:
        """Make or replace a template; return it, and whether it was made now."""
        old = {row.name: row for row in await self.templates()}.get(name)
        row = TemplateRow(name, pattern, spec, self._clock() if old is None else old.created_at)
        said = to_json([pattern, spec.decode(), row.created_at])
        await self._server.call("HSET", self._templates_key, name, said)
        return row, old is None

    async def delete_template(self, name: str) -> None:
        """Remove a template, or raise `TemplateNotFound`. Streams made from it stay."""
        self._check_open()
        if not await self._server.call("HDEL", self._templates_key, name):
            raise TemplateNotFound(f"template: got {name!r}, expected one that exists")

    async def templates(self) -> list[TemplateRow]:
        """Return every template, by name."""
        self._check_open()
        return upkeep.templates_in(await self._server.call("HGETALL", self._templates_key))

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
        self._check(partition)
        records = await self._unless_closed(self._logs[partition].read(after, limit_entries, wait))
        self._check(partition)
        return records

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records after a position and up to another, oldest first."""
        if uid not in self._mirror.rows:
            return []
        return await self._logs[self.partition_of(uid)].history(uid, after, upto)

    # Partitions

    async def acquire(self, partition: int) -> int | None:
        """Take a partition in order to apply it; return the epoch, or `None` if it is taken."""
        self._check_open()
        known = self.owned.get(partition)
        epoch = await self._leases.acquire(partition)
        if epoch is not None:
            rows = await self._refresh(partition)
            if epoch != known:
                self._mirror.begin(rows)
        return epoch

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

    def deaths(self, partition: int) -> int:
        """Return how many owners of a partition died in a row, before this one, at no progress."""
        return self._leases.deaths.get(partition, 0)

    async def mark(self, partition: int, place: Place) -> int:
        """Note that an entry is about to be stepped; return how many owners died at this note."""
        return await self._leases.mark(partition, place)

    async def committed(self, partition: int) -> int:
        """Return the position up to which everything is applied."""
        self._check_open()
        async with self._locks[partition]:
            self._doubtful.discard(partition)
            self._logs[partition].begin_again()
            found = await self._server.call("HMGET", self._keys[partition].head, "at", "depth")
            await self._refresh(partition)
        self._depths[partition] = int(found[1] or 0)
        return int(found[0] or 0)

    async def commit(
        self,
        partition: int,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> None:
        """Say that the records in (previous, upto] are applied, with all that came of them."""
        self._check(partition)
        keys, feedback = self._keys[partition], self._feedback[partition]
        covered = self._logs[partition].cover(previous, upto)
        answered = {
            token: replies[position]
            for position, token in covered.asked.items()
            if position in replies
        }
        there = [each for each in applied if each.stream in self._mirror.rows]
        versions = {each.stream: self._mirror.rows[each.stream].version + 1 for each in there}
        payload = encode(previous, there, versions, answered.items())
        blobs = [
            [keys.blob(each.stream, secrets.token_hex(8)) for _ in each.snapshots] for each in there
        ]
        async with self._locks[partition]:
            await self._server.all_of(blob_commands(there, blobs, BLOB_SECONDS))
            owner, epoch = self._leases.token(partition)
            said = await self._server.run(
                "commit",
                [keys.own, keys.head, keys.log, keys.pending, keys.out],
                *(keys.prefix, owner, epoch, previous, upto, covered.records, covered.token),
                *(covered.size, self._results_kept, payload, feedback.oldest(), len(there)),
                *arguments(there, covered, versions, blobs, upto, self._clock()),
            )
        self._refuse(partition, previous, upto, said)
        self._logs[partition].forget(upto)
        feedback.sent(upto, len(payload))
        self._depths[partition] = int(said[1])
        for each in there:
            spec = None if each.spec is None else (each.spec, versions[each.stream])
            self._mirror.applied(
                each.stream, each.offset, each.digest, each.status, each.results, spec
            )
        self._replies.answer(answered)

    def _refuse(self, partition: int, previous: int, upto: int, said: list[bytes]) -> None:
        kind, detail = said[0], said[1].decode()
        if kind == b"OK":
            return
        if kind == b"FENCED":
            epoch = self._leases.token(partition)[1]
            self._leases.lose(partition)
            raise Fenced(f"epoch: got {epoch} of partition {partition}, which is at {detail}")
        if kind == b"STALE":
            raise Stale(f"previous: got {previous}, expected {detail}")
        raise Phantom(f"upto: got {upto}, expected the records that were read ({detail})")

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
            lines = await self._read_results(uid, after, limit, head)
            if lines:
                return lines
            if after < self._existing(uid).offset:
                continue
            seconds = deadline - self._loop.time()
            if seconds <= 0:
                return []
            await self._mirror.recent.more(uid, seconds)

    async def _read_results(self, uid: int, after: int, limit: int, head: int) -> list[bytes]:
        key, lines, reached = self._place(uid)[1].results(uid), list[bytes](), after
        while len(lines) < limit:
            found = await self._server.call(
                "XRANGE", key, reached + 1, "+", "COUNT", CHUNKS_AT_ONCE
            )
            for entry, fields in found:
                last, n = position_in(entry), int(fields[b"n"])
                if last - n > reached:
                    if lines:
                        return lines[:limit]
                    raise _expired(after, last - n + 1)
                parts = fields[b"d"].split(b"\n")
                if len(parts) != n:
                    log.error("results cannot be read", uid=uid, last=last, results=n)
                    raise _expired(after, last + 1)
                lines += parts[reached - last :]
                reached = last
            if len(found) < CHUNKS_AT_ONCE:
                break
        if not lines and after < head:
            self._existing(uid)
            raise _expired(after, head + 1)
        return lines[:limit]

    async def put_snapshot(self, uid: int, blob: bytes, offset: int) -> int:
        """Keep a snapshot that a client sent; return its id."""
        self._existing(uid)
        keys = self._place(uid)[1]
        key = keys.blob(uid, secrets.token_hex(8))
        meta = snapshot_meta(-1, offset, self._clock(), len(blob), True, key)
        await self._server.call("SET", key, blob, "EX", BLOB_SECONDS)
        made = await self._server.run(
            "keep", [keys.head, keys.pending], keys.prefix, uid, meta, key
        )
        if not made:
            raise gone(uid)
        return int(made)

    async def _snapshots(self, uid: int) -> list[tuple[SnapshotRow, str]]:
        found = await self._server.call("HGETALL", self._place(uid)[1].snapshots(uid))
        rows = [snapshot_in(snapshot_id, uid, meta) for snapshot_id, meta in found.items()]
        return sorted(rows, key=lambda each: -each[0].id)

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""
        return [row for row, _ in await self._snapshots(uid)]

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes, or raise `SnapshotNotFound`."""
        for row, key in await self._snapshots(uid):
            if row.id == snapshot_id:
                blob: bytes | None = await self._server.call("GET", key)
                if blob is not None:
                    return blob
        raise SnapshotNotFound(f"snapshot: got {snapshot_id}, expected one kept of stream {uid}")

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and the position it stands at."""
        for row, key in await self._snapshots(uid):
            if row.position >= 0:
                blob = await self._server.call("GET", key)
                if blob is None:
                    raise JournalUnavailable(f"snapshot: got none under {key}, expected its bytes")
                return row.position, blob
        return None

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there."""
        return await self._logs[self.partition_of(uid)].entries_after(uid, after)

    async def dead_letters(self, uid: int, limit: int = 1_000) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""
        key = self._place(uid)[1].dead(uid)
        found = await self._server.call("XREVRANGE", key, "+", "-", "COUNT", limit)
        return upkeep.dead_letters_in(uid, found)

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places, after a position, of entries that a learner could not step."""
        key = self._place(uid)[1].raised(uid)
        found = await self._server.call("ZRANGE", key, f"({after}", "+inf", "BYSCORE")
        places = [place.decode().split(":") for place in found]
        return {(int(position), int(index)) for position, index in places}

    async def trim(self, now: float) -> int:
        """Forget what retention lets go of in the partitions owned; return how many records."""
        before = now - self._log_kept_seconds
        return sum(
            [
                await upkeep.trim(
                    self._server, self._keys[partition], self._log_kept_entries, before
                )
                for partition in list(self.owned)
            ]
        )

    def depth(self, partition: int | None = None) -> int:
        """Return how many entries, of one partition or all, are appended and not yet applied."""
        return sum(self._depths.values()) if partition is None else self._depths[partition]

    # Parts

    def _place(self, uid: int) -> tuple[int, Keys]:
        partition = self.partition_of(uid)
        return partition, self._keys[partition]

    def _deepen(self, partition: int, depth: int) -> None:
        self._depths[partition] = depth

    def _check_open(self) -> None:
        if not self._is_open:
            raise NotReady("the journal is not open", retry_after_seconds=1)

    def _check(self, partition: int) -> None:
        self._check_open()
        if partition in self._doubtful:
            raise JournalUnavailable(
                "records that were read may be lost: begin again from `committed`",
                retry_after_seconds=0.1,
            )

    def _existing(self, uid: int) -> StreamRow:
        self._check_open()
        row = self._mirror.rows.get(uid)
        if row is None or uid in self._deleting:
            raise gone(uid)
        return row

    async def _exists(self, uid: int) -> bool:
        """Say whether a stream exists; its row is in memory then."""
        if uid in self._mirror.rows:
            return True
        found = await self._server.call("HGETALL", self._place(uid)[1].stream(uid))
        if found:
            self._mirror.put(row_in(uid, found))
        return bool(found)

    async def _unless_closed(self, work: Coroutine[Any, Any, T]) -> T:
        call = asyncio.ensure_future(work)
        self._calls.add(call)
        call.add_done_callback(self._called)
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.cancelled():
            raise JournalUnavailable("the journal is closed", retry_after_seconds=1)
        return call.result()

    def _called(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # Marks it as seen: its caller may have gone away.

    async def _refresh(self, partition: int) -> list[StreamRow]:
        """Read how a partition's streams stand: who does not own it is not told of each commit."""
        (feed,) = (each for each in self._feeds if partition in each.reached)
        return await feed.refresh(partition)

    def _interrupted(self, partitions: Sequence[int]) -> None:
        """Take what was read for what may be lost: the server was out of reach."""
        self._doubtful.update(partitions)

    async def _beat(self) -> None:
        """Look every second at how the server is, and whether awaited records are still there."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            try:
                history, self._sender.full = await upkeep.pulse(self._server)
                if history != self._history:
                    log.warning("the server tells another history: beginning again")
                    self._history = history
                    self._interrupted(self.partitions)
                    for feed in self._feeds:
                        feed.doubt()
                await self._measure()
                await self._look_for_lost()
            except JournalUnavailable:
                continue  # Whoever needs the server hears of it.
            except Exception:
                # Whoever stops here lets waiting clients wait for good.
                log.exception("the journal's server cannot be looked at")

    async def _measure(self) -> None:
        found = await self._server.all_of([("HGET", keys.head, "depth") for keys in self._keys])
        self._depths.update(zip(self.partitions, (int(each or 0) for each in found), strict=True))

    async def _look_for_lost(self) -> None:
        """Tell those who wait for records that are lost, or whose replies went by unheard."""
        overdue = self._replies.older_than(self._loop.time() - OVERDUE_SECONDS)
        if not overdue:
            return
        keys = [self._place(each.uid)[1] for each in overdue]
        found = await self._server.all_of(
            [
                command
                for each, its in zip(overdue, keys, strict=True)
                for command in (
                    ("HGET", its.head, "at"),
                    ("XRANGE", its.log, entry_id(each.position), entry_id(each.position)),
                )
            ]
        )
        for each, at, entries in zip(overdue, found[::2], found[1::2], strict=True):
            there = bool(entries) and entries[0][1][b"x"] == each.token
            if int(at or 0) < each.position and there:
                continue
            why = "went by unheard" if there else "are lost, and the events may be"
            error = JournalUnavailable(
                f"the replies {why}: send the events again, with the same ids",
                retry_after_seconds=0.1,
            )
            self._replies.refuse([each], error)


def _expired(after: int, oldest: int) -> ResultsExpired:
    return ResultsExpired(f"after: got {after}, expected {oldest - 1} or more", oldest=oldest)
