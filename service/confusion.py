"""What was taken for what: a table small enough to be sent with every status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import metrics

SHOWN_CLASSES = 20
Class = float | str


def confusion(counts: Mapping[str, metrics.ConfusionMatrix]) -> dict[str, Any]:
    """Return tables of counts by scope, a row for each true class and a column for each guess.

    With more than `SHOWN_CLASSES` the most frequent of `overall` are shown, and `others` says how
    many pairs the table of each scope leaves out.
    """
    whole = counts["overall"]
    known = set(whole.sum_row) | set(whole.sum_col)
    often = sorted(known, key=lambda each: (-_seen(whole, each), _order(each)))[:SHOWN_CLASSES]
    classes = sorted(often, key=_order)
    tables = {
        scope: [[int(_row(matrix, truth).get(guess, 0)) for guess in classes] for truth in classes]
        for scope, matrix in counts.items()
    }
    others = {
        scope: int(counts[scope].total_weight) - sum(map(sum, table))
        for scope, table in tables.items()
    }
    named = [float(each) if isinstance(each, bool) else each for each in classes]
    return {"classes": named, **tables, "others": others}


def _row(matrix: metrics.ConfusionMatrix, truth: Class) -> Mapping[Class, float]:
    row: Mapping[Class, float] = matrix.data.get(truth, {})
    return row


def _seen(matrix: metrics.ConfusionMatrix, each: Class) -> float:
    return float(matrix.sum_row.get(each, 0) + matrix.sum_col.get(each, 0))


def _order(each: Class) -> tuple[bool, float, str]:
    return (True, 0.0, each) if isinstance(each, str) else (False, float(each), "")
