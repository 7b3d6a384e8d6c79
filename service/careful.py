"""Events that end the whole process: found by going one at a time once owners die in a row.

A learner that raises is caught; one that makes the process end, by a crash of compiled code or by
all of the machine's memory, is not. So after two owners of a partition died without a commit in
between, the next notes each entry before it is stepped, and one that a note was left at by dead
owners twice is set aside without being stepped again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from service.journal.base import Journal, Place
from service.work import Raised, Work

CAREFUL_AFTER = 2
MAX_DEATHS = 2
CAREFUL_ENTRIES = 3 * 1_024
"""As many as can have been under way when the first owner died."""


class Died(Exception):
    """The process ended while the learner stepped it"""


class Suspected(Exception):
    """An entry is about to be set aside: whoever left a note of it may only stand still"""


class Care:
    """Whether a partition's entries go one at a time, and which of them are not stepped at all."""

    def __init__(self, journal: Journal, partition: int) -> None:
        self._journal = journal
        self._partition = partition
        self._left = 0
        self._waited_for: Place | None = None

    def __bool__(self) -> bool:
        return self._left > 0

    def begin(self) -> None:
        """Take care for a while, if owners died here."""
        if self._journal.deaths(self._partition) >= CAREFUL_AFTER:
            self._left = CAREFUL_ENTRIES

    def passed(self, entries: int) -> None:
        """Note that entries are committed."""
        self._left -= entries

    async def step(
        self,
        work: Work,
        step_one: Callable[[Work], Awaitable[Raised | None]],
        set_aside: Callable[[Work, Raised, int], Awaitable[None]],
        tries: int,
    ) -> None:
        """Step one entry after the other, each noted beforehand.

        Raises `Suspected` before an entry is set aside; whoever asks again of the same one has
        waited.
        """
        for i, record in enumerate(work.records):
            if len(work.replies) <= i:
                work.replies.append([])
            for j in range(len(work.replies[i]), len(record.entries)):
                place = record.position, j
                deaths = await self._journal.mark(self._partition, place)
                if deaths >= MAX_DEATHS and self._waited_for != place:
                    self._waited_for = place
                    raise Suspected
                if deaths >= MAX_DEATHS:
                    error = Died(f"the process ended while it was stepped, {deaths} times")
                    await set_aside(work, Raised(i, j, error), 1)
                elif (raised := await step_one(work)) is not None:
                    await set_aside(work, raised, tries)
