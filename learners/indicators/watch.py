"""What an indicator watches: the score, the error, or a feature."""

from __future__ import annotations

import math

from learners.base import Features, Prediction, Target
from learners.parameters import require

LARGEST = 1e100
"""Numbers beyond count as this: their squares can still be summed."""
FEATURE = "x."


def check_watch(watch: str) -> str:
    """Return `watch`, or raise `ValueError` if nothing is called that."""
    known = watch in ("score", "error") or (watch.startswith(FEATURE) and len(watch) > len(FEATURE))
    require(known, "watch", watch, "score, error, or x. and the name of a feature")
    return watch


def watched(watch: str, prediction: Prediction, x: Features, y: Target) -> float | None:
    """Return the watched number of one event, or `None` if it has none."""
    if watch == "score":
        value: float | str | None = prediction.score
    elif watch == "error":
        value = error_of(prediction, x, y)
    else:
        value = x.get(watch.removeprefix(FEATURE))
    found = number_or_nan(value)
    return found if found == found else None


def number_or_nan(value: float | str | None) -> float:
    """Return a number, at most 1e100 either way, or NaN for anything else."""
    if value is None or isinstance(value, str) or value != value:
        return math.nan
    return min(max(float(value), -LARGEST), LARGEST)


def error_of(prediction: Prediction, x: Features, y: Target) -> float | None:
    """Return how wrong a prediction was, or `None` if that cannot be said.

    With a label: its distance from the predicted number, or 0 or 1 for classes. Without one: the
    mean distance of the features from what was expected of them.
    """
    label = prediction.label
    if y is not None and label is not None:
        classes = prediction.proba is not None or isinstance(y, str) or isinstance(label, str)
        if classes or isinstance(y, str) or isinstance(label, str):
            return float(y != label)
        return abs(y - label)
    distances = [
        abs(value - expected)
        for name, expected in (prediction.expected or {}).items()
        if (value := x.get(name)) is not None and not isinstance(value, str)
    ]
    return sum(distances) / len(distances) if distances else None
