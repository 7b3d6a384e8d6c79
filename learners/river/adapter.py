"""River's estimators as learners of this service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from learners.base import (
    Arrays,
    Features,
    Forecast,
    InvalidEvent,
    Learner,
    Prediction,
    StateError,
    Target,
)
from learners.parameters import require
from learners.river.codec import Label, Size
from learners.river.known import LAYOUT, Known

if TYPE_CHECKING:
    from learners.river.built import Built
    from learners.river.role import Values

DEFAULT = "anomaly.HalfSpaceTrees"
RIVERS_OWN = (ArithmeticError, LookupError, TypeError, ValueError)


class RiverEstimator(Learner):
    """An estimator of River by name, behind any steps of preprocessing.

    Results equal River's own in a plain loop that predicts before it learns. Anomaly detectors
    score all features; GaussianScorer and forecasters follow one feature, and `y` is nothing to
    them; classifiers and regressors predict `y` and learn from those events that have one. An event
    without a single feature to use changes nothing.

    A missing feature is left out, and so is, from a prediction, one that was never learned from.
    Numbers beyond 1e100 count as 1e100. It fails where River's estimator does: HalfSpaceTrees
    without a scaler when values lie outside 0 to 1, a linear model without a scaler when they are
    large. See `docs/river.md` for what keeps its state and what is recovered from the log.

    Parameters
    ----------
    estimator, params
        A dotted name inside `river.` and its parameters. One that is itself an estimator or a part
        of one is written `{"estimator": "optim.SGD", "params": {"lr": 0.1}}`.
    preprocessing
        Transformers before it, each an `{"estimator": ..., "params": {...}}`.
    feature
        What GaussianScorer and forecasters follow; absent, the first feature of the first event
        that is not a string.
    horizon
        How many events ahead a reply of a forecaster goes.
    max_features, max_classes
        How many names of features, and how many labels, may ever come.
    declared_memory_bytes
        What an estimator that keeps no state here is said to hold; nothing enforces it.
    seed
        Given to each part that draws at random and was given no seed of its own.
    """

    def __init__(
        self,
        estimator: str,
        params: dict[str, Any] | None = None,
        preprocessing: tuple[dict[str, Any], ...] = (),
        feature: str | None = None,
        horizon: int = 1,
        max_features: int = 64,
        max_classes: int = 16,
        declared_memory_bytes: int = 64 << 20,
        seed: int = 1,
    ) -> None:
        require(1 <= horizon <= 1_000, "horizon", horizon, "1..1000")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        require(2 <= max_classes <= 4_096, "max_classes", max_classes, "2..4096")
        declared = declared_memory_bytes
        require(1 <= declared <= 1 << 40, "declared_memory_bytes", declared, f"1..{1 << 40}")
        require(0 <= seed < 2**32, "seed", seed, "0..4294967295")
        self.estimator = estimator
        self.params = params
        self.preprocessing = preprocessing
        self.feature = feature
        self.horizon = horizon
        self.max_features = max_features
        self.max_classes = max_classes
        self.declared_memory_bytes = declared_memory_bytes
        self.seed = seed
        self._built = self._build()
        self.keeps_state = self._built.keeps_state
        self.learns_labels = self._built.role.needs_label
        good = feature is None or self._built.role.one_value
        require(good, "feature", feature, f"none, as {estimator} sees all features")
        self._known = Known(Size(max_features, max_classes))

    @classmethod
    def state_is_kept(cls, **params: Any) -> bool:
        """Return whether a learner of these parameters keeps its state, or needs its log."""
        return cls(**params).keeps_state

    @classmethod
    def labels_are_learned(cls, **params: Any) -> bool:
        """Return whether it is a classifier or a regressor."""
        return cls(**params).learns_labels

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return an upper bound, or what was declared for an estimator that has none."""
        learner = cls(**{"estimator": DEFAULT} | params)
        if not learner.keeps_state:
            return learner.declared_memory_bytes
        return learner._built.memory_bytes(Size(learner.max_features, learner.max_classes))

    def _build(self) -> Built:
        # River's packages take a second to load: only those who use them pay.
        from learners.river.built import build

        return build(self.estimator, self.params, self.preprocessing, self.seed, self.horizon)

    # One event

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return what the estimator says of `x`, changing nothing that is state.

        Raises
        ------
        InvalidEvent
            If a feature is a string where a number is needed, or no finite number.
        """
        return self._ask(self._read(x))

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from one event, if it has a feature and, where one is needed, a label.

        Raises
        ------
        InvalidEvent
            Before anything changed: as `predict` does, or if the label does not fit, or if there
            are more features or labels than allowed.
        """
        values = self._read(x)
        label = self._label(values, y)
        if self._teaches(values, y):
            self._built.role.learn(values, label)
            self._remember(values, label)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn as from an event that came with its label."""
        if self.learns_labels:
            self.learn_one(x, y, t)

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        """Predict, then learn; raises as `learn_one` does."""
        values = self._read(x)
        label = self._label(values, y)
        if not self._teaches(values, y):
            return self._ask(values)
        if self.keeps_state:
            prediction = self._built.role.step(self._familiar(values), values, label)
        else:
            prediction = self._ask(values)
            self._built.role.learn(values, label)
        self._remember(values, label)
        return prediction

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the next values of a forecaster with their bands; of any other, nothing."""
        return self._built.role.forecast(horizon)

    def signals(self) -> Mapping[str, float]:
        """Return how many features and labels were ever learned from."""
        known = self._known
        return {"features": float(len(known.names)), "labels": float(len(known.labels))}

    def _read(self, x: Features) -> Values:
        """Return what River is to see of an event."""
        if not self._built.role.one_value:
            return self._built.features_of(x)
        name = self._followed(x)
        return self._built.features_of({name: x.get(name)})

    def _followed(self, x: Features) -> str:
        if self.feature is not None:
            return self.feature
        if self._known.names:
            return next(iter(self._known.names))
        for name, value in x.items():
            if not isinstance(value, str):
                return name
        raise InvalidEvent("x: got strings alone, expected a number to follow")

    def _familiar(self, values: Values) -> Values:
        """Leave out what was never learned from, of which River would make an entry or a NaN."""
        names = self._known.names
        if values.keys() <= names.keys() or self._built.role.one_value:
            return values
        return {name: value for name, value in values.items() if name in names}

    def _ask(self, values: Values) -> Prediction:
        if self.keeps_state:
            return self._built.role.predict(self._familiar(values))
        with suppress(*RIVERS_OWN):
            return self._built.role.predict(values)
        # Some cannot yet say anything of a feature they have never seen, but will learn from it.
        try:
            return self._built.role.predict(self._familiar(values))
        except RIVERS_OWN as error:
            raise InvalidEvent(f"x: {self.estimator} cannot use it: {error}") from error

    def _teaches(self, values: Values, y: Target) -> bool:
        return bool(values) and not (self._built.role.needs_label and y is None)

    def _label(self, values: Values, y: Target) -> Label | None:
        """Return the label as River takes it; raises `InvalidEvent` if it could not learn."""
        role = self._built.role
        label = role.label(y) if role.needs_label and y is not None else None
        if not self._teaches(values, y):
            return label
        refusal = role.refusal(values)
        if refusal:
            raise InvalidEvent(refusal)
        size = self._known.size_with(values, label if role.learns_classes else None)
        if not self._built.admits(size):
            raise InvalidEvent(
                f"x: got {size.features} features and {size.classes} labels in all, "
                "expected fewer, as the tree would exceed its max_size"
            )
        return label

    def _remember(self, values: Values, label: Label | None) -> None:
        learns_classes = self._built.role.learns_classes
        if learns_classes or not values.keys() <= self._known.names.keys():
            self._known.add(values, label if learns_classes else None)

    # State

    def get_state(self) -> Arrays:
        """Return names, labels and the estimator's arrays.

        Raises
        ------
        StateError
            If the estimator is recovered by replaying its log: see `state_is_kept`.
        """
        self._require_state()
        return self._known.get_state() | self._built.get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        self._require_state()
        known = self._known.restored({n: a for n, a in arrays.items() if n in LAYOUT})
        rest = {name: array for name, array in arrays.items() if name not in LAYOUT}
        built = self._build()
        built.set_state(rest, list(known.names), list(known.labels))
        self._built, self._known = built, known

    def _require_state(self) -> None:
        if not self.keeps_state:
            raise StateError(
                f"{self.estimator}: its state is River's own; it is recovered by replaying its log"
            )
