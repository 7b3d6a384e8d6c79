"""The journal: an ordered log of entries, and what was made of them, in one place.

A *record* is one append: up to `MAX_RECORD_ENTRIES` entries of one stream, which share a position
and the time they were received. Positions order the records of a partition; they are the engine's
own and mean nothing else. A *commit* says, in one atomic write, that every record up to a position
has been applied, with all that came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from service.schemas import Entry

MAX_RECORD_ENTRIES = 64
START = 0
"""The position before the first record."""

Ack = Literal["received", "logged", "replicated", "applied"]
Place = tuple[int, int]
"""Where an entry stands in the log: the position of its record, and its index there."""


@dataclass(slots=True)
class Record:
    """Entries of one stream, appended together."""

    position: int
    stream: int
    received_at: float
    """Seconds since 1970-01-01 UTC, stamped once, when appended."""
    entries: Sequence[Entry]


@dataclass(slots=True)
class StreamRow:
    """A stream as the journal knows it."""

    uid: int
    """Never used again: a stream deleted and made anew has another."""
    name: str
    spec: bytes
    version: int
    created_at: float
    first_spec: bytes
    """What the stream was made with: from here its whole log is replayed."""
    offset: int = 0
    digest: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    """As committed; `held_after`, if it is there, is the last record that was applied."""
    unreadable: str = ""
    """Why this process cannot bring the stream back, if it cannot; never written down."""

    @property
    def held_after(self) -> int | None:
        """The record after which the stream's records wait, though others' went on."""
        held: int | None = self.status.get("held_after")
        return held

    @property
    def shown(self) -> dict[str, Any]:
        """What the stream is doing, as a client sees it."""
        status = {name: said for name, said in self.status.items() if name != "held_after"}
        if self.unreadable:
            status |= {"learning": "quarantined", "reason": self.unreadable}
        return status


@dataclass(slots=True)
class TemplateRow:
    """A spec for streams that are made when their first event comes."""

    name: str
    pattern: str
    spec: bytes
    created_at: float


@dataclass(slots=True)
class StreamChanges:
    """What changed since a cursor: all there is if `full`, else what changed and what is gone."""

    cursor: str
    full: bool
    rows: list[StreamRow]
    gone: list[str]


@dataclass(slots=True)
class SnapshotRow:
    """A snapshot without its bytes."""

    id: int
    stream: int
    position: int
    """The record it stands after; -1 for one that a client sent."""
    offset: int
    created_at: float
    size_bytes: int
    kept: bool
    """Asked for by a client: stays until the stream is deleted."""


@dataclass(slots=True)
class DeadLetter:
    """An entry that could not be applied."""

    stream: int
    position: int
    index: int
    reason: Literal["invalid", "late", "raised"]
    detail: str
    entry: bytes
    created_at: float


@dataclass(slots=True)
class NewSnapshot:
    """A snapshot to be written with a commit."""

    blob: bytes
    kept: bool = False


@dataclass(slots=True)
class Applied:
    """What a commit says of one stream."""

    stream: int
    offset: int
    """Of the stream's last applied entry."""
    digest: str
    results: list[bytes]
    """One JSON object each, for the offsets that end at `offset`."""
    status: Mapping[str, Any]
    snapshots: list[NewSnapshot] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    spec: bytes | None = None
    """The stream's spec from here on, if it changed; its version rises by one."""


@dataclass(slots=True)
class Moved:
    """A stream with all that is kept of it, on its way from one store to another.

    Positions and snapshot ids are those of the store it comes from. Status has `held_after` if
    entries of it wait to be applied.
    """

    row: StreamRow
    before: int
    """How many entries came before the first record, or 1 if all that is known is that some did."""
    records: list[Record]
    """Oldest first, those that wait to be applied among them."""
    snapshots: list[tuple[SnapshotRow, bytes]]
    """Oldest first."""
    results: list[bytes]
    """Those of the offsets that end at the row's."""
    dead: list[DeadLetter]


