"""Prequential quality: how good predictions were, each judged before its event was learned from.

The task is what the first labeled event shows: a classifier gives probabilities or a label that is
text, a regressor a number, and an anomaly detector a score, for which the label says whether the
event was an anomaly (any number but 0).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from learners.base import Prediction, Target, class_name
from service.confusion import confusion
from service.tallies import (
    SHORT_WINDOW,
    TALLIES,
    WINDOW,
    Figures,
    Label,
    Pair,
    QualityState,
    Tally,
    Task,
)


class Quality:
    """How good a stream's predictions are, overall and over its last labeled events."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.labeled = 0
        self._window: deque[Pair] = deque()
        self._overall: Tally | None = None
        self._recent: Tally | None = None
        self._latest: Tally | None = None

    def update(
        self, prediction: Prediction, score: float | None, is_anomaly: bool, y: Target
    ) -> Figures | None:
        """Judge a prediction by the label that came.

        Return the overall figures that are cheap to have, or `None` if it does not count.
        """
        if y is None:
            return None
        task = self.task or _task(prediction, score)
        pair = None if task is None else _pair(task, prediction, score, is_anomaly, y)
        if task is None or pair is None:
            return None
        if self._overall is None or self._recent is None or self._latest is None:
            self.task = task
            self._overall, self._recent, self._latest = (TALLIES[task]() for _ in range(3))
        if not self._overall.room_for(pair):
            return None
        self.labeled += 1
        if len(self._window) == WINDOW:
            self._recent.discount(self._window.popleft())
        self._window.append(pair)
        for tally in (self._latest, self._recent, self._overall):
            tally.count(pair)
        if len(self._window) > SHORT_WINDOW:
            self._latest.discount(self._window[-SHORT_WINDOW - 1])
        self._overall.run(pair)
        return self._overall.counted() | self._overall.means()

    def overall(self) -> Figures:
        """Return the figures over all labeled events."""
        return {} if self._overall is None else self._overall.counted() | self._overall.running()

    def window(self) -> Figures:
        """Return the figures over the last `WINDOW` labeled events, free of rounding errors."""
        if self._recent is None:
            return {}
        return self._recent.counted() | self._recent.exactly(self._window)

    def latest(self) -> Figures:
        """Return the figures over the last `SHORT_WINDOW` labeled events."""
        if self._latest is None:
            return {}
        newest = [self._window[i] for i in range(-min(SHORT_WINDOW, len(self._window)), 0)]
        return self._latest.counted() | self._latest.exactly(newest)

    def report(self) -> dict[str, Any]:
        """Return task and figures as a client sees them, and what was taken for what."""
        said: dict[str, Any] = {
            "task": self.task,
            "overall": self.overall(),
            "window": self.window(),
            "latest": self.latest(),
        }
        if self.task == "classification" and self._overall and self._recent and self._latest:
            tallies = {"overall": self._overall, "window": self._recent, "latest": self._latest}
            said["confusion"] = confusion({name: each.counts for name, each in tallies.items()})
        return said

    def get_state(self) -> bytes:
        """Return the state as JSON."""
        state = QualityState(task=self.task, labeled=self.labeled, window=list(self._window))
        if self._overall is not None:
            self._overall.save(state)
        return state.to_json()

    def set_state(self, document: bytes) -> None:
        """Replace the state, or raise `ValueError`."""
        state = QualityState.model_validate_json(document)
        fresh = Quality()
        if state.task is not None:
            fresh.task, fresh.labeled = state.task, state.labeled
            overall, recent, latest = (TALLIES[state.task]() for _ in range(3))
            fresh._overall, fresh._recent, fresh._latest = overall, recent, latest
            overall.load(state)
            fresh._window.extend(state.window)
            for pair in state.window:
                recent.count(pair)
            for pair in state.window[-SHORT_WINDOW:]:
                latest.count(pair)
        self.__dict__ = fresh.__dict__


def _task(prediction: Prediction, score: float | None) -> Task | None:
    if prediction.proba is not None or isinstance(prediction.label, str):
        return "classification"
    if prediction.label is not None:
        return "regression"
    return None if score is None else "anomaly"


def _pair(
    task: Task, prediction: Prediction, score: float | None, is_anomaly: bool, y: Label
) -> Pair | None:
    """Return what counts of a prediction, or `None` if it or its label says nothing."""
    label = prediction.label
    if task == "classification":
        if label is None:
            return None
        proba = prediction.proba or {}
        given = proba.get(class_name(y), 0.0 if proba else None)
        return y, label, given, proba.get(class_name(label))
    if isinstance(y, str):
        return None
    if task == "regression":
        return None if label is None or isinstance(label, str) else (y, label, None, None)
    return None if score is None else (float(y != 0), float(is_anomaly), score, None)
