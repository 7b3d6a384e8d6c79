"""A gate that tells labels that changed their meaning from labels that are new.

Where the nearest stored event bears another label than the new one, one of them is wrong: by noise,
at a border between classes, or because the meaning of labels has changed. A class that is new has
neighbors of other classes as well, so that a contradiction counts only if the new event's label
had been established (had come `known` times) before the neighbor was stored. Counted contradictions
have a fast and a slow running share, each the plain mean at first; the slow one stops while the
fast one stands far above it. The gate fires when the fast share exceeds the slow one by a gap.

One pair of shares watches the whole stream, or each stored label has one of its own, faster since
it sees fewer events. The whole-stream gate sees full and gradual changes, also through label noise,
and misses a change of one label in five; gates by label name the labels that changed and are weaker
under noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from learners.base import Arrays
from learners.parameters import Layout, check_range
from learners.plastic.shape import Shape

FLUSH, DROP, ALERT, KEEP = "flush", "drop", "alert", "keep"
FASTER, SLOWER = range(2)
COUNTED, LAST = range(2)
SUSPICIOUS = 0.15
HIGHEST = 0.95
NEVER = 2**62


class Pace(NamedTuple):
    """Shares of the running means, counts to warm up and to rest after firing, and the gap."""

    fast: float
    slow: float
    warm_up: int
    rest: int
    gap: float


WHOLE = Pace(0.04, 0.004, 100, 100, 0.30)
BY_LABEL = Pace(0.1, 0.01, 20, 50, 0.35)


class Gate:
    """Running shares of contradictions, in arrays that another part holds."""

    def __init__(self, by_label: bool, known: int) -> None:
        self.by_label, self.known = by_label, known
        self.pace = BY_LABEL if by_label else WHOLE

    def begin(self, arrays: Arrays) -> None:
        """Establish no label."""
        arrays["established"][:] = NEVER

    def begin_again(self, arrays: Arrays, now: int) -> None:
        """Count no contradiction by what has been stored until now."""
        established = arrays["established"]
        established[established < now] = now + 1

    def count(self, arrays: Arrays, y: int, now: int) -> None:
        """Take note of a label."""
        arrays["label_count"][y] += 1
        if arrays["label_count"][y] == self.known:
            arrays["established"][y] = now

    def contradicted(self, arrays: Arrays, slot: int, y: int, now: int) -> bool:
        """Whether a label beside its nearest stored event makes the gate fire."""
        if arrays["at"][slot] < arrays["established"][y]:
            return False
        stored = int(arrays["y"][slot])
        row = stored if self.by_label else 0
        shares, counts, pace = arrays["shares"][row], arrays["counts"][row], self.pace
        counts[COUNTED] += 1
        mean, found = 1.0 / counts[COUNTED], float(stored != y)
        if shares[FASTER] <= shares[SLOWER] + SUSPICIOUS:
            shares[SLOWER] += max(mean, pace.slow) * (found - shares[SLOWER])
        shares[FASTER] += max(mean, pace.fast) * (found - shares[FASTER])
        rested = now - counts[LAST] > pace.rest
        limit = min(HIGHEST, shares[SLOWER] + pace.gap)
        if counts[COUNTED] <= pace.warm_up or not rested or shares[FASTER] <= limit:
            return False
        counts[LAST] = now
        shares[FASTER] = shares[SLOWER]
        return True

    def signals(self, arrays: Arrays) -> Mapping[str, float]:
        """Return the shares of contradictions, of the label where they are farthest apart."""
        shares = arrays["shares"] if self.by_label else arrays["shares"][:1]
        worst = int((shares[:, FASTER] - shares[:, SLOWER]).argmax())
        return {
            "contradictions": float(shares[worst, FASTER]),
            "usual_contradictions": float(shares[worst, SLOWER]),
        }


def gate_layout(shape: Shape) -> Layout:
    """Return what a gate counts of each label; the whole stream takes the first row."""
    return {
        "label_count": ((shape.classes,), np.int64),
        "established": ((shape.classes,), np.int64),
        "shares": ((shape.classes, 2), np.float64),
        "counts": ((shape.classes, 2), np.int64),
    }


def check_gate(arrays: Arrays) -> None:
    """Raise `StateError` for counts below zero or shares that are none."""
    check_range("rehearsal_shares", arrays["shares"], 0.0, 1.0)
    for name in ("label_count", "established", "counts"):
        check_range(f"rehearsal_{name}", arrays[name], 0, NEVER)
