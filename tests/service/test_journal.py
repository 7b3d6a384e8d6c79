"""The journal's promises, one test each, over every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from service.errors import (
    Phantom,
    QueueFull,
    ResultsExpired,
    SnapshotNotFound,
    Stale,
    StreamNotFound,
)
from service.journal.base import (
    MAX_RECORD_ENTRIES,
    START,
    Applied,
    DeadLetter,
    Journal,
    NewSnapshot,
    Record,
    StreamRow,
)
from service.journal.redis import RedisJournal
from service.journal.sqlite import SqliteJournal
from service.moving import moved_of
from service.schemas import Command, Entry, Event, Label, encode_entry
from tests import valkey

DAY = 86_400.0
ANY = 2**62
"""A position above all there are."""

Engine = Callable[..., Journal]
"""Makes a journal over the test's one store; each call is a new process's view of it."""


@pytest.fixture(scope="module")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Server]:
    with valkey.running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Server]:
    with valkey.running(tmp_path_factory.mktemp("redis"), program=valkey.redis()) as server:
        yield server


@pytest.fixture(params=["sqlite", "valkey", "redis"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        return lambda **settings: SqliteJournal(tmp_path / "data", **settings)
    server = request.getfixturevalue(f"{request.param}_server")
    server.ask("FLUSHALL")
    return lambda **settings: RedisJournal(server.url, partitions=1, **settings)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario

    asyncio.run(bounded())


@asynccontextmanager
async def opened(engine: Engine, **settings: Any) -> AsyncIterator[Journal]:
    journal = engine(**settings)
    await journal.open()
    assert await journal.acquire(0)
    try:
        yield journal
    finally:
        await journal.close()


def events(*values: float) -> list[Entry]:
    return [Event(x={"value": float(value)}) for value in values]


def line(offset: int) -> bytes:
    return b'{"offset":%d}' % offset


def lines(after: int, upto: int) -> list[bytes]:
    return [line(offset) for offset in range(after + 1, upto + 1)]


async def new_stream(journal: Journal, name: str = "taxi") -> StreamRow:
    row, made = await journal.create_stream(name, b'{"learner":{}}')
    assert made
    return row


async def apply(
    journal: Journal,
    limit_entries: int = 1_000_000,
    snapshots: Sequence[NewSnapshot] = (),
    dead: Sequence[DeadLetter] = (),
) -> list[Record]:
    """Do what a worker does, once: read on, and commit a result for every entry."""
    previous = await journal.committed(0)
    records = await journal.read(0, previous, limit_entries, wait=False)
    counts: dict[int, int] = {}
    replies = {}
    for record in records:
        row = journal.stream_by_uid(record.stream)
        assert row is not None
        n = counts.get(row.uid, 0)
        counts[row.uid] = n + len(record.entries)
        replies[record.position] = lines(row.offset + n, row.offset + counts[row.uid])
    applied = [said(journal, uid, n, snapshots, dead) for uid, n in counts.items()]
    if not records:
        applied = [said(journal, row.uid, 0, snapshots, dead) for row in journal.streams()]
    upto = records[-1].position if records else previous
    await journal.commit(0, previous, upto, applied, replies)
    return records


def said(
    journal: Journal,
    uid: int,
    n: int,
    snapshots: Sequence[NewSnapshot] = (),
    dead: Sequence[DeadLetter] = (),
) -> Applied:
    row = journal.stream_by_uid(uid)
    assert row is not None
    offset = row.offset + n
    results = lines(row.offset, offset)
    status = {"learning": "learning"}
    return Applied(uid, offset, f"d{offset}", results, status, list(snapshots), list(dead))


async def turns(count: int = 5) -> None:
    """Let every task that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


# Streams


def test_a_stream_is_made_once_and_found_by_name_and_uid(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, clock=lambda: 17.0) as journal:
            row = await new_stream(journal)
            again, made = await journal.create_stream("taxi", b"other")
            assert (again, made) == (row, False)
            assert (row.spec, row.version, row.offset, row.created_at) == (
                b'{"learner":{}}',
                1,
                0,
                17.0,
            )
            assert journal.stream("taxi") == journal.stream_by_uid(row.uid) == row
            other = await new_stream(journal, "bus")
            assert journal.streams() == [other, row]

    run(scenario())


