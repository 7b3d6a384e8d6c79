"""More streams than fit in memory: the quiet ones go out, and come back as they were."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.journal.sqlite import SqliteJournal
from service.metrics import Metrics
from service.schemas import Event, parse_event, parse_spec
from service.settings import Settings
from service.stream import Stream
from service.turns import Turns
from service.worker import Worker

SPEC = parse_spec(b'{"learner":{"kind":"rolling_zscore","window":50,"min_samples":5}}')
EACH = Stream(SPEC).held_bytes()


def event(i: int, name: str) -> Event:
    line = {"id": f"{name}-{i}", "ts": 1e9 + i, "x": {"v": (i * 37 % 101) / 7}}
    return parse_event(json.dumps(line).encode())


@asynccontextmanager
async def working(folder: Path, streams_held: float) -> AsyncIterator[tuple[SqliteJournal, Worker]]:
    settings = Settings(data_dir=folder, max_learners_bytes=round(streams_held * EACH))
    journal = SqliteJournal(folder)
    await journal.open()
    with ThreadPoolExecutor(2) as pool:
        worker = Worker(journal, 0, settings, Metrics(), pool, Turns())
        running = asyncio.create_task(worker.run())
        try:
            yield journal, worker
        finally:
            await worker.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await journal.close()


async def applied(journal: SqliteJournal, uid: int, events: list[Event]) -> list[Any]:
    positions = await journal.append(uid, events, "applied")
    return [line for position in positions for line in await journal.replies(uid, position)]


@pytest.mark.parametrize("streams_held", [0.5, 3.5, 9.0])
def test_quiet_streams_go_out_and_come_back_the_same(tmp_path: Path, streams_held: float) -> None:
    names = [f"s{i}" for i in range(12)]
    plain = {name: Stream(SPEC) for name in names}
    rng = random.Random(4)

    async def run(rounds: int, begin: int) -> None:
        async with working(tmp_path, streams_held) as (journal, worker):
            uids = {n: (await journal.create_stream(n, SPEC.to_json()))[0].uid for n in names}
            most = 0
            for i in range(begin, begin + rounds):
                name = rng.choice(names)
                events = [event(i, name), event(i, name)]  # The second is a duplicate.
                lines = await applied(journal, uids[name], events)
                assert lines[0] == plain[name].step(events[0], 0.0).line
                assert json.loads(lines[1])["duplicate"]
                most = max(most, len(worker.live))
            assert 1 <= len(worker.live) <= max(1, round(streams_held)) + 1
            assert most < len(names)
            for name in names:
                row = journal.stream(name)
                assert (row.offset, row.digest) == (plain[name].offset, plain[name].digest.hex())

    asyncio.run(run(150, 0))
    asyncio.run(run(60, 150))


def test_deleted_streams_are_let_go(tmp_path: Path) -> None:
    async def run() -> None:
        async with working(tmp_path, 100) as (journal, worker):
            uids = [(await journal.create_stream(f"s{i}", SPEC.to_json()))[0].uid for i in range(8)]
            for uid in uids:
                await applied(journal, uid, [event(1, "e")])
            held = worker.live.held_bytes
            assert held == pytest.approx(8 * EACH, rel=0.01)
            for uid in uids[2:]:
                await journal.delete_stream(uid)
            await worker.tidy()
            assert len(worker.live) == 2
            assert worker.live.held_bytes == pytest.approx(held / 4)

    asyncio.run(run())
