"""How far stated probabilities can be believed: expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

BINS = 15
_UNIT = 1 << 40
"""Probabilities are summed as whole numbers of 2**-40: exact, so that a pair can be taken back."""


class Reliability:
    """Predictions by the probability given to what was predicted, and how many came true.

    The error is that of Naeini, Cooper and Hauskrecht 2015 (Obtaining well calibrated
    probabilities using Bayesian binning, section 4): over bins of equal width, the mean distance
    between the mean probability and the share that came true, weighted by their predictions.
    """

    def __init__(self) -> None:
        self.rows = [[0] * BINS for _ in range(3)]
        """For each bin: predictions, those that came true, and the sum of their probabilities."""

    def count(self, confidence: float, right: bool, times: int = 1) -> None:
        """Count a prediction, or take one back with `times` of -1."""
        given = min(max(confidence, 0.0), 1.0)
        i = min(int(given * BINS), BINS - 1)
        predictions, came_true, sums = self.rows
        predictions[i] += times
        came_true[i] += times * right
        sums[i] += times * round(given * _UNIT)

    def error(self) -> float | None:
        """Return the expected calibration error, or `None` before the first prediction."""
        predictions, came_true, sums = self.rows
        total = sum(predictions)
        if not total:
            return None
        apart = sum(abs(t * _UNIT - s) for t, s in zip(came_true, sums, strict=True))
        return apart / (_UNIT * total)

    def load(self, rows: Sequence[Sequence[int]]) -> None:
        """Take over rows, or raise `ValueError`; none are those of a time before there were any."""
        if rows and [len(row) for row in rows] != [BINS] * 3:
            raise ValueError(f"reliability: got {[len(row) for row in rows]}, expected 3 of {BINS}")
        if rows:
            self.rows = [list(row) for row in rows]
