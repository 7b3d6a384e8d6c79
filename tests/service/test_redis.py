"""What the shared engine promises beyond every journal: several processes, one store."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.errors import (
    Fenced,
    InvalidInput,
    JournalUnavailable,
    Phantom,
    QueueFull,
    SettingsError,
    Stale,
    StreamNotFound,
)
from service.formats import FORMAT, OLDEST
from service.journal.base import START, Applied, Moved, NewSnapshot, StreamRow
from service.journal.redis import RedisJournal
from service.journal.redis_adopt import Adoption
from service.journal.redis_check import examine
from service.journal.redis_keys import partition_of
from service.journal.redis_news import decode, encode
from service.journal.redis_server import Server
from service.moving import moved_of
from tests import valkey
from tests.acceptance.hesitant import without_guards
from tests.service.test_journal import apply, events, line, lines, new_stream, run, said


@pytest.fixture
def server(shared: valkey.Server) -> valkey.Server:
    shared.ask("FLUSHALL")
    return shared


@asynccontextmanager
async def opened(url: str, partitions: int = 1, **settings: Any) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(url, partitions=partitions, **settings)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def soon(condition: Any, seconds: float = 10.0) -> None:
    """Wait until something holds that another process brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (another process sets no event)
            await asyncio.sleep(0.005)


async def taken(journal: RedisJournal, partition: int) -> None:
    """Take a partition as soon as it is free."""
    async with asyncio.timeout(10):
        while await journal.acquire(partition) is None:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.02)


# Ownership


