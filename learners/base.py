"""The contract every learner and indicator keeps. Read this first.

A learner is a few declared parameters and a few named arrays. It is deterministic: the same
parameters, seed and events give the same state, bit for bit, on the same build. It reads no clock,
no global random generator and no file; the only time it sees is the `t` handed to it.

Events reach a learner as `x`, a mapping from feature name to a number, a string or `None`
(missing); `y`, the label, which may stay missing for good; and `t`, the event's time in seconds
since 1970-01-01 UTC, or `None` outside a stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from river import base

Features = Mapping[str, float | str | None]
Target = float | str | None
Arrays = dict[str, NDArray[Any]]


def class_name(label: float | str) -> str:
    """Return a label as the key it has among probabilities: 1.0 is "1"."""
    if isinstance(label, str):
        return label
    return str(int(label)) if label == int(label) else repr(label)


class StateError(ValueError):
    """The arrays do not fit the learner they were offered to."""


class InvalidEvent(ValueError):
    """The learner cannot use this event; raised before anything in the learner changed."""


@dataclass(slots=True)
class Forecast:
    """What the learner expects `horizon` events ahead: a value and the band around it."""

    horizon: int
    value: float
    lower: float
    upper: float


@dataclass(slots=True)
class Prediction:
    """What a learner thought of an event before it learned from it.

    `score` is the raw anomaly score in the learner's own scale, larger is stranger, and `None`
    while the learner is warming up. `expected` is the event that would not have surprised it.
    """

    score: float | None = None
    label: Target = None
    proba: Mapping[str, float] | None = None
    forecast: Sequence[Forecast] = ()
    expected: Mapping[str, float] | None = None


@dataclass(slots=True)
class Drift:
    """A change of distribution: by whom it was found, in what, and from where to where.

    `size` is the difference of the means before and after, in the unit of what is watched.
    """

    detector: str
    watch: str
    before: float
    after: float

    @property
    def size(self) -> float:
        """The difference of the two means."""
        return self.after - self.before


class Stateful:
    """State as named arrays: copied out, and copied in only when name, dtype and shape agree."""

    _state: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that are the state, the random generator's among them."""

    state_schema: ClassVar[int] = 1
    """Raised whenever an array changes its name, dtype, shape or meaning.

    The service's format of snapshots is raised with it; see `service.formats`.
    """

    def get_state(self) -> Arrays:
        """Return a copy of every state array."""
        return {name: np.array(getattr(self, name), order="C") for name in self._state}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {name: getattr(self, name) for name in self._state}
        check_arrays(arrays, own)
        for name, array in own.items():
            array[...] = arrays[name]

    def from_previous(self, arrays: Arrays) -> Arrays:
        """Return arrays of the schema before this one as arrays of this one.

        Raises `StateError` where the one cannot be had from the other.
        """
        raise StateError(f"state_schema: got {self.state_schema - 1}, expected {self.state_schema}")

    def to_previous(self, arrays: Arrays) -> Arrays:
        """Return arrays of this schema as arrays of the one before, or raise `StateError`."""
        raise StateError(f"state_schema: got {self.state_schema}, expected one before it")

    def held_bytes(self) -> int:
        """Return about how many bytes it holds by now; at most `memory_bytes` promises."""
        return array_bytes(vars(self).values())


def array_bytes(values: Iterable[object]) -> int:
    """Return the bytes of all arrays among objects, and in their fields called `arrays`."""
    total = 0
    for value in values:
        if isinstance(value, np.ndarray):
            total += value.nbytes if value.base is None else 0
        elif isinstance(value, tuple):
            total += array_bytes(value)
        elif hasattr(value, "arrays"):
            total += array_bytes((value.arrays,))
    return total


def check_arrays(got: Arrays, want: Arrays) -> None:
    """Raise `StateError` unless both hold the same names, dtypes and shapes."""
    if got.keys() != want.keys():
        raise StateError(f"arrays: got {sorted(got)}, expected {sorted(want)}")
    for name, like in want.items():
        array = got[name]
        if array.dtype != like.dtype or array.shape != like.shape:
            raise StateError(
                f"{name}: got {array.dtype}{list(array.shape)}, "
                f"expected {like.dtype}{list(like.shape)}"
            )


