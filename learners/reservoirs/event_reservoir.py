"""Event reservoir: what comes next, when, and how probably, from cells that time each symbol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.kernels import time_cells as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
)
from learners.places import Places
from learners.reservoirs.symbols import LONGEST_NAMES, SymbolFeature

EVENTS_KEPT = 256
LARGEST = 1e6
LONGEST_SECONDS = 1e12
LEAST_LIKELY = 1e-3
TWO_DEVIATIONS = round(2 * kernels.PULSE_DEVIATION)
AVERAGED_OVER = 0.02
SURE = 0.95
LEAST_ALARM_SECONDS = 10.0

# averages
SURPRISE, WHEN_ERROR, BRIER, OMITTED, LAST_SURPRISE, LAST_OMISSION, LAST_TIMING = range(7)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one symbol: how probably it is next, and when it is expected most."""

    probability: float
    seconds: float
    peak: float


class EventReservoir(Learner):
    """Learns which symbol follows which after how long, and how probably, from events with times.

    Each symbol is a cue: when it comes, cells begin that answer one after another, at ages even in
    their logarithm, so that a delay is told to a constant share of itself. From the cells of each
    of the latest `cues` different symbols a delta rule reads how much of each symbol is expected at
    any time; where cues overlap, a symbol is left to the one that expects it most clearly, and
    what has come is taken out of what is still expected. `label` is the symbol that comes
    next, `proba` the probability of each to be the next one, with the rest for none within
    `longest_seconds`; signals say when. The score is in nats, 0 to 6.9: how unexpected this symbol
    was at this time, early, late or at all, or how improbable it was that nothing came before.

    That an event stays out is scored when the next one comes. Between events the signal
    `silence_alarm_after_seconds` says from what age of the newest event on that is so.

    It fails where what comes depends on more than the last time of each symbol, such as on their
    order; where symbols are many; on delays told more finely than the cells are spaced; and a peak
    lies lower where delays vary, though probabilities do not. Without times, events are one second
    apart. One that lies before the newest is taken to come with it; one that lies before it by more
    than `longest_seconds` sets the time back to its own, so that a single wrong time far ahead does
    not stop it, and what was under way is not learned.

    Parameters
    ----------
    symbol
        The feature that holds the symbol; `None` takes the only string of the first event, or its
        only number. An event without it is passed over.
    symbols
        Room for different symbols; all that come later are taken for one, never expected by name.
    shortest_seconds, longest_seconds, cells
        Ages of the first and the last cell, and how many there are.
    cues
        How many of the latest different symbols are cues.
    learning_rate
        Of the normalized step at each of three points a cell. Cells overlap, so that together they
        move by up to 9.6 times as much: above .2 they would not settle.

    References
    ----------
    Yamada and Chao 2025, arXiv 2510.14382, for what is learned and by which rule. The cells are
    those of Shankar and Howard 2012, A scale-invariant internal representation of time, Neural
    Computation 24, in closed form, in place of the spiking reservoir; all constants are ours.
    """

    def __init__(
        self,
        symbol: str | None = None,
        symbols: int = 16,
        shortest_seconds: float = 0.1,
        longest_seconds: float = 86_400.0,
        cells: int = 96,
        cues: int = 8,
        learning_rate: float = 0.02,
    ) -> None:
        require(1 <= symbols <= 256, "symbols", symbols, "1..256")
        require(
            1e-6 <= shortest_seconds < longest_seconds <= 1e9,
            "shortest_seconds, longest_seconds",
            (shortest_seconds, longest_seconds),
            "0.000001 <= shortest_seconds < longest_seconds <= 1000000000",
        )
        require(4 <= cells <= 1_024, "cells", cells, "4..1024")
        require(1 <= cues <= 64, "cues", cues, "1..64")
        require(0.0 < learning_rate <= 0.2, "learning_rate", learning_rate, "in (0, 0.2]")
        self.symbol = symbol
        self.symbols = symbols
        self.shortest_seconds = shortest_seconds
        self.longest_seconds = longest_seconds
        self.cells = cells
        self.cues = cues
        self.learning_rate = learning_rate
        self._feature = SymbolFeature(symbol)
        self._places = Places(symbols, LONGEST_NAMES)
        self._cells = kernels.Cells(**allocate(_layout(symbols, cells, cues)))
        self._ahead, self._if = (
            kernels.Ahead(**allocate(_ahead_layout(symbols, cells))) for _ in range(2)
        )
        self._averages = np.zeros(7)
        step = math.log(longest_seconds / shortest_seconds) / (kernels.A_CELL * (cells - 1))
        self._cells.settings[:] = learning_rate, shortest_seconds, step
        self._cells.recent[:] = -1
        self._cells.ages[:] = [
            shortest_seconds * math.exp(step * i) for i in range(len(self._cells.T))
        ]
        away = np.arange(kernels.REACH + 1) / kernels.CELL_DEVIATION
        self._cells.bump[:] = np.exp(-0.5 * away * away)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of cells, read-out, times kept and names of symbols."""
        sizes = (params.get("symbols", 16), params.get("cells", 96), params.get("cues", 8))
        arrays = layout_bytes(_layout(*sizes)) + 2 * layout_bytes(_ahead_layout(*sizes[:2])) + 56
        return arrays + LONGEST_NAMES + SymbolFeature.memory_bytes()

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return how unexpected an event is, and what comes after it, changing nothing.

        The score is `None` for the first event and for one without a symbol. Raises `InvalidEvent`
        for a symbol that is no finite number, or if which feature holds it cannot be told.
        """
        _, said = self._feature.read(x)
        if said is None:
            return Prediction()
        at, place = self._time(t), self._place(said)
        score = max(self._surprise(place, at), self._omission(at)) if self._events else None
        kernels.look_if(self._cells, place, at, self._known, self._if)
        expected = self._expected(self._if)
        proba = {name: each.probability for name, each in expected.items()}
        label = max(proba, key=proba.__getitem__, default=None)
        likely = label is not None and proba[label] > 0.0
        return Prediction(score=score, label=label if likely else None, proba=proba or None)

    def expect_one(self, x: Features, t: float | None = None) -> dict[str, Expected]:
        """Return what is expected of each symbol after an event, changing nothing."""
        _, said = self._feature.read(x)
        if said is None:
            return self._expected(self._ahead)
        place, at = self._place(said), self._time(t)
        kernels.look_if(self._cells, place, at, self._known, self._if)
        return self._expected(self._if)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn what an event settles of the delays before it; raises as `predict` does."""
        self._move_on(x, t, learn=True)

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Let the symbol be a cue without learning that it came; raises as `predict` does."""
        self._move_on(x, t, learn=False)

    def _move_on(self, x: Features, t: float | None, learn: bool) -> None:
        name, said = self._feature.read(x)
        self._feature.name = name
        if said is None:
            return
        at = self._time(t)
        place = (self._places.take(said) if learn else self._places.of.get(said, -1)) + 1
        if at < self._newest():
            # What was under way ended at a time that was wrong.
            self._cells.done[:] = len(self._cells.T)
        elif self._events:
            self._note(place, at)
        kernels.take(self._cells, place, at, self._known, learn)
        self._look_again()

    def _note(self, place: int, at: float) -> None:
        """Take how well an event was foreseen into the averages."""
        ahead, averages = self._ahead, self._averages
        averages[LAST_SURPRISE] = self._surprise(place, at)
        averages[LAST_OMISSION] = passed = self._passed(at)
        missed = ahead.p[: self._known].copy()
        missed[place] -= 1.0
        _average(averages, SURPRISE, float(averages[LAST_SURPRISE]))
        _average(averages, BRIER, float(missed @ missed))
        _average(averages, OMITTED, float(passed > SURE))
        averages[LAST_TIMING] = 0.0
        if ahead.peak[place] > kernels.QUIET:
            off = (at - self._newest()) / ahead.at[place] - 1.0
            averages[LAST_TIMING] = min(off, LARGEST)
            _average(averages, WHEN_ERROR, min(abs(off), LARGEST))

    def _surprise(self, place: int, at: float) -> float:
        found = kernels.expect(self._cells, place, at, self._known, self._ahead)
        return -math.log(min(max(found, LEAST_LIKELY), 1.0))

    def _omission(self, at: float) -> float:
        return -math.log(max(1.0 - self._passed(at), LEAST_LIKELY))

    def _passed(self, at: float) -> float:
        """Return how probably something would have come by now, two deviations of a pulse ago."""
        passed = self._ahead.passed
        point = math.floor(kernels.point_of(self._cells, at - self._newest())) - TWO_DEVIATIONS
        return float(passed[min(point, len(passed) - 1)]) if point >= 0 else 0.0

    def _newest(self) -> float:
        """Return the time of the newest event, minus infinity before the first."""
        newest = self._cells.recent[0]
        return float(self._cells.last[newest]) if newest >= 0 else -math.inf

    def _look_again(self) -> None:
        """Look ahead from the newest event."""
        newest = int(self._cells.recent[0])
        at = self._cells.last[newest] if newest >= 0 else 0.0
        kernels.look_ahead(self._cells, newest, at, self._known, self._ahead)

    def _expected(self, ahead: kernels.Ahead) -> dict[str, Expected]:
        rows = zip(*(each[1 : self._known].tolist() for each in ahead[:3]), strict=True)
        return {name: Expected(*row) for name, row in zip(self._places, rows, strict=True)}

    def _time(self, t: float | None) -> float:
        """Return the time of an event in seconds, not before the newest unless far before it."""
        newest = self._newest()
        if t is None or not math.isfinite(t):
            return newest + 1.0 if self._events else 0.0
        at = min(max(t, -LONGEST_SECONDS), LONGEST_SECONDS)
        return at if newest - at > self.longest_seconds else max(newest, at)

    def _place(self, name: str) -> int:
        """Return where a symbol stands; 0 is for all without a place of their own."""
        found = self._places.of.get(name, -1) + 1
        return found if found or len(self._places) == self.symbols else -1

    @property
    def _known(self) -> int:
        return len(self._places) + 1

    @property
    def _events(self) -> int:
        return int(self._cells.counted[0])

    def signals(self) -> Mapping[str, float]:
        """Return what comes next and when, how well that is known, and what stayed out."""
        ahead, averages = self._ahead, self._averages
        best = int(np.argmax(ahead.p[: self._known]))
        signals = {
            "event_next_probability": float(ahead.p[best]),
            "event_next_seconds": float(ahead.at[best]),
            "event_next_peak": float(ahead.peak[best]),
            "event_surprise": float(averages[LAST_SURPRISE]),
            "event_surprise_mean": float(averages[SURPRISE]),
            "event_timing": float(averages[LAST_TIMING]),
            "event_timing_error": float(averages[WHEN_ERROR]),
            "event_brier": float(averages[BRIER]),
            "event_omission": float(averages[LAST_OMISSION]),
            "event_omission_rate": float(averages[OMITTED]),
            "event_symbols": float(len(self._places)),
        }
        late = int(np.searchsorted(ahead.passed, SURE))
        if late < len(ahead.passed):
            age = float(self._cells.ages[min(late + TWO_DEVIATIONS, len(ahead.passed) - 1)])
            signals["silence_alarm_after_seconds"] = max(age, LEAST_ALARM_SECONDS)
        return signals

    def get_state(self) -> Arrays:
        """Return read-out, times, symbols and averages."""
        state = {name: getattr(self._cells, name).copy() for name in _STATE}
        known = self._known
        state["R"] = self._cells.R[:known, :, :known].copy()
        state |= {"averages": self._averages.copy(), "names": self._places.to_array()}
        return state | {"feature": self._feature.to_array()}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self._check_state(arrays)
        self._feature.restore(arrays["feature"])
        self._places.restore(arrays["names"])
        s, known = self._cells, self._known
        s.R[:] = 0.0
        s.R[:known, :, :known] = arrays["R"]
        for name in _STATE:
            getattr(s, name)[:] = arrays[name]
        self._averages[:] = arrays["averages"]
        for each in self._ahead:
            # Looking ahead writes those of the symbols there are.
            each[:] = 0
        self._look_again()

    def _check_state(self, arrays: Arrays) -> None:
        layout = _layout(self.symbols, self.cells, self.cues)
        like: Layout = {name: layout[name] for name in _STATE} | {
            "R": ((-1, self.cells, -1), np.float64),
            "averages": ((7,), np.float64),
            "names": ((-1,), np.uint8),
            "feature": ((-1,), np.uint8),
        }
        check_state_arrays(arrays, like)
        self._feature.check(arrays["feature"])
        known = self._places.check_rows(arrays) + 1
        shape = (known, self.cells, known)
        require_state(arrays["R"].shape == shape, "R", f"got {arrays['R'].shape}, expected {shape}")
        check_range("R", arrays["R"], -LARGEST, LARGEST)
        check_range("averages", arrays["averages"], -LARGEST, LARGEST)
        for name in ("last", "ring_t"):
            check_range(name, arrays[name], -LONGEST_SECONDS, 2 * LONGEST_SECONDS)
        check_range("done", arrays["done"], 0, len(self._cells.T))
        check_range("counted", arrays["counted"], 0, 2**62)
        check_range("ring_s", arrays["ring_s"], 0, known - 1)
        recent = arrays["recent"]
        check_range("recent", recent, -1, known - 1)
        cues = recent[recent >= 0]
        first = bool((recent[: len(cues)] >= 0).all()) and len(set(cues.tolist())) == len(cues)
        require_state(first, "recent", "expected different symbols, then -1")
        begun = bool(len(cues)) == bool(arrays["counted"][0])
        require_state(begun, "recent", "expected a cue if there were events")


