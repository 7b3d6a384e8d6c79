"""What a process knows, without asking, of its journal's streams; others may change them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import StreamNotFound, SynaptideError
from service.journal.base import StreamChanges, StreamRow
from service.journal.changes import Changes
from service.journal.recent import Recent


class Mirror:
    """Rows by uid and by name, the newest results, and who follows them."""

    def __init__(self) -> None:
        self.rows: dict[int, StreamRow] = {}
        self.names: dict[str, StreamRow] = {}
        self.recent = Recent()
        self.changes = Changes()
        self.held: set[int] = set()

    def hold(self, uid: int, reason: str) -> None:
        """Note why a stream cannot be brought back, until a commit says it is."""
        row = self.rows.get(uid)
        if row is not None:
            row.unreadable = reason
            self.held.add(uid)
            self.changes.touch(uid)

    def put(self, row: StreamRow) -> StreamRow:
        """Take in a row as the server had it; return the one that is kept."""
        known = self.rows.get(row.uid)
        if known is None:
            namesake = self.names.get(row.name)
            if namesake is not None:
                self.drop(namesake.uid)
            self.rows[row.uid] = self.names[row.name] = row
            self.changes.touch(row.uid)
            return row
        if row.version > known.version:
            known.spec, known.version = row.spec, row.version
            self.changes.touch(row.uid)
        # What was read before the last commit was heard of is older than what is known.
        if row.offset >= known.offset and (row.digest, row.offset) != (known.digest, known.offset):
            self._stand(known, row.offset, row.digest, row.status)
            self.recent.wake(row.uid)
        return known

    def replace(self, partition_rows: Sequence[StreamRow], own: Sequence[int]) -> None:
        """Take a partition's rows for what they are, after a time in which news may be missing."""
        there = {row.uid for row in partition_rows}
        for uid in own:
            if uid not in there:
                self.drop(uid)
        for row in partition_rows:
            known = self.put(row)
            if known is not row and known.offset > row.offset:  # What it stood at was lost.
                self._stand(known, row.offset, row.digest, row.status)
                known.spec, known.version = row.spec, row.version
                self.recent.drop(row.uid)

    def begin(self, partition_rows: Sequence[StreamRow]) -> None:
        """Take a partition's rows for how they stand: only this process changes them from now on.

        That another process held records of a stream back moved neither offset nor digest, and
        what could not be read a while ago may have been written anew.
        """
        for row in partition_rows:
            known = self.rows[row.uid]
            known.unreadable = ""
            self.held.discard(row.uid)
            self._stand(known, row.offset, row.digest, row.status)

    def applied(
        self,
        uid: int,
        offset: int,
        digest: str,
        status: Mapping[str, Any],
        results: Sequence[bytes],
        spec: tuple[bytes, int] | None,
    ) -> None:
        """Take in what a commit said of a stream, here or elsewhere."""
        row = self.rows.get(uid)
        if row is None or offset < row.offset:
            return
        if spec is not None and spec[1] > row.version:
            row.spec, row.version = spec
        if results and offset > row.offset:
            self.recent.add(uid, offset, results)
        self._stand(row, offset, digest, status)
        self.recent.wake(uid)

    def _stand(self, row: StreamRow, offset: int, digest: str, status: Mapping[str, Any]) -> None:
        row.offset, row.digest, row.status = offset, digest, status
        if row.unreadable and row.held_after is None:
            row.unreadable = ""
            self.held.discard(row.uid)
        self.changes.touch(row.uid)

    def drop(self, uid: int) -> None:
        """Forget a stream."""
        row = self.rows.pop(uid, None)
        if row is None:
            return
        if self.names.get(row.name) is row:
            del self.names[row.name]
        self.held.discard(uid)
        self.changes.drop(uid, row.name)
        self.recent.drop(uid)
        self.recent.wake(uid)

    def stream(self, name: str) -> StreamRow:
        """Return a stream by name, or raise `StreamNotFound`."""
        try:
            return self.names[name]
        except KeyError:
            raise not_there(name) from None

    def streams(self) -> list[StreamRow]:
        """Return every stream, by name."""
        return [self.names[name] for name in sorted(self.names)]

    async def changed(self, cursor: str | None, wait_seconds: float) -> StreamChanges:
        """Return what changed after a cursor, waiting that long for the first change."""
        if wait_seconds > 0:
            await self.changes.more(cursor, wait_seconds)
        changed = self.changes.since(cursor)
        rows = [self.rows[uid] for uid in changed.uids]
        return StreamChanges(changed.cursor, changed.full, rows, changed.gone)

    def close(self, error: SynaptideError) -> None:
        """Tell everyone who waits that nothing more will come."""
        self.recent.close(error)
        self.changes.close(error)


def not_there(name: str) -> StreamNotFound:
    """Return the refusal of a name that no stream has."""
    return StreamNotFound(f"stream: got {name!r}, expected one that exists")


def gone(uid: int) -> StreamNotFound:
    """Return the refusal of a stream that is no more."""
    return StreamNotFound(f"stream: got uid {uid}, expected one that exists")
