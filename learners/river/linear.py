"""State of the linear models: LinearRegression, LogisticRegression and OneClassSVM."""

from __future__ import annotations

from typing import Any

import numpy as np
from river import optim
from river.utils import VectorDict

from learners.base import Arrays
from learners.parameters import Layout, check_state_arrays, names_in, text_array
from learners.river.codec import (
    ESTIMATOR_BYTES,
    MOST_EVENTS,
    NAME_BYTES,
    Codec,
    Size,
    floats,
    is_number,
    require_each,
    require_param,
    require_rows,
)

BYTES_PER_FEATURE = 256 + NAME_BYTES
SCHEDULES = (optim.schedulers.Constant, optim.schedulers.InverseScaling, optim.schedulers.Optimal)
LOSSES = (
    optim.losses.Absolute,
    optim.losses.EpsilonInsensitiveHinge,
    optim.losses.Hinge,
    optim.losses.Log,
    optim.losses.Quantile,
    optim.losses.Squared,
)
"""Losses that no finite number makes overflow."""

INITIAL = (optim.initializers.Zeros, optim.initializers.Constant)
PARTS = {
    "optimizer": optim.base.Optimizer,
    "loss": optim.base.Loss,
    "intercept_lr": optim.base.Scheduler,
    "initializer": optim.base.Initializer,
}


class LinearModel(Codec):
    """Arrays: names, weight float64[f], intercept float64[1], iterations int64[1].

    Features are in the order in which River met them, since sums of weights follow it. With an L1
    penalty, also shrunk_names and shrunk float64[g], the penalty taken of each weight, and
    most_shrunk float64[1].

    All state is in these arrays where the optimizer is plain SGD, and the initial weights are not
    drawn at random; otherwise the model is recovered by replay.
    """

    fields = frozenset(
        {
            "optimizer",
            "loss",
            "l2",
            "l1",
            "intercept_init",
            "intercept",
            "intercept_lr",
            "clip_gradient",
            "initializer",
            "_weights",
            "_y_name",
            "max_cum_l1",
            "cum_l1",
        }
    )

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless the parts fit and the penalties and the start are numbers."""
        for name, kind in PARTS.items():
            value = getattr(estimator, name)
            require_param(
                isinstance(value, kind), name, value, f"an {kind.__name__.lower()} of river.optim"
            )
        schedule = getattr(estimator.optimizer, "lr", None)
        good = schedule is None or isinstance(schedule, optim.base.Scheduler)
        require_param(good, "optimizer: lr", schedule, "a number or a schedule of river.optim")
        _check_numbers("optimizer", schedule)
        for name in PARTS.keys() - {"optimizer"}:
            _check_numbers(name, getattr(estimator, name))
        for name, least in (("l1", 0.0), ("l2", 0.0), ("intercept_init", -1e12)):
            value = getattr(estimator, name)
            require_param(is_number(value, least), name, value, f"a number, at least {least:g}")
        value = estimator.clip_gradient
        require_param(is_number(value, 1e-12), "clip_gradient", value, "a positive number to 1e12")

    def keeps(self, estimator: Any) -> bool:
        """Return whether optimizer, schedules and initial weights have no further state."""
        return (
            type(estimator.optimizer) is optim.SGD
            and type(estimator.optimizer.lr) in SCHEDULES
            and type(estimator.intercept_lr) in SCHEDULES
            and type(estimator.initializer) in INITIAL
            and type(estimator.loss) in LOSSES
        )

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return a bound that grows with the features."""
        return ESTIMATOR_BYTES + 2 * size.features * BYTES_PER_FEATURE

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return weights, intercept and how many updates there were."""
        weights = estimator.weights
        arrays: Arrays = {
            "names": text_array(list(weights)),
            "weight": floats(weights.values()),
            "intercept": floats([estimator.intercept]),
            "iterations": np.array([estimator.optimizer.n_iterations], np.int64),
        }
        if estimator.l1:
            shrunk = estimator.cum_l1.to_dict()
            arrays["shrunk_names"] = text_array(list(shrunk))
            arrays["shrunk"] = floats(shrunk.values())
            arrays["most_shrunk"] = floats([estimator.max_cum_l1])
        return arrays

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write weights and intercept, or raise `StateError`."""
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "weight": ((-1,), np.float64),
            "intercept": ((1,), np.float64),
            "iterations": ((1,), np.int64),
        }
        if estimator.l1:
            layout["shrunk_names"] = ((-1,), np.uint8)
            layout["shrunk"] = ((-1,), np.float64)
            layout["most_shrunk"] = ((1,), np.float64)
        check_state_arrays(arrays, layout)
        require_each("iterations", arrays["iterations"], 0, MOST_EVENTS)
        estimator._weights = VectorDict(_by_name(arrays, "names", "weight"))
        estimator.intercept = arrays["intercept"].item()
        estimator.optimizer.n_iterations = arrays["iterations"].item()
        if estimator.l1:
            shrunk = _by_name(arrays, "shrunk_names", "shrunk")
            estimator.cum_l1 = VectorDict(shrunk, optim.initializers.Zeros())
            estimator.max_cum_l1 = arrays["most_shrunk"].item()


class OneClassSVM(LinearModel):
    """The arrays of a linear model."""

    fields = LinearModel.fields | {"nu"}


def _check_numbers(name: str, part: Any) -> None:
    """Raise `ValueError` unless each number that a part was given is one to reckon with."""
    if type(part) not in (*SCHEDULES, *LOSSES, *INITIAL):
        return
    for field, value in vars(part).items():
        most = 10.0 if field == "power" else 1e12
        if not isinstance(value, optim.base.Loss):
            require_param(is_number(value, -most, most), f"{name}: {field}", value, "a number")


def _by_name(arrays: Arrays, names: str, values: str) -> dict[str, float]:
    keys = names_in(names, arrays[names])
    require_rows(values, arrays[values], len(keys))
    return dict(zip(keys, arrays[values].tolist(), strict=True))
