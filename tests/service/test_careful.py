"""An event that ends the process each time it is stepped is set aside, and others go on."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.journal.base import Place
from service.journal.sqlite import SqliteJournal
from service.metrics import Metrics
from service.schemas import Event, StreamSpec
from service.settings import Settings
from service.stream import Stream
from service.turns import Turns
from service.worker import Worker

SPEC = {"learner": {"kind": "rolling_zscore", "window": 20}}
EVENTS = [Event(id=f"e{i}", x={"value": float(i % 7)}) for i in range(150)]
POISON = 70


class Haunted(SqliteJournal):
    """A journal two of whose owners died, each with a note of the same entry."""

    poison: Place = (0, 0)
    awake = False
    """Whether those who were taken for dead say that they are not, once they are waited for."""
    marks: list[Place] = []  # noqa: RUF012

    def deaths(self, partition: int) -> int:
        return 2

    async def mark(self, partition: int, place: Place) -> int:
        self.marks.append(place)
        is_first = self.marks.count(place) == 1
        return 2 if place == self.poison and (is_first or not self.awake) else 0


@pytest.mark.parametrize("awake", [False, True])
def test_the_entry_that_two_owners_died_on_is_not_stepped(tmp_path: Path, awake: bool) -> None:
    async def scenario() -> None:
        journal = Haunted(tmp_path)
        await journal.open()
        assert await journal.acquire(0)
        spec = StreamSpec.model_validate(SPEC)
        row, _ = await journal.create_stream("s", spec.to_json())
        positions = await journal.append(row.uid, EVENTS, "applied")
        journal.poison, journal.awake = (positions[1], POISON - 64), awake
        Haunted.marks.clear()
        settings = Settings(data_dir=tmp_path, lease_seconds=0.5)
        with ThreadPoolExecutor(1) as pool:
            worker = Worker(journal, 0, settings, Metrics(), pool, Turns())
            running = asyncio.create_task(worker.run())
            replies = [
                json.loads(line)
                for position in positions
                for line in await journal.replies(row.uid, position)
            ]
            await worker.stop()
            await running
        places = [
            (position, i)
            for position, n in zip(positions, (64, 64, 22), strict=True)
            for i in range(n)
        ]
        # Before it is set aside whoever may only have stood still is waited for.
        assert Haunted.marks == places[: POISON + 1] + places[64:]
        if awake:
            assert await journal.dead_letters(row.uid) == []
            assert [reply["offset"] for reply in replies] == list(range(1, len(EVENTS) + 1))
            await journal.close()
            return
        (letter,) = await journal.dead_letters(row.uid)
        assert (letter.reason, letter.position, letter.index) == ("raised", *journal.poison)
        assert "2 times" in letter.detail
        refused = [i for i, reply in enumerate(replies) if "status" in reply]
        assert refused == [POISON]
        assert replies[POISON]["code"] == "quarantined"
        assert await journal.passed_over(row.uid, 0) == {journal.poison}
        await journal.close()
        # All before it were learned from as by any worker.
        plain = Stream(spec)
        before = [json.loads(plain.step(event, time.time()).line) for event in EVENTS[:POISON]]
        assert [each["anomaly_score"] for each in before] == [
            each["anomaly_score"] for each in replies[:POISON]
        ]

    asyncio.run(scenario())
