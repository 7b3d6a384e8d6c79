"""Keeps a partition in the format that every process can read, so that any may take it over.

While all processes are of one build there is nothing to do. When an older one comes, or an older
format is asked for, the snapshots that are ahead of it are written anew, a few at a time between
batches: streams that are quiet would otherwise be in the format they were left in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from service.commits import Commits
from service.errors import Unreadable
from service.formats import FORMAT
from service.journal.base import Journal

log = structlog.get_logger()

AT_ONCE_SECONDS = 20e-3
"""How long events may wait for snapshots that are written anew."""
AGAIN_SECONDS = 1.0
"""Between looks at what is still ahead."""
NOTHING_TO_DO_SECONDS = 30.0
"""Between looks while all that is ahead has to stay so: each reads of every stream's snapshot."""

Rewrite = Callable[[int], Awaitable[None]]
"""Writes a stream's snapshot anew, if that can be done now."""


class Formats:
    """Which format a partition is in, and which streams are still to come down to it."""

    def __init__(self, journal: Journal, partition: int, commits: Commits) -> None:
        self._journal = journal
        self._partition = partition
        self._commits = commits
        self.begin()

    def begin(self) -> None:
        """Know nothing: another process may have written."""
        self.ahead: list[int] = []
        """Streams whose snapshots are to be written anew."""
        self._tried: set[int] = set()
        self._kept_to = 0
        self._look_at = 0.0

    async def keep_to(self, rewrite: Rewrite) -> None:
        """Do what is to be done next, if anything is."""
        wanted = self._journal.write_format
        if wanted != self._kept_to:
            self.begin()
            self._kept_to = wanted
        if self.ahead:
            await self._write_some(rewrite)
        elif wanted < self._journal.needed(self._partition) and time.monotonic() >= self._look_at:
            await self._look(wanted)
            pause = AGAIN_SECONDS if self.ahead else NOTHING_TO_DO_SECONDS
            self._look_at = time.monotonic() + pause

    async def _look(self, wanted: int) -> None:
        """Find the snapshots that are ahead.

        What this build cannot read, or cannot say in the older format, stays as it is: each is
        tried once.
        """
        await self._commits.settle()  # One that is on its way may have a snapshot of before.
        formats = await self._journal.snapshot_formats(self._partition)
        ahead = {uid for uid, form in formats.items() if wanted < form <= FORMAT}
        self.ahead = list(ahead - self._tried)
        newest = max(formats.values(), default=wanted)
        if newest <= wanted:
            await self._journal.need(self._partition, wanted)
            log.info("partition is in an older format", partition=self._partition, format=wanted)

    async def _write_some(self, rewrite: Rewrite) -> None:
        until = time.monotonic() + AT_ONCE_SECONDS
        while self.ahead and time.monotonic() < until:
            uid = self.ahead.pop()
            self._tried.add(uid)
            with suppress(Unreadable):
                await rewrite(uid)