class Journal(Protocol):
    """All the service keeps. One event loop; a call is durable when it returns, unless it says so.

    Every call may raise `JournalUnavailable`; the engine then recovers by itself, and whoever holds
    state that came from uncommitted records drops it and begins again from `committed`.
    """

    partitions: Sequence[int]
    owned: Mapping[int, int]
    """The partitions that this process applies, each with the epoch of its lease."""

    async def open(self) -> None:
        """Take the store for this process, or raise `SettingsError`."""

    async def close(self) -> None:
        """Write what is pending and let the store go."""

    # Streams

    async def create_stream(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""

    async def adopt(self, moved: Moved) -> StreamRow | None:
        """Take in a stream from another store, whole or not at all; `None` if its name is taken.

        All of its records go before whatever is appended later, and count as applied, so that
        what waits of them is held: see `hold`. Raises `Stale` while entries wait in the partition,
        and `Fenced` if another process owns it.
        """

    async def delete_stream(self, uid: int) -> None:
        """Remove a stream and everything kept of it."""

    def stream(self, name: str) -> StreamRow:
        """Return a stream by name, or raise `StreamNotFound`. Cheap: from memory.

        Where several processes share a store, memory may be some milliseconds behind.
        """

    async def look_up(self, name: str) -> StreamRow:
        """Return a stream as it stands now, or raise `StreamNotFound`."""

    def stream_by_uid(self, uid: int) -> StreamRow | None:
        """Return a stream, or `None` if it was deleted. Cheap: from memory."""

    def streams(self) -> list[StreamRow]:
        """Return every stream, by name. Cheap: from memory."""

    def partition_of(self, uid: int) -> int:
        """Return the partition that holds a stream, today and always."""

    def stream_count(self) -> int:
        """Return how many streams there are."""

    async def behind(self, partition: int) -> list[int]:
        """Return the streams for whose sake alone the log is kept, if that is dear."""

    async def probe(self) -> None:
        """Try out what an append depends on; raise `JournalUnavailable` if that fails."""

    def hold(self, uid: int, reason: str) -> None:
        """Note, in memory, why a stream cannot be brought back, until a commit says it is.

        A commit whose status has `held_after` only lets the stream's records wait.
        """

    def held_count(self) -> int:
        """Return how many streams cannot be brought back."""

    async def changes(self, cursor: str | None, wait_seconds: float = 0.0) -> StreamChanges:
        """Return what changed after a cursor, waiting that long for the first change.

        Without a cursor, or with one that is not known any more, that is every stream.
        """

    # Templates

    async def put_template(self, name: str, pattern: str, spec: bytes) -> tuple[TemplateRow, bool]:
        """Make or replace a template; return it, and whether it was made now."""

    async def delete_template(self, name: str) -> None:
        """Remove a template, or raise `TemplateNotFound`. Streams made from it stay."""

    async def templates(self) -> list[TemplateRow]:
        """Return every template, by name."""

    # The log

    async def append(self, uid: int, entries: Sequence[Entry], ack: Ack) -> list[int]:
        """Append entries in order and return the positions of the records that hold them.

        With `logged` they are durable on return; with `received` and `applied` they are only
        queued, and are written at the latest together with the commit that applies them. All or
        none of the entries are taken. Raises `QueueFull`, or `StreamNotFound`.
        """

    async def replies(self, uid: int, position: int) -> list[bytes]:
        """Wait until a stream's record is applied and return the reply to each of its entries.

        To be called, once, by the process that appended it, soon after `append` with `applied`.
        Raises `JournalUnavailable` if the record was lost, `StreamNotFound` if its stream was
        deleted, and `LookupError` for a record whose replies are not kept.
        """

    # Partitions

    async def acquire(self, partition: int) -> int | None:
        """Take a partition in order to apply it; return the epoch, or `None` if another has it.

        Each new owner has a higher epoch than all before. Only an owner's commits are taken, and
        of a former one not even those that were on their way.
        """

    async def renew(self) -> list[int]:
        """Hold on to the partitions this process owns, and return those it has lost."""

    async def release(self, partition: int) -> None:
        """Let another process take a partition at once."""

    def deaths(self, partition: int) -> int:
        """Return how many owners of a partition died in a row, before this one, at no progress."""

    async def mark(self, partition: int, place: Place) -> int:
        """Note that an entry is about to be stepped, until the next commit.

        Return how many owners died while their note was of this very entry.
        """

    async def present(self) -> list[str]:
        """Say that this process applies partitions; return the names of all that do."""

    async def leave(self) -> None:
        """Say that this process applies partitions no more."""

    @property
    def name(self) -> str:
        """What this process is called among those present."""

    def reads(self, name: str) -> int:
        """Return the newest format of `service.formats` that a process reads. From memory."""

    @property
    def write_format(self) -> int:
        """The newest format that may be written, so that every process here can read it."""

    def needed(self, partition: int) -> int:
        """Return the format it takes to read all snapshots of a partition. From memory."""

    async def need(self, partition: int, wanted: int) -> None:
        """Note which format it takes to read a partition that this process owns.

        It makes processes that can read it take the partition first; nothing else hangs on it.
        """

    async def snapshot_formats(self, partition: int) -> dict[int, int]:
        """Return the format of each stream's newest snapshot written by a commit, 0 if unknown."""

    async def committed(self, partition: int) -> int:
        """Return the position up to which everything is applied, commits on their way included."""

    async def read(
        self, partition: int, after: int, limit_entries: int, wait: bool = True
    ) -> list[Record]:
        """Return the records after a position, oldest first, at least one if `wait`.

        Records that are appended but not yet durable are among them. If such are lost, `read` and
        `commit` raise `JournalUnavailable` until `committed` is called; those that were found
        durable are read again then, and a position that was lost is not used for another record.
        """

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records after a position and up to another, oldest first."""

    async def commit(
        self,
        partition: int,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> None:
        """Say that the records in (previous, upto] are applied, with all that came of them.

        Raises `Fenced` unless this process owns the partition, `Stale` unless `previous` is where
        it stands, and `Phantom` unless the log holds the records that were read up to `upto`.
        `replies` are handed to those who wait, by position. Streams that
        were deleted meanwhile are passed over.
        """

    # What came of it

    async def results(
        self, uid: int, after: int, limit: int, wait_seconds: float = 0.0
    ) -> list[bytes]:
        """Return committed results with offsets above `after`, oldest first, without a gap.

        With `wait_seconds`, wait that long for the first. Raises `ResultsExpired` when the next
        one is no longer kept, naming `oldest`, and `StreamNotFound` when the stream is gone.
        """

    async def put_snapshot(self, uid: int, blob: bytes, offset: int) -> int:
        """Keep a snapshot that a client sent; return its id."""

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes, or raise `SnapshotNotFound`."""

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and the position it stands at."""

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there."""

    async def dead_letters(self, uid: int, limit: int = 1_000) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places, after a position, of entries that a learner could not step."""

    async def trim(self, now: float) -> int:
        """Forget what retention lets go of; return how many records went."""

    def depth(self, partition: int | None = None) -> int:
        """Return how many entries, of one partition or all, are appended and not yet applied."""
