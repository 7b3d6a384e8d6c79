"""Streams as the server has them: made, found and deleted there, and put into the mirror here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from service.journal.base import StreamRow
from service.journal.mirror import Mirror, gone, not_there
from service.journal.redis_commit import BLOB_SECONDS
from service.journal.redis_feed import found_row
from service.journal.redis_keys import Keys, partition_of, row_in, snapshot_meta
from service.journal.redis_replies import Replies
from service.journal.redis_server import Server


class Streams:
    """Asks the server of streams, of those too that this process has not heard of yet."""

    def __init__(
        self,
        server: Server,
        keys: Sequence[Keys],
        mirror: Mirror,
        replies: Replies,
        clock: Callable[[], float],
    ) -> None:
        self._server = server
        self._keys = keys
        self._mirror = mirror
        self._replies = replies
        self._clock = clock
        self._deleting: set[int] = set()

    async def create(self, name: str, spec: bytes) -> tuple[StreamRow, bool]:
        """Return the stream of that name, and whether it was made now."""
        partition = partition_of(name, len(self._keys))
        keys, now = self._keys[partition], self._clock()
        uid, made = await self._server.run(
            "create",
            [keys.names, keys.head, keys.pending, keys.news],
            *(keys.prefix, name, spec, repr(now), partition, len(self._keys)),
        )
        if not made:
            return await self.look_up(name), False
        return self._mirror.put(StreamRow(int(uid), name, spec, 1, now, spec)), True

    async def look_up(self, name: str) -> StreamRow:
        """Return a stream as it stands now, or raise `StreamNotFound`."""
        keys = self._keys[partition_of(name, len(self._keys))]
        found = found_row(await self._server.run("find", [keys.names], keys.prefix, name))
        if found is None:
            known = self._mirror.names.get(name)
            if known is not None:
                self._mirror.drop(known.uid)
            raise not_there(name)
        return self._mirror.put(row_in(*found))

    def existing(self, uid: int) -> StreamRow:
        """Return a stream that is known and not being deleted, or raise `StreamNotFound`."""
        row = self._mirror.rows.get(uid)
        if row is None or uid in self._deleting:
            raise gone(uid)
        return row

    async def exists(self, uid: int) -> bool:
        """Say whether a stream exists; it is in the mirror then."""
        if uid in self._mirror.rows:
            return True
        found = await self._server.call("HGETALL", self._of(uid).stream(uid))
        if found:
            self._mirror.put(row_in(uid, found))
        return bool(found)

    async def delete(self, uid: int) -> int:
        """Remove a stream, or raise `StreamNotFound`; return its partition's depth after it."""
        keys = self._of(uid)
        self._deleting.add(uid)
        try:
            left = await self._server.run(
                "delete", [keys.names, keys.head, keys.pending, keys.news], keys.prefix, uid
            )
        finally:
            self._deleting.discard(uid)
        self._mirror.drop(uid)
        self._replies.drop_stream(uid)
        if left < 0:
            raise gone(uid)
        return int(left)

    async def keep_snapshot(self, uid: int, blob: bytes, offset: int) -> int:
        """Keep a snapshot that a client sent; return its id."""
        keys = self._of(uid)
        key = keys.blob(uid, secrets.token_hex(8))
        meta = snapshot_meta(-1, offset, self._clock(), len(blob), True, key)
        await self._server.call("SET", key, blob, "EX", BLOB_SECONDS)
        made = await self._server.run(
            "keep", [keys.head, keys.pending], keys.prefix, uid, meta, key
        )
        if not made:
            raise gone(uid)
        return int(made)

    def _of(self, uid: int) -> Keys:
        return self._keys[uid % len(self._keys)]