def test_two_who_make_a_stream_at_once_get_the_same(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            made = await asyncio.gather(*(journal.create_stream("taxi", b"{}") for _ in range(8)))
            assert sorted(new for _, new in made) == [False] * 7 + [True]
            assert len({row.uid for row, _ in made}) == 1

    run(scenario())


def test_an_unknown_stream_is_refused(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            with pytest.raises(StreamNotFound, match="'taxi'"):
                journal.stream("taxi")
            assert journal.stream_by_uid(7) is None
            with pytest.raises(StreamNotFound):
                await journal.append(7, events(1), "applied")
            with pytest.raises(StreamNotFound):
                await journal.results(7, 0, 1)
            with pytest.raises(StreamNotFound):
                await journal.put_snapshot(7, b"state", 0)
            with pytest.raises(StreamNotFound):
                await journal.delete_stream(7)

    run(scenario())


def test_a_new_spec_raises_the_version(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row, other = await new_stream(journal), await new_stream(journal, "other")
            (position,) = await journal.append(row.uid, [Command(command="configure")], "applied")
            await journal.read(0, START, 100)
            applied = said(journal, row.uid, 0)
            applied.spec = b"new"
            await journal.commit(0, 0, position, [applied], {position: [b"{}"]})
            changed = journal.stream("taxi")
            assert (changed.spec, changed.version) == (b"new", 2)
            assert journal.stream("other").version == 1
        async with opened(engine) as journal:
            assert journal.stream("taxi") == changed
            assert journal.stream("other") == other

    run(scenario())


def test_everything_of_a_stream_survives_a_restart(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            await journal.append(row.uid, events(1, 2, 3), "received")
            letter = DeadLetter(row.uid, 1, 2, "invalid", "why", b"{}", 5.0)
            await apply(journal, snapshots=[NewSnapshot(b"state")], dead=[letter])
            snapshots = await journal.snapshots(row.uid)
        async with opened(engine) as journal:
            found = journal.stream("taxi")
            assert (found.offset, found.digest) == (3, "d3")
            assert found.status == {"learning": "learning"}
            assert await journal.results(row.uid, 1, 10) == lines(1, 3)
            assert await journal.snapshots(row.uid) == snapshots
            assert await journal.dead_letters(row.uid) == [letter]

    run(scenario())


def test_a_deleted_stream_leaves_nothing_and_its_uid_is_not_used_again(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            await journal.append(row.uid, events(1, 2), "received")
            letter = DeadLetter(row.uid, 1, 0, "late", "", b"{}", 0.0)
            await apply(journal, snapshots=[NewSnapshot(b"state", kept=True)], dead=[letter])
            (snapshot,) = await journal.snapshots(row.uid)
            await journal.delete_stream(row.uid)
            assert journal.streams() == []
            assert journal.stream_by_uid(row.uid) is None
            assert await journal.snapshots(row.uid) == []
            assert await journal.latest_snapshot(row.uid) is None
            assert await journal.dead_letters(row.uid) == []
            assert await journal.history(row.uid, START, ANY) == []
            with pytest.raises(SnapshotNotFound):
                await journal.snapshot(row.uid, snapshot.id)
            with pytest.raises(StreamNotFound):
                await journal.results(row.uid, 0, 1)
        async with opened(engine) as journal:
            assert (await new_stream(journal)).uid != row.uid

    run(scenario())


def test_deleting_forgets_what_waits_and_commits_pass_over_it(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            gone, stays = await new_stream(journal, "gone"), await new_stream(journal, "stays")
            await journal.append(stays.uid, events(1), "received")
            (position,) = await journal.append(gone.uid, events(1, 2), "applied")
            records = await journal.read(0, START, 100)
            waiting = asyncio.create_task(journal.replies(gone.uid, position))
            await turns()
            await journal.delete_stream(gone.uid)
            with pytest.raises(StreamNotFound):
                await waiting
            assert journal.depth() == 1
            assert [record.stream for record in await journal.read(0, START, 100)] == [stays.uid]
            work = [Applied(gone.uid, 2, "x", lines(0, 2), {}), said(journal, stays.uid, 1)]
            await journal.commit(0, START, records[-1].position, work, {})
            assert journal.depth() == 0
            assert await journal.committed(0) == position
            assert await journal.results(stays.uid, 0, 10) == lines(0, 1)
        async with opened(engine) as journal:
            assert [row.name for row in journal.streams()] == ["stays"]
            assert journal.depth() == 0

    run(scenario())


def test_a_stream_that_is_being_deleted_takes_no_entries(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            deleting = asyncio.create_task(journal.delete_stream(row.uid))
            await asyncio.sleep(0)
            with pytest.raises(StreamNotFound):
                await journal.append(row.uid, events(1), "applied")
            await deleting
            assert journal.depth() == 0

    run(scenario())


# Appending and reading


def test_an_append_is_cut_into_records(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, clock=lambda: 99.5) as journal:
            row = await new_stream(journal)
            sent = events(*range(2 * MAX_RECORD_ENTRIES + 1))
            positions = await journal.append(row.uid, sent, "received")
            assert len(positions) == 3
            assert positions == sorted(set(positions))
            records = await journal.read(0, START, 1_000)
            assert [record.position for record in records] == positions
            assert [len(record.entries) for record in records] == [64, 64, 1]
            assert [entry for record in records for entry in record.entries] == sent
            assert {(record.stream, record.received_at) for record in records} == {(row.uid, 99.5)}
            assert await journal.append(row.uid, [], "logged") == []

    run(scenario())


@pytest.mark.parametrize("ack", ["received", "logged", "applied"])
def test_what_was_appended_is_there_after_a_restart(engine: Engine, ack: Any) -> None:
    async def scenario() -> None:
        sent: list[Entry] = [
            Event(id="é", ts=None, x={"a": 1.5, "b": None, "c": "näh\n"}, y="yes"),
            Label(event_id="é", y="no"),
            Event(x={"a": 2.0}),
            Label(event_id="@2", y=1.5),
        ]
        command = Command(command="restore", snapshot=4)
        async with opened(engine, clock=lambda: 12.25) as journal:
            row = await new_stream(journal)
            positions = await journal.append(row.uid, sent, ack)
            positions += await journal.append(row.uid, [command], ack)
        async with opened(engine) as journal:
            assert journal.depth() == 5
            first, second = await journal.read(0, START, 100)
            assert [first.position, second.position] == positions
            assert (first.stream, first.received_at) == (row.uid, 12.25)
            assert (list(first.entries), list(second.entries)) == (sent, [command])

    run(scenario())


def test_records_come_in_one_order_over_all_streams(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            rows = [await new_stream(journal, name) for name in "abc"]
            for i in range(9):
                await journal.append(rows[i % 3].uid, events(i), "received")
            records = await journal.read(0, START, 100)
            assert [record.entries[0] for record in records] == events(*range(9))

    run(scenario())


def test_read_counts_entries_and_returns_at_least_one_record(engine: Engine) -> None:
    async def scenario() -> None:
        async def check(journal: Journal) -> None:
            for limit, expected in [(1, 1), (3, 1), (4, 2), (6, 3), (100, 3)]:
                assert len(await journal.read(0, START, limit)) == expected

        async with opened(engine) as journal:
            row = await new_stream(journal)
            for n in (3, 1, 2):
                await journal.append(row.uid, events(*range(n)), "received")
            await check(journal)
        async with opened(engine) as journal:
            await check(journal)

    run(scenario())


def test_read_waits_for_the_next_append_only_if_asked_to(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            assert await journal.read(0, START, 10, wait=False) == []
            reading = asyncio.create_task(journal.read(0, START, 10))
            await turns()
            assert not reading.done()
            positions = await journal.append(row.uid, events(1), "applied")
            assert [record.position for record in await reading] == positions

    run(scenario())


def test_a_backlog_is_read_before_what_came_after_the_restart(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            for i in range(5):
                await journal.append(row.uid, events(i), "received")
            await apply(journal, 2)
        async with opened(engine) as journal:
            assert journal.depth() == 3
            await journal.append(row.uid, events(5), "received")
            assert journal.depth() == 4
            seen, position = list[Entry](), await journal.committed(0)
            while records := await journal.read(0, position, 2, wait=False):
                seen += [entry for record in records for entry in record.entries]
                position = records[-1].position
            assert seen == events(2, 3, 4, 5)
            while await apply(journal, 2):
                pass
            assert journal.depth() == 0
            assert journal.stream("taxi").offset == 6

    run(scenario())


def test_positions_are_never_used_again(engine: Engine) -> None:
    async def scenario() -> None:
        used: list[int] = []
        settings = {"log_kept_entries": 0, "log_kept_seconds": 0.0}
        for _ in range(3):
            async with opened(engine, **settings) as journal:
                row, _ = await journal.create_stream("taxi", b"{}")
                used += await journal.append(row.uid, events(1), "logged")
                await apply(journal, snapshots=[NewSnapshot(b"a"), NewSnapshot(b"b")])
                assert await journal.trim(now=1e12) >= 1
                used += await journal.append(row.uid, events(1), "logged")
                await journal.delete_stream(row.uid)
        assert used == sorted(set(used))

    run(scenario())


def test_positions_go_on_where_a_trimmed_log_ended(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, log_kept_entries=0, log_kept_seconds=0.0) as journal:
            row = await new_stream(journal)
            (last,) = await journal.append(row.uid, events(1), "logged")
            await apply(journal, snapshots=[NewSnapshot(b"a"), NewSnapshot(b"b")])
            await journal.trim(now=1e12)
            assert await journal.history(row.uid, START, last) == []
        async with opened(engine) as journal:
            (position,) = await journal.append(row.uid, events(1), "logged")
            assert position > last
            assert len(await apply(journal)) == 1

    run(scenario())


def test_history_is_one_streams_part_from_disk_and_memory(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            one, two = await new_stream(journal, "one"), await new_stream(journal, "two")
            places = []
            for i in range(6):
                places += await journal.append(one.uid, events(i), "received")
                await journal.append(two.uid, events(-i), "received")
                if i == 2:
                    await apply(journal)
            history = await journal.history(one.uid, places[0], places[4])
            assert [record.position for record in history] == places[1:5]
            assert [record.entries[0] for record in history] == events(1, 2, 3, 4)
            assert {record.stream for record in history} == {one.uid}

    run(scenario())


def test_a_full_queue_refuses_all_or_none(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, max_queued_entries=100) as journal:
            row = await new_stream(journal)
            await journal.append(row.uid, events(*range(90)), "received")
            with pytest.raises(QueueFull) as refusal:
                await journal.append(row.uid, events(*range(11)), "received")
            assert refusal.value.retry_after_seconds == 1
            assert journal.depth() == 90
            await journal.append(row.uid, events(*range(10)), "received")
            await apply(journal)
            assert journal.depth() == 0
            await journal.append(row.uid, events(*range(100)), "received")

    run(scenario())


# Committing


def test_a_commit_is_applied_once(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (upto,) = await journal.append(row.uid, events(1, 2), "received")
            await journal.read(0, START, 100)
            work = [said(journal, row.uid, 2)]
            await journal.commit(0, START, upto, work, {})
            with pytest.raises(Stale, match=f"expected {upto}"):
                await journal.commit(0, START, upto, work, {})
            assert await journal.committed(0) == upto
        async with opened(engine) as journal:
            assert await journal.results(row.uid, 0, 10) == lines(0, 2)

    run(scenario())


def test_a_commit_must_begin_where_the_last_one_ended(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            positions = [
                position
                for i in range(3)
                for position in await journal.append(row.uid, events(i), "received")
            ]
            await journal.read(0, START, 100)
            with pytest.raises(Stale):
                await journal.commit(0, positions[0], positions[1], [], {})
            await journal.commit(0, START, positions[1], [said(journal, row.uid, 2)], {})
            with pytest.raises(Stale):
                await journal.commit(0, positions[0], positions[2], [], {})
            assert (await journal.committed(0), journal.depth()) == (positions[1], 1)

    run(scenario())


def test_a_commit_must_end_at_a_record_of_the_log(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (first,) = await journal.append(row.uid, events(1), "received")
            await journal.read(0, START, 100)
            with pytest.raises(Phantom, match=str(first + 1)):
                await journal.commit(0, START, first + 1, [said(journal, row.uid, 2)], {})
            await journal.commit(0, START, first, [said(journal, row.uid, 1)], {})
            (second,) = await journal.append(row.uid, events(1), "received")
            await journal.read(0, first, 100)
            await journal.commit(0, first, second, [said(journal, row.uid, 1)], {})
            with pytest.raises(Phantom):
                await journal.commit(0, second, first, [], {})
            assert await journal.committed(0) == second
            assert journal.stream("taxi").offset == 2

    run(scenario())


def test_refused_commits_leave_what_is_written_with_them_alone(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (first,) = await journal.append(row.uid, events(1), "received")
            await journal.read(0, START, 100)
            good = said(journal, row.uid, 1)
            outcomes = await asyncio.gather(
                journal.commit(0, 77, first, [said(journal, row.uid, 9)], {}),
                journal.append(row.uid, events(2), "logged"),
                journal.commit(0, START, 99, [said(journal, row.uid, 9)], {}),
                journal.commit(0, START, first, [good], {}),
                journal.put_snapshot(row.uid, b"state", 3),
                return_exceptions=True,
            )
            kinds = [type(outcome) for outcome in outcomes]
            assert kinds == [Stale, list, Phantom, type(None), int]
        async with opened(engine) as journal:
            assert (journal.stream("taxi").offset, journal.depth()) == (1, 1)
            assert await journal.committed(0) == first

    run(scenario())


def test_commits_may_follow_each_other_without_waiting(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            previous, tasks = START, []
            for offset in range(1, 21):
                (upto,) = await journal.append(row.uid, events(offset), "applied")
                await journal.read(0, previous, 100)
                work = Applied(row.uid, offset, "d", [line(offset)], {})
                commit = journal.commit(0, previous, upto, [work], {upto: [line(offset)]})
                tasks.append(asyncio.create_task(commit))
                previous = upto
            await asyncio.gather(*tasks)
            assert await journal.results(row.uid, 0, 100) == lines(0, 20)
            assert journal.depth() == 0

    run(scenario())


def test_a_commit_of_nothing_new_may_carry_a_snapshot(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "received")
            await apply(journal)
            await apply(journal, snapshots=[NewSnapshot(b"state")])
            at = await journal.committed(0)
            assert await journal.latest_snapshot(row.uid) == (at, b"state")
            assert journal.stream("taxi").offset == 1

    run(scenario())


def test_replies_are_handed_to_who_waits(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            first, second = await journal.append(row.uid, events(*range(65)), "applied")
            waiting = asyncio.create_task(journal.replies(row.uid, first))
            await turns()
            assert not waiting.done()
            await apply(journal)
            assert await waiting == lines(0, 64)
            assert await journal.replies(row.uid, second) == lines(64, 65)

    run(scenario())


def test_depth_counts_entries_that_are_not_applied(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            one, two = await new_stream(journal, "one"), await new_stream(journal, "two")
            await journal.append(one.uid, events(*range(70)), "received")
            await journal.append(two.uid, events(1, 2), "logged")
            assert journal.depth() == 72
            await apply(journal, 64)
            assert journal.depth() == 8
        async with opened(engine) as journal:
            assert journal.depth() == 8
            await journal.append(two.uid, events(3), "received")
            await journal.delete_stream(two.uid)
            assert journal.depth() == 6
        async with opened(engine) as journal:
            assert journal.depth() == 6
            await apply(journal)
            assert journal.depth() == 0

    run(scenario())


# Results


def test_results_are_paged_without_a_gap(engine: Engine) -> None:
    async def scenario() -> None:
        async def check(journal: Journal, uid: int) -> None:
            seen: list[bytes] = []
            while page := await journal.results(uid, len(seen), 7):
                assert len(page) <= 7
                seen += page
            assert seen == lines(0, 3_000)

        async with opened(engine) as journal:
            row = await new_stream(journal)
            for _ in range(30):
                await journal.append(row.uid, events(*range(100)), "received")
                await apply(journal)
            assert await journal.results(row.uid, 2_998, 10) == lines(2_998, 3_000)
            assert await journal.results(row.uid, 3_000, 10) == []
            await check(journal, row.uid)
        async with opened(engine) as journal:
            await check(journal, row.uid)

    run(scenario())


def test_results_wait_for_the_next_commit(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row, other = await new_stream(journal), await new_stream(journal, "other")
            waiting = asyncio.create_task(journal.results(row.uid, 0, 10, wait_seconds=20))
            ahead = asyncio.create_task(journal.results(row.uid, 2, 10, wait_seconds=20))
            await journal.append(other.uid, events(1), "received")
            await apply(journal)
            await journal.append(row.uid, events(1, 2), "received")
            await turns()
            assert not waiting.done()
            await apply(journal)
            assert await waiting == lines(0, 2)
            assert not ahead.done()
            await journal.append(row.uid, events(3), "received")
            await apply(journal)
            assert await ahead == lines(2, 3)
            assert await journal.results(row.uid, 3, 10, wait_seconds=0.01) == []

    run(scenario())


def test_waiting_for_results_ends_when_the_stream_is_deleted(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            waiting = asyncio.create_task(journal.results(row.uid, 0, 10, wait_seconds=20))
            await turns()
            await journal.delete_stream(row.uid)
            with pytest.raises(StreamNotFound):
                await waiting

    run(scenario())


def test_results_expire_and_the_refusal_names_the_oldest(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, results_kept=2_000) as journal:
            row = await new_stream(journal)
            for _ in range(50):
                await journal.append(row.uid, events(*range(100)), "received")
                await apply(journal)
            with pytest.raises(ResultsExpired) as refusal:
                await journal.results(row.uid, 0, 10)
            oldest = refusal.value.facts["oldest"]
            assert 2_500 <= oldest <= 3_001
            assert await journal.results(row.uid, oldest - 1, 2) == lines(oldest - 1, oldest + 1)
            with pytest.raises(ResultsExpired):
                await journal.results(row.uid, oldest - 2, 10)

    run(scenario())


def test_a_stream_set_forward_has_no_results_for_the_offsets_between(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            for offset in (1, 500, 501):
                (upto,) = await journal.append(row.uid, events(1), "received")
                results = [line(offset)] if offset != 500 else []
                work = Applied(row.uid, offset, "d", results, {})
                previous = await journal.committed(0)
                await journal.read(0, previous, 100)
                await journal.commit(0, previous, upto, [work], {})
            for after in (3, 499):
                with pytest.raises(ResultsExpired) as refusal:
                    await journal.results(row.uid, after, 10)
                assert refusal.value.facts["oldest"] == 501
            assert await journal.results(row.uid, 500, 10) == [line(501)]

    run(scenario())


# Snapshots, dead letters, retention


def test_the_two_newest_snapshots_of_commits_stay_and_all_kept_ones(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, clock=lambda: 44.0) as journal:
            row = await new_stream(journal)
            sent = await journal.put_snapshot(row.uid, b"sent", 7)
            for i in range(5):
                await journal.append(row.uid, events(i), "received")
                await apply(journal, snapshots=[NewSnapshot(b"state %d" % i, kept=i == 1)])
            found = await journal.snapshots(row.uid)
            blobs = [await journal.snapshot(row.uid, each.id) for each in found]
            assert blobs == [b"state 4", b"state 3", b"state 1", b"sent"]
            assert [each.offset for each in found] == [5, 4, 2, 7]
            assert [each.kept for each in found] == [False, False, True, True]
            assert (found[-1].id, found[-1].position) == (sent, -1)
            assert {(each.created_at, each.stream) for each in found} == {(44.0, row.uid)}
            assert [each.size_bytes for each in found] == [7, 7, 7, 4]
            at = await journal.committed(0)
            assert found[0].position == at
            assert await journal.latest_snapshot(row.uid) == (at, b"state 4")

    run(scenario())


def test_a_snapshot_is_found_under_its_own_stream_only(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            one, two = await new_stream(journal, "one"), await new_stream(journal, "two")
            snapshot = await journal.put_snapshot(one.uid, b"state", 0)
            assert await journal.snapshot(one.uid, snapshot) == b"state"
            assert await journal.latest_snapshot(one.uid) is None
            with pytest.raises(SnapshotNotFound, match=f"got {snapshot}"):
                await journal.snapshot(two.uid, snapshot)

    run(scenario())


def test_dead_letters_come_oldest_first(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1, 2, 3), "received")
            letters = [
                DeadLetter(row.uid, position, i, "raised", f"why {i}", b'{"x":{}}', 3.5)
                for i in range(3)
            ]
            await apply(journal, dead=letters)
            assert await journal.dead_letters(row.uid) == letters
            assert await journal.dead_letters(row.uid, limit=2) == letters[1:]

    run(scenario())


def test_passed_over_are_the_places_where_a_learner_raised(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row, other = await new_stream(journal), await new_stream(journal, "other")
            for uid in (row.uid, other.uid):
                (position,) = await journal.append(uid, events(1, 2, 3), "received")
                reasons: list[Literal["raised", "invalid"]] = ["raised", "invalid", "raised"]
                letters = [
                    DeadLetter(uid, position, i, reason, "why", b'{"x":{}}', 3.5)
                    for i, reason in enumerate(reasons)
                ]
                await apply(journal, dead=letters)
                if uid == row.uid:
                    place = position
            assert await journal.passed_over(row.uid, 0) == {(place, 0), (place, 2)}
            assert await journal.passed_over(row.uid, place) == set()

    run(scenario())


def test_trim_keeps_what_recovery_needs(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, log_kept_entries=0, log_kept_seconds=0.0) as journal:
            bare, row = await new_stream(journal, "bare"), await new_stream(journal)
            places = []
            for i in range(4):
                await journal.append(bare.uid, events(i), "received")
                places += await journal.append(row.uid, events(i), "received")
                if i < 3:
                    await apply(journal, snapshots=[NewSnapshot(b"s")] if i else [])
            # Snapshots stand after the second and the third round; the fourth is not applied.
            assert await journal.trim(now=1e12) == 4
            for uid, n in ((bare.uid, 2), (row.uid, 2)):
                assert len(await journal.history(uid, START, places[-1])) == n

    run(scenario())


def test_trim_takes_nothing_from_a_stream_without_a_snapshot(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, log_kept_entries=0, log_kept_seconds=0.0) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "received")
            await apply(journal)
            await journal.put_snapshot(row.uid, b"sent", 1)
            assert await journal.trim(now=1e12) == 0
            assert len(await journal.history(row.uid, START, position)) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("kept_entries", "kept_seconds", "left"),
    [(1_000, 30 * DAY, 10), (30, 30 * DAY, 3), (1_000, 4.5 * DAY, 5), (30, 4.5 * DAY, 3)],
)
def test_trim_keeps_the_log_for_its_retention(
    engine: Engine, kept_entries: int, kept_seconds: float, left: int
) -> None:
    async def scenario() -> None:
        days = iter(range(1_000))
        settings = {"log_kept_entries": kept_entries, "log_kept_seconds": kept_seconds}
        now = 0.0
        async with opened(engine, clock=lambda: now, **settings) as journal:
            row = await new_stream(journal)
            for _ in range(10):
                now = next(days) * DAY
                await journal.append(row.uid, events(*range(10)), "received")
            await apply(journal, snapshots=[NewSnapshot(b"a"), NewSnapshot(b"b")])
            assert await journal.trim(now) == 10 - left
            assert len(await journal.history(row.uid, START, ANY)) == left
            assert await journal.trim(now) == 0

    run(scenario())


def test_trim_takes_long_logs_whole(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, log_kept_entries=0, log_kept_seconds=0.0) as journal:
            row = await new_stream(journal)
            for _ in range(2_500):
                await journal.append(row.uid, events(1), "received")
            while await apply(journal):
                pass
            await apply(journal, snapshots=[NewSnapshot(b"a"), NewSnapshot(b"b")])
            assert await journal.trim(now=1e12) == 2_500

    run(scenario())


def test_a_closed_journal_lets_go_of_who_waits(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "applied")
            waiting = [
                asyncio.create_task(journal.replies(row.uid, position)),
                asyncio.create_task(journal.results(row.uid, 0, 1, wait_seconds=20)),
                asyncio.create_task(journal.read(0, position, 1)),
            ]
            await turns()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [getattr(outcome, "status", None) for outcome in outcomes] == [503] * 3

    run(scenario())


# From another store


async def with_a_past(journal: Journal) -> StreamRow:
    """Make a stream of six entries and as many results, with snapshots after some."""
    row = await new_stream(journal)
    for value in range(6):
        await journal.append(row.uid, events(value), "received")
        await apply(journal, snapshots=[NewSnapshot(b"a%d" % value)] if value in (2, 3) else ())
    await journal.put_snapshot(row.uid, b"sent", 3)
    return row


def test_a_stream_is_adopted_whole(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, results_kept=4) as journal:
            row = await with_a_past(journal)
            moved = await moved_of(journal, row)
            letters = [
                DeadLetter(row.uid, moved.records[-2].position, 0, "raised", "why", b"{}", 5.0),
                DeadLetter(row.uid, 1, 0, "late", "before the log", b"{}", 6.0),
            ]
            status = {"learning": "paused", "held_after": moved.records[-2].position}
            command = Command(command="restore", snapshot=moved.snapshots[0][0].id)
            gone = Command(command="restore", snapshot=10**9)
            at = moved.records[-1].position
            records = [*moved.records, Record(at + 5, 0, 7.5, [command, gone])]
            stands = replace(row, name="other", status=status, version=3)
            given = replace(moved, row=stands, records=records, dead=letters)
            other = await journal.adopt(given)
            assert other is not None
            assert await journal.adopt(given) is None  # The name is taken.
            assert other.uid != row.uid
            assert (other.offset, other.digest, other.version) == (6, "d6", 3)
            assert await journal.look_up("other") == other
            assert (other.created_at, other.first_spec) == (row.created_at, row.first_spec)

            found = await journal.history(other.uid, START, ANY)
            assert [each.received_at for each in found] == [each.received_at for each in records]
            assert [each.entries for each in found[:-1]] == [each.entries for each in records[:-1]]
            assert other.held_after == found[-3].position
            snapshots = await journal.snapshots(other.uid)
            assert [each.kept for each in snapshots] == [True, False, False]
            restored, lost = found[-1].entries
            assert isinstance(restored, Command)
            assert restored.snapshot == snapshots[-1].id
            assert isinstance(lost, Command)
            assert lost.snapshot == 0
            latest = await journal.latest_snapshot(other.uid)
            assert latest == (found[0].position, b"a3")
            assert snapshots[-1].position < found[0].position
            assert await journal.entries_after(other.uid, START) == (5, False)
            assert await journal.results(other.uid, 2, 10) == lines(2, 6)
            raised = await journal.passed_over(other.uid, START)
            assert raised == {(found[-3].position, 0)}
            told = [(each.reason, each.position) for each in await journal.dead_letters(other.uid)]
            assert told == [("raised", found[-3].position), ("late", START)]

            # It is behind all that is applied, and goes on before what comes.
            assert journal.depth() == 0
            assert await apply(journal) == []
            (position,) = await journal.append(other.uid, events(9), "logged")
            assert position > found[-1].position
            assert [each.position for each in await apply(journal)] == [position]
            assert await journal.trim(now=1e12) <= 6
            assert len(await journal.history(other.uid, found[0].position, ANY)) == 4
            with pytest.raises(ResultsExpired):
                await journal.results(other.uid, 1, 10)
        async with opened(engine) as journal:
            assert (await journal.look_up("other")).offset == 7
            assert await journal.results(other.uid, 3, 10) == lines(3, 7)

    run(scenario())


def test_results_move_as_far_back_as_they_are_kept(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine, results_kept=4) as journal:
            row = await with_a_past(journal)
        async with opened(engine) as journal:
            moved = await moved_of(journal, await journal.look_up(row.name))
            assert moved.results == lines(2, 6)

    run(scenario())


def test_nothing_is_adopted_while_entries_wait(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            moved = await moved_of(journal, row)
            other = replace(moved, row=replace(row, name="other"))
            await journal.append(row.uid, events(1, 2), "logged")
            with pytest.raises(Stale, match="got 2 entries that wait"):
                await journal.adopt(other)
            assert [each.name for each in journal.streams()] == ["taxi"]
            await apply(journal)
            assert await journal.adopt(other) is not None

    run(scenario())


def test_passed_over_entries_are_told_though_their_letters_are_gone(engine: Engine) -> None:
    async def scenario() -> None:
        async with opened(engine) as journal:
            row = await new_stream(journal)
            (at,) = await journal.append(row.uid, events(1, 2), "logged")
            letter = DeadLetter(row.uid, at, 1, "raised", "why", b"{}", 5.0)
            await apply(journal, dead=[letter])
            assert (await moved_of(journal, row)).dead == [letter]

            async def none(uid: int, limit: int = 0) -> list[DeadLetter]:
                return []

            journal.dead_letters = none  # type: ignore[method-assign]
            (told,) = (await moved_of(journal, row)).dead
            assert (told.position, told.index, told.reason) == (at, 1, "raised")
            assert told.entry == encode_entry(events(2)[0])

    run(scenario())
