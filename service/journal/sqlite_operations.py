"""What the embedded engine writes: each operation is its share of one transaction.

An operation refuses before it writes anything, so a refusal leaves the others of its group alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from service.errors import Phantom, Stale
from service.journal.base import Applied, NewSnapshot, Record
from service.journal.mirror import gone
from service.journal.sqlite_schema import Cursor
from service.schemas import encode_entry

SNAPSHOTS_KEPT = 2
Row = tuple[int, int, float, int, int, bytes]

_INSERT_LOG = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)"
_LAST_TOTAL = "SELECT total FROM log WHERE stream = ? ORDER BY position DESC LIMIT 1"
_ADVANCE = """UPDATE partition SET committed = ? WHERE committed = ? AND
    (? = ? OR ? > ? AND EXISTS (SELECT 1 FROM log WHERE position = ?))"""
_COMMITTED = "SELECT committed FROM partition"
_SET_HEAD = "UPDATE heads SET offset = ?, digest = ?, status = ? WHERE uid = ?"
_SET_SPEC = "UPDATE streams SET spec = ?, version = version + 1 WHERE uid = ?"
_INSERT_RESULTS = "INSERT INTO results(uid, last, n, payload) VALUES (?, ?, ?, ?)"
_EXPIRE_RESULTS = "DELETE FROM results WHERE uid = ? AND last <= ?"
_INSERT_SNAPSHOT = """INSERT INTO snapshots(uid, position, offset, created_at, size, kept, blob)
    VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"""
_NEWEST = """SELECT id FROM snapshots WHERE uid = ? AND position >= 0
    ORDER BY id DESC LIMIT ?"""
_EXPIRE_SNAPSHOTS = f"""DELETE FROM snapshots WHERE uid = ? AND position >= 0 AND kept = 0
    AND id NOT IN ({_NEWEST})"""
_INSERT_DEAD = """INSERT INTO dead(uid, position, place, reason, detail, entry, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_BACKLOG = "SELECT COALESCE(SUM(n), 0) FROM log WHERE position > ? AND position <= ?"


class Transaction:
    """What operations share: the cursor, and what the writer knows without asking the file."""

    def __init__(self, cursor: Cursor, backlog_end: int, results_kept: int) -> None:
        self.cursor = cursor
        self.backlog_end = backlog_end
        """The last record that was there when the journal was opened."""
        self.results_kept = results_kept
        self.totals: dict[int, int] = {}

    def committed(self) -> int:
        """Return where the partition stands."""
        self.cursor.execute(_COMMITTED)
        return int(self.cursor.fetchone()[0])

    def insert_records(self, records: Sequence[Record]) -> None:
        """Write records to the log."""
        rows = [self._row(record) for record in records]
        if len(rows) == 1:
            self.cursor.execute(_INSERT_LOG, rows[0])
        else:
            self.cursor.executemany(_INSERT_LOG, rows)

    def _row(self, record: Record) -> Row:
        uid, n = record.stream, len(record.entries)
        total = self.totals.get(uid)
        if total is None:
            self.cursor.execute(_LAST_TOTAL, (uid,))
            last = self.cursor.fetchone()
            total = last[0] if last else 0
        self.totals[uid] = total = total + n
        payload = b"\n".join([encode_entry(entry) for entry in record.entries])
        return record.position, uid, record.received_at, n, total, payload


class Operation:
    """One thing to write, and who waits for it.

    `then` runs on the event loop once the write is durable, before whoever waits goes on.
    """

    __slots__ = ("error", "future", "generation", "then", "value")

    def __init__(
        self, then: Callable[[Any], Any] | None = None, generation: int | None = None
    ) -> None:
        self.then = then
        self.future: asyncio.Future[Any] | None = None
        self.generation = generation
        """Which run of records it belongs to; `None` if it depends on no record."""
        self.value: Any = None
        self.error: Exception | None = None

    def run(self, tx: Transaction) -> Any:
        """Write; return what `then` is to know."""
        raise NotImplementedError

    def settle(self) -> None:
        """Tell whoever waits. On the event loop."""
        value, future = self.value, self.future
        if self.error is None and self.then is not None:
            value = self.then(value)
        if future is None or future.done():
            return
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(value)


class Append(Operation):
    """Records to be written to the log; the writer takes neighbors together."""

    __slots__ = ("records",)

    def __init__(self, records: Sequence[Record], generation: int) -> None:
        super().__init__(generation=generation)
        self.records = records

    def run(self, tx: Transaction) -> None:
        """Write the records."""
        tx.insert_records(self.records)


class Call(Operation):
    """Any other write: a function and its arguments."""

    __slots__ = ("args", "function")

    def __init__(
        self, then: Callable[[Any], Any] | None, function: Callable[..., Any], *args: Any
    ) -> None:
        super().__init__(then)
        self.function, self.args = function, args

    def run(self, tx: Transaction) -> Any:
        """Call the function within the transaction."""
        return self.function(tx, *self.args)


class Commit(Operation):
    """The records up to a position are applied, with all that came of them."""

    __slots__ = ("applied", "now", "previous", "replies", "upto")

    def __init__(
        self,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
        now: float,
        generation: int,
    ) -> None:
        super().__init__(generation=generation)
        self.previous, self.upto = previous, upto
        self.applied, self.replies, self.now = applied, replies, now

    def run(self, tx: Transaction) -> int:
        """Write the commit; return how many entries it took from the backlog found when opened."""
        cursor, previous, upto = tx.cursor, self.previous, self.upto
        cursor.execute(_ADVANCE, (upto, previous, upto, previous, upto, previous, upto))
        if cursor.rowcount != 1:
            self._refuse(tx.committed())
        for each in self.applied:
            self._apply(tx, each)
        if previous >= tx.backlog_end:
            return 0
        cursor.execute(_BACKLOG, (previous, min(upto, tx.backlog_end)))
        return int(cursor.fetchone()[0])

    def _refuse(self, committed: int) -> None:
        if committed != self.previous:
            raise Stale(f"previous: got {self.previous}, expected {committed}")
        raise Phantom(f"upto: got {self.upto}, expected a record of the log after {self.previous}")

    def _apply(self, tx: Transaction, each: Applied) -> None:
        cursor, uid, offset, results = tx.cursor, each.stream, each.offset, each.results
        cursor.execute(_SET_HEAD, (offset, each.digest, to_json(each.status), uid))
        if cursor.rowcount == 0:
            return  # The stream was deleted meanwhile.
        if each.spec is not None:
            cursor.execute(_SET_SPEC, (each.spec, uid))
        if results:
            cursor.execute(_INSERT_RESULTS, (uid, offset, len(results), b"\n".join(results)))
            batch = max(1, tx.results_kept // 8)
            if offset // batch > (offset - len(results)) // batch:
                cursor.execute(_EXPIRE_RESULTS, (uid, offset - tx.results_kept))
        for snapshot in each.snapshots:
            insert_snapshot(tx, uid, self.upto, offset, self.now, snapshot)
        if each.snapshots:
            cursor.execute(_EXPIRE_SNAPSHOTS, (uid, uid, SNAPSHOTS_KEPT))
        for letter in each.dead:
            place = (uid, letter.position, letter.index, letter.reason)
            said = (letter.detail, letter.entry, letter.created_at)
            cursor.execute(_INSERT_DEAD, place + said)


def insert_snapshot(
    tx: Transaction, uid: int, position: int, offset: int, now: float, snapshot: NewSnapshot
) -> int:
    """Write a snapshot and return its id."""
    blob = snapshot.blob
    tx.cursor.execute(
        _INSERT_SNAPSHOT, (uid, position, offset, now, len(blob), int(snapshot.kept), blob)
    )
    return int(tx.cursor.fetchone()[0])


def put_snapshot(tx: Transaction, uid: int, offset: int, now: float, blob: bytes) -> int:
    """Write a snapshot that a client sent."""
    tx.cursor.execute("SELECT 1 FROM streams WHERE uid = ?", (uid,))
    if tx.cursor.fetchone() is None:
        raise gone(uid)
    return insert_snapshot(tx, uid, -1, offset, now, NewSnapshot(blob, kept=True))
