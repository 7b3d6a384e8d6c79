"""What is answered to each entry of a batch, by what became of it."""

from __future__ import annotations

from service.commits import Commits
from service.errors import ResultsExpired, StreamNotFound
from service.journal.base import Journal, Record
from service.metrics import Metrics
from service.schemas import Label
from service.stream import Fate, Reply
from service.work import Work, letter


class Answers:
    """Turns the fates of entries into answers, counts, and dead letters."""

    def __init__(self, journal: Journal, commits: Commits, metrics: Metrics) -> None:
        self._journal = journal
        self._commits = commits
        self._metrics = metrics

    async def give(self, work: Work) -> None:
        """Answer every entry of a work that was stepped."""
        for record, replies in zip(work.records, work.replies, strict=True):
            answers = work.answers[record.position] = [reply.line for reply in replies]
            for j, reply in enumerate(replies):
                if reply.fate is Fate.DUPLICATE:
                    self._metrics.refused("events", "duplicate", 1)
                    answers[j] = await self._first_result(work, reply)
                elif reply.fate is Fate.REPEATED:
                    self._metrics.refused("labels", "duplicate", 1)
                elif reply.fate is Fate.REFUSED:
                    self._bury(work, record, j, reply)

    def _bury(self, work: Work, record: Record, index: int, reply: Reply) -> None:
        """Keep an entry that was refused as a dead letter."""
        if isinstance(record.entries[index], Label):
            self._metrics.refused("labels", reply.refusal, 1)
        else:
            self._metrics.refused("events", "refused", 1)
            self._metrics.dead_lettered.labels(reason="invalid").inc()
        work.dead.append(letter(record, index, "invalid", reply.line.decode()))

    async def _first_result(self, work: Work, reply: Reply) -> bytes:
        """Return the result a duplicate's first was answered with, while it is kept."""
        base = work.live.stream.offset - len(work.results)
        if reply.offset > base:
            first = work.results[reply.offset - base - 1]
        else:
            await self._commits.settle()
            try:
                (first,) = await self._journal.results(work.row.uid, reply.offset - 1, 1)
            except (ResultsExpired, StreamNotFound, ValueError):
                return reply.line
        return first[:-1] + b',"duplicate":true}'
