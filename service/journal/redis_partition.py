"""One partition as the process that owns it sees it: taken, read, and committed to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from service.errors import Fenced, JournalUnavailable, Phantom, Stale
from service.formats import OLDEST
from service.journal.base import Applied
from service.journal.mirror import Mirror
from service.journal.redis_commit import BLOB_SECONDS, Feedback, arguments, blob_commands
from service.journal.redis_feed import Feed
from service.journal.redis_keys import Keys
from service.journal.redis_leases import Leases
from service.journal.redis_log import Log
from service.journal.redis_news import encode
from service.journal.redis_server import Server


class Partition:
    """The log of some streams, and whether what was read of it may be committed."""

    def __init__(
        self,
        server: Server,
        number: int,
        keys: Keys,
        leases: Leases,
        mirror: Mirror,
        feed: Feed,
        exists: Callable[[int], Awaitable[bool]],
        results_kept: int,
        clock: Callable[[], float],
    ) -> None:
        self.keys = keys
        self.log = Log(server, keys, exists)
        self.depth = 0
        """How many entries are appended and not yet applied, as last heard."""
        self.needed = OLDEST
        """The format it takes to read all snapshots, as last heard."""
        self.in_doubt = False
        """Whether what was read may be lost."""
        self._server = server
        self._number = number
        self._leases = leases
        self._mirror = mirror
        self._feed = feed
        self._results_kept = results_kept
        self._clock = clock
        self._lock = asyncio.Lock()
        self._feedback = Feedback()

    async def acquire(self) -> int | None:
        """Take it if it is free, and see how its streams stand; return the epoch."""
        known = self._leases.owned.get(self._number)
        epoch = await self._leases.acquire(self._number)
        if epoch is not None:
            try:
                needed = await self._server.call("HGET", self.keys.head, "format")
                # Who does not own it is not told of each commit.
                rows = await self._feed.refresh(self._number)
            except BaseException:
                # The caller does not learn that it owns it, and would keep it for good.
                with suppress(JournalUnavailable):  # Then the lease comes to its end.
                    await self._leases.release(self._number)
                raise
            self.needed = int(needed or OLDEST)
            if epoch != known:
                self._mirror.begin(rows)
        return epoch

    async def need(self, wanted: int) -> None:
        """Note which format it takes to read all snapshots."""
        await self._leases.need(self._number, wanted)
        self.needed = wanted

    def check(self) -> None:
        """Raise `JournalUnavailable` if what was read may be lost."""
        if self.in_doubt:
            raise JournalUnavailable(
                "records that were read may be lost: begin again from `committed`",
                retry_after_seconds=0.1,
            )

    async def committed(self) -> int:
        """Return the position up to which everything is applied; what was read is forgotten."""
        async with self._lock:
            self.in_doubt = False
            self.log.begin_again()
            at, depth = await self._server.call("HMGET", self.keys.head, "at", "depth")
            await self._feed.refresh(self._number)
        self.depth = int(depth or 0)
        return int(at or 0)

    async def commit(
        self,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> dict[bytes, list[bytes]]:
        """Say that records are applied; return the replies that are awaited, by token."""
        covered = self.log.cover(previous, upto)
        answered = {
            token: replies[position]
            for position, token in covered.asked.items()
            if position in replies
        }
        rows = self._mirror.rows
        there = [each for each in applied if each.stream in rows]
        versions = {each.stream: rows[each.stream].version + 1 for each in there}
        payload = encode(previous, there, versions, answered.items(), self._leases.write_format)
        blobs = [
            [self.keys.blob(each.stream, secrets.token_hex(8)) for _ in each.snapshots]
            for each in there
        ]
        keys = self.keys
        async with self._lock:
            await self._server.all_of(blob_commands(there, blobs, BLOB_SECONDS))
            owner, epoch = self._leases.token(self._number)
            said = await self._server.run(
                "commit",
                [keys.own, keys.head, keys.log, keys.pending, keys.out],
                *(keys.prefix, owner, epoch, previous, upto, covered.records, covered.token),
                *(covered.size, self._results_kept, payload, self._feedback.oldest()),
                *(len(there), *arguments(there, covered, versions, blobs, upto, self._clock())),
            )
        self._refuse(previous, upto, said)
        self.log.forget(upto)
        self._feedback.sent(upto, len(payload))
        self.depth = int(said[1])
        for each in there:
            spec = None if each.spec is None else (each.spec, versions[each.stream])
            self._mirror.applied(
                each.stream, each.offset, each.digest, each.status, each.results, spec
            )
        return answered

    def _refuse(self, previous: int, upto: int, said: list[bytes]) -> None:
        kind, detail = said[0], said[1].decode()
        if kind == b"OK":
            return
        if kind == b"FENCED":
            epoch = self._leases.token(self._number)[1]
            self._leases.fenced(self._number)
            raise Fenced(f"epoch: got {epoch} of partition {self._number}, which is at {detail}")
        if kind == b"STALE":
            raise Stale(f"previous: got {previous}, expected {detail}")
        raise Phantom(f"upto: got {upto}, expected the records that were read ({detail})")
