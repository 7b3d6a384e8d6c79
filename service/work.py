"""What the worker works on: streams in memory, and each one's share of a batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Literal

from service.journal.base import Applied, DeadLetter, NewSnapshot, Record, StreamRow
from service.metrics import Metrics
from service.schemas import Command, Damaged, Entry, Event, Label, encode_entry
from service.stream import Fate, Reply, Stream

INLINE_SECONDS = 100e-6
"""Work shorter than this costs less on the event loop than a hop to a thread."""
CHEAP_ENTRY_SECONDS = 30e-6
"""A step as cheap as this is the interpreter's work: a thread would only fight for its lock."""
_SMOOTHING = 0.2


class Raised(Exception):
    """A learner raised while it stepped an entry"""

    def __init__(self, record: int, entry: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.record, self.entry = record, entry


@dataclass(slots=True)
class Live:
    """A stream in memory."""

    stream: Stream
    unsaved: int
    """Entries applied since its last snapshot."""
    snapshot_at: float
    seconds_per_entry: float = 0.0
    held_bytes: int = 0
    """As last measured."""

    def observe(self, entries: int, seconds: float) -> None:
        """Learn how long an entry takes."""
        each = seconds / entries
        weight = _SMOOTHING if self.seconds_per_entry else 1.0
        self.seconds_per_entry += weight * (each - self.seconds_per_entry)

    def snapshot_taken(self) -> None:
        """Count from here to the next snapshot."""
        self.unsaved, self.snapshot_at = 0, time.monotonic()


@dataclass(slots=True)
class Work:
    """One stream's share of a batch, and what came of it so far."""

    row: StreamRow
    live: Live
    records: list[Record]
    replies: list[list[Reply]] = field(default_factory=list)
    answers: dict[int, list[bytes]] = field(default_factory=dict)
    results: list[bytes] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    snapshots: list[NewSnapshot] = field(default_factory=list)
    spec: bytes | None = None
    base: tuple[int, bytes] | None = None
    """Where the stream begins anew, if it does: from here it is recovered until the commit."""
    caught_up: bool = False
    """Whether records that were held are among the work."""

    def applied(self) -> Applied:
        """Return what a commit is to say of it."""
        stream = self.live.stream
        return Applied(
            self.row.uid,
            stream.offset,
            stream.digest.hex(),
            self.results,
            stream.status(),
            self.snapshots,
            self.dead,
            self.spec,
        )

    def step(self, metrics: Metrics, most: int | None = None) -> Raised | None:
        """Apply the records, to the end, or to what the stream's learner cannot take.

        With `most`, apply no more entries than that.
        """
        apply, begun, done = self.live.stream.apply, time.perf_counter(), 0
        raised: Raised | None = None
        labels = 0
        for i, record in enumerate(self.records):
            if len(self.replies) <= i:
                self.replies.append([])
            replies, received_at = self.replies[i], record.received_at
            for j in range(len(replies), len(record.entries)):
                if done == most:
                    break
                try:
                    reply = apply(readable(record.entries[j]), received_at)
                except Exception as error:
                    raised = Raised(i, j, error)
                    break
                self.take(replies, reply)
                done += 1
                labels += type(record.entries[j]) is Label
            if raised is not None or done == most:
                break
        if done:
            seconds = time.perf_counter() - begun
            self.live.observe(done, seconds)
            kind = self.live.stream.spec.learner.kind
            metrics.stepped(kind, done - labels, done, seconds)
        return raised

    def take(self, replies: list[Reply], reply: Reply) -> None:
        """Note the reply to the next entry."""
        replies.append(reply)
        if reply.fate is Fate.APPLIED:
            self.results.append(reply.line)
            self.live.unsaved += 1
        elif reply.fate is Fate.LABELED:
            self.live.unsaved += 1


@dataclass(slots=True)
class Waiting:
    """The share of a stream that cannot be brought back: its records stay in the log."""

    row: StreamRow
    held_after: int
    answers: dict[int, list[bytes]]

    def applied(self) -> Applied:
        """Return what a commit is to say: where the stream stands, which is where it stood."""
        row = self.row
        status = {**row.status, "held_after": self.held_after}
        return Applied(row.uid, row.offset, row.digest, [], status)


def readable(entry: Entry) -> Event | Label:
    """Return what a stream applies, or raise `ValueError` if that cannot be read from the log."""
    if isinstance(entry, Damaged):
        raise ValueError(f"log: cannot be read: {entry.reason}")
    assert not isinstance(entry, Command)
    return entry


def batches(records: list[Record]) -> Iterator[list[Record]]:
    """Cut records so that a command stands alone."""
    batch: list[Record] = []
    for record in records:
        if isinstance(record.entries[0], Command):
            if batch:
                yield batch
            yield [record]
            batch = []
        else:
            batch.append(record)
    if batch:
        yield batch


def stays_inline(works: Sequence[Work]) -> bool:
    """Say whether the work is done sooner on the event loop than by threads."""
    each = [work.live.seconds_per_entry for work in works]
    if not all(each):
        return False  # Not known before the first step, which may have to compile.
    if max(each) < CHEAP_ENTRY_SECONDS:
        return True
    entries = [sum(len(record.entries) for record in work.records) for work in works]
    expected: float = sum(map(mul, each, entries))
    return expected < INLINE_SECONDS


def letter(
    record: Record, index: int, reason: Literal["invalid", "raised"], detail: str
) -> DeadLetter:
    """Return the dead letter of one entry of a record."""
    line = encode_entry(record.entries[index])
    return DeadLetter(
        record.stream, record.position, index, reason, detail, line, record.received_at
    )
