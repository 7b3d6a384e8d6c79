"""The streams in memory, the one that has been quiet longest first, and how much they hold."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from service.work import Live

ROOM = 0.9
"""Part of the limit that is filled again when streams are written out, so that it is seldom."""
_LOOKED_AT = 32


def give_back_memory() -> None:
    """Return freed memory to the system; without the GNU library, that is left to it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Residents:
    """Live streams by uid, in the order of their last use."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._live: OrderedDict[int, Live] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    def get(self, uid: int) -> Live | None:
        """Return a stream if it is in memory, which counts as use."""
        live = self._live.get(uid)
        if live is not None:
            self._live.move_to_end(uid)
        return live

    def put(self, uid: int, live: Live) -> None:
        """Take a stream in, in place of one of the same uid."""
        self.drop(uid)
        self._live[uid] = live
        self.measure(live)

    def drop(self, uid: int) -> None:
        """Let a stream go."""
        live = self._live.pop(uid, None)
        if live is not None:
            self.held_bytes -= live.held_bytes

    def clear(self) -> None:
        """Let all streams go."""
        self._live.clear()
        self.held_bytes = 0

    def items(self) -> list[tuple[int, Live]]:
        """Return all streams by uid."""
        return list(self._live.items())

    def measure(self, live: Live) -> None:
        """Take note of how much a stream holds by now."""
        held = live.stream.held_bytes()
        self.held_bytes += held - live.held_bytes
        live.held_bytes = held

    def slowest(self) -> float:
        """Return the longest time an entry takes in the streams used last, in seconds."""
        lately = islice(reversed(self._live.values()), _LOOKED_AT)
        return max((live.seconds_per_entry for live in lately), default=0.0)

    def surplus(self) -> Iterator[tuple[int, Live]]:
        """Return the streams to write out, quietest first, until the rest has room.

        Not among them are the one used last, and those that have no snapshots.
        """
        if self.held_bytes <= self.limit_bytes:
            return
        held = self.held_bytes
        for uid, live in self.items()[:-1]:
            if held <= ROOM * self.limit_bytes:
                return
            if live.stream.keeps_state:
                held -= live.held_bytes
                yield uid, live
