"""Guards of the scripts that no ordinary course of things comes to: each is held to here alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.errors import JournalUnavailable, Phantom, QueueFull, StreamNotFound
from service.journal.base import START, NewSnapshot
from service.journal.redis import RedisJournal
from service.tasks import end
from tests import valkey
from tests.service.test_journal import apply, events, lines, new_stream, run, said
from tests.service.test_redis import opened, soon, taken

FAR = 9_000_000_000_000_000
"""Microseconds that the server's clock will not come to."""


@pytest.fixture
def server(shared: valkey.Server) -> valkey.Server:
    shared.ask("FLUSHALL")
    return shared


@asynccontextmanager
async def deaf(url: str, **settings: Any) -> AsyncIterator[RedisJournal]:
    """Open a journal that hears nothing of what others do."""
    async with opened(url, **settings) as journal:
        await end(journal._tasks)
        yield journal


# The lease


def test_a_former_owner_cannot_give_up_what_another_has(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, lease_seconds=0.2) as one, opened(server.url) as two:
            assert await one.acquire(0)
            await taken(two, 0)
            await one.release(0)
            async with opened(server.url) as three:
                assert await three.acquire(0) is None
            assert await two.renew() == []

    run(scenario())


def test_a_worker_that_says_nothing_is_not_there(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, lease_seconds=0.1) as one, opened(server.url) as two:
            await one.present()
            async with asyncio.timeout(10):
                while await two.present() != [two.name]:  # noqa: ASYNC110 (time passes elsewhere)
                    await asyncio.sleep(0.02)

    run(scenario())


def test_to_leave_a_snapshot_is_no_progress(server: valkey.Server) -> None:
    """Else a worker that dies of its first event would never be one of two in a row."""

    async def scenario() -> None:
        async with (
            opened(server.url, lease_seconds=0.2) as one,
            opened(server.url, lease_seconds=0.2) as two,
        ):
            assert await one.acquire(0)
            await new_stream(one)
            await taken(two, 0)
            await two.look_up("taxi")
            await apply(two, snapshots=[NewSnapshot(b"state")])
            await taken(one, 0)
            assert one.deaths(0) == 2

    run(scenario())


# The log