def test_a_partition_has_one_owner_and_each_new_one_a_higher_epoch(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as one, opened(server.url) as two:
            assert (await one.acquire(0), await two.acquire(0)) == (1, None)
            assert await one.acquire(0) == 1
            assert (dict(one.owned), dict(two.owned)) == ({0: 1}, {})
            await one.release(0)
            assert await two.acquire(0) == 2
            assert await one.renew() == []
            assert sorted([await one.present(), await two.present()][1]) == sorted(
                [one.name, two.name]
            )
            await one.leave()
            assert await two.present() == [two.name]

    run(scenario())


def test_a_lease_that_is_not_renewed_ends_and_the_former_owner_is_fenced(
    server: valkey.Server,
) -> None:
    async def scenario() -> None:
        async with opened(server.url, lease_seconds=0.3) as one, opened(server.url) as two:
            assert await one.acquire(0)
            row = await new_stream(one)
            (first,) = await two.append((await two.look_up("taxi")).uid, events(1), "received")
            records = await one.read(0, START, 10)
            assert [record.position for record in records] == [first]
            await taken(two, 0)
            with pytest.raises(Fenced, match="at 2"):
                await one.commit(0, START, first, [said(one, row.uid, 1)], {})
            assert one.owned == {}
            assert one.stream("taxi").offset == 0
            assert len(await apply(two)) == 1
            with pytest.raises(Fenced):  # Even of what it was right about.
                await one.commit(0, first, first, [said(one, row.uid, 0)], {})

    run(scenario())


def test_an_owner_that_lost_its_lease_hears_of_it_when_it_renews(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, 2, lease_seconds=0.2) as one, opened(server.url, 2) as two:
            assert await one.acquire(0)
            assert await one.acquire(1)
            await taken(two, 1)
            assert await one.renew() == [1]
            assert list(one.owned) == [0]

    run(scenario())


def test_a_new_owner_knows_what_waits_of_a_stream_and_tries_it_anew(server: valkey.Server) -> None:
    async def scenario() -> None:
        settings = {"follows_results": False}  # As a worker does.
        async with opened(server.url, **settings) as one, opened(server.url, **settings) as two:
            row = await new_stream(one)
            assert await one.acquire(0)
            assert await one.append(row.uid, events(2), "received")
            await apply(one)
            two.hold((await two.look_up("taxi")).uid, "it cannot be read")
            (held,) = await one.append(row.uid, events(1), "received")
            at = await one.committed(0)
            await one.read(0, at, 10)
            waits = replace(said(one, row.uid, 0), status={"held_after": at})
            one.hold(row.uid, "it cannot be read")
            await one.commit(0, at, held, [waits], {})
            await one.release(0)
            assert await two.acquire(0)
            known = two.stream("taxi")
            assert (known.held_after, known.unreadable, two.held_count()) == (at, "", 0)

    run(scenario())


def test_a_partition_whose_streams_could_not_be_read_is_not_kept(server: valkey.Server) -> None:
    """Whoever takes it does not learn that it did, so nobody would apply it."""

    async def scenario() -> None:
        async with opened(server.url, lease_seconds=60) as one, opened(server.url) as two:
            server.ask("SET", "synaptide:{0}:names", "nonsense")
            with pytest.raises(JournalUnavailable, match="hvals"):
                await one.acquire(0)
            server.ask("DEL", "synaptide:{0}:names")
            taking = asyncio.create_task(taken(two, 0))
            while not taking.done():
                assert await one.renew() == []
                await asyncio.sleep(0.05)
            await taking
            assert (one.owned, two.owned) == ({}, {0: 2})
            assert two.deaths(0) == 0  # Nobody died, and nobody had to wait.

    run(scenario())


def test_a_stream_is_adopted_by_the_owner_of_its_partition_alone(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, lease_seconds=0.2) as one, opened(server.url) as two:
            row = await new_stream(one)
            other = replace(await moved_of(one, row), row=replace(row, name="other"))
            assert await one.acquire(0)
            with pytest.raises(Fenced, match="another process"):
                await two.adopt(other)
            await taken(two, 0)
            with pytest.raises(Fenced, match="which is at 2"):
                await one.adopt(other)
            made = await two.adopt(other)
            assert made is not None
            assert (await one.look_up("other")).uid == made.uid
            # Its snapshots may be of this build's format, whatever was needed so far.
            assert two.needed(0) == FORMAT
            assert server.ask("HGET", "synaptide:{0}:head", "format") == str(FORMAT).encode()

    run(scenario())


def test_a_stream_that_is_deleted_while_its_partition_is_taken_is_no_obstacle(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with opened(server.url) as one, opened(server.url) as two:
            rows = [await new_stream(one, name) for name in ("kept", "gone")]
            call = Server.call

            async def delete_first(self: Server, name: str, *arguments: Any) -> Any:
                if name == "HGET":  # Asked for while a partition is being taken.
                    monkeypatch.setattr(Server, "call", call)
                    await one.delete_stream(rows[1].uid)
                    await soon(lambda: len(two.streams()) == 1)
                return await call(self, name, *arguments)

            monkeypatch.setattr(Server, "call", delete_first)
            assert await two.acquire(0) == 1
            assert [row.name for row in two.streams()] == ["kept"]
            assert Server.call is call

    run(scenario())


def test_what_was_staged_is_gone_or_whole(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "received")
            await apply(journal, snapshots=[NewSnapshot(b"a")])
            other = replace(await moved_of(journal, row), row=replace(row, name="other"))
            with monkeypatch.context() as patch:
                patch.setattr(journal._leases, "token", lambda partition: ("nobody", 1))
                with pytest.raises(Fenced):
                    await journal.adopt(other)
            staged = [key for key in server.ask("KEYS", "*") if server.ask("TTL", key) >= 0]
            assert len(staged) == 2  # Results and a snapshot; records go as a deleted stream's do.
            server.ask("DEL", *staged)
            assert await apply(journal) == []
            keys = set(server.ask("KEYS", "*"))
            made = await journal.adopt(other)
            assert made is not None
            assert all(server.ask("TTL", key) == -1 for key in server.ask("KEYS", "*"))
            assert len(set(server.ask("KEYS", "*")) - keys) == 4
            assert await journal.results(made.uid, 0, 9) == lines(0, 1)

    run(scenario())


def test_what_changes_while_a_stream_is_staged_is_noticed(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Adoption._stage_lines

    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "received")
            await apply(journal)
            moved = await moved_of(journal, row)

            async def lost(self: Adoption, uid: int, here: Moved) -> list[str]:
                kinds = await stage(self, uid, here)
                server.ask("DEL", self.keys.results(uid))
                return kinds

            async def made(self: Adoption, uid: int, here: Moved) -> list[str]:
                await new_stream(journal, here.row.name)
                return await stage(self, uid, here)

            async def busy(self: Adoption, uid: int, here: Moved) -> list[str]:
                await journal.append(row.uid, events(1), "received")
                return await stage(self, uid, here)

            async def attempt(name: str, meanwhile: Any) -> StreamRow | None:
                monkeypatch.setattr(Adoption, "_stage_lines", meanwhile)
                return await journal.adopt(replace(moved, row=replace(row, name=name)))

            with pytest.raises(Phantom, match="got nothing"):
                await attempt("lost", lost)
            assert await attempt("made", made) is None
            with pytest.raises(Stale, match="got 1 entries that wait"):
                await attempt("busy", busy)
            assert [each.name for each in journal.streams()] == ["made", "taxi"]
            # What was staged in vain is passed over.
            (record,) = await apply(journal)
            assert record.stream == row.uid
            assert int(server.ask("HGET", "synaptide:{0}:head", "bytes")) == 0

    run(scenario())


def test_owners_that_die_in_a_row_are_counted_until_a_commit(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with (
            opened(server.url, lease_seconds=0.2) as one,
            opened(server.url, lease_seconds=0.2) as two,
        ):
            assert await one.acquire(0)
            assert one.deaths(0) == 0
            await taken(two, 0)
            assert two.deaths(0) == 1
            await taken(one, 0)
            assert one.deaths(0) == 2
            row = await new_stream(one)
            (position,) = await one.append(row.uid, events(1), "received")
            await one.mark(0, (position, 0))
            await apply(one)
            await taken(two, 0)
            assert two.deaths(0) == 1  # The note went with the commit.
            await two.release(0)
            await taken(one, 0)
            assert one.deaths(0) == 0

    run(scenario())


def test_a_note_of_an_entry_tells_how_many_died_on_it(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with (
            opened(server.url, lease_seconds=0.2) as one,
            opened(server.url, lease_seconds=0.2) as two,
            opened(server.url, lease_seconds=0.2) as three,
        ):
            assert await one.acquire(0)
            assert await one.mark(0, (5, 0)) == 0
            await taken(two, 0)
            assert two.deaths(0) == 2  # A note alone is reason enough to take care.
            with pytest.raises(Fenced):
                await one.mark(0, (5, 0))
            assert await two.mark(0, (4, 9)) == 0
            assert await two.mark(0, (5, 0)) == 1
            await taken(three, 0)
            assert await three.mark(0, (4, 9)) == 0
            assert await three.mark(0, (5, 1)) == 0
            assert await three.mark(0, (5, 0)) == 2
            row = await new_stream(three)
            await three.append(row.uid, events(1), "received")
            await apply(three)
            assert await three.mark(0, (5, 0)) == 0
            await taken(two, 0)
            assert await two.mark(0, (5, 0)) == 1  # Who died before is not counted.

    run(scenario())


def test_an_owner_that_stood_still_did_not_die(server: valkey.Server) -> None:
    """Else an event would be set aside, and its stream be in quarantine, for nothing."""

    async def scenario() -> None:
        async with (
            opened(server.url, lease_seconds=0.3) as one,
            opened(server.url, lease_seconds=0.3) as two,
            opened(server.url, lease_seconds=1.0) as three,
        ):
            for owner in (one, two):
                await taken(owner, 0)
                await owner.mark(0, (5, 0))
            await taken(three, 0)
            assert await three.mark(0, (5, 0)) == 2
            assert await two.renew() == [0]  # It is awake again.
            assert await three.mark(0, (5, 0)) == 1
            with pytest.raises(Fenced):
                await one.mark(0, (5, 0))  # So is this one, which hears of it in another way.
            assert await one.acquire(0) is None
            assert await one.renew() == []
            assert await three.mark(0, (5, 0)) == 0
            await taken(one, 0)
            assert await one.mark(0, (5, 0)) == 1  # Three alone: itself it knows to be alive.
            assert one.deaths(0) == 3
            one._leases.lose(0)
            await taken(one, 0)
            assert one.deaths(0) == 3  # It is the same process as before.

    run(scenario())


def test_an_owner_that_takes_again_what_it_lost_did_not_die(server: valkey.Server) -> None:
    """Also if it had no time to say so."""

    async def scenario() -> None:
        async with (
            opened(server.url, lease_seconds=0.3) as one,
            opened(server.url, lease_seconds=0.3) as two,
        ):
            for owner in (one, two):
                await taken(owner, 0)
                await owner.mark(0, (5, 0))
            with pytest.raises(Fenced):
                await one.mark(0, (5, 0))
            await taken(one, 0)
            assert await one.mark(0, (5, 0)) == 1  # The other, which is gone.

    run(scenario())


# What a commit is compared with


def test_a_commit_of_records_that_a_failover_took_is_a_phantom(server: valkey.Server) -> None:
    """The log is put back to an older state behind the worker's back, and goes on from there."""

    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "received")
            await journal.read(0, START, 10)
            key, entry = "synaptide:{0}:log", f"{position}-0"
            ((_, fields),) = server.ask("XRANGE", key, "-", "+")
            flat = [part for pair in fields.items() for part in pair]
            server.ask("XDEL", key, entry)
            with pytest.raises(Phantom, match="no record"):
                await journal.commit(0, START, position, [said(journal, row.uid, 1)], {})
            server.ask("DEL", key)
            flat[flat.index(b"x") + 1] = b"another"
            server.ask("XADD", key, entry, *flat)
            with pytest.raises(Phantom, match="another record"):
                await journal.commit(0, START, position, [said(journal, row.uid, 1)], {})
            assert await journal.committed(0) == START
            assert len(await apply(journal)) == 1

    run(scenario())


def test_a_commit_that_does_not_cover_what_lies_between_is_a_phantom(
    server: valkey.Server,
) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            for i in range(3):
                await journal.append(row.uid, events(i), "received")
            records = await journal.read(0, START, 10)
            await journal.committed(0)
            await journal.read(0, records[0].position, 10)
            work = [said(journal, row.uid, 2)]
            with pytest.raises(Phantom, match="other records before it"):
                await journal.commit(0, START, records[-1].position, work, {})

    run(scenario())


def test_a_commit_whose_snapshot_is_gone_is_a_phantom(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "received")
            monkeypatch.setattr("service.journal.redis_partition.blob_commands", lambda *_: [])
            with pytest.raises(Phantom, match="snapshot"):
                await apply(journal, snapshots=[NewSnapshot(b"state")])
            assert journal.stream("taxi").offset == 0

    run(scenario())


def test_a_result_is_not_taken_twice_whatever_a_commit_says(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1, 2), "received")
            await apply(journal)
            await journal.append(row.uid, events(3), "received")
            (record,) = await journal.read(0, await journal.committed(0), 10)
            again = Applied(row.uid, 2, "d2", [line(2)], {})
            previous = await journal.committed(0)
            await journal.read(0, previous, 10)
            with pytest.raises(Stale, match="offset 2"):
                await journal.commit(0, previous, record.position, [again], {})
            assert await journal.results(row.uid, 0, 10) == lines(0, 2)

    run(scenario())


def test_without_its_guards_a_journal_takes_what_it_must_refuse(server: valkey.Server) -> None:
    """Else the tests above would prove nothing."""

    async def scenario() -> None:
        async with opened(server.url, lease_seconds=0.2) as one, opened(server.url) as two:
            text = one._server._texts["commit"]
            one._server._texts["commit"] = without_guards(text)
            await one._server._load()
            assert await one.acquire(0)
            row = await new_stream(one)
            (first,) = await one.append(row.uid, events(1), "received")
            await one.read(0, START, 10)
            await taken(two, 0)
            await one.append(row.uid, events(2), "received")
            await two.look_up("taxi")
            await apply(two)
            assert (await two.look_up("taxi")).offset == 2
            zombie = Applied(row.uid, 1, "d1", [], {})
            # The server takes no entry of the feed twice, but a script that fails is not undone.
            with pytest.raises(JournalUnavailable, match="equal or smaller"):
                await one.commit(0, START, first, [zombie], {})
            stands = server.ask("HGET", f"synaptide:{{0}}:stream:{row.uid}", "offset")
            assert stands == b"1"  # An update is undone.

    run(scenario())


# Several processes


def test_what_one_process_does_all_others_see(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, 4) as api, opened(server.url, 4) as worker:
            row, made = await api.create_stream("taxi", b"{}")
            assert made
            assert (await worker.look_up("taxi")).uid == row.uid
            await soon(lambda: worker.stream_count() == 1)
            partition = worker.partition_of(row.uid)
            assert partition == partition_of("taxi", 4)
            assert await worker.acquire(partition)
            (position,) = await api.append(row.uid, events(1, 2), "applied")
            waiting = asyncio.create_task(api.replies(row.uid, position))
            following = asyncio.create_task(api.results(row.uid, 0, 10, wait_seconds=20))
            (record,) = await worker.read(partition, START, 10)
            work = said(worker, row.uid, 2)
            work.spec = b"new"
            problem = b'{"status":422}'
            answers = {record.position: [line(1), problem]}
            await worker.commit(partition, START, record.position, [work], answers)
            assert await waiting == [line(1), problem]
            assert await following == lines(0, 2)
            assert api.stream("taxi") == worker.stream("taxi")
            assert (api.stream("taxi").spec, api.stream("taxi").version) == (b"new", 2)
            await worker.put_template("all", "*", b"{}")
            assert [each.name for each in await api.templates()] == ["all"]
            await api.delete_stream(row.uid)
            await soon(lambda: worker.stream_count() == 0)
            with pytest.raises(StreamNotFound):
                await worker.look_up("taxi")

    run(scenario())


@pytest.mark.parametrize("key", ["news", "out"])
def test_news_that_cannot_be_read_do_not_make_a_process_deaf(
    server: valkey.Server, key: str
) -> None:
    """As when another build writes them."""

    async def scenario() -> None:
        async with opened(server.url) as api, opened(server.url) as worker:
            assert await worker.acquire(0)
            row = await new_stream(worker)
            await soon(lambda: api.stream_by_uid(row.uid) is not None)
            for strange in ("made", "d"):
                server.ask("XADD", f"synaptide:{{0}}:{key}", "*", strange, "nonsense")
            await new_stream(worker, "another")
            await soon(lambda: api.stream_count() == 2)
            (position,) = await api.append(row.uid, events(1, 2), "applied")
            waiting = asyncio.create_task(api.replies(row.uid, position))
            await apply(worker)
            async with asyncio.timeout(10):
                assert await waiting == lines(0, 2)

    run(scenario())


def test_news_in_a_format_to_come_have_those_who_wait_ask_again(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(*said: Any) -> bytes:
        return encode(*said).replace(b"3\n", b"4\n", 1)

    async def scenario() -> None:
        async with opened(server.url) as api, opened(server.url) as worker:
            assert await worker.acquire(0)
            row = await new_stream(worker)
            await soon(lambda: api.stream_by_uid(row.uid) is not None)
            (position,) = await api.append(row.uid, events(1, 2), "applied")
            waiting = asyncio.create_task(api.replies(row.uid, position))
            await asyncio.sleep(0)
            monkeypatch.setattr("service.journal.redis_partition.encode", newer)
            begun = time.monotonic()
            await apply(worker)
            with pytest.raises(JournalUnavailable, match="another version's format"):
                await waiting
            assert time.monotonic() - begun < 4  # Not as long as for replies that are lost.
            await soon(lambda: api.stream("taxi").offset == 2)
            assert await api.results(row.uid, 0, 10) == lines(0, 2)
            monkeypatch.undo()
            (position,) = await api.append(row.uid, events(3), "applied")
            waiting = asyncio.create_task(api.replies(row.uid, position))
            await apply(worker)
            assert await waiting == lines(2, 3)

    run(scenario())


def test_a_partition_that_takes_a_format_to_read_says_so_while_it_is_owned(
    server: valkey.Server,
) -> None:
    async def scenario() -> None:
        async with opened(server.url) as one, opened(server.url) as two:
            assert one.needed(0) == two.needed(0) == OLDEST
            assert await one.acquire(0)
            await one.need(0, FORMAT)
            await two.need(0, OLDEST)  # It has no say.
            await one.release(0)
            assert await two.acquire(0)
            assert one.needed(0) == two.needed(0) == FORMAT

    run(scenario())


def test_a_new_owner_knows_how_its_streams_stand(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with (
            opened(server.url, follows_results=False) as one,
            opened(server.url, follows_results=False) as two,
        ):
            assert await one.acquire(0)
            row = await new_stream(one)
            await soon(lambda: two.stream_count() == 1)
            await one.append(row.uid, events(1, 2), "received")
            await apply(one)
            assert two.stream("taxi").offset == 0  # It has not asked to be told.
            await one.release(0)
            assert await two.acquire(0)
            assert two.stream("taxi") == one.stream("taxi")
            # What a failover takes is forgotten when it begins again.
            server.ask("HSET", f"synaptide:{{0}}:stream:{row.uid}", "offset", 1, "digest", "d1")
            await two.committed(0)
            assert (two.stream("taxi").offset, two.stream("taxi").digest) == (1, "d1")

    run(scenario())


def test_waiting_for_a_stream_ends_when_another_process_deletes_it(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as one, opened(server.url) as two:
            row = await new_stream(one)
            (position,) = await one.append(row.uid, events(1), "applied")
            waiting = asyncio.create_task(one.replies(row.uid, position))
            await two.look_up("taxi")
            await two.delete_stream(row.uid)
            with pytest.raises(StreamNotFound):
                await waiting
            assert await two.acquire(0)
            assert await two.read(0, START, 10, wait=False) == []

    run(scenario())


def test_a_follower_that_missed_news_looks_again(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as api, opened(server.url) as worker:
            assert await worker.acquire(0)
            row = await new_stream(api)
            await soon(lambda: worker.stream_count() == 1)
            feed = api._feeds[0]
            for i in range(3):
                await api.append(row.uid, events(i), "received")
                if i == 1:
                    feed._places["synaptide:{0}:out"] = "999999999999999999-0"
                await apply(worker)
            feed._places["synaptide:{0}:out"] = "0-0"
            server.ask("XTRIM", "synaptide:{0}:out", "MAXLEN", 1)
            await api.append(row.uid, events(4), "received")
            await apply(worker)
            await soon(lambda: api.stream("taxi").offset == 4)
            assert await api.results(row.uid, 0, 10) == lines(0, 4)

    run(scenario())


# A server that fails


def test_a_server_that_was_away_is_taken_up_again(tmp_path: Path) -> None:
    async def scenario(server: valkey.Server) -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(1), "logged")
            await apply(journal)
            reading = asyncio.create_task(journal.read(0, await journal.committed(0), 10))
            await asyncio.sleep(0)
            server.kill()
            with pytest.raises(JournalUnavailable):
                await journal.append(row.uid, events(2), "logged")
            with pytest.raises(JournalUnavailable):
                await reading
            server.start()
            # The scripts are gone with the old process; what was written is not.
            await journal.append(row.uid, events(2), "logged")
            await soon(lambda: journal.stream("taxi").offset == 1)
            with pytest.raises(JournalUnavailable, match="begin again"):
                await journal.read(0, START, 10)
            assert len(await apply(journal)) == 1
            assert await journal.results(row.uid, 0, 10) == lines(0, 2)

    with valkey.running(tmp_path / "valkey", "--appendfsync", "always") as server:
        run(scenario(server))


def test_those_who_wait_for_a_lost_record_are_told(
    server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.journal.redis_watch.OVERDUE_SECONDS", 0.0)

    async def scenario() -> None:
        async with opened(server.url) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "applied")
            server.ask("DEL", "synaptide:{0}:log")
            with pytest.raises(JournalUnavailable, match="lost"):
                await journal.replies(row.uid, position)

    run(scenario())


def test_a_full_memory_takes_no_events_but_commits(tmp_path: Path) -> None:
    async def scenario(server: valkey.Server) -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            await journal.append(row.uid, events(*range(64)), "received")
            server.ask("CONFIG", "SET", "maxmemory", 1_000_000)
            with pytest.raises(QueueFull, match="memory"):
                await journal.append(row.uid, events(2), "received")
            await apply(journal)
            assert journal.stream("taxi").offset == 64
            server.ask("CONFIG", "SET", "maxmemory", 0)
            await soon(lambda: not journal._sender.full)
            await journal.append(row.uid, events(3), "received")

    with valkey.running(tmp_path / "valkey") as server:
        run(scenario(server))


def test_a_partition_takes_no_more_bytes_than_it_may(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, max_queued_bytes=100) as journal:
            row = await new_stream(journal)
            await journal.append(row.uid, events(*range(20)), "received")  # The first is let in.
            with pytest.raises(QueueFull, match="100 bytes"):
                await journal.append(row.uid, events(1), "received")
            assert await journal.acquire(0)
            await apply(journal)
            await journal.append(row.uid, events(1), "received")

    run(scenario())


def test_replicated_is_refused_without_replicas(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            row = await new_stream(journal)
            with pytest.raises(JournalUnavailable, match="got 0"):
                await journal.append(row.uid, events(1), "replicated")

    run(scenario())


def test_replicated_is_acknowledged_once_a_replica_has_it(tmp_path: Path) -> None:
    async def scenario(url: str, replica: valkey.Server) -> None:
        async with opened(url) as journal:
            row = await new_stream(journal)
            (position,) = await journal.append(row.uid, events(1), "replicated")
            ((entry, _),) = replica.ask("XRANGE", "synaptide:{0}:log", "-", "+")
            assert entry == b"%d-0" % position
            replica.signal(signal.SIGSTOP)
            try:
                with pytest.raises(JournalUnavailable, match="got 0"):
                    await journal.append(row.uid, events(1), "replicated")
            finally:
                replica.signal(signal.SIGCONT)

    with valkey.running(tmp_path / "one", "--min-replicas-to-write", "1") as primary:
        options = ("--replicaof", "127.0.0.1", str(primary.port))
        with valkey.running(tmp_path / "two", *options) as replica:
            while primary.ask("WAIT", 1, 100) < 1:
                pass
            run(scenario(primary.url, replica))


# What a server must be


INFO = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "role": "master",
    "connected_slaves": 0,
    "aof_enabled": 1,
}


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ({"redis_version": "6.2.14"}, "version 6.2.14, expected 7.0"),
        ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru"),
        ({"role": "slave"}, "got a replica"),
        ({"connected_slaves": 1}, "min-replicas-to-write 0"),
    ],
)
def test_a_server_that_would_lose_what_it_is_given_is_refused(
    said: dict[str, Any], refusal: str
) -> None:
    examine(INFO)
    examine(INFO | {"connected_slaves": 1, "min_slaves_good_slaves": 1})
    with pytest.raises(SettingsError, match=refusal):
        examine(INFO | said)


def test_the_number_of_partitions_cannot_change(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url, 4):
            pass
        with pytest.raises(SettingsError, match="partitions 8, expected 4"):
            async with opened(server.url, 8):
                pass

    run(scenario())


@pytest.mark.parametrize("url", ["http://x", "redis", "redis://", "redis://127.0.0.1:1"])
def test_an_address_without_a_server_is_refused_in_a_sentence(url: str) -> None:
    async def scenario() -> None:
        with pytest.raises(SettingsError, match=r"^redis: got"):
            await RedisJournal(url).open()

    run(scenario())


def test_a_name_has_the_same_partition_on_every_machine() -> None:
    assert [partition_of(name, 64) for name in ("taxi", "bus", "é")] == [30, 28, 47]


def test_what_a_commit_tells_is_read_as_it_was_written() -> None:
    one = Applied(7, 3, "d3", lines(1, 3), {"learning": "learning"})
    two = Applied(8, 1, "d1", [b'{"other":1}'], {}, spec=b"{}")
    replies = [(b"t1", lines(1, 3)), (b"t2", [b'{"status":1}', b'{"other":1}']), (b"t3", [])]
    written = [encode(5, [one, two], {8: 4}, replies, form) for form in (OLDEST, FORMAT)]
    assert [each[:2] for each in written] == [b"[5", b"3\n"]
    assert decode(written[0]) == decode(written[1])
    previous, said_, answers = decode(written[1])
    assert previous == 5
    assert [(each.uid, each.offset, each.digest, each.results) for each in said_] == [
        (7, 3, "d3", lines(1, 3)),
        (8, 1, "d1", [b'{"other":1}']),
    ]
    assert [each.spec for each in said_] == [None, (b"{}", 4)]
    assert answers == dict(replies)


def test_commits_sent_after_one_that_failed_fail_too(server: valkey.Server) -> None:
    async def scenario() -> None:
        async with opened(server.url) as journal:
            assert await journal.acquire(0)
            row = await new_stream(journal)
            for i in range(3):
                await journal.append(row.uid, events(i), "received")
            records = await journal.read(0, START, 10)
            places = [START, *(record.position for record in records)]
            outcomes = await asyncio.gather(
                journal.commit(0, places[0], places[1], [said(journal, row.uid, 1)], {}),
                journal.commit(0, places[0], places[2], [said(journal, row.uid, 2)], {}),
                journal.commit(0, places[2], places[3], [said(journal, row.uid, 3)], {}),
                return_exceptions=True,
            )
            assert [type(each) for each in outcomes] == [type(None), Stale, Stale]

    run(scenario())


# A cluster


@contextmanager
def cluster(folder: Path, nodes: int = 3) -> Iterator[str]:
    """Run servers that share the slots; yield the address of the cluster."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(valkey.running(folder / str(i), "--cluster-enabled", "yes"))
            for i in range(nodes)
        ]
        for i, server in enumerate(servers):
            first, last = 16_384 * i // nodes, 16_384 * (i + 1) // nodes - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            server.ask("CLUSTER", "MEET", "127.0.0.1", servers[0].port, servers[0].bus_port)
        deadline = time.monotonic() + 30
        while any(_state(server) != ("ok", nodes) for server in servers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield servers[0].url.replace("redis://", "redis+cluster://")


def _state(server: valkey.Server) -> tuple[str, int]:
    said = dict(line.split(":") for line in server.ask("CLUSTER", "INFO").decode().split())
    return said["cluster_state"], int(said["cluster_known_nodes"])


def test_a_cluster_is_one_journal(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        async with opened(url, 8) as api, opened(url, 8) as worker:
            rows = [await new_stream(api, f"s{i}") for i in range(16)]
            await soon(lambda: worker.stream_count() == 16)
            placed = {}
            for row in rows:
                (placed[row.uid],) = await api.append(row.uid, events(1, 2), "applied")
            with pytest.raises(InvalidInput, match="cluster"):
                await api.append(rows[0].uid, events(1), "replicated")
            for partition in worker.partitions:
                assert await worker.acquire(partition)
                records = await worker.read(partition, START, 100, wait=False)
                if records:
                    work = [said(worker, record.stream, 2) for record in records]
                    answers = {record.position: lines(0, 2) for record in records}
                    await worker.commit(partition, START, records[-1].position, work, answers)
            for uid, position in placed.items():
                assert await api.replies(uid, position) == lines(0, 2)
                assert await api.results(uid, 0, 10) == lines(0, 2)
            assert await worker.renew() == []
            with pytest.raises(JournalUnavailable, match="no process applies"):
                await api.probe()
            assert await worker.present() == [worker.name]
            await api.probe()
            assert await worker.trim(0.0) == 0
            assert worker.depth() == 0
            await soon(lambda: api.depth() == 0)

            moved = await moved_of(worker, rows[0])
            adopted = await worker.adopt(replace(moved, row=replace(moved.row, name="adopted")))
            assert adopted is not None
            assert await worker.results(adopted.uid, 0, 10) == lines(0, 2)
            assert [len(each.entries) for each in await worker.history(adopted.uid, 0, 2**62)] == [
                2
            ]
            await soon(lambda: api.stream_count() == 17)

    with cluster(tmp_path) as url:
        run(scenario(url))