_STATE = ("last", "done", "recent", "ring_t", "ring_s", "counted")


def _average(averages: Any, which: int, value: float) -> None:
    averages[which] += AVERAGED_OVER * (value - averages[which])


def _layout(symbols: int, cells: int, cues: int) -> Layout:
    C, G = symbols + 1, kernels.A_CELL * (cells - 1) + 1
    a_symbol: Layout = dict.fromkeys(("last", "z", "one", "best", "best_at"), ((C,), np.float64))
    return a_symbol | {
        "R": ((C, cells, C), np.float64),
        "done": ((C,), np.int64),
        "recent": ((cues,), np.int64),
        "ring_t": ((EVENTS_KEPT,), np.float64),
        "ring_s": ((EVENTS_KEPT,), np.int64),
        "counted": ((1,), np.int64),
        "T": ((G, C), np.float64),
        "ages": ((G,), np.float64),
        "bump": ((kernels.REACH + 1,), np.float64),
        "held": ((C, C), np.float64),
        "held_g": ((C,), np.int64),
        "settings": ((kernels.SETTINGS,), np.float64),
    }


def _ahead_layout(symbols: int, cells: int) -> Layout:
    a_symbol: Layout = dict.fromkeys(("p", "at", "peak"), ((symbols + 1,), np.float64))
    return a_symbol | {
        "cue": ((symbols + 1,), np.int64),
        "passed": ((kernels.A_CELL * (cells - 1) + 1,), np.float64),
    }
