"""The look every second at how the server is, and whether awaited records are still there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from service.errors import JournalUnavailable
from service.formats import OLDEST
from service.journal.redis_check import infos
from service.journal.redis_feed import Feed
from service.journal.redis_keys import entry_id
from service.journal.redis_leases import Leases
from service.journal.redis_partition import Partition
from service.journal.redis_replies import Replies
from service.journal.redis_sender import Sender
from service.journal.redis_server import Server

log = structlog.get_logger()

PULSE_SECONDS = 1.0
OVERDUE_SECONDS = 5.0
MEMORY_SHARE = 0.7
"""Of the server's memory, beyond which no events are taken: commits need the rest."""


class Watch:
    """Finds out what nobody is told: a failover, a full memory, depths, replies that are lost."""

    def __init__(
        self,
        server: Server,
        partitions: Sequence[Partition],
        feeds: Sequence[Feed],
        sender: Sender,
        replies: Replies,
        leases: Leases,
    ) -> None:
        self._server = server
        self._partitions = partitions
        self._feeds = feeds
        self._sender = sender
        self._replies = replies
        self._leases = leases
        self.history = ""
        """Which the server told last; see `pulse`."""

    async def begin(self) -> None:
        """See how the server is now, and say that this process is there."""
        await self._leases.note()
        self.history, self._sender.full = await pulse(self._server)
        await self._measure()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            try:
                await self._look()
                await self._leases.note()
                await self._measure()
                await self._look_for_lost()
            except JournalUnavailable:
                continue  # Whoever needs the server hears of it.
            except Exception:
                # Whoever stops here lets waiting clients wait for good.
                log.exception("the journal's server cannot be looked at")

    async def _look(self) -> None:
        history, self._sender.full = await pulse(self._server)
        if history == self.history:
            return
        log.warning("the server tells another history: beginning again")
        self.history = history
        for partition in self._partitions:
            partition.in_doubt = True
        for feed in self._feeds:
            feed.doubt()

    async def _measure(self) -> None:
        found = await self._server.all_of(
            [("HMGET", each.keys.head, "depth", "format") for each in self._partitions]
        )
        for partition, (depth, needed) in zip(self._partitions, found, strict=True):
            partition.depth = int(depth or 0)
            partition.needed = int(needed or OLDEST)

    async def _look_for_lost(self) -> None:
        """Tell those who wait for records that are lost, or whose replies went by unheard."""
        now = asyncio.get_running_loop().time()
        overdue = self._replies.older_than(now - OVERDUE_SECONDS)
        if not overdue:
            return
        keys = [self._partitions[each.uid % len(self._partitions)].keys for each in overdue]
        found = await self._server.all_of(
            [
                command
                for each, its in zip(overdue, keys, strict=True)
                for command in (
                    ("HGET", its.head, "at"),
                    ("XRANGE", its.log, entry_id(each.position), entry_id(each.position)),
                )
            ]
        )
        for each, at, entries in zip(overdue, found[::2], found[1::2], strict=True):
            there = bool(entries) and entries[0][1][b"x"] == each.token
            if int(at or 0) < each.position and there:
                continue
            why = "went by unheard" if there else "are lost, and the events may be"
            error = JournalUnavailable(
                f"the replies {why}: send the events again, with the same ids",
                retry_after_seconds=0.1,
            )
            self._replies.refuse([each], error)


async def pulse(server: Server) -> tuple[str, str]:
    """Return which history the server tells, and why it takes no events now, if it does not.

    After a failover it is another history: what was read before may never have been.
    """
    found = await infos(server)
    return "+".join(str(info.get("master_replid")) for info in found), next(
        filter(None, map(_too_full, found)), ""
    )


def _too_full(info: Mapping[str, Any]) -> str:
    used, most = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    if most and used > MEMORY_SHARE * most:
        return f"memory: got {used} bytes in use, expected at most {MEMORY_SHARE:.0%} of {most}"
    return ""
