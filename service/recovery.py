"""Recovery: a stream as it stood after any record, from its newest snapshot and the log."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import structlog
from pydantic_core import to_json

from service.errors import SnapshotError, SynaptideError, Unreadable
from service.journal.base import START, Journal, Place, Record, StreamRow
from service.schemas import Command, Damaged, StreamSpec, parse_spec
from service.snapshots import restored, revived
from service.stream import Stream
from service.version import VERSION
from service.work import Live

log = structlog.get_logger()

Base = tuple[int, bytes | None]
"""Where a recovery begins: a position, and the snapshot that stands there, if any."""
MAX_REPLAYED_ENTRIES = 50_000
"""Beyond this, other streams would wait too long for one whose newest snapshot is lost."""
ADVICE = (
    f"this is Synaptide {VERSION}: start a version that can read it, restore a snapshot, "
    "PUT another spec to begin anew, or DELETE the stream"
)


class Recovery:
    """Rebuilds streams by doing again, without a word, what was done before."""

    def __init__(self, journal: Journal, pool: ThreadPoolExecutor, max_snapshot_bytes: int) -> None:
        self._journal = journal
        self._pool = pool
        self._max_snapshot_bytes = max_snapshot_bytes

    async def after(
        self,
        row: StreamRow,
        upto: int,
        passed_over: Set[Place] = frozenset(),
        base: Base | None = None,
    ) -> Live:
        """Return a stream as it stood after the record at a position, or raise `Unreadable`.

        `passed_over` are the places of entries that the learner could not step and whose dead
        letters are not committed yet. `base` stands in for the newest snapshot.
        """
        begun = time.monotonic()
        if base is None:
            base = await self._journal.latest_snapshot(row.uid) or (START, None)
        history, passed_over = await self._history(row, base[0], upto, passed_over)
        stream = await self._off_loop(
            row, partial(self._replay, row, base[1], history, passed_over)
        )
        if history:
            log.info(
                "stream recovered",
                stream=row.name,
                offset=stream.offset,
                records=len(history),
                seconds=round(time.monotonic() - begun, 3),
            )
        return Live(
            stream,
            unsaved=sum(len(record.entries) for record in history),
            # The age of the state on disk is unknown: let the next one be due by events alone.
            snapshot_at=begun,
        )

    async def without_newest(
        self,
        row: StreamRow,
        upto: int,
        stands_at: int,
        passed_over: Set[Place],
        lost: Unreadable,
    ) -> Live:
        """Return a stream although its newest snapshot is lost, or raise why that is lost.

        It is replayed from an older snapshot, or from the start. That it comes to the offset and
        the digest which were committed, at the position where the stream stands, is the proof that
        nothing is missing from the log.
        """
        for start, blob in await self._older(row):
            entries, whole = await self._journal.entries_after(row.uid, start)
            if entries > MAX_REPLAYED_ENTRIES or (blob is None and not whole):
                continue
            history, passed = await self._history(row, start, upto, passed_over)
            blobs = await self._restored_from(row, history)
            replay = partial(self._prove, row, blob, history, passed, stands_at, blobs)
            try:
                stream = await self._off_loop(row, replay)
            except Unreadable as error:
                log.info("no recovery by replay", stream=row.name, after=start, reason=error.detail)
                continue
            log.warning(
                "stream recovered by replay, without its newest snapshot",
                stream=row.name,
                offset=stream.offset,
                after=start,
                records=len(history),
                reason=lost.detail,
            )
            # Let the next batch write a snapshot that can be read.
            return Live(stream, unsaved=1, snapshot_at=-math.inf)
        raise lost

    async def _older(self, row: StreamRow) -> list[Base]:
        """Return the snapshots before the newest, newest first, and the start."""
        rows = [each for each in await self._journal.snapshots(row.uid) if each.position >= 0]
        bases: list[Base] = [
            (each.position, await self._journal.snapshot(row.uid, each.id)) for each in rows[1:]
        ]
        # Without any snapshot the start is what was tried already.
        return [*bases, (START, None)] if rows else []

    async def _restored_from(self, row: StreamRow, history: Sequence[Record]) -> dict[int, bytes]:
        """Return the snapshots that commands among the records restore, by id."""
        wanted = {
            entry.snapshot
            for record in history
            for entry in record.entries
            if isinstance(entry, Command) and entry.snapshot is not None
        }
        found = {}
        for each in wanted:
            with suppress(SynaptideError):
                found[each] = await self._journal.snapshot(row.uid, each)
        return found

    async def _history(
        self, row: StreamRow, start: int, upto: int, passed_over: Set[Place]
    ) -> tuple[list[Record], Set[Place]]:
        history = await self._journal.history(row.uid, start, upto)
        return history, passed_over | await self._journal.passed_over(row.uid, start)

    async def _off_loop(self, row: StreamRow, build: Callable[[], Stream]) -> Stream:
        """Build a stream in a thread; whatever it fails with is the fault of what is stored."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, build)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            raise unreadable(row, reason_of(error)) from error

    def _replay(
        self,
        row: StreamRow,
        blob: bytes | None,
        history: Sequence[Record],
        passed_over: Set[Place],
    ) -> Stream:
        stream = self._base(row, blob)
        for record in history:
            repeat(stream, record, len(record.entries), passed_over)
        stream.standing.take_peak()  # What is done again is no news.
        return stream

    def _prove(
        self,
        row: StreamRow,
        blob: bytes | None,
        history: Sequence[Record],
        passed_over: Set[Place],
        stands_at: int,
        blobs: dict[int, bytes],
    ) -> Stream:
        stream, proved = self._base(row, blob), False
        for record in history:
            if record.position > stands_at and not proved:
                _check(row, stream)
                proved = True
            stream = self._repeat_all(stream, record, passed_over, blobs)
        if not proved:
            _check(row, stream)
        stream.standing.take_peak()
        return stream

    def _repeat_all(
        self, stream: Stream, record: Record, passed_over: Set[Place], blobs: dict[int, bytes]
    ) -> Stream:
        """Apply a record once more, and commands too: no snapshot stands in for them."""
        command = record.entries[0]
        if not isinstance(command, Command):
            repeat(stream, record, len(record.entries), passed_over)
        elif command.command == "restore":
            # One that was refused is refused again.
            with suppress(SnapshotError, KeyError):
                blob = blobs[command.snapshot or 0]
                return restored(stream, blob, self._max_snapshot_bytes)
        else:
            repeat_command(stream, command)
        return stream

    def _base(self, row: StreamRow, blob: bytes | None) -> Stream:
        if blob is None:
            return Stream(parse_spec(row.first_spec))
        return revived(blob, self._max_snapshot_bytes)


