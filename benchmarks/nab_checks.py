"""Whether a threshold holds on files that had no part in choosing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.nab_data import Series
from benchmarks.nab_scoring import Gains, best_score, score_at

DRAWS = 20


def left_out(corpus: Sequence[Series], found: Mapping[str, Gains]) -> dict[str, float]:
    """Return scores whose thresholds were chosen on other files than they count.

    `halves` is the mean over random halves, each scored at the other's threshold; `categories`
    scores each category at the threshold of all others. Both sum over all files, so that they
    compare with the score at a threshold of one's own choice. A category alone has no other.
    """
    draw = np.random.default_rng(0)
    halves = []
    for _ in range(DRAWS):
        order = [corpus[i] for i in draw.permutation(len(corpus))]
        middle = len(order) // 2
        halves.append(_crossed(found, [order[:middle], order[middle:]], order))
    names = sorted({series.category for series in corpus})
    groups = [[series for series in corpus if series.category == name] for name in names]
    return {"halves": float(np.mean(halves)), "categories": _crossed(found, groups, corpus)}


def _crossed(
    found: Mapping[str, Gains], groups: Sequence[Sequence[Series]], corpus: Sequence[Series]
) -> float:
    windows, total = _windows(corpus), 0.0
    for group in groups:
        inside = {series.name for series in group}
        others = [series for series in corpus if series.name not in inside]
        threshold = best_score([found[each.name] for each in others], _windows(others)).threshold
        total += score_at([found[each.name] for each in group], windows, threshold)
    return total


def _windows(corpus: Sequence[Series]) -> int:
    return sum(series.marks.windows for series in corpus)
