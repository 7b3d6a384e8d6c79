"""Commits on their way: in order, a few ahead of what the journal has confirmed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from service.journal.base import Journal
from service.work import Waiting, Work


class Commits:
    """Commits the work of one partition; each stands on the one before."""

    def __init__(self, journal: Journal, partition: int) -> None:
        self.position = 0
        """The last record that is in a commit, confirmed or on its way."""
        self._journal = journal
        self._partition = partition
        self._on_their_way: deque[asyncio.Task[None]] = deque()

    def __len__(self) -> int:
        return len(self._on_their_way)

    async def begin(self) -> None:
        """Begin from where the partition stands."""
        self.position = await self._journal.committed(self._partition)

    def send(self, upto: int, works: Sequence[Work | Waiting]) -> None:
        """Commit all that came of the records up to a position."""
        applied = [work.applied() for work in works]
        replies = {
            position: answers for work in works for position, answers in work.answers.items()
        }
        commit = self._journal.commit(self._partition, self.position, upto, applied, replies)
        self._on_their_way.append(asyncio.ensure_future(commit))
        self.position = upto

    async def settle(self, ahead: int = 0) -> None:
        """Wait until at most `ahead` commits are on their way; raise what one failed with."""
        while len(self._on_their_way) > ahead:
            await self._on_their_way[0]  # It stays here if this wait is cancelled.
            self._on_their_way.popleft()

    async def abandon(self) -> None:
        """Forget what is on its way."""
        for commit in self._on_their_way:
            commit.cancel()
        await asyncio.gather(*self._on_their_way, return_exceptions=True)
        self._on_their_way.clear()
