"""State of the estimators made of normal distributions: GaussianScorer and GaussianNB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.parameters import (
    Layout,
    check_range,
    check_state_arrays,
    names_in,
    require_state,
    text_array,
)
from learners.river.codec import (
    ESTIMATOR_BYTES,
    LABEL_BYTES,
    NAME_BYTES,
    Codec,
    Label,
    Size,
    floats,
    is_int,
    labels_in,
    require_each,
    require_param,
    require_rows,
)

GAUSSIAN_BYTES = 4_096
"""A `river.proba.Gaussian` holds a generator of 2.5 kB, though nothing here ever draws from it."""

VALUE_BYTES = 256
NO_MOMENTS = (0.0, 0.0, 0.0)


def moments_of(gaussian: Any) -> tuple[float, float, float]:
    """Return weight, mean and sum of squared deviations of a `river.proba.Gaussian`."""
    variance = gaussian._var
    return variance.mean.n, variance.mean._mean, variance._S


def set_moments(gaussian: Any, moments: tuple[float, float, float]) -> None:
    """Write what `moments_of` returns."""
    gaussian._var.mean.n, gaussian._var.mean._mean, gaussian._var._S = moments


class GaussianScorer(Codec):
    """Arrays: moments float64[3], which are weight, mean and sum of squares; window float64[w].

    `window` holds the values that a window of `window_size` has yet to forget, oldest first.
    """

    fields = frozenset({"window_size", "gaussian", "grace_period"})

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless there is a score some day."""
        window, grace = estimator.window_size, estimator.grace_period
        good = window is None or is_int(window, 2, 10_000_000)
        require_param(good, "window_size", window, "2..10000000 or null")
        most = window or 1_000_000_000
        require_param(is_int(grace, 0, most), "grace_period", grace, f"0..{most}")

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of a full window."""
        return int(ESTIMATOR_BYTES + GAUSSIAN_BYTES + (estimator.window_size or 0) * VALUE_BYTES)

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the moments and the window."""
        windowed = estimator.window_size is not None
        gaussian = estimator.gaussian.obj if windowed else estimator.gaussian
        window = [args[0] for args, _ in estimator.gaussian.window] if windowed else []
        return {"moments": floats(moments_of(gaussian)), "window": floats(window)}

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write moments and window; raises `StateError` if their lengths contradict each other."""
        check_state_arrays(arrays, {"moments": ((3,), np.float64), "window": ((-1,), np.float64)})
        n, mean, squares = arrays["moments"].tolist()
        window = arrays["window"].tolist()
        check_range("moments", arrays["moments"][:1], 0.0, 2.0**53)
        check_range("window", arrays["window"], -1e300, 1e300)
        if estimator.window_size is None:
            require_state(not window, "window", "got a window, expected none")
            set_moments(estimator.gaussian, (n, mean, squares))
            return
        good = len(window) == n and n <= estimator.window_size
        require_state(good, "window", f"got {len(window)} values of {n}")
        set_moments(estimator.gaussian.obj, (n, mean, squares))
        estimator.gaussian.window.extend(((value,), {}) for value in window)


class GaussianNB(Codec):
    """Arrays: names, labels, count int64[c], moments float64[c, f, 3].

    Row c, f holds weight, mean and sum of squares of a feature within a class; a weight of 0 means
    that the two never met.
    """

    fields = frozenset({"class_counts", "gaussians"})

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of a distribution for each feature of each class."""
        cells = size.features * size.classes
        texts = size.features * NAME_BYTES + size.classes * LABEL_BYTES
        return ESTIMATOR_BYTES + texts + cells * GAUSSIAN_BYTES

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return how often each class came, and the moments of its features."""
        labels = list(estimator.class_counts)
        names = sorted({name for label in labels for name in estimator.gaussians.get(label, {})})
        moments = np.zeros((len(labels), len(names), 3))
        for i, label in enumerate(labels):
            own = estimator.gaussians.get(label, {})
            for j, name in enumerate(names):
                moments[i, j] = moments_of(own[name]) if name in own else NO_MOMENTS
        return {
            "names": text_array(names),
            "labels": text_array(labels),
            "count": np.array([estimator.class_counts[label] for label in labels], np.int64),
            "moments": moments,
        }

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write counts and moments, or raise `StateError`."""
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "labels": ((-1,), np.uint8),
            "count": ((-1,), np.int64),
            "moments": ((-1, -1, 3), np.float64),
        }
        check_state_arrays(arrays, layout)
        names = names_in("names", arrays["names"])
        labels = labels_in("labels", arrays["labels"])
        require_rows("count", arrays["count"], len(labels))
        shape = (len(labels), len(names), 3)
        good = arrays["moments"].shape == shape
        require_state(good, "moments", f"expected {shape}")
        check_range("count", arrays["count"], 1, 2**53)
        check_moments("moments", arrays["moments"].reshape(-1, 3))
        for i, label in enumerate(labels):
            estimator.class_counts[label] = arrays["count"][i].item()
            self._fill(estimator, label, names, arrays["moments"][i])

    @staticmethod
    def _fill(estimator: Any, label: Label, names: list[str], moments: NDArray[Any]) -> None:
        for name, (n, mean, squares) in zip(names, moments.tolist(), strict=True):
            if n > 0:
                set_moments(estimator.gaussians[label][name], (n, mean, squares))


def check_moments(name: str, moments: NDArray[np.float64]) -> None:
    """Raise `StateError` unless weights and sums of squares are such as distributions have."""
    check_range(name, moments[:, 0], 0.0, 2.0**53)
    require_each(name, moments[:, 2], 0.0)
