"""The event loop's side of the writing thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from service.errors import JournalUnavailable, NotReady
from service.journal.sqlite_operations import Append, Call, Operation, Transaction
from service.journal.sqlite_writer import Writer, Written, unavailable

FLUSH_SECONDS = 0.05
"""How long an append may wait for a commit to share its write."""


class Outbox:
    """Queues operations, wakes the writer, and settles on the event loop what it wrote.

    When a write fails, the records that were not yet on disk are lost, and their callers are told.
    Two threads have to agree on what is lost. The writer raises its generation when it fails, and
    refuses every append and commit of an older one; the event loop, when it hears of it, drops the
    records after the last durable one and takes up the new generation. Appends that came between
    are in both sets: dropped here, refused there. Who reads holds state made from lost records, so
    `check` refuses until `begin_again`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        tx: Transaction,
        lose: Callable[[int, JournalUnavailable], None],
    ) -> None:
        self.generation = 0
        self._reading = 0
        self._closed = False
        self._lose = lose
        self._loop = asyncio.get_running_loop()
        self._buffered_at: float | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._writer = Writer(connection, tx, self._deliver)
        self._writer.start()

    async def close(self) -> None:
        """Write what is queued, settle it, and end the thread."""
        self._closed = True
        if self._flush is not None:
            self._flush.cancel()
        # What the writer hands over is in the loop's queue before the end of its thread is.
        await asyncio.to_thread(self._writer.stop)

    def begin_again(self) -> None:
        """Take it that whoever reads holds nothing made from lost records."""
        self._reading = self.generation

    def check(self) -> None:
        """Raise `JournalUnavailable` if records were lost that may have been read."""
        if self._reading != self.generation:
            raise JournalUnavailable(
                "records that were read are lost: begin again from `committed`",
                retry_after_seconds=1,
            )

    def buffer(self, append: Append) -> None:
        """Queue an append to be written with whatever is written next."""
        self._writer.put(append)
        if self._buffered_at is None:
            self._buffered_at = self._loop.time()
            if self._flush is None:
                self._flush = self._loop.call_later(FLUSH_SECONDS, self._flush_due)

    async def write(self, operation: Operation) -> Any:
        """Have an operation written, with all that is queued, and wait for it."""
        if self._closed:
            raise NotReady("the journal is not open", retry_after_seconds=1)
        operation.future = self._loop.create_future()
        self._writer.put(operation)
        self._wake()
        return await operation.future

    async def call(
        self, then: Callable[[Any], Any] | None, function: Callable[..., Any], *args: Any
    ) -> Any:
        """Have a function run within the next transaction."""
        return await self.write(Call(then, function, *args))

    def _wake(self) -> None:
        self._buffered_at = None
        self._writer.wake()

    def _flush_due(self) -> None:
        """Write what no commit came for. One timer serves all appends: most need none."""
        self._flush = None
        if self._buffered_at is None:
            return
        left = self._buffered_at + FLUSH_SECONDS - self._loop.time()
        if left > 1e-3:
            self._flush = self._loop.call_later(left, self._flush_due)
        else:
            self._wake()

    def _deliver(self, written: Written) -> None:
        # Refused by a loop that has ended with the journal open: then nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, written)

    def _settle(self, written: Written) -> None:
        if written.generation != self.generation:
            self.generation = written.generation
            self._lose(written.durable, unavailable(written.failure or "a failure"))
        for operation in written.operations:
            operation.settle()
