"""The names of what is kept in a Redis or Valkey server, and the shapes of what is found there."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json

from service.journal.base import SnapshotRow, StreamRow

Fields = Mapping[bytes, bytes]


def partition_of(name: str, partitions: int) -> int:
    """Return where a stream of that name belongs, today and on any machine."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % partitions


class Keys:
    """The keys of one partition: one hash tag, so one slot, one server, one order of events."""

    def __init__(self, prefix: str, partition: int) -> None:
        self.prefix = f"{prefix}:{{{partition}}}:"
        self.log = f"{self.prefix}log"
        self.own = f"{self.prefix}own"
        self.head = f"{self.prefix}head"
        self.pending = f"{self.prefix}pending"
        self.names = f"{self.prefix}names"
        self.news = f"{self.prefix}news"
        self.out = f"{self.prefix}out"

    def stream(self, uid: int) -> str:
        """Return the key of a stream's spec and of where it stands."""
        return f"{self.prefix}stream:{uid}"

    def results(self, uid: int) -> str:
        """Return the key of a stream's results."""
        return f"{self.prefix}results:{uid}"

    def snapshots(self, uid: int) -> str:
        """Return the key of the list of a stream's snapshots."""
        return f"{self.prefix}snapshots:{uid}"

    def dead(self, uid: int) -> str:
        """Return the key of a stream's dead letters."""
        return f"{self.prefix}dead:{uid}"

    def raised(self, uid: int) -> str:
        """Return the key of the places of entries that a learner could not step."""
        return f"{self.prefix}raised:{uid}"

    def blob(self, uid: int, token: str) -> str:
        """Return the key of a snapshot's bytes."""
        return f"{self.prefix}blob:{uid}:{token}"


def entry_id(position: int) -> str:
    """Return the id under which a stream of the server holds the record at a position."""
    return f"{position}-0"


def position_in(entry: bytes) -> int:
    """Return the number an id begins with."""
    return int(entry.partition(b"-")[0])


def row_in(uid: int, fields: Fields) -> StreamRow:
    """Read a stream as the server holds it."""
    return StreamRow(
        uid,
        fields[b"name"].decode(),
        fields[b"spec"],
        int(fields[b"version"]),
        float(fields[b"created_at"]),
        fields[b"first_spec"],
        int(fields[b"offset"]),
        fields[b"digest"].decode(),
        _status(fields[b"status"]),
    )


def _status(text: bytes) -> dict[str, Any]:
    """Return what a stream was doing; its next commit mends what cannot be read."""
    try:
        said = from_json(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def snapshot_meta(
    position: int, offset: int, created_at: float, size: int, kept: bool, blob: str
) -> str:
    """Write what is known of a snapshot beside its bytes."""
    return f"{position}|{offset}|{created_at!r}|{size}|{int(kept)}|{blob}"


def snapshot_in(snapshot_id: bytes, uid: int, meta: bytes) -> tuple[SnapshotRow, str]:
    """Read what is known of a snapshot, and the key of its bytes."""
    position, offset, created_at, size, kept, blob = meta.decode().split("|", 5)
    row = SnapshotRow(
        int(snapshot_id), uid, int(position), int(offset), float(created_at), int(size), kept == "1"
    )
    return row, blob


def fields_in(flat: list[bytes]) -> dict[bytes, bytes]:
    """Pair up the fields and values of a flat reply."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
