"""Holding: what comes during an incident is not learned, so that it does not become normal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from learners.base import Arrays, Stateful, check_arrays
from learners.parameters import check_range, require

FREE, HOLDING, GIVEN_UP = range(3)
LATEST = 1e12

# counts
STATE, EVENTS, CALM, HOLDS, GAVE_UP = range(5)


class Hold(Stateful):
    """Says of each event whether it is held: kept from becoming a part of what is normal.

    An anomaly begins a hold, `release_events` events in a row that are none end it. After
    `limit_seconds` or `limit_events` it is given up: what lasts is the new normal, is learned, and
    no hold begins before the stream has been calm for as many events. An event without a time
    counts for the limit of events alone.

    It fails where anomalies are so frequent that the stream is never calm: then nothing is learned
    until the limit, over and over.

    Parameters
    ----------
    limit_seconds, limit_events
        How long a hold lasts at most, in the events' own time and in events.
    release_events
        Events in a row that are no anomalies, after which learning goes on.
    """

    _state = ("counts", "since")

    def __init__(
        self,
        limit_seconds: float = 259_200.0,
        limit_events: int = 10_000,
        release_events: int = 12,
    ) -> None:
        require(0 < limit_seconds <= 1e9, "limit_seconds", limit_seconds, "in (0, 1000000000]")
        require(1 <= limit_events <= 1_000_000_000, "limit_events", limit_events, "1..1000000000")
        require(1 <= release_events <= 1_000_000, "release_events", release_events, "1..1000000")
        self.limit_seconds = limit_seconds
        self.limit_events = limit_events
        self.release_events = release_events
        self.counts = np.zeros(5, np.int64)
        self.since = np.zeros(1)

    @property
    def holding(self) -> bool:
        """Whether the last event was held."""
        return bool(self.counts[STATE] == HOLDING)

    def take(self, anomalous: bool, t: float | None = None) -> bool:
        """Take in whether an event is an anomaly; return whether it is held."""
        counts = self.counts
        counts[CALM] = 0 if anomalous else counts[CALM] + 1
        if counts[STATE] == FREE:
            if anomalous:
                self._begin(t)
            return anomalous
        if counts[CALM] >= self.release_events:
            counts[STATE] = FREE
            return False
        if counts[STATE] == HOLDING:
            counts[EVENTS] += 1
            if self._is_over(t):
                counts[STATE] = GIVEN_UP
                counts[GAVE_UP] += 1
        return self.holding

    def _begin(self, t: float | None) -> None:
        self.counts[[STATE, EVENTS]] = HOLDING, 1
        self.counts[HOLDS] += 1
        self.since[0] = LATEST if t is None else min(max(t, -LATEST), LATEST)

    def _is_over(self, t: float | None) -> bool:
        late = t is not None and t - self.since[0] > self.limit_seconds
        return bool(late or self.counts[EVENTS] > self.limit_events)

    def signals(self) -> Mapping[str, float]:
        """Return whether it holds, how often it did, and how often it gave up."""
        return {
            "hold_state": float(self.counts[STATE]),
            "holds": float(self.counts[HOLDS]),
            "holds_given_up": float(self.counts[GAVE_UP]),
        }

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        check_arrays(arrays, {name: getattr(self, name) for name in self._state})
        check_range("counts", arrays["counts"], 0, 2**62)
        check_range("counts", arrays["counts"][: STATE + 1], FREE, GIVEN_UP)
        check_range("since", arrays["since"], -LATEST, LATEST)
        super().set_state(arrays)
