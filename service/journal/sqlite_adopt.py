"""How the embedded engine takes in a stream from another store."""

from __future__ import annotations

from dataclasses import replace

from pydantic_core import to_json

from service.journal.base import Moved
from service.journal.moved import renumbered, results_in
from service.journal.sqlite_operations import Transaction

_INSERT_STREAM = """INSERT INTO streams(name, spec, version, created_at, first_spec)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING uid"""
_INSERT_SNAPSHOT = """INSERT INTO snapshots(uid, position, offset, created_at, size, kept, blob)
    VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"""
_INSERT_DEAD = """INSERT INTO dead(uid, position, place, reason, detail, entry, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""


def adopt(tx: Transaction, moved: Moved, upto: int) -> int | None:
    """Write a stream that has positions here, the last at `upto`; return its uid.

    Return `None` if its name is taken.
    """
    cursor, row = tx.cursor, moved.row
    cursor.execute(
        _INSERT_STREAM, (row.name, row.spec, row.version, row.created_at, row.first_spec)
    )
    made = cursor.fetchone()
    if made is None:
        return None
    uid = int(made[0])
    cursor.execute(
        "INSERT INTO heads VALUES (?, ?, ?, ?)", (uid, row.offset, row.digest, to_json(row.status))
    )
    _write_log(tx, uid, renumbered(moved, _write_snapshots(tx, uid, moved)))
    cursor.executemany(
        "INSERT INTO results(uid, last, n, payload) VALUES (?, ?, ?, ?)",
        [
            (uid, last, len(lines), b"\n".join(lines))
            for last, lines in results_in(moved, tx.results_kept)
        ],
    )
    cursor.executemany(
        _INSERT_DEAD,
        [
            (uid, each.position, each.index, each.reason, each.detail, each.entry, each.created_at)
            for each in moved.dead
        ],
    )
    cursor.execute("UPDATE partition SET committed = MAX(committed, ?)", (upto,))
    return uid


def _write_snapshots(tx: Transaction, uid: int, moved: Moved) -> list[int]:
    ids = []
    for each, blob in moved.snapshots:
        place = (uid, each.position, each.offset, each.created_at)
        tx.cursor.execute(_INSERT_SNAPSHOT, (*place, len(blob), int(each.kept), blob))
        ids.append(int(tx.cursor.fetchone()[0]))
    return ids


def _write_log(tx: Transaction, uid: int, moved: Moved) -> None:
    # A total that does not begin with the first entry says that earlier ones are gone.
    tx.totals[uid] = moved.before
    tx.insert_records([replace(record, stream=uid) for record in moved.records])
