"""The newest results in memory, so that who follows a stream seldom touches the disk."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence

from service.errors import SynaptideError

LINES_PER_STREAM = 1_024
LINES_IN_ALL = 65_536


class Recent:
    """The last results of the streams that had some last, and who waits for more."""

    def __init__(self) -> None:
        self._streams: OrderedDict[int, tuple[int, deque[bytes]]] = OrderedDict()
        self._count = 0
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}

    def add(self, uid: int, offset: int, results: Sequence[bytes]) -> None:
        """Take a stream's newest results, of the offsets that end at `offset`."""
        last, lines = self._streams.get(uid, (0, None))
        if lines is None or last != offset - len(results):
            self.drop(uid)
            lines = deque[bytes](maxlen=LINES_PER_STREAM)
        self._count -= len(lines)
        lines.extend(results)
        self._count += len(lines)
        self._streams[uid] = (offset, lines)
        self._streams.move_to_end(uid)
        while self._count > LINES_IN_ALL:
            _, (_, oldest) = self._streams.popitem(last=False)
            self._count -= len(oldest)
        self.wake(uid)

    def since(self, uid: int, after: int, limit: int) -> list[bytes] | None:
        """Return results after an offset, or `None` if memory does not reach back to it."""
        last, lines = self._streams.get(uid, (0, ()))
        first = len(lines) - (last - after)
        if not lines or not 0 <= first <= len(lines):
            return None
        return [lines[i] for i in range(first, min(first + limit, len(lines)))]

    def drop(self, uid: int) -> None:
        """Forget a stream's results."""
        _, lines = self._streams.pop(uid, (0, ()))
        self._count -= len(lines)

    async def more(self, uid: int, seconds: float) -> None:
        """Wait until a stream has more results or is deleted, but not longer than that."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        waiting = self._waiting.setdefault(uid, set())
        waiting.add(woken)
        timer = loop.call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            waiting.discard(woken)
            if not waiting and self._waiting.get(uid) is waiting:
                del self._waiting[uid]

    def wake(self, uid: int) -> None:
        """Have whoever waits for a stream look again."""
        for woken in self._waiting.pop(uid, ()):
            _wake(woken)

    def close(self, error: SynaptideError) -> None:
        """Tell everyone who waits that no more will come."""
        for waiting in self._waiting.values():
            for woken in waiting:
                if not woken.done():
                    woken.set_exception(error)
        self._waiting.clear()
        self._streams.clear()
        self._count = 0


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
