"""A worker keeps its partition in the format that all processes read, quiet streams included."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from learners.base import Arrays, StateError
from learners.rolling_zscore import RollingZScore
from service import rewriting, snapshots
from service.formats import FORMAT, OLDEST
from service.journal.base import Journal, StreamRow
from service.journal.redis import RedisJournal
from service.journal.sqlite import SqliteJournal
from service.journal.sqlite_schema import FILE_NAME
from service.metrics import Metrics
from service.schemas import Event, StreamSpec, parse_event
from service.settings import Settings
from service.stream import Stream
from service.turns import Turns
from service.worker import Worker
from tests import valkey

SPEC = StreamSpec.model_validate(
    {"learner": {"kind": "rolling_zscore", "window": 20}, "snapshot_every_events": 5}
)
OLDER = "older-1-abc"


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("service.worker.SAVE_QUIET_SECONDS", 0.1)


@asynccontextmanager
async def opened(journal: Journal) -> AsyncIterator[None]:
    await journal.open()
    try:
        yield
    finally:
        await journal.close()


@asynccontextmanager
async def applying(journal: Journal) -> AsyncIterator[None]:
    """Own the partition and apply it as long as the block."""
    await journal.present()
    assert await journal.acquire(0)
    with ThreadPoolExecutor(1) as pool:
        worker = Worker(journal, 0, Settings(), Metrics(), pool, Turns())
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await worker.stop()
            await running
    await journal.release(0)


def event(i: int) -> Event:
    said = {"id": f"e{i}", "ts": f"{1_700_000_000 + i}", "x": {"value": i % 7}}
    return parse_event(json.dumps(said).encode())


async def fed(journal: Journal, row: StreamRow, first: int, last: int) -> None:
    entries = [event(i) for i in range(first, last + 1)]
    (position,) = await journal.append(row.uid, entries, "applied")
    await journal.replies(row.uid, position)


async def made(journal: Journal, streams: int = 3) -> list[StreamRow]:
    rows = [(await journal.create_stream(f"s{i}", SPEC.to_json()))[0] for i in range(streams)]
    for row in rows:
        await fed(journal, row, 1, 12)
    return rows


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what is awaited sets no event)
            await asyncio.sleep(0.01)


async def forms(journal: Journal) -> set[int]:
    return set((await journal.snapshot_formats(0)).values())


def undisturbed(last: int) -> str:
    stream = Stream(SPEC)
    for i in range(1, last + 1):
        stream.step(event(i), 0.0)
    return stream.digest.hex()


def test_a_folder_comes_down_to_the_format_that_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal: Journal = SqliteJournal(tmp_path)
        async with opened(journal), applying(journal):
            await made(journal)
            assert (await forms(journal), journal.needed(0)) == ({FORMAT}, FORMAT)
        journal = SqliteJournal(tmp_path, write_format=OLDEST)
        async with opened(journal), applying(journal):
            await until(lambda: journal.needed(0) == OLDEST)
            assert await forms(journal) == {OLDEST}
        journal = SqliteJournal(tmp_path)
        async with opened(journal), applying(journal):
            for row in journal.streams():
                await fed(journal, row, 13, 20)
                assert row.digest == undisturbed(20)
            assert await forms(journal) == {FORMAT}

    asyncio.run(scenario())


def test_a_partition_comes_down_when_an_older_process_comes_and_up_when_it_goes(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        with valkey.running(tmp_path) as server:
            journal = RedisJournal(server.url, partitions=1)
            async with opened(journal), applying(journal):
                rows = await made(journal)
                assert (journal.needed(0), journal.write_format) == (FORMAT, FORMAT)
                server.ask("ZADD", "synaptide:processes", 2**50, f"{OLDER} {OLDEST}")
                await journal.present()
                assert (journal.reads(OLDER), journal.write_format) == (OLDEST, OLDEST)
                await until(lambda: journal.needed(0) == OLDEST)
                assert await forms(journal) == {OLDEST}
                await fed(journal, rows[0], 13, 20)
                assert await forms(journal) == {OLDEST}
                server.ask("ZREM", "synaptide:processes", f"{OLDER} {OLDEST}")
                await journal.present()
                await fed(journal, rows[1], 13, 20)
                assert (await forms(journal), journal.needed(0)) == ({OLDEST, FORMAT}, FORMAT)
                assert [row.digest for row in rows[:2]] == [undisturbed(20)] * 2
                # One that applies partitions and says nothing of formats is of a build before.
                server.ask("ZADD", "synaptide:workers", 2**50, OLDER)
                await journal.present()
                assert journal.write_format == OLDEST

    asyncio.run(scenario())


def test_what_cannot_be_said_in_the_older_format_is_written_once_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def to_previous(self: RollingZScore, arrays: Arrays) -> Arrays:
        asked.append(1)
        raise StateError("too new")

    async def scenario() -> None:
        journal: Journal = SqliteJournal(tmp_path)
        async with opened(journal), applying(journal):
            await made(journal, 2)
        monkeypatch.setattr(snapshots, "RAISED", frozenset({"rolling_zscore"}))
        monkeypatch.setattr(RollingZScore, "to_previous", to_previous)
        journal = SqliteJournal(tmp_path, write_format=OLDEST)
        async with opened(journal), applying(journal):
            await until(lambda: len(asked) == 2)
            await fed(journal, journal.streams()[0], 13, 14)
            await asyncio.sleep(0.3)
            assert (await forms(journal), journal.needed(0)) == ({FORMAT}, FORMAT)
        assert len(asked) == 3  # Once more when the worker stopped.

    asyncio.run(scenario())


def test_a_stream_that_stays_unreadable_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    async def looked(self: SqliteJournal, partition: int) -> dict[int, int]:
        looks.append(partition)
        return await formats(self, partition)

    formats = SqliteJournal.snapshot_formats

    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        async with opened(journal), applying(journal):
            rows = await made(journal, 2)
        with sqlite3.connect(tmp_path / FILE_NAME) as store:
            # The end of it, so that its format can be read still.
            store.execute(
                "UPDATE snapshots SET blob = substr(blob, 1, 80) WHERE uid = ?", (rows[0].uid,)
            )
            store.execute("DELETE FROM log")
        monkeypatch.setattr(SqliteJournal, "snapshot_formats", looked)
        journal = SqliteJournal(tmp_path, write_format=OLDEST)
        async with opened(journal), applying(journal):
            await until(lambda: len(looks) > 1)
            await asyncio.sleep(0.5)
            assert len(looks) == 2  # What is ahead, and that the rest has to stay.
            form = await formats(journal, 0)
            assert form == {rows[0].uid: FORMAT, rows[1].uid: OLDEST}

    asyncio.run(scenario())


def test_a_stream_that_waits_has_no_snapshot_written(tmp_path: Path) -> None:
    """One that stands behind the records that wait would have them forgotten."""

    async def scenario() -> None:
        journal: Journal = SqliteJournal(tmp_path)
        async with opened(journal):
            async with applying(journal):
                (row,) = await made(journal, 1)
                await fed(journal, row, 13, 14)
                row.status = {**row.status, "held_after": await journal.committed(0)}
            assert [each.offset for each in await journal.snapshots(row.uid)] == [12]

    asyncio.run(scenario())


def test_a_format_that_cannot_be_written_is_refused() -> None:
    assert Settings().write_format == FORMAT
    assert Settings(write_format=OLDEST).write_format == OLDEST
    for wrong in (OLDEST - 1, FORMAT + 1):
        with pytest.raises(ValueError, match=f"write_format: got {wrong}, expected {OLDEST} or"):
            Settings(write_format=wrong)
