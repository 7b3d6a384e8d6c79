"""What the server keeps of streams, read back: results, snapshots, what could not be applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from service.errors import JournalUnavailable, SnapshotNotFound
from service.formats import START_BYTES, format_in
from service.journal.base import DeadLetter, Place, SnapshotRow
from service.journal.redis_keys import Fields, Keys, position_in, snapshot_in
from service.journal.redis_server import Server

log = structlog.get_logger()

CHUNKS_AT_ONCE = 64


class Reader:
    """Answers from what is committed, and changes nothing."""

    def __init__(self, server: Server, keys: Sequence[Keys]) -> None:
        self._server = server
        self._keys = keys

    async def behind(self, partition: int) -> list[int]:
        """Return the streams that had records since their newest snapshot."""
        keys = self._keys[partition]
        found = await self._server.run("behind", [keys.pending], keys.prefix)
        return [int(uid) for uid in found]

    async def results(self, uid: int, after: int, limit: int) -> tuple[list[bytes], int | None]:
        """Return results after an offset; or none, and the oldest offset there is."""
        key, lines, reached = self._of(uid).results(uid), list[bytes](), after
        while len(lines) < limit:
            found = await self._server.call(
                "XRANGE", key, reached + 1, "+", "COUNT", CHUNKS_AT_ONCE
            )
            for entry, fields in found:
                last, n = position_in(entry), int(fields[b"n"])
                if last - n > reached:
                    return lines[:limit], last - n + 1
                parts = fields[b"d"].split(b"\n")
                if len(parts) != n:
                    log.error("results cannot be read", uid=uid, last=last, results=n)
                    return [], last + 1
                lines += parts[reached - last :]
                reached = last
            if len(found) < CHUNKS_AT_ONCE:
                break
        return lines[:limit], None

    async def snapshots(self, uid: int) -> list[SnapshotRow]:
        """Return a stream's snapshots, newest first."""
        return [row for row, _ in await self._snapshots(uid)]

    async def snapshot(self, uid: int, snapshot_id: int) -> bytes:
        """Return a snapshot's bytes, or raise `SnapshotNotFound`."""
        for row, key in await self._snapshots(uid):
            if row.id == snapshot_id:
                blob: bytes | None = await self._server.call("GET", key)
                if blob is not None:
                    return blob
        raise SnapshotNotFound(f"snapshot: got {snapshot_id}, expected one kept of stream {uid}")

    async def latest_snapshot(self, uid: int) -> tuple[int, bytes] | None:
        """Return the newest snapshot written by a commit, and the position it stands at."""
        for row, key in await self._snapshots(uid):
            if row.position >= 0:
                blob = await self._server.call("GET", key)
                if blob is None:
                    raise JournalUnavailable(f"snapshot: got none under {key}, expected its bytes")
                return row.position, blob
        return None

    async def snapshot_formats(self, partition: int) -> dict[int, int]:
        """Return the format of each stream's newest snapshot written by a commit."""
        keys, newest = self._keys[partition], dict[int, str]()
        uids = [int(uid) for uid in await self._server.call("HKEYS", keys.pending)]
        metas = await self._server.all_of([("HGETALL", keys.snapshots(uid)) for uid in uids])
        for uid, found in zip(uids, metas, strict=True):
            for row, key in _newest_first(uid, found):
                if row.position >= 0:
                    newest[uid] = key
                    break
        starts = await self._server.all_of(
            [("GETRANGE", key, 0, START_BYTES - 1) for key in newest.values()]
        )
        return {uid: format_in(start) for uid, start in zip(newest, starts, strict=True)}

    async def dead_letters(self, uid: int, limit: int) -> list[DeadLetter]:
        """Return a stream's newest dead letters, oldest first."""
        key = self._of(uid).dead(uid)
        found = await self._server.call("XREVRANGE", key, "+", "-", "COUNT", limit)
        return [_letter(uid, fields) for _, fields in reversed(found)]

    async def passed_over(self, uid: int, after: int) -> set[Place]:
        """Return the places, after a position, of entries that a learner could not step."""
        key = self._of(uid).raised(uid)
        found = await self._server.call("ZRANGE", key, f"({after}", "+inf", "BYSCORE")
        places = [place.decode().split(":") for place in found]
        return {(int(position), int(index)) for position, index in places}

    async def _snapshots(self, uid: int) -> list[tuple[SnapshotRow, str]]:
        found = await self._server.call("HGETALL", self._of(uid).snapshots(uid))
        return _newest_first(uid, found)

    def _of(self, uid: int) -> Keys:
        return self._keys[uid % len(self._keys)]


def _newest_first(uid: int, found: Fields) -> list[tuple[SnapshotRow, str]]:
    rows = [snapshot_in(snapshot_id, uid, meta) for snapshot_id, meta in found.items()]
    return sorted(rows, key=lambda each: -each[0].id)


def _letter(uid: int, fields: Fields) -> DeadLetter:
    reason: Any = fields[b"r"].decode()
    place = (uid, int(fields[b"p"]), int(fields[b"i"]), reason)
    return DeadLetter(*place, fields[b"d"].decode(), fields[b"e"], float(fields[b"t"]))
