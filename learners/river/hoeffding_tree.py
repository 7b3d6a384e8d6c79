"""State of HoeffdingTreeClassifier: the tree, and what each leaf has seen of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from river import tree

from learners.base import Arrays
from learners.parameters import check_range, check_state_arrays, names_in, text_array
from learners.river.codec import (
    ESTIMATOR_BYTES,
    LABEL_BYTES,
    NAME_BYTES,
    Codec,
    Size,
    is_int,
    is_number,
    labels_in,
    require_param,
)
from learners.river.gaussian import GAUSSIAN_BYTES
from learners.river.tree_nodes import (
    LAYOUT,
    build_nodes,
    check_rows,
    fill_nodes,
    names_of,
    rows_of,
)

NEVER = 1 << 62
DEEPEST = 100
LEAF_BYTES = 6_144
CHOICES = {
    "split_criterion": ("gini", "info_gain", "hellinger"),
    "leaf_prediction": ("mc", "nb", "nba"),
}


class HoeffdingTreeClassifier(Codec):
    """Arrays over n nodes, depth first, and over what they have seen, in River's order.

    feature int32[n] and threshold float64[n] of branches, -1 and 0 at leaves; active uint8[n];
    votes float64[n, 3]: weight at the last attempt to split, and what majority and Bayes got right.
    stat int32[s, 2] and stat_weight float64[s]: the weight of a class at a node. cell int32[k, 3]
    and cell_moments float64[k, 5]: lowest, highest, weight, mean and sum of squares of a feature
    within a class at a node. disabled int32[d, 2]: features a node no longer looks at. leaves
    int64[2], active and not, and weight float64[1], seen in all.

    Only numeric features keep their state here: River splits categories in the order of a set,
    which differs from one process to the next. The tree stops growing where one more leaf, with as
    many features and classes as are known, might exceed `max_size`; River's own estimate of its
    size, which depends on how the interpreter happened to allocate, is switched off.
    """

    fields = frozenset(
        {
            "_split_criterion",
            "_leaf_prediction",
            "max_depth",
            "binary_split",
            "_max_size",
            "_max_byte_size",
            "memory_estimate_period",
            "stop_mem_management",
            "remove_poor_attrs",
            "merit_preprune",
            "_root",
            "_n_active_leaves",
            "_n_inactive_leaves",
            "_inactive_leaf_size_estimate",
            "_active_leaf_size_estimate",
            "_size_estimate_overhead_fraction",
            "_growth_allowed",
            "_train_weight_seen_by_model",
            "grace_period",
            "delta",
            "tau",
            "nb_threshold",
            "nominal_attributes",
            "splitter",
            "min_branch_fraction",
            "max_share_to_split",
            "classes",
        }
    )

    defaults: ClassVar[Mapping[str, Any]] = {"memory_estimate_period": NEVER, "max_depth": DEEPEST}

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` for a choice that River would replace by its default."""
        for name, choices in CHOICES.items():
            value = params.get(name, choices[1])
            require_param(value in choices, name, value, f"one of {', '.join(choices)}")

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless size, depth and the bounds of a split can be used."""
        got = estimator.memory_estimate_period
        require_param(got == NEVER, "memory_estimate_period", got, "none, as leaves are counted")
        require_param(
            is_int(estimator.max_depth, 1, DEEPEST),
            "max_depth",
            estimator.max_depth,
            f"1..{DEEPEST}",
        )
        got = estimator.max_size
        require_param(is_number(got, 0.1, 65_536), "max_size", got, "0.1..65536 MiB")
        require_param(
            is_int(estimator.grace_period, 1, NEVER),
            "grace_period",
            estimator.grace_period,
            "1 or more",
        )
        got = estimator.delta
        require_param(is_number(got, 1e-300, 1), "delta", got, "more than 0, at most 1")
        for name in ("tau", "min_branch_fraction", "max_share_to_split"):
            got = getattr(estimator, name)
            require_param(is_number(got, 0, 1), name, got, "0..1")
        got = getattr(estimator.splitter, "n_splits", 10)
        require_param(is_int(got, 1, 1_000), "splitter: n_splits", got, "1..1000")
        got = estimator.nb_threshold
        require_param(is_number(got, 0), "nb_threshold", got, "0 or more")

    def keeps(self, estimator: Any) -> bool:
        """Return whether all features are numbers and nothing measures the tree's memory."""
        return (
            type(estimator.splitter) is tree.splitter.GaussianSplitter
            and estimator.nominal_attributes is None
            and not estimator.stop_mem_management
        )

    def takes_text(self, estimator: Any) -> bool:
        """Return whether the tree was told of categories."""
        return estimator.nominal_attributes is not None

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return `max_size` in bytes, and what there is beside the nodes."""
        texts = size.features * NAME_BYTES + size.classes * LABEL_BYTES
        return int(estimator.max_size * 2**20) + ESTIMATOR_BYTES + texts

    def admits(self, estimator: Any, size: Size) -> bool:
        """Let the tree grow if one more leaf fits; return whether those it has do."""
        leaves = estimator._n_active_leaves + estimator._n_inactive_leaves
        each = LEAF_BYTES + size.classes * 512
        each += size.features * (1_024 + size.classes * (GAUSSIAN_BYTES + 512))
        estimator._growth_allowed = (leaves + 1) * each <= estimator._max_byte_size
        return bool(max(leaves, 1) * each <= estimator._max_byte_size)

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return the tree and what its leaves have seen."""
        labels = sorted(estimator.classes)
        nodes = [] if estimator._root is None else list(estimator._root.iter_dfs())
        names = sorted(names_of(nodes))
        rows = rows_of(nodes, names, labels)
        rows["leaves"] = [estimator._n_active_leaves, estimator._n_inactive_leaves]
        rows["weight"] = [estimator._train_weight_seen_by_model]
        arrays: Arrays = {"names": text_array(names), "labels": text_array(labels)}
        for name, values in rows.items():
            shape, dtype = LAYOUT[name]
            arrays[name] = np.array(values, dtype).reshape(len(values), *shape[1:])
        return arrays

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Build the tree anew, or raise `StateError`."""
        check_state_arrays(arrays, LAYOUT)
        names = names_in("names", arrays["names"])
        labels = labels_in("labels", arrays["labels"])
        check_rows(arrays, len(names), len(labels))
        check_range("leaves", arrays["leaves"], 0, len(arrays["feature"]))
        nodes = build_nodes(estimator, arrays, names)
        fill_nodes(estimator, nodes, arrays, names, labels)
        estimator._root = nodes[0] if nodes else None
        estimator.classes = set(labels)
        estimator._n_active_leaves, estimator._n_inactive_leaves = arrays["leaves"].tolist()
        estimator._train_weight_seen_by_model = arrays["weight"].item()
