"""A power cut, simulated: a file system that remembers every write, and loses what was not synced.

The journal's own transactions run over it. A moment is picked; of the writes after a file's last
sync a random part is kept, some of them torn at a sector. What is left must open as a sound file
that holds everything acknowledged up to that moment.
"""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from service.journal.base import Applied, NewSnapshot, Record
from service.journal.sqlite_operations import Append, Call, Commit, Operation, Transaction
from service.journal.sqlite_schema import Synchronous, create_tables, pragmas
from service.journal.sqlite_upkeep import create_stream, trim_streams
from service.journal.sqlite_writer import transact
from service.schemas import Event

SECTOR = 512


@dataclass
class Trace:
    """What reached the file system, in order, and what was acknowledged in between."""

    steps: list[tuple[str, str, int, bytes]] = field(default_factory=list)

    def add(self, what: str, name: str, at: int = 0, data: bytes = b"") -> None:
        self.steps.append((what, name, at, data))

    def after_cut(self, cut: int, rng: random.Random) -> tuple[dict[str, bytearray], int]:
        """Return the files as a power cut leaves them, and the last position acknowledged."""
        # A file is removed together with a sync of its folder.
        durable = ("sync", "delete")
        synced = {name: i for i, (what, name, *_) in enumerate(self.steps[:cut]) if what in durable}
        files: dict[str, bytearray] = {}
        acked, kept_share = 0, rng.choice([0.0, 0.5, 0.9, 1.0])
        for i, (what, name, at, data) in enumerate(self.steps[:cut]):
            if what == "ack":
                acked = at
                continue
            if what == "delete":
                files.pop(name, None)
                continue
            file = files.setdefault(name, bytearray())
            if i > synced.get(name, -1):
                if rng.random() >= kept_share:
                    continue
                if what == "write" and rng.random() < 0.3:
                    data = data[: SECTOR * rng.randint(0, len(data) // SECTOR)]
            if what == "truncate":
                file[at:] = bytes(max(0, at - len(file)))
            elif what == "write":
                file.extend(bytes(max(0, at - len(file))))
                file[at : at + len(data)] = data
        return files, acked


class RecordingVFS(apsw.VFS):
    """The system's files, with every change noted."""

    def __init__(self, trace: Trace) -> None:
        self.name = f"recording-{uuid.uuid4().hex}"
        self._trace = trace
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: Any) -> RecordingFile:  # noqa: N802
        return RecordingFile(name, flags, self._trace)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        super().xDelete(name, sync_folder)
        self._trace.add("delete", Path(name).name)


class RecordingFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: Any, trace: Trace) -> None:
        path = name if isinstance(name, str) else name.filename()
        self._name, self._trace = Path(path).name, trace
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._trace.add("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._trace.add("truncate", self._name, size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._trace.add("sync", self._name)


class Cursor:
    """An apsw cursor with the face of the standard library's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection, self._cursor = connection, connection.cursor()

    @property
    def rowcount(self) -> int:
        return self._connection.changes()

    def execute(self, sql: str, parameters: Any = (), /) -> None:
        self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> None:
        self._cursor.executemany(sql, rows)

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()


def result(offset: int) -> bytes:
    return b'{"offset":%d}' % offset


def write(folder: Path, synchronous: Synchronous, groups: int, seed: int) -> Trace:
    """Write groups of appends and commits; return all that reached the file system."""
    trace, rng = Trace(), random.Random(seed)
    vfs = RecordingVFS(trace)
    connection = apsw.Connection(str(folder / "synaptide.db"), vfs=vfs.name)
    cursor = Cursor(connection)
    # Without shared memory, which this file system has none of; nor does it matter to a cut.
    cursor.execute("PRAGMA locking_mode = EXCLUSIVE")
    for pragma in pragmas(synchronous):
        cursor.execute(pragma)
        cursor.fetchall()
    cursor.execute("PRAGMA wal_autocheckpoint = 20")
    cursor.fetchall()
    create_tables(cursor)
    tx = Transaction(cursor, 0, results_kept=50)
    made = Call(None, create_stream, "taxi", b"{}", 0.0)
    transact(tx, [made], 0)
    position = committed = offset = 0
    pending: list[int] = []
    for _ in range(groups):
        group: list[Operation] = []
        for _ in range(rng.randint(1, 3)):
            position += 1
            n = rng.randint(1, 8)
            entries = [Event(x={"value": rng.random()}) for _ in range(n)]
            group.append(Append([Record(position, made.value, 0.0, entries)], 0))
            pending.append(n)
        if rng.random() < 0.8:
            done = offset + sum(pending)
            results = [result(each) for each in range(offset + 1, done + 1)]
            blob = rng.randbytes(rng.randint(1, 20_000))
            snapshots = [NewSnapshot(blob)] if rng.random() < 0.3 else []
            applied = Applied(made.value, done, str(position), results, {}, snapshots)
            group.append(Commit(committed, position, [applied], {}, 0.0, 0))
            committed, offset = position, done
            pending.clear()
        if rng.random() < 0.1:
            group.append(Call(None, trim_streams, [made.value], 5, 0.0))
        transact(tx, group, 0)
        assert [operation.error for operation in group] == [None] * len(group)
        trace.add("ack", "", position)
    connection.close()
    return trace


def check(folder: Path, files: dict[str, bytearray], acked: int) -> int:
    """Open what a cut left; fail if it is unsound; return how many acknowledged were lost."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with closing(sqlite3.connect(folder / "synaptide.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if file.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            assert acked == 0
            return 0
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        head = file.execute("SELECT offset, digest FROM heads").fetchone()
        if head is None:
            assert acked == 0
            return 0
        (committed,) = file.execute("SELECT committed FROM partition").fetchone()
        (last,) = file.execute("SELECT COALESCE(MAX(position), 0) FROM log").fetchone()
        offset, digest = head
        assert digest == (str(committed) if committed else "")
        assert last >= committed
        rows = file.execute("SELECT last, n, payload FROM results ORDER BY last").fetchall()
        lines = [line for *_, payload in rows for line in payload.split(b"\n")]
        assert lines == [result(each) for each in range(offset - len(lines) + 1, offset + 1)]
        places = [row[0] for row in file.execute("SELECT position FROM log ORDER BY position")]
        assert places == list(range(last - len(places) + 1, last + 1))
        (total,) = file.execute(
            "SELECT COALESCE(MAX(total), 0) FROM log WHERE position <= ?", (committed,)
        ).fetchone()
        assert total == offset
        return max(0, acked - int(last))


def cut_many(folder: Path, synchronous: Synchronous, cuts: int, seed: int) -> list[int]:
    """Return, of many power cuts, how many acknowledged records each lost."""
    written, left = folder / "written", folder / "left"
    written.mkdir()
    left.mkdir()
    trace = write(written, synchronous, groups=60, seed=seed)
    rng, lost = random.Random(seed), []
    for _ in range(cuts):
        files, acked = trace.after_cut(rng.randint(0, len(trace.steps)), rng)
        lost.append(check(left, files, acked))
    return lost


def test_with_full_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    assert sum(cut_many(tmp_path, "FULL", cuts=150, seed=1)) == 0


def test_with_normal_a_power_cut_loses_the_last_moments_and_corrupts_nothing(
    tmp_path: Path,
) -> None:
    lost = cut_many(tmp_path, "NORMAL", cuts=150, seed=1)
    assert max(lost) > 0, "the simulation must be able to see a loss"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_with_full_many_power_cuts_lose_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    assert sum(cut_many(tmp_path, "FULL", cuts=500, seed=seed)) == 0
