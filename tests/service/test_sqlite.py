"""What only the embedded engine promises: one process, failing disks, kill -9, reopening."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from service.errors import (
    JournalUnavailable,
    NotReady,
    Phantom,
    SettingsError,
    Stale,
    StreamNotFound,
)
from service.journal import sqlite_writer
from service.journal.base import START, Applied, NewSnapshot
from service.journal.sqlite import SqliteJournal
from service.journal.sqlite_operations import Append, Operation, Transaction
from service.journal.tail import Tail
from service.schemas import Entry, Event

ROOT = Path(__file__).resolve().parents[2]
FULL = sqlite3.OperationalError("database or disk is full")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(bounded())


def events(count: int, text: str = "") -> list[Entry]:
    return [Event(x={"value": float(i), "text": text}) for i in range(count)]


def lines(after: int, upto: int) -> list[bytes]:
    return [b'{"offset":%d}' % offset for offset in range(after + 1, upto + 1)]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Disk:
    """Stands before every transaction: can fail it, hold it, and counts those that were written."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.written: list[int] = []
        self.free = threading.Event()
        self.reached = threading.Event()
        self.free.set()
        self._transact = sqlite_writer.transact

    def transact(self, tx: Transaction, group: Sequence[Operation], generation: int) -> None:
        self.reached.set()
        assert self.free.wait(30)
        if self.error is not None:
            raise self.error
        self._transact(tx, group, generation)
        self.written.append(len(group))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(sqlite_writer, "transact", disk.transact)
    return disk


async def opened(folder: Path, **options: Any) -> SqliteJournal:
    journal = SqliteJournal(folder, **options)
    await journal.open()
    return journal


# Opening


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        with pytest.raises(SettingsError) as refusal:
            await opened(tmp_path)
        assert str(tmp_path) in refusal.value.detail
        assert f"process {os.getpid()}," in refusal.value.detail
        await journal.close()
        await (await opened(tmp_path)).close()

    run(scenario())


def test_a_lock_left_by_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "synaptide.lock").write_text("999999\n")
    run(open_and_close(tmp_path))
    assert (tmp_path / "synaptide.lock").read_text() == f"{os.getpid()}\n"


async def open_and_close(folder: Path) -> None:
    await (await opened(folder)).close()


