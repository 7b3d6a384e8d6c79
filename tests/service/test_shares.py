"""Partitions shared out: who has which, and what happens when somebody comes or goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from service.errors import JournalUnavailable
from service.journal.base import Journal
from service.metrics import Metrics
from service.residents import Residents
from service.shares import Shares, share
from service.worker import Worker

PARTITIONS = range(64)


def test_everyone_works_out_the_same_shares_and_they_cover_everything() -> None:
    names = [f"worker-{i}" for i in range(5)]
    shares = {name: share(name, names[::-1], PARTITIONS) for name in names}
    assert sorted(each for taken in shares.values() for each in taken) == list(PARTITIONS)
    assert min(map(len, shares.values())) >= 5


def test_only_what_a_newcomer_takes_moves() -> None:
    names = ["a", "b", "c"]
    for name in names:
        before, after = share(name, names, PARTITIONS), share(name, [*names, "d"], PARTITIONS)
        assert after <= before
        assert before - after <= share("d", names, PARTITIONS)


def test_a_partition_goes_to_one_who_can_read_it_as_long_as_there_is_one() -> None:
    names = ["old", "new", "newer"]

    def able(partition: int, name: str) -> bool:
        return partition % 2 == 0 or name != "old"

    shares = {name: share(name, names, PARTITIONS, able) for name in names}
    assert sorted(each for taken in shares.values() for each in taken) == list(PARTITIONS)
    assert all(partition % 2 == 0 for partition in shares["old"])
    assert len(shares["old"]) >= 5
    assert share("old", ["old"], PARTITIONS, able) == set(PARTITIONS)


def test_one_who_is_not_listed_yet_counts_itself() -> None:
    assert share("a", [], PARTITIONS) == set(PARTITIONS)


class Store:
    """As much of a journal as sharing out looks at; one dictionary says who owns what."""

    def __init__(self, name: str, owners: dict[int, str], names: list[str]) -> None:
        self.name = name
        self.partitions = PARTITIONS
        self.owners, self.names = owners, names
        self.lost: list[int] = []
        self.fails = False
        self.formats: dict[str, int] = {}
        self.needs: dict[int, int] = {}

    def reads(self, name: str) -> int:
        return self.formats.get(name, 2)

    def needed(self, partition: int) -> int:
        return self.needs.get(partition, 2)

    async def present(self) -> list[str]:
        if self.fails:
            raise JournalUnavailable("away")
        return list(self.names)

    async def leave(self) -> None:
        self.names.remove(self.name)

    async def acquire(self, partition: int) -> int | None:
        owner = self.owners.setdefault(partition, self.name)
        return 1 if owner == self.name else None

    async def renew(self) -> list[int]:
        lost, self.lost = self.lost, []
        return lost

    async def release(self, partition: int) -> None:
        assert self.owners.pop(partition) == self.name


class Hand:
    """A worker that only notes what becomes of it."""

    def __init__(self, partition: int, log: list[str]) -> None:
        self.partition, self.log = partition, log
        self.healthy = True
        self.live = Residents(0)
        self.fenced = asyncio.Event()

    async def run(self) -> None:
        await self.fenced.wait()

    async def stop(self) -> None:
        self.log.append(f"stop {self.partition}")

    async def abandon(self) -> None:
        self.log.append(f"abandon {self.partition}")

    async def tidy(self) -> None:
        self.log.append(f"tidy {self.partition}")


class Place:
    """One process that shares."""

    def __init__(self, name: str, owners: dict[int, str], names: list[str]) -> None:
        names.append(name)
        self.store = Store(name, owners, names)
        self.log: list[str] = []
        self.hands: dict[int, Hand] = {}
        self.metrics = Metrics()
        make = cast(Callable[[int], Worker], self._make)
        # A lease of nothing is renewed at every look.
        self.shares = Shares(cast(Journal, self.store), make, self.metrics, 0.0, 6_400)

    def _make(self, partition: int) -> Hand:
        hand = self.hands[partition] = Hand(partition, self.log)
        return hand

    async def look(self) -> None:
        await self.shares.tick()
        await asyncio.sleep(0.001)  # What is given up is given up in a task of its own.

    def owns(self) -> set[int]:
        return {each for each, who in self.store.owners.items() if who == self.store.name}


def run(scenario: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())


def test_a_newcomer_gets_its_share_after_the_others_let_go() -> None:
    async def scenario() -> None:
        owners, names = dict[int, str](), list[str]()
        one = Place("one", owners, names)
        await one.look()
        assert one.owns() == set(PARTITIONS)
        assert {each.limit_bytes for each in one.shares.memories} == {100}
        two = Place("two", owners, names)
        await two.look()
        assert two.owns() == set()
        await one.look()
        await two.look()
        assert one.owns() | two.owns() == set(PARTITIONS)
        assert two.owns() == share("two", names, PARTITIONS)
        assert sorted(one.log) == sorted(f"stop {each}" for each in two.owns())
        assert len(one.shares.memories) == len(one.owns())
        await two.shares.stop()
        assert (two.owns(), names) == (set(), ["one"])
        await one.look()
        assert one.owns() == set(PARTITIONS)

    run(scenario)


def test_a_partition_is_given_to_one_who_can_read_it() -> None:
    async def scenario() -> None:
        owners, names = dict[int, str](), list[str]()
        old, new = Place("old", owners, names), Place("new", owners, names)
        written = sorted(share("old", names, PARTITIONS))[:3]
        for place in (old, new):
            place.store.formats = {"new": 3}
            place.store.needs = dict.fromkeys(written, 3)
        for place in (new, old, new):
            await place.look()
        assert new.owns() == share("new", names, PARTITIONS) | set(written)
        await new.shares.stop()
        await old.look()
        assert old.owns() == set(PARTITIONS)
        names.append("new")  # It is back, and what only it can read is given up for it.
        for place in (old, new):
            await place.look()
        assert new.owns() >= set(written)

    run(scenario)


def test_a_partition_that_was_lost_is_dropped_without_a_word() -> None:
    async def scenario() -> None:
        place = Place("one", {}, [])
        await place.look()
        place.store.owners[7] = "two"
        place.store.lost = [7]
        await place.look()
        assert place.log == ["abandon 7"]
        assert place.metrics.lease_losses._value.get() == 1
        assert len(place.shares.memories) == 63

    run(scenario)


def test_a_worker_whose_commit_was_refused_is_dropped_and_may_come_again() -> None:
    async def scenario() -> None:
        place = Place("one", {}, [])
        await place.look()
        place.hands[3].fenced.set()
        await asyncio.sleep(0.001)
        before = place.hands[3]
        await place.look()
        assert place.log == ["abandon 3"]
        assert place.hands[3] is not before  # It was free after all.

    run(scenario)


def test_health_is_that_of_the_journal_and_of_every_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.shares.TICK_SECONDS", 0.001)

    async def scenario() -> None:
        place = Place("one", {}, [])
        assert not place.shares.healthy()
        running = asyncio.create_task(place.shares.run())
        while not place.shares.healthy():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        place.hands[3].healthy = False
        assert not place.shares.healthy()
        place.hands[3].healthy = True
        place.store.fails = True
        while place.shares.healthy():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await place.shares.tidy()
        assert len(place.log) == 64

    run(scenario)
