"""The embedded engine's one writing thread: whatever is queued becomes one transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from service.errors import JournalUnavailable, SynaptideError
from service.journal.base import Record
from service.journal.sqlite_operations import Append, Operation, Transaction

_GROUP_FAILED = (sqlite3.OperationalError, sqlite3.InternalError, OSError, MemoryError)
"""Failures of the store itself; any other is the fault of one operation."""


@dataclass(slots=True)
class Written:
    """What became of a group of operations, in the order they were queued."""

    operations: Sequence[Operation]
    generation: int
    """Raised by one whenever appended records were lost to a failure."""
    durable: int
    """The last record that is on disk."""
    failure: str | None = None


class Writer:
    """Takes operations first in, first out; writes all that wait in one transaction.

    When a group fails, all of it is undone and refused, and so are the appends and commits that
    were queued before the event loop heard of it: the records they rest on, or follow, are gone.
    These are told apart by their generation. Each later group tries the store anew.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        tx: Transaction,
        deliver: Callable[[Written], None],
    ) -> None:
        self._connection = connection
        self._tx = tx
        self._deliver = deliver
        self._queue: deque[Operation] = deque()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._generation = 0
        self._durable = tx.backlog_end
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, operation: Operation) -> None:
        """Queue an operation without waking the writer: it goes with the next that does."""
        self._queue.append(operation)

    def wake(self) -> None:
        """Have everything queued written now."""
        self._wake.put(True)

    def stop(self) -> None:
        """Write what is queued, then end. Blocks."""
        self._wake.put(False)
        self._thread.join()

    def _run(self) -> None:
        go_on = True
        while go_on:
            go_on = self._wake.get()
            while not self._wake.empty():
                go_on = self._wake.get() and go_on
            if group := [self._queue.popleft() for _ in range(len(self._queue))]:
                self._write(group)

    def _write(self, group: list[Operation]) -> None:
        failure = None
        try:
            transact(self._tx, group, self._generation)
        except Exception as error:
            self._undo()
            if len(group) > 1 and not isinstance(error, _GROUP_FAILED):
                # One operation is at fault, and not the store: let each stand alone.
                for operation in group:
                    self._write([operation])
                return
            failure = str(error) or type(error).__name__
            self._fail(group, failure)
        else:
            for operation in reversed(group):
                if isinstance(operation, Append) and operation.error is None:
                    self._durable = operation.records[-1].position
                    break
        self._deliver(Written(group, self._generation, self._durable, failure))

    def _undo(self) -> None:
        self._tx.totals.clear()
        try:
            if self._connection.in_transaction:
                self._tx.cursor.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself; if not, the next BEGIN says so.

    def _fail(self, group: list[Operation], reason: str) -> None:
        if any(operation.generation is not None for operation in group):
            self._generation += 1
        for operation in group:
            operation.error = unavailable(reason)


def transact(tx: Transaction, group: Sequence[Operation], generation: int) -> None:
    """Write a group in one transaction; each operation holds its value or its refusal after."""
    records: list[Record] = []
    tx.cursor.execute("BEGIN IMMEDIATE")
    for operation in group:
        operation.error = None
        if operation.generation not in (None, generation):
            operation.error = unavailable("records before this one were lost")
        elif isinstance(operation, Append):
            records += operation.records
        else:
            if records:
                tx.insert_records(records)
                records = []
            try:
                operation.value = operation.run(tx)
            except SynaptideError as refusal:
                operation.error = refusal
    if records:
        tx.insert_records(records)
    tx.cursor.execute("COMMIT")


def unavailable(reason: str) -> JournalUnavailable:
    """Return the refusal of a write that failed."""
    return JournalUnavailable(
        f"write: got {reason!r}, expected a store that can be written", retry_after_seconds=1
    )
