"""Anomaly likelihood: any learner's score, on one scale with a meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Prediction, Scorer, Target, check_arrays
from learners.indicators.watch import check_watch, watched
from learners.kernels import likelihood as kernels
from learners.parameters import Layout, allocate, check_range, layout_bytes, require

LARGEST_SCORE = 1e150
LARGEST_MEAN = 2e150
LARGEST_VARIANCE = 1e301
PROBATION_VALUE = math.log(0.5000000001) / kernels.LOG_SCALE


class AnomalyLikelihood(Scorer):
    """How improbable the recent mean score is: 0.03 is normal, 0.5 once in 100 000, 1 at most.

    A normal distribution is fitted to the trailing means of the past scores; the value is the
    logarithm of the tail beyond the present mean, divided by ln 1e-10. After the first event of
    a run of extreme values the others report 0.3, so that an alarm sounds once.

    It fails where scores are far from normal or follow a cycle longer than `history`; and after
    a flat line of values it calls nothing strange for want of anything to compare with.

    Parameters
    ----------
    learning_period
        Scores at the start that are never fitted, for the learner is still new.
    estimation_samples
        Scores after them before the first fit; until then the value is 0.03.
    reestimation_period, history, averaging
        Events between fits; scores fitted; scores in a trailing mean.
    watch
        What is taken for the score: `score`, `error`, or `x.` and the name of a feature.

    References
    ----------
    Ahmad and Purdy 2016, Real-time anomaly detection for streaming analytics; Ahmad, Lavin,
    Purdy and Agha 2017, Neurocomputing 262.
    """

    _state = ("scores", "metric_values", "counts", "state")

    def __init__(
        self,
        learning_period: int = 288,
        estimation_samples: int = 100,
        reestimation_period: int = 100,
        history: int = 8640,
        averaging: int = 10,
        watch: str = "score",
    ) -> None:
        require(learning_period >= 0, "learning_period", learning_period, "0 or more")
        require(estimation_samples >= 1, "estimation_samples", estimation_samples, "1 or more")
        require(reestimation_period >= 1, "reestimation_period", reestimation_period, "1 or more")
        require(1 <= history <= 10_000_000, "history", history, "1..10000000")
        require(1 <= averaging <= history, "averaging", averaging, f"1..history ({history})")
        self.learning_period = learning_period
        self.estimation_samples = estimation_samples
        self.reestimation_period = reestimation_period
        self.history = history
        self.averaging = averaging
        self.watch = check_watch(watch)
        self._fresh = False
        self._metric_judged = 0.0
        arrays = allocate(_layout(history))
        self.scores, self.metric_values = arrays["scores"], arrays["metric_values"]
        self.counts, self.state = arrays["counts"], arrays["state"]
        self.state[:] = kernels.NULL_MEAN, kernels.NULL_VARIANCE, 1.0, PROBATION_VALUE
        self._settings = np.array(
            [learning_period, estimation_samples, reestimation_period, averaging], np.int64
        )

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of both rings and of the few numbers beside them."""
        return layout_bytes(_layout(params.get("history", 8640))) + 4 * 8

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in one event, in one pass; one without what is watched changes nothing."""
        score = self._score(prediction, x, y)
        if score is not None:
            kernels.likelihood_update(*self._arrays(), score, self._metric(x))

    def judge(
        self,
        prediction: Prediction,
        x: Features,
        y: Target = None,
        t: float | None = None,
        holding: bool = False,
    ) -> None:
        """Judge one event, which then counts in means but in no fit."""
        score = self._score(prediction, x, y)
        self._metric_judged = self._metric(x)
        if score is not None:
            kernels.likelihood_judge(*self._arrays(), score, holding)

    def absorb(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Have the event that was judged last count in fits."""
        if self._fresh:
            kernels.likelihood_absorb(self.metric_values, self.counts, self._metric_judged)

    def _arrays(self) -> tuple[Any, Any, Any, Any, Any]:
        return self.scores, self.metric_values, self.counts, self.state, self._settings

    def _score(self, prediction: Prediction, x: Features, y: Target) -> float | None:
        # Without the detour for the score, which is what nearly everyone watches.
        score = prediction.score if self.watch == "score" else watched(self.watch, prediction, x, y)
        self._fresh = score is not None
        return None if score is None else min(max(score, -LARGEST_SCORE), LARGEST_SCORE)

    def value(self) -> float:
        """Return the log likelihood of the last score, in [0, 1]."""
        return float(self.state[kernels.VALUE])

    @property
    def fresh(self) -> bool:
        """Whether the latest event had what is watched."""
        return self._fresh

    @property
    def warming(self) -> bool:
        """Whether too few scores have come for a distribution."""
        return int(self.counts[0]) <= self.learning_period + self.estimation_samples

    def signals(self) -> Mapping[str, float]:
        """Return the fitted mean and standard deviation, and 1 while warming."""
        return {
            "likelihood_mean": float(self.state[kernels.MEAN]),
            "likelihood_sd": math.sqrt(self.state[kernels.VARIANCE]),
            "likelihood_warming": float(self.warming),
        }

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        check_arrays(arrays, {name: getattr(self, name) for name in self._state})
        check_range("counts", arrays["counts"], 0, 2**62)
        values = arrays["metric_values"]
        check_range("scores", arrays["scores"], -LARGEST_SCORE, LARGEST_SCORE)
        check_range("metric_values", values[~np.isnan(values)], -LARGEST_SCORE, LARGEST_SCORE)
        state = arrays["state"]
        check_range("state", state[kernels.MEAN], -LARGEST_MEAN, LARGEST_MEAN)
        check_range("state", state[kernels.VARIANCE], kernels.VARIANCE_FLOOR, LARGEST_VARIANCE)
        check_range("state", state[kernels.LAST_TAIL :], 0.0, 1.0)
        super().set_state(arrays)

    def _metric(self, x: Features) -> float:
        for value in x.values():
            if value is not None and not isinstance(value, str):
                return min(max(float(value), -LARGEST_SCORE), LARGEST_SCORE)
        # No number to be flat: alternate, which varies.
        return float(self.counts[0] & 1)


def _layout(history: int) -> Layout:
    return {
        "scores": ((history,), np.float64),
        "metric_values": ((history,), np.float64),
        "counts": ((1,), np.int64),
        "state": ((4,), np.float64),
    }
