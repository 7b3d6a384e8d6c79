"""The roles: detectors, scorers, classifiers, regressors, clusterers and forecasters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import anomaly, base, time_series

from learners.base import InvalidEvent, Prediction, Target, class_name
from learners.river.codec import LONGEST_LABEL, Label
from learners.river.forecasting import Forecaster
from learners.river.role import Role, Values, finite, number


class Detector(Role):
    """Anomaly detectors: a score of the features, larger is stranger."""

    def predict(self, x: Values) -> Prediction:
        """Return the score, or none in the first window of HalfSpaceTrees."""
        if getattr(self.final, "_first_window", False):
            return Prediction()
        return Prediction(score=finite(self.model.score_one(x)))


class Clusterer(Role):
    """Clusterers: the number of the nearest cluster."""

    def predict(self, x: Values) -> Prediction:
        """Return the cluster as a label."""
        return Prediction(label=finite(self.model.predict_one(x)))


class Regressor(Role):
    """Regressors: a number."""

    needs_label = True

    def predict(self, x: Values) -> Prediction:
        """Return the number as a label."""
        return Prediction(label=finite(self.model.predict_one(x)))

    def label(self, y: Target) -> Label:
        """Return a finite number, or raise `InvalidEvent`."""
        return number("y", y)

    def learn(self, x: Values, y: Label | None) -> None:
        """Teach one event."""
        self.model.learn_one(x, y)


class Classifier(Role):
    """Classifiers: a label and the probability of each.

    One that River calls binary takes 1 and 0, its true and false, and answers with them. Others
    take numbers or strings.
    """

    needs_label = True

    def __init__(self, model: Any, final: Any) -> None:
        super().__init__(model, final)
        self.learns_classes = final._multiclass
        self._own_choice = type(final).predict_one is not base.Classifier.predict_one

    def predict(self, x: Values) -> Prediction:
        """Return label and probabilities, as far as there are any."""
        try:
            proba = self.model.predict_proba_one(x)
        except NotImplementedError:
            return Prediction(label=self.model.predict_one(x))
        shares = {class_name(label): finite(share) for label, share in proba.items()}
        if not shares or None in shares.values():
            return Prediction()
        chosen = self.model.predict_one(x) if self._own_choice else max(proba, key=proba.get)
        # True and False are answered as they came, as 1 and 0.
        label = float(chosen) if isinstance(chosen, bool) else chosen
        return Prediction(label=label, proba=shares)  # type: ignore[arg-type]

    def label(self, y: Target) -> Label:
        """Return the label, or raise `InvalidEvent`."""
        if not self.final._multiclass:
            if y not in (0, 1):
                raise InvalidEvent(f"y: got {y!r}, expected 0 or 1, as this classifier is binary")
            return bool(y)
        if not isinstance(y, str):
            return number("y", y)
        if len(y) > LONGEST_LABEL:
            raise InvalidEvent(f"y: got {len(y)} characters, expected at most {LONGEST_LABEL}")
        return y

    def learn(self, x: Values, y: Label | None) -> None:
        """Teach one event."""
        self.model.learn_one(x, y)


class Scorer(Role):
    """GaussianScorer and its like: a score of one value."""

    one_value = True

    def predict(self, x: Values) -> Prediction:
        """Return how strange the value is, or nothing in the grace period."""
        if not x or self._warming():
            return Prediction()
        try:
            return Prediction(score=finite(self.model.score_one(None, *x.values())))
        except TypeError:
            # A variance that rounding made negative has no real root.
            return Prediction()

    def learn(self, x: Values, y: Label | None) -> None:
        """Teach one value."""
        self.model.learn_one(None, *x.values())

    def _warming(self) -> bool:
        if not isinstance(self.final, anomaly.GaussianScorer):
            return False
        return bool(self.final.gaussian.n_samples < max(self.final.grace_period, 2))


def role_of(model: Any, final: Any) -> Role | None:
    """Return what an estimator is asked, or `None` if it is no estimator that predicts."""
    for kind, role in ROLES.items():
        if isinstance(final, kind):
            return role(model, final)
    return None


ROLES: Mapping[type, type[Role]] = {
    base.AnomalyDetector: Detector,
    base.AnomalyFilter: Detector,
    base.SupervisedAnomalyDetector: Scorer,
    base.Classifier: Classifier,
    base.Regressor: Regressor,
    base.Clusterer: Clusterer,
    time_series.base.Forecaster: Forecaster,
}