def unreadable(row: StreamRow, reason: str) -> Unreadable:
    """Say what cannot be read of a stream, and what a person can do about it."""
    return Unreadable(f"{row.name}: {reason}; {ADVICE}")


def reason_of(error: Exception) -> str:
    """Return what an error says, with its type if it is none that was foreseen."""
    said = error.detail if isinstance(error, SynaptideError) else str(error)
    plain = isinstance(error, SynaptideError | ValueError) and said
    return said if plain else f"{type(error).__name__}: {said}"


def _check(row: StreamRow, stream: Stream) -> None:
    got, want = (stream.offset, stream.digest.hex()), (row.offset, row.digest)
    if got != want and row.digest:
        raise ValueError(f"log: replaying it came to {got}, expected {want}")


def repeat_command(stream: Stream, command: Command) -> None:
    """Carry out once more a command that needs no snapshot."""
    if command.command == "configure":
        # One that was refused is refused again.
        with suppress(ValueError):
            stream.configure(StreamSpec.model_validate_json(to_json(command.spec)))
    elif command.command == "resume":
        stream.resume()
    elif command.command == "learning":
        stream.ask(command.state or "auto")


def repeat(stream: Stream, record: Record, entries: int, passed_over: Set[Place]) -> None:
    """Apply the first entries of a record once more, as they were applied the first time."""
    for index, entry in enumerate(record.entries[:entries]):
        if isinstance(entry, Command):
            # A snapshot was written with every command, where there are snapshots.
            if not stream.keeps_state:
                repeat_command(stream, entry)
        elif (record.position, index) in passed_over:
            stream.quarantine(entry)
        elif isinstance(entry, Damaged):
            where = f"entry {index} of record {record.position}"
            raise ValueError(f"log: {where} cannot be read: {entry.reason}")
        else:
            stream.apply(entry, record.received_at)
