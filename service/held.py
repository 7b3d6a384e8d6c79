"""Streams that this build cannot bring back: their records wait in the log, all others go on.

That a stream is held is noted in memory alone, so that a build which can read it finds it as it
was. Only the position after which its records wait is written, with the commits that pass them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b

import structlog
from pydantic_core import to_json

from service import catalog
from service.errors import QueueFull, SnapshotError, Unreadable
from service.journal.base import Journal, Record, StreamRow
from service.recovery import unreadable
from service.schemas import Command, Entry, Event, Label, StreamSpec
from service.snapshots import restore
from service.specs import meaning, read_spec, same_learner
from service.stream import Stream
from service.work import Waiting

log = structlog.get_logger()


def hold(journal: Journal, row: StreamRow, error: Unreadable) -> None:
    """Hold a stream, and say so once."""
    if not row.unreadable:
        log.error("stream quarantined", stream=row.name, offset=row.offset, reason=error.detail)
        journal.hold(row.uid, error.detail)


def hold_unreadable(journal: Journal, rows: Iterable[StreamRow]) -> None:
    """Hold those streams whose spec cannot be read, before anything is asked of them."""
    for row in rows:
        spec = read_spec(row.spec)
        if isinstance(spec, str):
            hold(journal, row, unreadable(row, spec))


async def revive(journal: Journal, partition: int) -> None:
    """Have the streams that a process before could not bring back be tried now."""
    rows = [row for row in journal.streams() if journal.partition_of(row.uid) == partition]
    hold_unreadable(journal, rows)
    for row in rows:
        if row.held_after is not None and not row.unreadable:
            with suppress(QueueFull):  # Then the stream's next event does it.
                await journal.append(row.uid, [Command(command="revive")], "received")


def waiting(row: StreamRow, records: list[Record], after: int, error: Unreadable) -> Waiting:
    """Return a stream's share of a batch that is left in the log, with answers that say so."""
    held_after = after if row.held_after is None else row.held_after
    answers = {
        record.position: [_answer(error, entry) for entry in record.entries] for record in records
    }
    return Waiting(row, held_after, answers)


def _answer(error: Unreadable, entry: Entry) -> bytes:
    problem = {"status": error.status} | error.problem()
    if isinstance(entry, Event | Label):
        # It came before anybody knew; who sends it again would have it learned from twice.
        event_id = entry.id if isinstance(entry, Event) else entry.event_id
        problem |= {"event_id": event_id, "kept": True}
    return to_json(problem)


def begun_anew(
    row: StreamRow, entry: Entry, blob: bytes | None, max_bytes: int, lost: Unreadable
) -> Stream:
    """Return the stream as a command lets it begin anew, or raise why it cannot be brought back.

    Offset and digest go on from what was committed, so that no offset is given twice.
    """
    if not isinstance(entry, Command):
        raise lost
    if entry.command == "configure":
        stream, change = _configured(row, to_json(entry.spec), lost)
    elif blob is not None:
        stream, change = _restored(row, blob, max_bytes, lost)
    else:
        raise lost
    stream.offset = row.offset
    if row.digest:
        stream.digest = bytes.fromhex(row.digest)
    stream.seal(change)
    return stream


def refusal(row: StreamRow, spec: StreamSpec) -> str:
    """Say why a stream that is held cannot begin anew with a spec, or return nothing."""
    stored = read_spec(row.spec)
    if not isinstance(stored, str) and not same_learner(stored, spec):
        return f"spec: it has the learner that the stream has; {row.unreadable}"
    if not catalog.keeps_state(spec.learner):
        return "learner: it is recovered by replaying its log, and part of that is not its own"
    return ""


def _configured(row: StreamRow, spec: bytes, lost: Unreadable) -> tuple[Stream, bytes]:
    wanted = read_spec(spec)
    if isinstance(wanted, str) or refusal(row, wanted):
        raise lost
    return Stream(wanted), b"configure" + meaning(wanted)


def _restored(
    row: StreamRow, blob: bytes, max_bytes: int, lost: Unreadable
) -> tuple[Stream, bytes]:
    """Take over all of a snapshot, unless it is ahead: then its learner alone."""
    spec = read_spec(row.spec)
    if isinstance(spec, str):
        raise lost
    whole = Stream(spec)
    try:
        restore(whole, blob, max_bytes)
        if whole.offset > row.offset:
            whole = Stream(spec)
            whole.offset = max(1, row.offset)
            restore(whole, blob, max_bytes)
    except SnapshotError:
        raise lost from None
    return whole, b"restore" + blake2b(blob, digest_size=16).digest()
