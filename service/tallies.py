"""The metrics of each task: counts that can be taken back, and figures that run on.

Figures are those of `river.metrics`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from river import metrics, stats

from service.reliability import Reliability
from service.schemas import Wire

WINDOW = 1_000
SHORT_WINDOW = 100
MAX_CLASSES = 100
LARGEST_ERROR = 1e150
_THRESHOLDS = 51
_LEAST_PROBABILITY = 1e-15

Task = Literal["anomaly", "regression", "classification"]
Label = float | str
Pair = tuple[Label, Label, float | None, float | None]
"""Truth, guess, the probability given to the truth, or the score, and that given to the guess."""
Figures = dict[str, float]


class Means(Wire):
    """State of a running mean: sum of weights, and mean."""

    n: float = Field(ge=0)
    mean: float


class QualityState(Wire):
    """Everything there is, in a form that is checked when it is read."""

    task: Task | None = None
    labeled: int = Field(0, ge=0)
    window: list[Pair] = Field(default_factory=list, max_length=WINDOW)
    counts: list[tuple[Label, Label, float]] = Field(
        default_factory=list, max_length=MAX_CLASSES**2
    )
    means: dict[str, Means] = Field(default_factory=dict)
    roc: list[list[Annotated[int, Field(ge=0)]]] = Field(default_factory=list, max_length=2)
    reliability: list[list[Annotated[int, Field(ge=0)]]] = Field(default_factory=list, max_length=3)

    @field_validator("window", mode="before")
    @classmethod
    def _widen(cls, window: Any) -> Any:
        """Take pairs from a time when they had three parts."""
        if not isinstance(window, list):
            return window
        return [tuple(p) + (None,) * (len(p) == 3) if isinstance(p, list) else p for p in window]


class Tally(ABC):
    """The metrics of one task.

    Some are computed from counts, which can be taken back exactly when a pair leaves the window.
    The others run over all pairs, and are computed for a window from its own.
    """

    def __init__(self) -> None:
        self.counts = metrics.ConfusionMatrix()
        self._counted: dict[str, metrics.base.Metric] = {}
        self._means: dict[str, metrics.base.MeanMetric] = {}

    def room_for(self, pair: Pair) -> bool:
        """Return whether the classes are few enough with those of this pair."""
        known = self.counts.sum_row.keys() | self.counts.sum_col.keys()
        return len(known | {pair[0], pair[1]}) <= MAX_CLASSES

    def count(self, pair: Pair) -> None:
        """Count a pair."""
        self.counts.update(pair[0], pair[1])

    def discount(self, pair: Pair) -> None:
        """Take a pair back."""
        self.counts.revert(pair[0], pair[1])

    def counted(self) -> Figures:
        """Return the figures that come from the counts."""
        return {name: float(metric.get()) for name, metric in self._counted.items()}

    def means(self) -> Figures:
        """Return the means that run over all pairs."""
        return {name: float(metric.get()) for name, metric in self._means.items() if metric._mean.n}

    def running(self) -> Figures:
        """Return all figures that run over all pairs."""
        return self.means()

    @abstractmethod
    def run(self, pair: Pair) -> None:
        """Take a pair into the running figures."""

    @abstractmethod
    def exactly(self, window: Sequence[Pair]) -> Figures:
        """Return the running figures as they are over a window."""

    def save(self, state: QualityState) -> None:
        """Write counts and running figures into a state."""
        state.counts = [
            (_plain(truth), _plain(guess), count)
            for truth, row in self.counts.data.items()
            for guess, count in row.items()
        ]
        state.means = {
            name: Means(n=metric._mean.n, mean=metric._mean.get())
            for name, metric in self._means.items()
        }

    def load(self, state: QualityState) -> None:
        """Read them back, or raise `ValueError`."""
        for truth, guess, count in state.counts:
            self.counts.update(truth, guess, count)
        if state.means.keys() != self._means.keys():
            raise ValueError(f"means: got {sorted(state.means)}, expected {sorted(self._means)}")
        for name, mean in state.means.items():
            self._means[name]._mean = stats.Mean._from_state(mean.n, mean.mean)


def _plain(label: Label) -> Label:
    """Return a label as JSON reads it back: the metrics of two classes call them True and False."""
    return float(label) if isinstance(label, bool) else label


class ClassificationTally(Tally):
    """Accuracy, macro F1, Cohen's kappa, log loss and expected calibration error."""

    def __init__(self) -> None:
        super().__init__()
        self._counted = {
            "accuracy": metrics.Accuracy(cm=self.counts),
            "macro_f1": metrics.MacroF1(cm=self.counts),
            "cohen_kappa": metrics.CohenKappa(cm=self.counts),
        }
        self._log_loss = metrics.CrossEntropy()
        self._means = {"log_loss": self._log_loss}
        self._reliability = Reliability()

    def count(self, pair: Pair) -> None:
        """Count a pair, and how sure the guess was."""
        super().count(pair)
        if pair[3] is not None:
            self._reliability.count(pair[3], pair[0] == pair[1])

    def discount(self, pair: Pair) -> None:
        """Take a pair back."""
        super().discount(pair)
        if pair[3] is not None:
            self._reliability.count(pair[3], pair[0] == pair[1], -1)

    def counted(self) -> Figures:
        """Return the figures that come from the counts, and the calibration error."""
        error = self._reliability.error()
        return super().counted() | ({} if error is None else {"calibration_error": error})

    def run(self, pair: Pair) -> None:
        """Take a pair into the log loss, if a probability was given."""
        if pair[2] is not None:
            self._log_loss.update(pair[0], {pair[0]: pair[2]})

    def exactly(self, window: Sequence[Pair]) -> Figures:
        """Return the log loss over a window."""
        losses = [
            -math.log(min(max(p, _LEAST_PROBABILITY), 1 - _LEAST_PROBABILITY))
            for _, _, p, _ in window
            if p is not None
        ]
        return {"log_loss": math.fsum(losses) / len(losses)} if losses else {}

    def save(self, state: QualityState) -> None:
        """Write how sure guesses were too."""
        super().save(state)
        state.reliability = [list(row) for row in self._reliability.rows]

    def load(self, state: QualityState) -> None:
        """Read it too."""
        super().load(state)
        self._reliability.load(state.reliability)


