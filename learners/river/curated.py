"""The table of estimators whose state is held as arrays: class to codec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import (
    anomaly,
    compose,
    linear_model,
    naive_bayes,
    preprocessing,
    time_series,
    tree,
)

from learners.base import Arrays, StateError
from learners.parameters import with_prefix, without_prefix
from learners.river.codec import Codec, Size
from learners.river.forecasters import HoltWinters, Snarimax
from learners.river.gaussian import GaussianNB, GaussianScorer
from learners.river.half_space_trees import HalfSpaceTrees
from learners.river.hoeffding_tree import HoeffdingTreeClassifier
from learners.river.linear import LinearModel, OneClassSVM
from learners.river.scalers import MinMaxScaler, StandardScaler


def codec_of(estimator: Any) -> Codec | None:
    """Return the codec of an estimator, or `None` if its state is River's own affair."""
    return CODECS.get(type(estimator))


class Pipeline(Codec):
    """The arrays of each step, under its place: `0/names`, `1/weight`."""

    fields = frozenset(
        {"steps", "_plan", "_inference_transformers", "_last_step_cached", "_last_step_params"}
    )

    def check(self, estimator: Any) -> None:
        """Raise what the steps raise."""
        for step in estimator.steps.values():
            codec = codec_of(step)
            if codec is not None:
                codec.check(step)

    def keeps(self, estimator: Any) -> bool:
        """Return whether each step keeps its state."""
        steps = estimator.steps.values()
        return all((codec := codec_of(step)) is not None and codec.keeps(step) for step in steps)

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of all steps."""
        return sum(codec.memory_bytes(step, size) for _, codec, step in self._each(estimator))

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the arrays of all steps."""
        arrays: Arrays = {}
        for prefix, codec, step in self._each(estimator):
            arrays |= with_prefix(prefix, codec.to_arrays(step))
        return arrays

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Write the arrays of all steps, or raise `StateError`."""
        each = self._each(estimator)
        prefixes = tuple(prefix for prefix, _, _ in each)
        if not all(name.startswith(prefixes) for name in arrays):
            raise StateError(f"arrays: got {sorted(arrays)}, expected prefixes {prefixes}")
        for prefix, codec, step in each:
            codec.from_arrays(step, without_prefix(prefix, arrays))

    @staticmethod
    def _each(estimator: Any) -> list[tuple[str, Codec, Any]]:
        steps = estimator.steps.values()
        return [(f"{i}/", CODECS[type(step)], step) for i, step in enumerate(steps)]


CODECS: Mapping[type, Codec] = {
    anomaly.HalfSpaceTrees: HalfSpaceTrees(),
    anomaly.GaussianScorer: GaussianScorer(),
    anomaly.OneClassSVM: OneClassSVM(),
    linear_model.LinearRegression: LinearModel(),
    linear_model.LogisticRegression: LinearModel(),
    naive_bayes.GaussianNB: GaussianNB(),
    tree.HoeffdingTreeClassifier: HoeffdingTreeClassifier(),
    time_series.HoltWinters: HoltWinters(),
    time_series.SNARIMAX: Snarimax(codec_of),
    preprocessing.StandardScaler: StandardScaler(),
    preprocessing.MinMaxScaler: MinMaxScaler(),
    compose.Pipeline: Pipeline(),
}
