"""Who waits, in this process, for the replies to records that any process may apply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.errors import JournalUnavailable, StreamNotFound, SynaptideError


@dataclass(slots=True)
class Waiting:
    """One record whose replies somebody here will ask for."""

    uid: int
    token: bytes
    future: asyncio.Future[list[bytes]]
    position: int = 0
    """0 while it is on its way to the log."""
    asked_at: float = 0.0


class Replies:
    """Futures by the record's token: replies may come before the record's position is known."""

    def __init__(self, max_unclaimed: int) -> None:
        self._by_token: dict[bytes, Waiting] = {}
        self._by_place: dict[tuple[int, int], Waiting] = {}
        self._max_unclaimed = max_unclaimed

    def expect(self, uid: int, token: bytes) -> None:
        """Note that the replies to a record will be asked for."""
        loop = asyncio.get_running_loop()
        self._by_token[token] = Waiting(uid, token, loop.create_future(), asked_at=loop.time())

    def placed(self, uid: int, token: bytes, position: int) -> None:
        """Note where the record came to stand."""
        waiting = self._by_token.get(token)
        if waiting is None:
            return
        waiting.position = position
        self._by_place[uid, position] = waiting
        while len(self._by_place) > self._max_unclaimed:
            # Whoever was cancelled before asking left this behind.
            self._forget(next(iter(self._by_place.values())))

    def unplaced(self, tokens: Iterable[bytes]) -> None:
        """Forget records that did not come into the log."""
        for token in tokens:
            self._by_token.pop(token, None)

    async def wait(self, uid: int, position: int) -> list[bytes]:
        """Wait for the replies to a record."""
        waiting = self._by_place.get((uid, position))
        if waiting is None:
            raise LookupError(
                f"position: got {position}, expected one appended with ack 'applied' "
                "whose replies were not asked for yet"
            )
        try:
            return await waiting.future
        finally:
            self._forget(waiting)

    def answer(self, replies: Mapping[bytes, list[bytes]]) -> None:
        """Hand over replies by token; those of records appended elsewhere are passed over."""
        for token, lines in replies.items():
            waiting = self._by_token.get(token)
            if waiting is not None and not waiting.future.done():
                waiting.future.set_result(lines)

    def older_than(self, moment: float) -> list[Waiting]:
        """Return whose replies have been awaited since before a moment of the loop's clock."""
        return [
            each
            for each in self._by_place.values()
            if each.asked_at < moment and not each.future.done()
        ]

    def upto(self, position: int, partition: int, partitions: int) -> list[Waiting]:
        """Return whose replies are awaited, of a partition's records up to a position."""
        return [
            each
            for each in self._by_place.values()
            if each.position <= position and each.uid % partitions == partition
        ]

    def refuse(self, waiting: Sequence[Waiting], error: SynaptideError) -> None:
        """Tell some that there will be no replies."""
        for each in waiting:
            if not each.future.done():
                each.future.set_exception(error)
                each.future.exception()  # Marks it as seen: its caller may have gone away.

    def drop_stream(self, uid: int) -> None:
        """Tell those who wait for a stream that it was deleted."""
        gone = [each for each in self._by_token.values() if each.uid == uid]
        self.refuse(gone, StreamNotFound("the stream was deleted"))

    def close(self, error: JournalUnavailable) -> None:
        """Tell everyone that no replies will come."""
        self.refuse(list(self._by_token.values()), error)

    def _forget(self, waiting: Waiting) -> None:
        self._by_token.pop(waiting.token, None)
        self._by_place.pop((waiting.uid, waiting.position), None)