class RegressionTally(Tally):
    """Mean absolute error and root mean squared error."""

    def __init__(self) -> None:
        super().__init__()
        self._mae, self._rmse = metrics.MAE(), metrics.RMSE()
        self._means = {"mae": self._mae, "rmse": self._rmse}

    def room_for(self, pair: Pair) -> bool:
        """Return whether it can be squared."""
        return abs(float(pair[0]) - float(pair[1])) < LARGEST_ERROR

    def count(self, pair: Pair) -> None:
        """Nothing: numbers are not classes."""

    def discount(self, pair: Pair) -> None:
        """Nothing."""

    def run(self, pair: Pair) -> None:
        """Take a pair into both."""
        self._mae.update(pair[0], pair[1])
        self._rmse.update(pair[0], pair[1])

    def exactly(self, window: Sequence[Pair]) -> Figures:
        """Return both over a window."""
        errors = [abs(float(truth) - float(guess)) for truth, guess, _, _ in window]
        mean_square = math.fsum(error * error for error in errors) / len(errors)
        return {"mae": math.fsum(errors) / len(errors), "rmse": math.sqrt(mean_square)}


class AnomalyTally(Tally):
    """Precision, recall and F1 of the flags, and the area under the ROC curve of the scores.

    The area overall is River's approximation, here from 51 thresholds; over a window it is exact.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counted = {
            "precision": metrics.Precision(cm=self.counts),
            "recall": metrics.Recall(cm=self.counts),
            "f1": metrics.F1(cm=self.counts),
        }
        # For each kind of event, how many scores lie above so many of the thresholds: what River's
        # 51 confusion matrices say, at the cost of one.
        self._above = [[0] * (_THRESHOLDS + 1) for _ in range(2)]
        self._thresholds = metrics.ROCAUC(n_thresholds=_THRESHOLDS).thresholds

    def running(self) -> Figures:
        """Return the area, once there are events of both kinds."""
        below = [list(accumulate(above)) for above in self._above]
        normal, strange = (sums[-1] for sums in below)
        if not normal or not strange:
            return {}
        rates = [
            (1 - n / normal, 1 - s / strange) for n, s in zip(*below, strict=True)
        ]  # Of false and of true alarms, at each threshold.
        area = sum(
            (left[0] - right[0]) * (left[1] + right[1]) / 2
            for left, right in pairwise(rates[:_THRESHOLDS])
        )
        return {"roc_auc": area}

    def run(self, pair: Pair) -> None:
        """Take a pair into the curve."""
        score = 0.0 if pair[2] is None else pair[2]
        self._above[int(pair[0])][bisect_left(self._thresholds, score)] += 1

    def exactly(self, window: Sequence[Pair]) -> Figures:
        """Return the area over a window."""
        if len({truth for truth, *_ in window}) < 2:
            return {}
        exact = metrics.RollingROCAUC(window_size=WINDOW)
        for truth, _, score, _ in window:
            exact.update(bool(truth), score)
        return {"roc_auc": float(exact.get())}

    def save(self, state: QualityState) -> None:
        """Write the curve too."""
        super().save(state)
        state.roc = [list(above) for above in self._above]

    def load(self, state: QualityState) -> None:
        """Read the curve too."""
        super().load(state)
        sizes = [len(above) for above in state.roc]
        if sizes != [_THRESHOLDS + 1] * 2:
            raise ValueError(f"roc: got {sizes}, expected {[_THRESHOLDS + 1] * 2}")
        self._above = [list(above) for above in state.roc]


TALLIES: Mapping[Task, type[Tally]] = {
    "anomaly": AnomalyTally,
    "regression": RegressionTally,
    "classification": ClassificationTally,
}
