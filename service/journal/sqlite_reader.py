"""The embedded engine's reads: a second connection in a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import structlog
from pydantic_core import from_json

from service.errors import JournalUnavailable
from service.formats import START_BYTES, format_in
from service.journal.base import DeadLetter, Place, Record, SnapshotRow, StreamRow, TemplateRow
from service.schemas import decode_entry

log = structlog.get_logger()

T = TypeVar("T")
Row = tuple[int, int, float, bytes]

_STREAMS = """SELECT uid, name, spec, version, created_at, first_spec, offset, digest, status
    FROM streams JOIN heads USING (uid)"""
_BACKLOG = """SELECT MAX(committed, (SELECT COALESCE(MAX(position), 0) FROM log)),
    (SELECT COALESCE(SUM(n), 0) FROM log
     WHERE position > committed AND stream NOT IN (SELECT uid FROM gone)) FROM partition"""
_RECORDS = """SELECT position, stream, received_at, payload, n FROM log
    WHERE position > ? AND position <= ? AND n > 0 AND stream NOT IN (SELECT uid FROM gone)
    ORDER BY position"""
_HISTORY = """SELECT position, stream, received_at, payload FROM log
    WHERE stream = ? AND position > ? AND position <= ? AND n > 0 ORDER BY position"""
_RESULTS = """SELECT last, n, payload FROM results WHERE uid = ? AND last > ? ORDER BY last"""
_SNAPSHOTS = """SELECT id, uid, position, offset, created_at, size, kept FROM snapshots
    WHERE uid = ? ORDER BY id DESC"""
_ENTRIES_AFTER = """SELECT (SELECT COALESCE(SUM(n), 0) FROM log WHERE stream = ? AND position > ?),
    (SELECT total - n FROM log WHERE stream = ? ORDER BY position LIMIT 1)"""
_SNAPSHOT = "SELECT blob FROM snapshots WHERE uid = ? AND id = ?"
_LATEST = """SELECT position, blob FROM snapshots WHERE uid = ? AND position >= 0
    ORDER BY id DESC LIMIT 1"""
_NEWEST = "SELECT MAX(id), uid FROM snapshots WHERE position >= 0 GROUP BY uid"
_DEAD = """SELECT uid, position, place, reason, detail, entry, created_at FROM dead
    WHERE uid = ? ORDER BY id DESC LIMIT ?"""
_PASSED_OVER = """SELECT position, place FROM dead
    WHERE uid = ? AND position > ? AND reason = 'raised'"""


class Reader:
    """Answers from what is durable, and never makes the event loop wait."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")

    async def close(self) -> None:
        """Finish the reads at hand and let the connection go."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def streams(self) -> list[StreamRow]:
        """Return every stream with where it stands."""
        rows = await self._all(_STREAMS)
        return [
            StreamRow(
                uid, name, spec, version, made, first_spec, offset, digest, _status(name, status)
            )
            for uid, name, spec, version, made, first_spec, offset, digest, status in rows
        ]

    async def templates(self) -> list[TemplateRow]:
        """Return every template."""
        rows = await self._all("SELECT name, pattern, spec, created_at FROM templates")
        return [TemplateRow(*row) for row in rows]

    async def backlog(self) -> tuple[int, int]:
        """Return the last position ever used, and how many entries are not yet applied."""
        ((last, depth),) = await self._all(_BACKLOG)
        return last, depth

    async def records(self, after: int, upto: int, limit_entries: int) -> list[Record]:
        """Return records of the log, at least one if there is any."""

        def take() -> list[Row]:
            rows, left = list[Row](), limit_entries
            # Closed, because a cursor left half way keeps the reader on an old state of the file.
            with closing(self._connection.execute(_RECORDS, (after, upto))) as found:
                for position, uid, received_at, payload, n in found:
                    left -= n
                    if left < 0 and rows:
                        break
                    rows.append((position, uid, received_at, payload))
            return rows

        return await asyncio.to_thread(_decode, await self._run(take))

    async def history(self, uid: int, after: int, upto: int) -> list[Record]:
        """Return one stream's records."""
        if upto <= after:
            return []
        # Decoded elsewhere: what a long recovery takes must not hold up other reads.
        return await asyncio.to_thread(_decode, await self._all(_HISTORY, uid, after, upto))

    async def results(self, uid: int, after: int, limit: int) -> tuple[list[bytes], int | None]:
        """Return results after an offset; or none, and the oldest offset there is."""

        def take() -> tuple[list[bytes], int | None]:
            lines, reached = list[bytes](), after
            with closing(self._connection.execute(_RESULTS, (uid, after))) as found:
                for last, n, payload in found:
                    if last - n > reached:
                        return lines, last - n + 1
                    found_lines = _results(payload, n)
                    if found_lines is None:
                        log.error("results cannot be read", uid=uid, last=last, results=n)
                        return lines, last + 1
                    lines += found_lines[reached - last :]
                    reached = last
                    if len(lines) >= limit:
                        break
            return lines[:limit], None

        return await self._run(take)

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""
        rows = await self._all(_SNAPSHOTS, uid)
        return [
            SnapshotRow(id_, uid, position, offset, created_at, size, bool(kept))
            for id_, uid, position, offset, created_at, size, kept in rows
        ]

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes | None:
        """Return a snapshot's bytes."""
        rows = await self._all(_SNAPSHOT, uid, snapshot_id)
        return _blob(rows[0][0]) if rows else None

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and its position."""
        rows = await self._all(_LATEST, uid)
        return (rows[0][0], _blob(rows[0][1])) if rows else None

    async def snapshot_formats(self) -> dict[int, int]:
        """Return the format of each stream's newest snapshot written by a commit."""

        def look() -> dict[int, int]:
            found = {}
            self._connection.execute("BEGIN")  # What is pruned meanwhile is still there to look at.
            try:
                for number, uid in self._connection.execute(_NEWEST).fetchall():
                    with self._connection.blobopen(
                        "snapshots", "blob", number, readonly=True
                    ) as blob:
                        found[uid] = format_in(blob.read(START_BYTES))
            finally:
                self._connection.execute("COMMIT")
            return found

        return await self._run(look)

    async def entries_after(self, uid: int, after: int) -> tuple[int, bool]:
        """Return how many entries a stream has after a position, and if its first is there."""
        ((n, before),) = await self._all(_ENTRIES_AFTER, uid, after, uid)
        return n, before == 0

    async def dead_letters(self, uid: int, limit: int) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""
        rows = await self._all(_DEAD, uid, limit)
        return [DeadLetter(*row) for row in reversed(rows)]

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places of entries that a learner could not step."""
        return set(await self._all(_PASSED_OVER, uid, after))

    async def _all(self, sql: str, *parameters: Any) -> list[Any]:
        return await self._run(lambda: self._connection.execute(sql, parameters).fetchall())

    async def _run(self, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except sqlite3.Error as error:
            raise JournalUnavailable(
                f"read: got {str(error)!r}, expected a store that can be read",
                retry_after_seconds=1,
            ) from error


def _decode(rows: list[Row]) -> list[Record]:
    return [
        Record(
            position, uid, received_at, [decode_entry(line) for line in _blob(payload).split(b"\n")]
        )
        for position, uid, received_at, payload in rows
    ]


def _blob(value: Any) -> bytes:
    """Return what a cell holds as bytes, although another hand may have left something else."""
    return value if isinstance(value, bytes) else str(value).encode()


def _results(payload: Any, n: int) -> list[bytes] | None:
    """Return the lines of a row of results, or `None` if that is not what it holds."""
    lines = _blob(payload).split(b"\n")
    try:
        from_json(b"[%b]" % b",".join(lines))
    except ValueError:
        return None
    return lines if len(lines) == n else None


def _status(name: str, status: Any) -> dict[str, Any]:
    """Return what a stream was doing; its next commit mends what cannot be read."""
    try:
        said = from_json(status)
    except (ValueError, TypeError):
        said = None
    if isinstance(said, dict):
        return said
    log.error("status cannot be read", stream=name)
    return {}
