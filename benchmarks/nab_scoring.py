"""How the Numenta Anomaly Benchmark scores a detector, from its recipe, in arrays.

Each row has a weight that no detector can change: inside an anomaly window an early detection is
worth more than a late one, outside each detection costs. One threshold serves all files of a
profile, and is the best one for them: 0 is the detector that never fires, 100 the one that fires
at the left edge of every window and nowhere else.

References
----------
Lavin and Ahmad 2015, Evaluating real-time anomaly detection algorithms: the Numenta anomaly
benchmark, section III.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROBATION_SHARE = 0.15
PROBATION_MOST = 750
NEVER = 1.1
"""A threshold that no score reaches."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a found window is worth, what a missed one costs, and a detection outside of any."""

    name: str
    found: float
    missed: float
    outside: float


PROFILES = (
    Profile("standard", 1.0, 1.0, 0.11),
    Profile("reward_low_FP_rate", 1.0, 1.0, 0.22),
    Profile("reward_low_FN_rate", 1.0, 2.0, 0.11),
)
STANDARD = PROFILES[0]


@dataclass(frozen=True, slots=True)
class Marks:
    """What a detection at each row is worth, before a profile weighs it.

    `worth` [n] is in (0, 1] inside a window and in [-1, 0] outside; `window` [n] is the number
    of the row's window, or -1; rows before `probation` do not count.
    """

    worth: NDArray[np.float64]
    window: NDArray[np.int64]
    windows: int
    probation: int


def probation_rows(rows: int) -> int:
    """Return how many rows at the start of a file of so many do not count."""
    return min(int(PROBATION_SHARE * rows), PROBATION_MOST)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2 / (1 + exp(5 x)) - 1, and -1 beyond 3."""
    y: NDArray[np.float64] = 2.0 / (1.0 + np.exp(5.0 * np.minimum(x, 3.0))) - 1.0
    y[x > 3.0] = -1.0
    return y


def marks(rows: int, windows: Sequence[tuple[int, int]]) -> Marks:
    """Return what a file's rows are worth; windows are pairs of rows, both inside, in order."""
    worth = np.full(rows, -1.0)
    window = np.full(rows, -1, np.int64)
    at = np.arange(rows, dtype=np.float64)
    for k, (left, right) in enumerate(windows):
        width = right - left + 1
        worth[left : right + 1] = sigmoid(-(right - at[left : right + 1] + 1) / width)
        worth[left : right + 1] /= sigmoid(np.array([-1.0]))
        window[left : right + 1] = k
        end = windows[k + 1][0] if k + 1 < len(windows) else rows
        # A window of one row has no width to fade over.
        worth[right + 1 : end] = sigmoid((at[right + 1 : end] - right) / max(width - 1, 1e-9))
    return Marks(worth, window, len(windows), probation_rows(rows))


@dataclass(frozen=True, slots=True)
class Gains:
    """What each row adds when the threshold sinks to its score; rows sorted, highest first.

    `outside` adds up weights outside of windows, `inside` the best weight of each found window,
    `found` the windows found.
    """

    score: NDArray[np.float64]
    outside: NDArray[np.float64]
    inside: NDArray[np.float64]
    found: NDArray[np.float64]


def gains(marks: Marks, scores: NDArray[np.float64]) -> Gains:
    """Return a file's gains by falling score; a NaN is never a detection."""
    if len(scores) != len(marks.worth):
        raise ValueError(f"scores: got {len(scores)}, expected {len(marks.worth)}")
    rows = np.flatnonzero(~np.isnan(scores))
    rows = rows[rows >= marks.probation]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    worth, window = marks.worth[rows], marks.window[rows]
    inside, found = np.zeros(len(rows)), np.zeros(len(rows))
    for k in range(marks.windows):
        at = np.flatnonzero(window == k)
        if len(at):
            best = np.maximum.accumulate(worth[at])
            inside[at] = np.diff(best, prepend=0.0)
            found[at[0]] = 1.0
    return Gains(scores[rows], np.where(window < 0, worth, 0.0), inside, found)


@dataclass(frozen=True, slots=True)
class Score:
    """A score in 0..100, or less than 0 at a threshold that others chose; and the threshold."""

    value: float
    threshold: float


def best_score(files: Sequence[Gains], windows: int, profile: Profile = STANDARD) -> Score:
    """Return the score at the best of all thresholds, over every distinct score."""
    if not windows:
        return Score(0.0, NEVER)
    score = np.concatenate([each.score for each in files])
    order = np.argsort(-score, kind="stable")
    score = score[order]
    gain = np.concatenate([_weighed(each, profile) for each in files])[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    totals = np.append(0.0, np.cumsum(gain)[ends]) if len(score) else np.zeros(1)
    best = int(np.argmax(totals))
    threshold = NEVER if best == 0 else float(score[ends[best - 1]])
    return Score(_scaled(float(totals[best]), windows, profile), threshold)


def score_at(
    files: Sequence[Gains], windows: int, threshold: float, profile: Profile = STANDARD
) -> float:
    """Return the score of these files, which have so many windows, at a threshold."""
    total = sum(float(_weighed(each, profile)[each.score >= threshold].sum()) for each in files)
    return _scaled(total, windows, profile)


def shares(
    files: Mapping[str, Gains], windows: int, threshold: float, profile: Profile = STANDARD
) -> dict[str, float]:
    """Return what each file adds to the score of them all; the shares sum to the score."""
    return {name: score_at([each], windows, threshold, profile) for name, each in files.items()}


def _weighed(each: Gains, profile: Profile) -> NDArray[np.float64]:
    """A window that is found gains its weight and no longer costs what a missed one does."""
    kept = profile.found * each.inside + profile.missed * each.found
    return kept + profile.outside * each.outside


def _scaled(total: float, windows: int, profile: Profile) -> float:
    return 100.0 * total / (windows * (profile.found + profile.missed)) if windows else 0.0
