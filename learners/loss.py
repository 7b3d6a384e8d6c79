"""How far a prediction was from the truth, as one number of which less is better."""

from __future__ import annotations

from learners.base import Prediction, Target, class_name


def loss_of(prediction: Prediction, y: Target) -> float | None:
    """Return the loss of a prediction by the label that came, or `None` if it has none.

    Of probabilities it is the Brier score, 0 to 2: cross-entropy has no bound, and the few events
    that a network is surest and wrongest about then decide what a block says. Of a class alone it
    is 0 or 1; of a number the distance.

    References
    ----------
    Brier 1950, Verification of forecasts expressed in terms of probability.
    """
    if y is None:
        return None
    if prediction.proba:
        given = min(max(prediction.proba.get(class_name(y), 0.0), 0.0), 1.0)
        return 1.0 - 2.0 * given + sum(p * p for p in prediction.proba.values())
    label = prediction.label
    if label is None:
        return None
    if isinstance(y, str) or isinstance(label, str):
        return float(y != label)
    return abs(y - label)