def test_the_folder_is_made(tmp_path: Path) -> None:
    run(open_and_close(tmp_path / "some" / "where"))
    assert (tmp_path / "some" / "where" / "synaptide.db").exists()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"data_dir: got .*file/inside, which cannot be"):
        run(open_and_close(tmp_path / "file" / "inside"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        mounted(folder, "-o", "ro")
    try:
        with pytest.raises(SettingsError, match="expected a folder this process may write to"):
            run(open_and_close(folder))
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def mounted(folder: Path, *options: str) -> None:
    """Mount a small file system in memory, or skip the test."""
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")


@pytest.mark.parametrize(
    ("statement", "got"),
    [
        ("UPDATE meta SET value = 3", "got format 3, expected format 2; it was written by a newer"),
        ("DELETE FROM meta", "got no format number, expected format 2"),
        ("DROP TABLE meta", "got no format number, expected format 2"),
        ("ALTER TABLE meta RENAME COLUMN value TO text", "got no format number"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, statement: str, got: str) -> None:
    run(open_and_close(tmp_path))
    with closing(sqlite3.connect(tmp_path / "synaptide.db")) as file:
        file.execute(statement)
        file.commit()
    with pytest.raises(SettingsError, match=got):
        run(open_and_close(tmp_path))


@pytest.mark.parametrize(("at", "whence"), [(0, os.SEEK_SET), (-4_096, os.SEEK_END)])
def test_a_damaged_file_is_refused(tmp_path: Path, at: int, whence: int) -> None:
    run(open_and_close(tmp_path))
    with (tmp_path / "synaptide.db").open("r+b") as file:
        file.seek(at, whence)
        file.write(b"\xff" * 3_000)
    with pytest.raises(SettingsError, match=r"synaptide\.db"):
        run(open_and_close(tmp_path))
    fresh = tmp_path / "fresh"
    run(open_and_close(fresh))  # A refusal leaves nothing open behind it.


def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        await journal.close()
        await journal.close()
        for call in (
            journal.append(row.uid, events(1), "applied"),
            journal.create_stream("bus", b"{}"),
            journal.commit(0, START, START, [], {}),
            journal.read(0, START, 1),
        ):
            with pytest.raises(NotReady):
                await call

    run(scenario())


# Sharing writes


def test_a_lone_event_costs_one_transaction(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        disk.written.clear()
        for i in range(10):
            (position,) = await journal.append(row.uid, events(1), "applied")
            await journal.read(0, position - 1, 1)
            work = Applied(row.uid, i + 1, "", lines(i, i + 1), {})
            await journal.commit(0, position - 1, position, [work], {position: work.results})
            assert await journal.replies(row.uid, position) == work.results
        assert len(disk.written) <= 11  # One may have met the timer of the first.
        await journal.close()

    run(scenario())


def test_what_no_commit_comes_for_is_written_all_the_same(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        disk.reached.clear()
        for _ in range(3):
            await journal.append(row.uid, events(1), "received")
        assert await asyncio.to_thread(disk.reached.wait, 10)
        await journal.committed(0)
        assert disk.written[-2:] == [3, 1]
        await journal.close()

    run(scenario())


def test_what_waits_while_the_disk_is_busy_is_written_together(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        await held(disk, journal)
        appends = [
            asyncio.create_task(journal.append(row.uid, events(1), "logged")) for _ in range(20)
        ]
        await turns()
        disk.free.set()
        await asyncio.gather(*appends)
        assert disk.written[-1] == 20
        await journal.close()

    run(scenario())


async def held(disk: Disk, journal: SqliteJournal) -> None:
    """Have the writer stand before a transaction with nothing much in it."""
    disk.free.clear()
    disk.reached.clear()
    task = asyncio.create_task(journal.put_snapshot(1, b"", 0))
    task.add_done_callback(asyncio.Task.exception)  # Marks it as seen.
    HOLDING.add(task)
    task.add_done_callback(HOLDING.discard)
    await turns()
    assert await asyncio.to_thread(disk.reached.wait, 10)


HOLDING: set[asyncio.Task[int]] = set()
"""A task that nothing refers to may vanish."""


def test_an_operation_at_fault_fails_alone(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        await held(disk, journal)
        everything = asyncio.gather(
            journal.append(row.uid, events(1), "logged"),
            journal.create_stream("bad", object()),  # type: ignore[arg-type]
            journal.create_stream("good", b"{}"),
            return_exceptions=True,
        )
        await turns()
        disk.free.set()
        appended, bad, good = await everything
        assert appended == [1]
        assert isinstance(bad, JournalUnavailable)
        assert good[1] is True  # type: ignore[index]
        assert [record.position for record in await journal.read(0, START, 10)] == [1]
        await journal.close()

    run(scenario())


# Failing disks


def test_a_failed_write_loses_what_was_not_durable_and_says_so(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        (safe,) = await journal.append(row.uid, events(2), "logged")
        disk.error = FULL
        (lost,) = await journal.append(row.uid, events(1), "applied")
        waiting = asyncio.create_task(journal.replies(row.uid, lost))
        with pytest.raises(JournalUnavailable, match="disk is full") as refusal:
            await journal.append(row.uid, events(1), "logged")
        assert refusal.value.retry_after_seconds == 1
        with pytest.raises(JournalUnavailable, match="disk is full"):
            await waiting
        assert journal.depth() == 2
        # Whoever read the lost records must begin again before going on.
        with pytest.raises(JournalUnavailable, match="begin again"):
            await journal.read(0, safe, 10)
        with pytest.raises(JournalUnavailable, match="begin again"):
            await journal.commit(0, START, safe, [], {})
        with pytest.raises(JournalUnavailable, match="disk is full"):
            await journal.committed(0)
        disk.error = None
        assert await journal.committed(0) == START
        assert [record.position for record in await journal.read(0, START, 10)] == [safe]
        with pytest.raises(Phantom):
            await journal.commit(0, START, lost, [], {})
        (after,) = await journal.append(row.uid, events(1), "logged")
        assert after > lost
        await journal.commit(0, START, after, [Applied(row.uid, 3, "", lines(0, 3), {})], {})
        await journal.close()
        journal = await opened(tmp_path)
        found = await journal.history(row.uid, START, 1_000)
        assert [record.position for record in found] == [safe, after]
        await journal.close()

    run(scenario())


def test_a_reader_that_waits_hears_of_the_loss(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        (position,) = await journal.append(row.uid, events(1), "received")
        reading = asyncio.create_task(journal.read(0, position, 10))
        await turns()
        disk.error = FULL
        with pytest.raises(JournalUnavailable):
            await journal.committed(0)
        with pytest.raises(JournalUnavailable, match="begin again"):
            await reading
        disk.error = None
        await journal.close()

    run(scenario())


def test_appends_between_the_failure_and_its_news_are_lost_too(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        (first,) = await journal.append(row.uid, events(1), "applied")
        await held(disk, journal)  # Takes the first append along.
        disk.error = FULL
        (second,) = await journal.append(row.uid, events(1), "applied")
        late = asyncio.create_task(journal.append(row.uid, events(1), "logged"))
        stale = asyncio.create_task(
            journal.commit(0, START, second, [Applied(row.uid, 2, "", lines(0, 2), {})], {})
        )
        waiting = [asyncio.create_task(journal.replies(row.uid, each)) for each in (first, second)]
        await turns()
        # The disk recovers before the event loop hears that it failed: the queued ones follow the
        # lost record, and must not be written although they could be.
        transact, calls = disk.transact, list[int]()

        def recovered(tx: Transaction, group: Sequence[Operation], generation: int) -> None:
            calls.append(len(group))
            disk.error = None
            transact(tx, group, generation)

        monkeypatch.setattr(sqlite_writer, "transact", recovered)
        disk.free.set()
        outcomes = await asyncio.gather(late, stale, *waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [JournalUnavailable] * 4
        assert calls[0] == 3
        assert journal.depth() == 0
        assert await journal.committed(0) == START
        assert await journal.read(0, START, 10, wait=False) == []
        assert await journal.history(row.uid, START, 1_000) == []
        assert journal.stream("taxi").offset == 0
        await journal.close()

    run(scenario())


def test_a_failed_write_without_records_loses_none(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        row, _ = await journal.create_stream("taxi", b"{}")
        await journal.append(row.uid, events(1), "logged")
        disk.error = FULL
        with pytest.raises(JournalUnavailable):
            await journal.put_snapshot(row.uid, b"state", 0)
        with pytest.raises(JournalUnavailable):
            await journal.delete_stream(row.uid)
        disk.error = None
        (position,) = await journal.append(row.uid, events(1), "received")
        await journal.commit(0, START, position, [Applied(row.uid, 2, "", lines(0, 2), {})], {})
        assert await journal.results(row.uid, 0, 10) == lines(0, 2)
        await journal.close()

    run(scenario())


def test_lost_entries_do_not_count_toward_retention(tmp_path: Path, disk: Disk) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path, log_kept_entries=10, log_kept_seconds=1e12)
        row, _ = await journal.create_stream("taxi", b"{}")
        for _ in range(9):
            await journal.append(row.uid, events(1), "logged")
        await held(disk, journal)
        lost = asyncio.create_task(journal.append(row.uid, events(64), "logged"))
        await turns()
        transact = disk.transact

        def fail_late(tx: Transaction, group: Sequence[Operation], generation: int) -> None:
            for operation in group:
                if isinstance(operation, Append):
                    tx.cursor.execute("BEGIN IMMEDIATE")
                    operation.run(tx)
                    raise FULL
            transact(tx, group, generation)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite_writer, "transact", fail_late)
            disk.free.set()
            with pytest.raises(JournalUnavailable):
                await lost
        position = await journal.committed(0)
        (upto,) = await journal.append(row.uid, events(1), "received")
        two = [NewSnapshot(b"a"), NewSnapshot(b"b")]
        work = Applied(row.uid, 10, "", lines(0, 10), {}, two)
        await journal.commit(0, position, upto, [work], {})
        assert await journal.trim(0.0) == 0
        await journal.close()

    run(scenario())


FILLER_BYTES = 1_000_000


def test_a_full_disk_loses_nothing_acknowledged_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted(folder, "-o", "size=3m")
    try:
        filler = folder / "filler"
        filler.write_bytes(b"x" * FILLER_BYTES)
        run(fill_and_recover(folder, filler.unlink))
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=True)


def test_a_file_size_limit_loses_nothing_acknowledged_and_recovers(tmp_path: Path) -> None:
    program = f"import {__name__} as test; test.under_a_size_limit({str(tmp_path)!r})"
    run_python(program)


def under_a_size_limit(folder: str) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILLER_BYTES, hard))
    run(
        fill_and_recover(
            Path(folder), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        )
    )


def run_python(program: str, timeout_seconds: float = 60) -> None:
    """Run a program beside this module, in a process of its own."""
    paths = [str(Path(__file__).parent), str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def fill_and_recover(folder: Path, make_room: Callable[[], None]) -> None:
    """Append and commit until the disk is full, make room, go on; all acknowledged is there."""
    journal = await opened(folder)
    row, _ = await journal.create_stream("taxi", b"{}")
    logged, position = list[int](), START
    with pytest.raises(JournalUnavailable, match=r"full|I/O"):  # noqa: PT012
        for i in range(10_000):
            (upto,) = await journal.append(row.uid, events(64, "t" * 100), "logged")
            logged.append(upto)
            work = Applied(row.uid, i + 1, "", lines(i, i + 1), {})
            await journal.commit(0, position, upto, [work], {})
            position = upto
    assert len(logged) > 5
    assert journal.depth() <= 64
    with suppress(JournalUnavailable):  # Some may still fit; the next large one will not.
        for _ in range(50):
            logged += await journal.append(row.uid, events(64, "t" * 1_000), "logged")
    make_room()
    assert await journal.committed(0) >= position
    logged += await journal.append(row.uid, events(64), "logged")
    await journal.close()
    journal = await opened(folder)
    found = {record.position for record in await journal.history(row.uid, START, 1_000_000)}
    assert set(logged) <= found
    assert await journal.committed(0) >= position
    await journal.close()


# kill -9


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    run_python(f"import {__name__} as test; test.kill_loop({str(tmp_path)!r}, seed=1, kills=10)")


@pytest.mark.long
def test_kill_9_loses_nothing_acknowledged_for_long(tmp_path: Path) -> None:
    program = f"import {__name__} as test; test.kill_loop({str(tmp_path)!r}, seed=2, kills=100)"
    run_python(program, timeout_seconds=600)


def kill_loop(folder: str, seed: int, kills: int) -> None:
    """Fork a writer, kill it when it has acknowledged so and so much, and look; again and again.

    In a process of its own, which has no threads when it forks.
    """
    rng = random.Random(seed)
    acked = {"logged": list[int](), "offset": [0]}
    for _ in range(kills):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with suppress(BaseException):
                asyncio.run(write_for_ever(Path(folder), writing, rng.randrange(1 << 30)))
            os._exit(1)
        os.close(writing)
        with open(reading, "rb") as said:
            for _ in range(rng.randint(1, 200)):
                note(acked, said.readline())
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for line in said.read().splitlines(keepends=True):
                note(acked, line)
        run(nothing_lost(Path(folder), acked))
    assert len(acked["logged"]) > kills
    assert acked["offset"][-1] > kills


def note(acked: dict[str, list[int]], line: bytes) -> None:
    if line.endswith(b"\n"):
        kind, number = line.decode().split()
        acked[kind].append(int(number))


async def write_for_ever(folder: Path, said: int, seed: int) -> None:
    """Append and commit, and write down what was acknowledged."""
    rng = random.Random(seed)
    journal = await opened(folder)
    row, _ = await journal.create_stream("taxi", b"{}")
    position, offset = await journal.committed(0), row.offset
    while True:
        if rng.random() < 0.5:
            (logged,) = await journal.append(row.uid, events(rng.randint(1, 64)), "logged")
            os.write(said, b"logged %d\n" % logged)
        else:
            await journal.append(row.uid, events(rng.randint(1, 64)), "received")
        if rng.random() < 0.5:
            records = await journal.read(0, position, rng.randint(1, 300))
            upto = records[-1].position
            n = sum(len(record.entries) for record in records)
            snapshots = [NewSnapshot(b"%d" % (offset + n))] if rng.random() < 0.1 else []
            work = Applied(row.uid, offset + n, f"{upto}", lines(offset, offset + n), {}, snapshots)
            await journal.commit(0, position, upto, [work], {})
            position, offset = upto, offset + n
            os.write(said, b"offset %d\n" % offset)


async def nothing_lost(folder: Path, acked: dict[str, list[int]]) -> None:
    journal = await opened(folder)
    committed = await journal.committed(0)
    for row in journal.streams():
        history = await journal.history(row.uid, START, 1 << 40)
        found = {record.position for record in history}
        assert set(acked["logged"]) <= found
        assert row.offset >= acked["offset"][-1]
        # The log up to the commit, refolded, gives what the commit says.
        done = [record for record in history if record.position <= committed]
        assert sum(len(record.entries) for record in done) == row.offset
        assert row.digest == (str(committed) if committed else "")
        assert journal.depth() == sum(
            len(record.entries) for record in history if record.position > committed
        )
        after = max(0, row.offset - 9_000)
        assert await journal.results(row.uid, after, 10_000) == lines(after, row.offset)
        snapshot = await journal.latest_snapshot(row.uid)
        assert snapshot is None or snapshot[0] <= committed
    await journal.close()


# Against a model


class JournalMachine(RuleBasedStateMachine):
    """The journal beside a dictionary that says what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.log: list[tuple[int, int, int]] = []
        self.offsets: dict[int, int] = {}
        self.names: dict[str, int] = {}
        self.uids: set[int] = set()
        self.position = START
        self.journal = self.run(self._open())

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(what)

    async def _open(self) -> SqliteJournal:
        return await opened(Path(self.folder.name), synchronous="NORMAL")

    @initialize()
    def one_stream(self) -> None:
        self.create("a")

    @rule(name=st.sampled_from("abc"))
    def create(self, name: str) -> None:
        row, made = self.run(self.journal.create_stream(name, b"{}"))
        assert made == (name not in self.names)
        if made:
            assert row.uid not in self.uids
            self.uids.add(row.uid)
            self.names[name], self.offsets[row.uid] = row.uid, 0
        assert row.uid == self.names[name]

    @precondition(lambda self: self.names)
    @rule(data=st.data(), count=st.integers(1, 130), ack=st.sampled_from(["received", "logged"]))
    def append(self, data: st.DataObject, count: int, ack: Any) -> None:
        uid = self.names[data.draw(st.sampled_from(sorted(self.names)))]
        positions = self.run(self.journal.append(uid, events(count), ack))
        assert not self.log or positions[0] > self.log[-1][0]
        for i, position in enumerate(positions):
            self.log.append((position, uid, min(64, count - 64 * i)))

    def waiting(self) -> list[tuple[int, int, int]]:
        return [each for each in self.log if each[0] > self.position and each[1] in self.offsets]

    @precondition(lambda self: self.waiting())
    @rule(limit=st.integers(1, 300), snapshot=st.booleans())
    def commit(self, limit: int, snapshot: bool) -> None:
        records = self.run(self.journal.read(0, self.position, limit))
        expected = self.waiting()[: len(records)]
        assert [(r.position, r.stream, len(r.entries)) for r in records] == expected
        assert sum(n for _, _, n in expected[:-1]) < limit
        works: dict[int, Applied] = {}
        for _, uid, n in expected:
            before = works[uid].results if uid in works else []
            offset = self.offsets[uid] + n
            results = before + lines(self.offsets[uid], offset)
            works[uid] = Applied(uid, offset, str(offset), results, {})
            self.offsets[uid] = offset
        for work in works.values():
            work.snapshots = [NewSnapshot(b"%d" % work.offset)] if snapshot else []
        upto = records[-1].position
        self.run(self.journal.commit(0, self.position, upto, list(works.values()), {}))
        self.position = upto

    @precondition(lambda self: self.waiting())
    @rule(by=st.integers(1, 5), sign=st.sampled_from([-1, 1]))
    def stale_commit(self, by: int, sign: int) -> None:
        work = [Applied(uid, 10_000, "", [b"{}"], {}) for uid in self.offsets]
        upto = self.waiting()[-1][0]
        with pytest.raises(Stale):
            self.run(self.journal.commit(0, self.position + sign * by, upto, work, {}))

    @rule(by=st.integers(1, 5))
    def phantom_commit(self, by: int) -> None:
        work = [Applied(uid, 10_000, "", [b"{}"], {}) for uid in self.offsets]
        upto = max([self.position, *(each[0] for each in self.log)]) + by
        with pytest.raises(Phantom):
            self.run(self.journal.commit(0, self.position, upto, work, {}))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.names)))
        uid = self.names.pop(name)
        del self.offsets[uid]
        self.run(self.journal.delete_stream(uid))
        with pytest.raises(StreamNotFound):
            self.journal.stream(name)

    @rule()
    def reopen(self) -> None:
        self.run(self.journal.close())
        self.journal = self.run(self._open())

    @rule()
    def trim(self) -> None:
        self.run(self.journal.trim(0.0))

    @invariant()
    def depth_is_what_waits(self) -> None:
        assert self.journal.depth() == sum(n for _, _, n in self.waiting())

    @invariant()
    def heads_and_results_agree(self) -> None:
        assert self.run(self.journal.committed(0)) == self.position
        assert {row.name: row.uid for row in self.journal.streams()} == self.names
        for uid, offset in self.offsets.items():
            row = self.journal.stream_by_uid(uid)
            assert row is not None
            assert row.offset == offset
            assert self.run(self.journal.results(uid, 0, 10_000)) == lines(0, offset)

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.runner.close()
        self.folder.cleanup()


class TestAgainstAModel(JournalMachine.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# Bounds


def test_replies_nobody_asks_for_are_not_kept() -> None:
    async def scenario() -> None:
        tail = Tail(floor=0, depth=0, max_unclaimed_entries=100)
        for i in range(1, 500):
            tail.append(1, events(1), 0.0, answered=True)
            tail.applied(i, 0, {i: [b"{}"]})
        assert await tail.replies(499) == [b"{}"]
        with pytest.raises(LookupError, match="got 3,"):
            await tail.replies(3)
        with pytest.raises(LookupError):
            await tail.replies(499)

    run(scenario())


def test_the_lock_is_the_systems(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = await opened(tmp_path)
        with (tmp_path / "synaptide.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await journal.close()

    run(scenario())