def test_a_position_is_above_the_last_whatever_the_clock_says(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            row = await new_stream(journal)
            server.ask("HSET", "synaptide:{0}:head", "last", FAR)
            assert await journal.append(row.uid, events(*range(65)), "logged") == [FAR + 1, FAR + 2]

    run(scenario())


def test_a_uid_is_above_the_last_whatever_the_clock_says(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            first = await new_stream(journal)
            server.ask("HSET", "synaptide:{0}:head", "serial", first.uid + 10**9)
            assert (await new_stream(journal, "bus")).uid == first.uid + 10**9 + 1

    run(scenario())


def test_a_commit_that_goes_back_is_a_phantom(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            (first,) = await journal.append(row.uid, events(1), "logged")
            await apply(journal)
            (second,) = await journal.append(row.uid, events(2), "logged")
            await apply(journal)
            with pytest.raises(Phantom, match="no record there"):
                await journal.commit(0, second, first, [], {})

    run(scenario())


def test_what_a_stream_with_a_snapshot_waits_for_is_not_trimmed(server: valkey.Server) -> None:
    async def scenario() -> None:
        settings: dict[str, Any] = {"log_kept_entries": 0, "log_kept_seconds": 0.0}
        async with opened(server.url, **settings) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            for _ in range(3):
                await journal.append(row.uid, events(1), "logged")
                await apply(journal, snapshots=[NewSnapshot(b"state")])
            await journal.append(row.uid, events(1), "logged")
            # The older of the two newest snapshots may yet be needed, once there is more to come.
            assert await journal.trim(now=1e12) == 2
            await apply(journal)
            assert await journal.trim(now=1e12) == 0

    run(scenario())


def test_snapshots_outlive_the_time_a_commit_may_take(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "logged")
            await apply(journal, snapshots=[NewSnapshot(b"state")])
            await journal.put_snapshot(row.uid, b"sent", 1)
            blobs = [key for key in server.ask("KEYS", "*") if server.ask("TYPE", key) == b"string"]
            assert sorted(server.ask("GET", key) for key in blobs) == [b"sent", b"state"]
            assert [server.ask("TTL", key) for key in blobs] == [-1, -1]

    run(scenario())


# Streams that another process deleted, unheard


def test_a_stream_deleted_elsewhere_takes_nothing_more(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with deaf(server.url) as late, opened(server.url) as other:
            row = await new_stream(late)
            await late.append(row.uid, events(1), "logged")
            assert await late.acquire(0)
            (record,) = await late.read(0, START, 10)
            work = said(late, row.uid, 1, [NewSnapshot(b"state")])
            await other.look_up("taxi")
            await other.delete_stream(row.uid)
            with pytest.raises(StreamNotFound):
                await late.append(row.uid, events(2), "logged")
            with pytest.raises(StreamNotFound):
                await late.put_snapshot(row.uid, b"sent", 1)
            await late.commit(0, START, record.position, [work], {})
            kept = [key for key in server.ask("KEYS", "*") if b"%d" % row.uid in key]
            assert all(server.ask("TTL", key) > 0 for key in kept)  # A snapshot, for an hour.
            assert int(server.ask("HGET", "synaptide:{0}:head", "depth")) == 0
            with pytest.raises(StreamNotFound):
                await late.delete_stream(row.uid)
            assert int(server.ask("HGET", "synaptide:{0}:head", "depth")) == 0

    run(scenario())


def test_a_stream_made_elsewhere_is_not_made_again(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with deaf(server.url) as late, opened(server.url) as other:
            row = await new_stream(other)
            found, made = await late.create_stream("taxi", b"{}")
            assert (found.uid, made) == (row.uid, False)

    run(scenario())


# What a process reads may be gone


def test_another_history_makes_what_was_read_doubtful(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover that closed no connection: an address that leads elsewhere."""
    monkeypatch.setattr("service.journal.redis_watch.PULSE_SECONDS", 0.01)

    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "logged")
            await journal.read(0, START, 10)
            journal._watch.history = "another"
            await soon(lambda: journal._partitions[0].in_doubt)
            with pytest.raises(JournalUnavailable, match="begin again"):
                await journal.commit(0, START, position, [said(journal, row.uid, 1)], {})
            assert len(await apply(journal)) == 1
            assert await journal.results(row.uid, 0, 10) == lines(0, 1)

    run(scenario())


def test_those_who_wait_for_a_record_that_is_another_now_are_told(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.redis_watch.OVERDUE_SECONDS", 0.0)
    monkeypatch.setattr("service.journal.redis_watch.PULSE_SECONDS", 0.01)

    async def scenario() -> None:
        async with opened(server.url) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "applied")
            key, entry = "synaptide:{0}:log", f"{position}-0"
            ((_, fields),) = server.ask("XRANGE", key, "-", "+")
            fields[b"x"] = b"another"
            server.ask("DEL", key)
            server.ask("XADD", key, entry, *[part for pair in fields.items() for part in pair])
            with pytest.raises(JournalUnavailable, match="lost"):
                await journal.replies(row.uid, position)

    run(scenario())


def test_those_whose_replies_went_by_unheard_are_told(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.redis_watch.OVERDUE_SECONDS", 0.0)
    monkeypatch.setattr("service.journal.redis_watch.PULSE_SECONDS", 0.01)

    async def scenario() -> None:
        async with opened(server.url, follows_results=False) as api, opened(server.url) as worker:
            row = await new_stream(api)
            (position,) = await api.append(row.uid, events(1), "applied")
            waiting = asyncio.create_task(api.replies(row.uid, position))
            await worker.look_up("taxi")
            assert await worker.acquire(0)
            await apply(worker)
            with pytest.raises(JournalUnavailable, match="unheard"):
                await waiting

    run(scenario())


def test_a_commit_that_was_not_heard_of_is_looked_for(server: valkey.Server) -> None:
    """The one after it tells where it began, which is farther on than was heard of."""
    key = "synaptide:{0}:out"

    async def scenario() -> None:
        async with deaf(server.url) as api, opened(server.url) as worker:
            assert await worker.acquire(0)
            for name in ("bus", "taxi"):
                row = await new_stream(worker, name)
                await api.look_up(name)
                await worker.append(row.uid, events(1), "logged")
                await apply(worker)
            feed = api._feeds[0]
            await feed._take(key, server.ask("XREVRANGE", key, "+", "-", "COUNT", 1))
            assert [api.stream(name).offset for name in ("bus", "taxi")] == [0, 1]
            following = asyncio.create_task(feed.run())
            await soon(lambda: api.stream("bus").offset == 1)
            await end([following])

    run(scenario())


def test_events_are_refused_while_there_is_memory_for_commits(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.redis_watch.PULSE_SECONDS", 0.01)

    async def scenario() -> None:
        async with opened(server.url) as journal:
            row = await new_stream(journal)
            server.ask("SET", "ballast", bytes(16 << 20))
            used = server.ask("INFO", "memory")["used_memory"]
            server.ask("CONFIG", "SET", "maxmemory", used * 5 // 4)
            try:
                await soon(lambda: journal._sender.full)
                with pytest.raises(QueueFull, match="at most 70%"):
                    await journal.append(row.uid, events(1), "logged")
            finally:
                server.ask("CONFIG", "SET", "maxmemory", 0)
            await soon(lambda: not journal._sender.full)
            await journal.append(row.uid, events(1), "logged")

    run(scenario())
