"""What the embedded engine does to whole streams: make, change, delete and trim them."""

from __future__ import annotations

from collections.abc import Sequence

from service.journal.mirror import gone
from service.journal.sqlite_operations import SNAPSHOTS_KEPT, Transaction
from service.journal.sqlite_schema import Cursor

DEAD_LETTERS_KEPT = 10_000

BATCH_ROWS = 1_000
"""How many rows one operation clears at most, so that no commit waits long behind it."""

_EXPIRE_DEAD = """DELETE FROM dead WHERE uid = ? AND (reason <> 'raised' OR position <= ?)
    AND id <= (SELECT id FROM dead WHERE uid = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"""


def create_stream(tx: Transaction, name: str, spec: bytes, now: float) -> int | None:
    """Make a stream and return its uid, or `None` if one of that name exists."""
    tx.cursor.execute(
        """INSERT INTO streams(name, spec, version, created_at, first_spec)
        VALUES (?, ?, 1, ?, ?) ON CONFLICT DO NOTHING RETURNING uid""",
        (name, spec, now, spec),
    )
    made = tx.cursor.fetchone()
    if made is None:
        return None
    tx.cursor.execute("INSERT INTO heads VALUES (?, 0, '', ?)", (made[0], b"{}"))
    return int(made[0])


def put_template(tx: Transaction, name: str, pattern: str, spec: bytes, now: float) -> None:
    """Make or replace a template."""
    tx.cursor.execute(
        """INSERT INTO templates VALUES (?, ?, ?, ?)
        ON CONFLICT(name) DO UPDATE SET pattern = excluded.pattern, spec = excluded.spec""",
        (name, pattern, spec, now),
    )


def delete_template(tx: Transaction, name: str) -> None:
    """Delete a template."""
    tx.cursor.execute("DELETE FROM templates WHERE name = ?", (name,))


def delete_stream(tx: Transaction, uid: int) -> int:
    """Delete a stream; return how many of its entries were in the backlog found when opened.

    Its records that are not yet applied are emptied and stay for the commit that covers them;
    those that are applied go afterwards, some at a time, for there may be millions.
    """
    cursor, committed = tx.cursor, tx.committed()
    cursor.execute("SELECT 1 FROM streams WHERE uid = ?", (uid,))
    if cursor.fetchone() is None:
        raise gone(uid)
    cursor.execute(
        """SELECT COALESCE(SUM(n), 0) FROM log
        WHERE stream = ? AND position > ? AND position <= ?""",
        (uid, committed, tx.backlog_end),
    )
    backlog = int(cursor.fetchone()[0])
    cursor.execute(
        "UPDATE log SET n = 0, payload = x'' WHERE stream = ? AND position > ?", (uid, committed)
    )
    cursor.execute("DELETE FROM streams WHERE uid = ?", (uid,))
    cursor.execute("INSERT INTO gone VALUES (?)", (uid,))
    tx.totals.pop(uid, None)
    return backlog


def clear_gone(tx: Transaction) -> int:
    """Delete some applied records of deleted streams; return how many went."""
    cursor, committed, cleared = tx.cursor, tx.committed(), 0
    cursor.execute("SELECT uid FROM gone")
    for (uid,) in cursor.fetchall():
        cursor.execute(
            """DELETE FROM log WHERE position IN
            (SELECT position FROM log WHERE stream = ? AND position <= ? LIMIT ?)""",
            (uid, committed, BATCH_ROWS - cleared),
        )
        cleared += cursor.rowcount
        if cleared >= BATCH_ROWS:
            break
        cursor.execute(
            "DELETE FROM gone WHERE uid = ? AND NOT EXISTS (SELECT 1 FROM log WHERE stream = ?)",
            (uid, uid),
        )
    return cleared


def trim_streams(
    tx: Transaction, uids: Sequence[int], entries_kept: int, received_before: float
) -> int:
    """Delete some records that retention lets go of; return how many went.

    A stream's records go only when its oldest snapshot of those kept by commits stands at or after
    them. Without one, all of them are needed to recover.
    """
    committed, trimmed = tx.committed(), 0
    for uid in uids:
        floor = min(_oldest_snapshot(tx.cursor, uid), committed)
        tx.cursor.execute(_EXPIRE_DEAD, (uid, floor, uid, DEAD_LETTERS_KEPT))
        if floor >= 0:
            trimmed += _trim(tx.cursor, uid, floor, entries_kept, received_before)
        if trimmed >= BATCH_ROWS:
            break
    return trimmed


def _oldest_snapshot(cursor: Cursor, uid: int) -> int:
    cursor.execute(
        """SELECT MIN(position) FROM (SELECT position FROM snapshots
        WHERE uid = ? AND position >= 0 ORDER BY id DESC LIMIT ?)""",
        (uid, SNAPSHOTS_KEPT),
    )
    position = cursor.fetchone()[0]
    return -1 if position is None else int(position)


def _trim(cursor: Cursor, uid: int, floor: int, entries_kept: int, received_before: float) -> int:
    cursor.execute(
        """SELECT total FROM log WHERE stream = ? AND position <= ?
        ORDER BY position DESC LIMIT 1""",
        (uid, floor),
    )
    newest = cursor.fetchone()
    if newest is None:
        return 0
    beyond = newest[0] - entries_kept
    cursor.execute(
        """SELECT position, total, received_at FROM log WHERE stream = ? AND position <= ?
        ORDER BY position LIMIT ?""",
        (uid, floor, BATCH_ROWS),
    )
    upto, count = -1, 0
    while (row := cursor.fetchone()) and (row[1] <= beyond or row[2] < received_before):
        upto, count = row[0], count + 1
    if count:
        cursor.execute("DELETE FROM log WHERE stream = ? AND position <= ?", (uid, upto))
    return count
