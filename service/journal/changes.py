"""Which streams changed since someone last asked: for pages that show all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

from service.errors import SynaptideError

GONE_REMEMBERED = 10_000


@dataclass(slots=True)
class Changed:
    """What changed: all streams there are if `full`, else those that changed and those gone."""

    cursor: str
    full: bool
    uids: list[int]
    gone: list[str]


class Changes:
    """Streams in the order of their last change. A cursor is of one run of the process only."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._count = 0
        self._changed: OrderedDict[int, int] = OrderedDict()
        self._gone: deque[tuple[int, str]] = deque()
        self._forgotten = 0
        """The last deletion that is no longer remembered."""
        self._waiting: set[asyncio.Future[None]] = set()

    def touch(self, uid: int) -> None:
        """Note that a stream changed or was made."""
        self._count += 1
        self._changed[uid] = self._count
        self._changed.move_to_end(uid)
        if self._waiting:
            self._wake()

    def drop(self, uid: int, name: str) -> None:
        """Note that a stream was deleted."""
        self._count += 1
        self._changed.pop(uid, None)
        self._gone.append((self._count, name))
        if len(self._gone) > GONE_REMEMBERED:
            self._forgotten, _ = self._gone.popleft()
        self._wake()

    def since(self, cursor: str | None) -> Changed:
        """Return what changed after a cursor; everything if it is none of this run's."""
        now = f"{self._run}-{self._count}"
        place = self._place(cursor)
        if place is None:
            return Changed(now, True, list(self._changed), [])
        uids = []
        for uid in reversed(self._changed):
            if self._changed[uid] <= place:
                break
            uids.append(uid)
        return Changed(now, False, uids, [name for count, name in self._gone if count > place])

    def _place(self, cursor: str | None) -> int | None:
        run, _, count = (cursor or "").partition("-")
        if run != self._run or not (count.isascii() and count.isdigit() and len(count) < 19):
            return None
        place = int(count)
        return place if self._forgotten <= place <= self._count else None

    async def more(self, cursor: str | None, seconds: float) -> None:
        """Wait until something changes after a cursor, but not longer than that."""
        if self._place(cursor) != self._count:
            return
        woken = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            return
        finally:
            self._waiting.discard(woken)

    def close(self, error: SynaptideError) -> None:
        """Tell everyone who waits that no more will come."""
        for woken in self._waiting:
            if not woken.done():
                woken.set_exception(error)
        self._waiting.clear()

    def _wake(self) -> None:
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)
        self._waiting.clear()