class Learner(Stateful, base.Base, ABC):
    """Predicts first, learns after, one event at a time.

    `predict_one`, `predict_proba_one`, `score_one` and `forecast` change nothing. `learn_one` is
    one update. `step_one` is both, in that order; a learner overrides it where one fused pass is
    cheaper, and the contract checks prove that it equals the two calls.
    """

    keeps_state: bool = True
    """Whether `get_state` holds all there is; a learner without is recovered from its log."""

    learns_labels: bool = False
    """Whether labels change it."""

    nested: ClassVar[Mapping[str, Mapping[str, type[Learner]]]] = {}
    """Parameters that are themselves a learner's kind and parameters, and the kinds they may be."""

    @classmethod
    def state_is_kept(cls, **params: Any) -> bool:
        """Return what `keeps_state` of a learner with these parameters will be."""
        return cls.keeps_state

    @classmethod
    def labels_are_learned(cls, **params: Any) -> bool:
        """Return what `learns_labels` of a learner with these parameters will be."""
        return cls.learns_labels

    @classmethod
    def variants(cls) -> Sequence[Mapping[str, Any]]:
        """Return parameters with which, taken together, all of its kernels are used."""
        return ({},)

    @classmethod
    @abstractmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the most bytes that a learner with these parameters will ever hold."""

    @abstractmethod
    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return everything the learner thinks of `x`, changing nothing."""

    @abstractmethod
    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from one event."""

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move on past an event without learning from it.

        What was learned stays as it is; what the next event is predicted from, such as the place
        in a sequence, moves on. A learner without such a thing does nothing.
        """

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn from the label of an event that has been through `learn_one` without one.

        One whose `learns_labels` is false passes over it. Raises `InvalidEvent` before anything
        changed, as `learn_one` does.
        """

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        """Predict, then learn."""
        prediction = self.predict(x, t)
        self.learn_one(x, y, t)
        return prediction

    def score_one(self, x: Features, t: float | None = None) -> float | None:
        """Return the raw anomaly score of `x`, or `None` while warming up."""
        return self.predict(x, t).score

    def predict_one(self, x: Features, t: float | None = None) -> Target:
        """Return the predicted label of `x`, or `None`."""
        return self.predict(x, t).label

    def predict_proba_one(self, x: Features, t: float | None = None) -> Mapping[str, float]:
        """Return the probability of each label, or an empty mapping."""
        return self.predict(x, t).proba or {}

    def forecast(self, horizon: int) -> Sequence[Forecast]:
        """Return what is expected 1 to `horizon` events from now, as far as the learner knows."""
        return ()

    def signals(self) -> Mapping[str, float]:
        """Return cheap, finite internals worth a metric."""
        return {}

    def weights(self) -> Sequence[NDArray[np.float64]]:
        """Return the arrays that can be averaged with those of a replica, or none.

        The same ones at each call, and not copies.
        """
        return ()


class Indicator(Stateful, ABC):
    """Watches a learner's predictions and says one number about them."""

    @classmethod
    @abstractmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the most bytes that an indicator with these parameters will ever hold."""

    @abstractmethod
    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in one event and what the learner thought of it."""

    @property
    def withholds(self) -> bool:
        """Whether the next label is to be kept from the learner, so as to judge it fairly."""
        return False

    def update_label(
        self, prediction: Prediction, x: Features, y: float | str, t: float | None = None
    ) -> None:
        """Take in the label of an event that has been through `update` without one.

        `t` is the event's time. Most indicators pass over it.
        """

    @abstractmethod
    def value(self) -> float | None:
        """Return the indicator's present value, or `None` while it has none."""

    def drifts(self) -> Sequence[Drift]:
        """Return the changes that the latest event revealed."""
        return ()

    def signals(self) -> Mapping[str, float]:
        """Return cheap, finite internals worth a metric."""
        return {}


class Scorer(Indicator):
    """An indicator that says how strange the latest event is, on the scale all scorers share.

    `value` is in [0, 1]: 0 is nothing strange, 0.5 worth an alarm. A stream's anomaly score is the
    largest that its scorers say.

    `update` is `judge` and then `absorb`, and a check proves it. An event that is judged alone may
    move averages on, but leaves no mark in what strangeness is measured by.
    """

    @abstractmethod
    def judge(
        self,
        prediction: Prediction,
        x: Features,
        y: Target = None,
        t: float | None = None,
        holding: bool = False,
    ) -> None:
        """Say how strange an event is, without making it a part of what is normal.

        While `holding`, no alarm is quieted because there was one before.
        """

    @abstractmethod
    def absorb(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Make the event that was judged last a part of what is normal."""

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Judge one event, then absorb it."""
        self.judge(prediction, x, y, t)
        self.absorb(prediction, x, y, t)

    @property
    @abstractmethod
    def fresh(self) -> bool:
        """Whether `value` speaks of the latest event."""

    @property
    @abstractmethod
    def warming(self) -> bool:
        """Whether too little has come to compare with."""
