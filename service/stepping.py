"""Stepping the shares of a batch, and what becomes of an entry at which a learner raises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from pydantic_core import to_json

from service.careful import Care
from service.commits import Commits
from service.errors import Quarantined
from service.journal.base import Record
from service.loading import Loader
from service.metrics import Metrics
from service.schemas import Command, Damaged, Event, Label
from service.stream import Fate, Reply
from service.work import Raised, Work, letter, readable, stays_inline

log = structlog.get_logger()

MAX_TRIES = 3


class Stepper:
    """Has learners step their entries, in threads where that is sooner done."""

    def __init__(
        self,
        commits: Commits,
        loader: Loader,
        care: Care,
        metrics: Metrics,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._commits = commits
        self._loader = loader
        self._care = care
        self._metrics = metrics
        self._pool = pool

    async def step(self, works: Sequence[Work]) -> None:
        """Step all entries of some works, each with its own stream."""
        if self._care:
            for work in works:
                await self._care.step(work, self._step_one, self._set_aside, MAX_TRIES)
            return
        if stays_inline(works):
            raised = [work.step(self._metrics) for work in works]
        else:
            loop = asyncio.get_running_loop()
            raised = await asyncio.gather(
                *(loop.run_in_executor(self._pool, work.step, self._metrics) for work in works)
            )
        for work, error in zip(works, raised, strict=True):
            while error is not None:
                await self._set_aside(work, error)
                error = await self._step_on(work)

    async def _step_on(self, work: Work, most: int | None = None) -> Raised | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, work.step, self._metrics, most)

    async def _step_one(self, work: Work) -> Raised | None:
        return await self._step_on(work, 1)

    async def _set_aside(self, work: Work, cause: Raised, tries: int = MAX_TRIES) -> None:
        """Try the entry again from a clean state; at last pass over it and stop learning."""
        record, name = work.records[cause.record], work.row.name
        entry = record.entries[cause.entry]
        assert not isinstance(entry, Command)
        tries = 1 if isinstance(entry, Damaged) else tries
        loop = asyncio.get_running_loop()
        # What is not committed yet cannot be recovered from.
        await self._commits.settle()
        for attempt in range(1, tries):
            log.warning("learner raised", stream=name, attempt=attempt, error=str(cause))
            await self._loader.load_before(work, record, cause.entry)
            apply = work.live.stream.apply
            try:
                reply = await loop.run_in_executor(
                    self._pool, apply, readable(entry), record.received_at
                )
            except Exception as error:
                cause = Raised(cause.record, cause.entry, error)
                continue
            work.take(work.replies[cause.record], reply)
            return
        await self._loader.load_before(work, record, cause.entry)
        self._pass_over(work, cause, record, entry)

    def _pass_over(
        self, work: Work, cause: Raised, record: Record, entry: Event | Label | Damaged
    ) -> None:
        stream = work.live.stream
        stream.quarantine(entry)
        log.error(
            "stream quarantined", stream=work.row.name, offset=stream.offset, error=str(cause)
        )
        self._metrics.dead_lettered.labels(reason="raised").inc()
        work.dead.append(letter(record, cause.entry, "raised", str(cause)))
        event_id = entry.event_id if isinstance(entry, Label) else entry.id
        problem = Quarantined(str(cause), event_id=event_id).problem()
        line = to_json({"status": 422} | problem)
        work.replies[cause.record].append(Reply(Fate.SET_ASIDE, line, stream.offset))
