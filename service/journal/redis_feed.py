"""What other processes do: streams made and deleted, and what their commits say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from service.errors import JournalUnavailable
from service.journal.base import StreamRow
from service.journal.mirror import Mirror
from service.journal.redis_keys import Fields, Keys, fields_in, position_in, row_in
from service.journal.redis_news import Unknown, decode
from service.journal.redis_replies import Replies
from service.journal.redis_server import Server

log = structlog.get_logger()

ENTRIES_AT_ONCE = 32
PAUSE_SECONDS = 0.25
UNKNOWN = "the replies are in another version's format: send the events again, with the same ids"


class Feed:
    """Follows some partitions, on one connection; keeps the mirror and answers who waits."""

    def __init__(
        self,
        server: Server,
        keys: Sequence[Keys],
        partitions: Sequence[int],
        mirror: Mirror,
        replies: Replies,
        with_results: bool,
        interrupted: Callable[[Sequence[int]], None],
    ) -> None:
        self._server = server
        self._keys = {partition: keys[partition] for partition in partitions}
        self._modulus = len(keys)
        self._mirror = mirror
        self._replies = replies
        self._interrupted = interrupted
        self._places: dict[str, str] = {}
        self._news = {each.news: partition for partition, each in self._keys.items()}
        outs = {each.out: partition for partition, each in self._keys.items()}
        self._outs = outs if with_results else {}
        self.reached = dict.fromkeys(self._keys, 0)
        """The position of the last commit that was heard of, by partition."""
        self._stale: set[int] = set()

    async def begin(self) -> None:
        """Find out how everything stands."""
        await self._look(list(self._keys))

    def doubt(self) -> None:
        """Have everything looked at again: news may be missing."""
        self._stale |= self._keys.keys()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                if self._stale:
                    await self._look(sorted(self._stale))
                    self._stale.clear()
                found = await self._server.wait_for(self._places, ENTRIES_AT_ONCE)
                for key, entries in found.items():
                    await self._take(key, entries)
            except JournalUnavailable as error:
                log.warning("journal cannot be followed", detail=error.detail)
                await self._begin_again()
            except Exception:
                # News that another build wrote, for one. Whoever stops here answers nobody again;
                # to look anew passes over what could not be read.
                log.exception("news of the journal cannot be read")
                await self._begin_again()

    async def _begin_again(self) -> None:
        self.doubt()
        self._interrupted(list(self._keys))
        await asyncio.sleep(PAUSE_SECONDS)

    async def _take(self, key: str, entries: list[tuple[bytes, Fields]]) -> None:
        for entry, fields in entries:
            if key in self._news:
                await self._hear(self._keys[self._news[key]], fields)
            else:
                self._apply(self._outs[key], position_in(entry), fields[b"d"])
            self._places[key] = entry.decode()

    async def _hear(self, keys: Keys, fields: Fields) -> None:
        if b"gone" in fields:
            uid = int(fields[b"gone"])
            self._mirror.drop(uid)
            self._replies.drop_stream(uid)
            return
        uid = int(fields[b"made"])
        if uid not in self._mirror.rows:
            found = await self._server.call("HGETALL", keys.stream(uid))
            if found:
                self._mirror.put(row_in(uid, found))

    def _apply(self, partition: int, position: int, payload: bytes) -> None:
        try:
            previous, said, replies = decode(payload)
        except Unknown:
            # How the streams stand can be looked up; what was answered cannot.
            self._stale.add(partition)
            unheard = self._replies.upto(position, partition, self._modulus)
            self._replies.refuse(unheard, JournalUnavailable(UNKNOWN, retry_after_seconds=1))
            return
        if previous > self.reached[partition]:
            self._stale.add(partition)  # Some were let go before they were heard of.
        for each in said:
            self._mirror.applied(
                each.uid, each.offset, each.digest, each.status, each.results, each.spec
            )
        self._replies.answer(replies)
        self.reached[partition] = position

    async def _look(self, partitions: Sequence[int]) -> None:
        """Read the rows of partitions; the places to go on from first, so that nothing is missed.

        What is heard twice is taken once, because a row tells how far it has come.
        """
        chosen = [self._keys[partition] for partition in partitions]
        followed = [each.news for each in chosen] + [
            each.out for each in chosen if each.out in self._outs
        ]
        lasts = await self._server.all_of(
            [("XREVRANGE", key, "+", "-", "COUNT", 1) for key in followed]
        )
        for key, last in zip(followed, lasts, strict=True):
            self._places[key] = last[0][0].decode() if last else "0-0"
        ats = await self._server.all_of([("HGET", each.head, "at") for each in chosen])
        for partition, at in zip(partitions, ats, strict=True):
            self.reached[partition] = int(at or 0)
            await self.refresh(partition)

    async def refresh(self, partition: int) -> list[StreamRow]:
        """Read the rows of a partition anew, and return them."""
        keys = self._keys[partition]
        uids = await self._server.call("HVALS", keys.names)
        found = await self._server.all_of([("HGETALL", keys.stream(int(uid))) for uid in uids])
        rows = [row_in(int(uid), fields) for uid, fields in zip(uids, found, strict=True) if fields]
        own = [uid for uid in self._mirror.rows if uid % self._modulus == partition]
        self._mirror.replace(rows, own)
        return rows


def found_row(reply: list[bytes | list[bytes]]) -> tuple[int, dict[bytes, bytes]] | None:
    """Read a uid and a stream's fields, if there are any."""
    if not reply:
        return None
    uid, flat = reply
    assert isinstance(uid, bytes)
    assert isinstance(flat, list)
    return int(uid), fields_in(flat)
