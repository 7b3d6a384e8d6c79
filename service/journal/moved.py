"""A stream from another store, in the positions and snapshot ids of the one that takes it in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from service.errors import Stale
from service.journal.base import START, Moved, Record
from service.schemas import Command, Entry, encode_entry

RESULTS_TOGETHER = 64


def placed(moved: Moved, base: int, positions: Sequence[int]) -> Moved:
    """Return a stream whose records have new positions, all of them above `base`.

    What stands between two records stands behind the first of them. A dead letter whose record is
    not among them is left without a place.
    """
    olds = [record.position for record in moved.records]
    exact = dict(zip(olds, positions, strict=True))

    def at(old: int) -> int:
        passed = bisect_right(olds, old)
        return positions[passed - 1] if passed else base

    row = moved.row
    status = dict(row.status)
    if row.held_after is not None:
        status["held_after"] = at(row.held_after)
    return replace(
        moved,
        row=replace(row, status=status, unreadable=""),
        records=[
            replace(record, position=position)
            for record, position in zip(moved.records, positions, strict=True)
        ],
        snapshots=[
            (replace(each, position=at(each.position)) if each.position >= 0 else each, blob)
            for each, blob in moved.snapshots
        ],
        dead=[replace(each, position=exact.get(each.position, START)) for each in moved.dead],
    )


def renumbered(moved: Moved, ids: Sequence[int]) -> Moved:
    """Return a stream whose snapshots have new ids, and whose commands speak of those."""
    news = {each.id: new for (each, _), new in zip(moved.snapshots, ids, strict=True)}
    return replace(
        moved,
        records=[
            replace(record, entries=[_renumbered(entry, news) for entry in record.entries])
            for record in moved.records
        ],
        snapshots=[
            (replace(each, id=new), blob)
            for (each, blob), new in zip(moved.snapshots, ids, strict=True)
        ],
    )


def _renumbered(entry: Entry, ids: Mapping[int, int]) -> Entry:
    if not isinstance(entry, Command) or entry.snapshot is None:
        return entry
    # No snapshot has the id 0: one that is no longer kept must not become another.
    return entry.model_copy(update={"snapshot": ids.get(entry.snapshot, 0)})


def payload_of(record: Record) -> bytes:
    """Return a record's entries as a log holds them."""
    return b"\n".join([encode_entry(entry) for entry in record.entries])


def results_in(moved: Moved, kept: int) -> Iterator[tuple[int, list[bytes]]]:
    """Return the newest results, some together, each with the offset of the last of them."""
    lines = moved.results[-kept:]
    after = moved.row.offset - len(lines)
    for i in range(0, len(lines), RESULTS_TOGETHER):
        part = lines[i : i + RESULTS_TOGETHER]
        yield after + i + len(part), part


def waiting(partition: int, entries: int) -> Stale:
    """Return the refusal of a partition in which entries wait."""
    return Stale(
        f"partition {partition}: got {entries} entries that wait to be applied, expected none; "
        "run the service on it until they are"
    )
