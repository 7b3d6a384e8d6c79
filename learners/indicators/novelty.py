"""Novelty: what has not been before, in several views whose evidence adds up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Prediction, Scorer, Target
from learners.indicators.watch import LARGEST, number_or_nan
from learners.kernels import novelty as kernels
from learners.kernels.jit import entry
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

LONGEST_NAMES = 1 << 16


class Novelty(Scorer):
    """How far an event lies from all there have been: 0 nothing new, 0.5 an alarm, 1 at most.

    Each number is seen in three views: the value; the mean of the last three; the distance from
    what has been usual at its time of day (UTC). In each, the distance to the nearest number
    there has been is judged by the largest such distances so far: beyond the `tail`-th largest
    they are taken to be exponential. A fourth view is the mean of the learner's last scores. Each
    view tells its improbability as decades, -log10 p; the strangest feature's and the learner's
    add up to D, and the value is D / (D + 4). An event that is not a tenth stranger than each of
    the `quiet_events` before it scores at most 0.23, so that an alarm sounds once.

    D is no calibrated probability: the views overlap, tails are heavier than exponential, and so
    four decades come oftener than once in 10 000. On 41 files of the Numenta benchmark, outside of
    its windows, one event in 900 scored 0.5 or more.

    It fails to see what is strange only in its order, unless the learner does; a trend is new all
    along, and what once was new, even an absurd value, is no longer. Features beyond
    `max_features` are not followed.

    Parameters
    ----------
    representatives
        Numbers that stand for all there have been, in each view; where there are more, those in
        the tightest spots are given up.
    tail
        Largest distances that are kept, and fitted.
    learning_period
        First numbers whose distances are not kept, for everything is new then.
    min_samples
        Numbers of a view, or scores, before it is judged.
    averaging
        Scores of the learner in a mean.
    quiet_events
        How long only what is stranger still is news.
    max_features
        How many features are followed.

    References
    ----------
    Pickands 1975, Statistical inference using extreme order statistics, Annals of Statistics 3,
    for the tail; Fisher 1925, Statistical methods for research workers, for adding up.
    """

    def __init__(
        self,
        representatives: int = 256,
        tail: int = 50,
        learning_period: int = 100,
        min_samples: int = 200,
        averaging: int = 30,
        quiet_events: int = 120,
        max_features: int = 16,
    ) -> None:
        least = learning_period + tail + 1
        require(2 <= representatives <= 65_536, "representatives", representatives, "2..65536")
        require(1 <= tail <= 10_000, "tail", tail, "1..10000")
        require(0 <= learning_period <= 2**40, "learning_period", learning_period, "0 or more")
        require(least <= min_samples <= 2**41, "min_samples", min_samples, f"{least} or more")
        require(1 <= averaging <= 100_000, "averaging", averaging, "1..100000")
        require(1 <= quiet_events <= 100_000, "quiet_events", quiet_events, "1..100000")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        self.representatives = representatives
        self.tail = tail
        self.learning_period = learning_period
        self.min_samples = min_samples
        self.averaging = averaging
        self.quiet_events = quiet_events
        self.max_features = max_features
        layout = _layout(max_features, representatives, tail, averaging, quiet_events)
        self._novelty = kernels.Novelty(**allocate(layout))
        self._novelty.profile[:] = np.nan
        self._novelty.settings[:] = learning_period, min_samples
        self._places = Places(max_features, LONGEST_NAMES)
        self._fresh = False
        self._warming = True

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of all views of all features, and of the names."""
        layout = _layout(
            params.get("max_features", 16),
            params.get("representatives", 256),
            params.get("tail", 50),
            params.get("averaging", 30),
            params.get("quiet_events", 120),
        )
        return layout_bytes(layout) + LONGEST_NAMES

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Judge the numbers of one event and the learner's score, then take them in."""
        self._read(x)
        self._step(prediction, t, kernels.JUDGE | kernels.ABSORB)

    def judge(
        self,
        prediction: Prediction,
        x: Features,
        y: Target = None,
        t: float | None = None,
        holding: bool = False,
    ) -> None:
        """Judge the numbers of one event and the learner's score."""
        self._read(x)
        self._step(prediction, t, kernels.JUDGE | (kernels.HOLDING if holding else 0))

    def absorb(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in the event that was judged last."""
        self._step(prediction, t, kernels.ABSORB)

    def _read(self, x: Features) -> None:
        places, values = self._places.of, self._novelty.values
        for name, value in x.items():
            if name not in places and value is not None and not isinstance(value, str):
                self._places.take(name)
        for name, i in places.items():
            values[i] = number_or_nan(x.get(name))

    def _step(self, prediction: Prediction, t: float | None, does: int) -> None:
        self._step_entry(
            self._novelty,
            len(self._places),
            math.nan if t is None else float(t),
            number_or_nan(prediction.score),
            does,
        )
        self._fresh = True
        self._warming = self._warming and self._few()

    @cached_property
    def _step_entry(self) -> Callable[..., None]:
        return entry(kernels.novelty_step, self._novelty, 0, math.nan, math.nan, 0)

    def value(self) -> float | None:
        """Return how strange the latest event was, in [0, 1], or `None` while warming."""
        if self._warming:
            return None
        found = float(self._novelty.said[kernels.NEWS])
        return found / (found + kernels.ALARM)

    @property
    def fresh(self) -> bool:
        """Whether the latest event was judged."""
        return self._fresh and not self._warming

    @property
    def warming(self) -> bool:
        """Whether too few numbers and scores have come to judge by."""
        return self._warming

    def _few(self) -> bool:
        n = self._novelty
        return int(max(n.seen.max(), n.counts[kernels.SCORES])) <= self.min_samples

    def signals(self) -> Mapping[str, float]:
        """Return the decades of the strangest feature in each view, and of the learner's score."""
        value, average, daily, score, total, _ = self._novelty.said.tolist()
        return {
            "novelty_value": value,
            "novelty_average": average,
            "novelty_daily": daily,
            "novelty_score": score,
            "novelty_decades": total,
        }

    def get_state(self) -> Arrays:
        """Return all arrays, those of features as far as there are any."""
        features = len(self._places)
        state = {name: getattr(self._novelty, name)[:features].copy() for name in _BY_FEATURE}
        state |= {name: getattr(self._novelty, name).copy() for name in _WHOLE}
        return state | {"names": self._places.to_array()}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = self._novelty
        like: Layout = {name: (getattr(own, name).shape, getattr(own, name).dtype) for name in _ALL}
        for name in _BY_FEATURE:
            shape, dtype = like[name]
            like[name] = ((-1, *shape[1:]), dtype)
        check_state_arrays(arrays, like | {"names": ((-1,), np.uint8)})
        features = self._places.check_rows(arrays, *_BY_FEATURE)
        self._check(arrays)
        for name in _BY_FEATURE:
            getattr(own, name)[:] = np.nan if name == "profile" else 0
            getattr(own, name)[:features] = arrays[name]
        for name in _WHOLE:
            getattr(own, name)[:] = arrays[name]
        self._places.restore(arrays["names"])
        self._fresh = False
        self._warming = self._few()

    def _check(self, arrays: Arrays) -> None:
        check_range("seen", arrays["seen"], 0, 2**62)
        check_range("counts", arrays["counts"], 0, 2**62)
        check_range("held", arrays["held"], 0, self.representatives)
        for name in ("recent", "scores", "representatives"):
            check_range(name, arrays[name], -2 * LARGEST, 2 * LARGEST)
        for name in ("largest", "score_largest"):
            low = 0.0 if name == "largest" else -LARGEST
            check_range(name, arrays[name], low, 4 * LARGEST)
            falling = bool(np.all(np.diff(arrays[name], axis=-1) <= 0.0))
            # Slots that nothing has filled yet hold zero, which a negative mean lies below.
            require_state(falling or name == "score_largest", name, "expected falling distances")
        profile = arrays["profile"]
        check_range("profile", profile[~np.isnan(profile)], -2 * LARGEST, 2 * LARGEST)
        for name in ("said", "evidence"):
            check_range(name, arrays[name], 0.0, 4 * kernels.MOST_DECADES)
        for row, held in zip(
            arrays["representatives"].reshape(-1, self.representatives + 1),
            arrays["held"].reshape(-1),
            strict=True,
        ):
            rising = bool(np.all(np.diff(row[:held]) >= 0.0))
            require_state(rising, "representatives", "expected rising numbers")


_BY_FEATURE = ("representatives", "held", "largest", "seen", "recent", "profile")
_WHOLE = ("scores", "score_largest", "evidence", "counts", "said")
_ALL = _BY_FEATURE + _WHOLE


def _layout(
    max_features: int, representatives: int, tail: int, averaging: int, quiet_events: int
) -> Layout:
    views = kernels.VIEWS
    return {
        "representatives": ((max_features, views, representatives + 1), np.float64),
        "held": ((max_features, views), np.int64),
        "largest": ((max_features, views, tail + 1), np.float64),
        "seen": ((max_features, views), np.int64),
        "recent": ((max_features, kernels.RECENT), np.float64),
        "profile": ((max_features, kernels.BINS), np.float64),
        "scores": ((averaging,), np.float64),
        "score_largest": ((tail + 1,), np.float64),
        "evidence": ((quiet_events,), np.float64),
        "counts": ((2,), np.int64),
        "said": ((6,), np.float64),
        "values": ((max_features,), np.float64),
        "settings": ((2,), np.int64),
    }
