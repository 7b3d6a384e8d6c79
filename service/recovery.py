"""Recovery: a stream as it stood after any record, from its newest snapshot and the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from pydantic_core import to_json

from service.journal.base import START, Journal, Place, Record, StreamRow
from service.schemas import Command, StreamSpec
from service.snapshots import revived
from service.stream import Stream
from service.work import Live

log = structlog.get_logger()


class Recovery:
    """Rebuilds streams by doing again, without a word, what was done before."""

    def __init__(self, journal: Journal, pool: ThreadPoolExecutor, max_snapshot_bytes: int) -> None:
        self._journal = journal
        self._pool = pool
        self._max_snapshot_bytes = max_snapshot_bytes

    async def after(self, row: StreamRow, upto: int, passed_over: Set[Place] = frozenset()) -> Live:
        """Return a stream as it stood after the record at a position.

        `passed_over` are the places of entries that the learner could not step and whose dead
        letters are not committed yet.
        """
        begun = time.monotonic()
        start, blob = await self._journal.latest_snapshot(row.uid) or (START, None)
        history = await self._journal.history(row.uid, start, upto)
        passed_over = passed_over | await self._journal.passed_over(row.uid, start)
        stream = await asyncio.get_running_loop().run_in_executor(
            self._pool, self._replay, row, blob, history, passed_over
        )
        if history:
            log.info(
                "stream recovered",
                stream=row.name,
                offset=stream.offset,
                records=len(history),
                seconds=round(time.monotonic() - begun, 3),
            )
        return Live(
            stream,
            unsaved=sum(len(record.entries) for record in history),
            # The age of the state on disk is unknown: let the next one be due by events alone.
            snapshot_at=begun,
        )

    def _replay(
        self,
        row: StreamRow,
        blob: bytes | None,
        history: Sequence[Record],
        passed_over: Set[Place],
    ) -> Stream:
        if blob is None:
            stream = Stream(StreamSpec.model_validate_json(row.first_spec))
        else:
            stream = revived(blob, self._max_snapshot_bytes)
        for record in history:
            repeat(stream, record, len(record.entries), passed_over)
        stream.standing.take_peak()  # What is done again is no news.
        return stream


def repeat_command(stream: Stream, command: Command) -> None:
    """Carry out once more a command that needs no snapshot."""
    if command.command == "configure":
        # One that was refused is refused again.
        with suppress(ValueError):
            stream.configure(StreamSpec.model_validate_json(to_json(command.spec)))
    elif command.command == "resume":
        stream.resume()


def repeat(stream: Stream, record: Record, entries: int, passed_over: Set[Place]) -> None:
    """Apply the first entries of a record once more, as they were applied the first time."""
    for index, entry in enumerate(record.entries[:entries]):
        if isinstance(entry, Command):
            # A snapshot was written with every command, where there are snapshots.
            if not stream.keeps_state:
                repeat_command(stream, entry)
        elif (record.position, index) in passed_over:
            stream.quarantine(entry)
        else:
            stream.apply(entry, record.received_at)
