"""The highest score of each stream in the last minute, which a scrape would otherwise miss."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

BUCKET_SECONDS = 10.0
BUCKETS = 7
"""One more than a minute holds, because the newest is not full yet."""


class Peaks:
    """Maxima by stream in buckets of wall time: one call a batch, and nothing to tidy up.

    What is told of a deleted stream is forgotten with its bucket.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: deque[tuple[int, dict[int, float]]] = deque(maxlen=BUCKETS)

    def note(self, uid: int, score: float | None) -> None:
        """Take in the highest score of a batch."""
        if score is None:
            return
        number = self._number()
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, {}))
        scores = self._buckets[-1][1]
        if score > scores.get(uid, -1.0):
            scores[uid] = score

    def of(self, uid: int) -> float | None:
        """Return the highest score of the last 60 to 70 seconds, if there was any."""
        oldest = self._number() - BUCKETS
        scores = [each.get(uid) for number, each in list(self._buckets) if number > oldest]
        return max((score for score in scores if score is not None), default=None)

    def _number(self) -> int:
        return int(self._clock() / BUCKET_SECONDS)
