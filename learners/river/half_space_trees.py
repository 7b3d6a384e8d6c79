"""State of HalfSpaceTrees: random splits, and the mass of every node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from river.tree.padded import PaddedBranch, PaddedLeaf

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
    GENERATOR_LAYOUT,
    NAME_BYTES,
    Codec,
    Size,
    generator_arrays,
    is_int,
    is_number,
    require_param,
    set_generator,
)

BYTES_PER_NODE = 640
MOST_NODES = 1 << 20


class HalfSpaceTrees(Codec):
    """Arrays: names, feature int32[t, b], threshold float64[t, b], past and present int64[t, n].

    A tree has n = 2^(height + 1) - 1 nodes and b = 2^height - 1 branches, each in depth-first
    order; t is 0 before the first event. `past` is the mass of the last full window, by which River
    scores, and `present` that of the window being filled. Then count int64[1], the events in it,
    first_window uint8[1], and the generator that drew the splits.
    """

    fields = frozenset(
        {
            "n_trees",
            "window_size",
            "height",
            "limits",
            "seed",
            "rng",
            "trees",
            "_tree_nodes",
            "counter",
            "_first_window",
        }
    )

    def check(self, estimator: Any) -> None:
        """Raise `ValueError` unless the trees are of a size to be held."""
        trees, height, window = estimator.n_trees, estimator.height, estimator.window_size
        require_param(is_int(trees, 1, 1_000), "n_trees", trees, "1..1000")
        require_param(is_int(height, 1, 15), "height", height, "1..15")
        require_param(is_int(window, 1, 10_000_000), "window_size", window, "1..10000000")
        nodes = trees * _nodes(height)
        require_param(nodes <= MOST_NODES, "height", height, f"{MOST_NODES} nodes at most")
        for name, limit in estimator.limits.items():
            pair = isinstance(limit, list | tuple) and len(limit) == 2
            good = pair and all(map(is_number, limit)) and limit[0] < limit[1]
            require_param(good, f"limits: {name}", limit, "a lower and an upper number")

    def memory_bytes(self, estimator: Any, size: Size) -> int:
        """Return the bytes of all nodes."""
        nodes = estimator.n_trees * _nodes(estimator.height)
        return int(ESTIMATOR_BYTES + nodes * BYTES_PER_NODE + size.features * (512 + NAME_BYTES))

    def to_arrays(self, estimator: Any) -> Arrays:
        """Return splits and masses of every tree."""
        inner = _nodes(estimator.height) // 2
        branches = [
            [n for n in nodes if isinstance(n, PaddedBranch)] for nodes in _trees(estimator)
        ]
        names = sorted({branch.feature for tree in branches for branch in tree})
        index = {name: i for i, name in enumerate(names)}
        past = [[node.r_mass for node in nodes] for nodes in _trees(estimator)]
        present = [[node.l_mass for node in nodes] for nodes in _trees(estimator)]
        features = [[index[branch.feature] for branch in tree] for tree in branches]
        thresholds = [[branch.threshold for branch in tree] for tree in branches]
        shape = (len(estimator.trees), _nodes(estimator.height))
        return {
            "names": text_array(names),
            "feature": np.array(features, np.int32).reshape(shape[0], inner),
            "threshold": np.array(thresholds, np.float64).reshape(shape[0], inner),
            "past": np.array(past, np.int64).reshape(shape),
            "present": np.array(present, np.int64).reshape(shape),
            "count": np.array([estimator.counter], np.int64),
            "first_window": np.array([estimator._first_window], np.uint8),
            **generator_arrays(estimator.rng),
        }

    def from_arrays(self, estimator: Any, arrays: Arrays) -> None:
        """Build the trees anew, or raise `StateError`."""
        nodes = _nodes(estimator.height)
        layout: Layout = {
            "names": ((-1,), np.uint8),
            "feature": ((-1, nodes // 2), np.int32),
            "threshold": ((-1, nodes // 2), np.float64),
            "past": ((-1, nodes), np.int64),
            "present": ((-1, nodes), np.int64),
            "count": ((1,), np.int64),
            "first_window": ((1,), np.uint8),
            **GENERATOR_LAYOUT,
        }
        check_state_arrays(arrays, layout)
        names = names_in("names", arrays["names"])
        trees = len(arrays["past"])
        require_state(trees in (0, estimator.n_trees), "past", f"got {trees} trees")
        for name in ("feature", "threshold", "present"):
            require_state(len(arrays[name]) == trees, name, f"expected {trees} trees")
        check_range("feature", arrays["feature"], 0, len(names) - 1)
        check_range("threshold", arrays["threshold"], -1e300, 1e300)
        for name in ("past", "present"):
            check_range(name, arrays[name], 0, estimator.window_size)
        check_range("count", arrays["count"], 0, estimator.window_size - 1)
        check_range("first_window", arrays["first_window"], 0, 1)
        set_generator(estimator.rng, arrays)
        estimator.trees = [_tree(estimator.height, names, rows) for rows in _rows(arrays)]
        estimator._tree_nodes = [list(tree.iter_dfs()) for tree in estimator.trees]
        estimator.counter = arrays["count"].item()
        estimator._first_window = bool(arrays["first_window"][0])


def _nodes(height: int) -> int:
    return (1 << (height + 1)) - 1


def _trees(estimator: Any) -> list[list[Any]]:
    return estimator._tree_nodes  # type: ignore[no-any-return]


def _rows(arrays: Arrays) -> Iterator[tuple[Iterator[Any], ...]]:
    for tree in range(len(arrays["past"])):
        yield tuple(
            iter(arrays[name][tree].tolist())
            for name in ("feature", "threshold", "past", "present")
        )


def _tree(height: int, names: list[str], rows: tuple[Iterator[Any], ...]) -> Any:
    """Build a tree from iterators over its branches and nodes, depth first."""
    features, thresholds, past, present = rows
    mass = {"r_mass": next(past), "l_mass": next(present)}
    if height == 0:
        return PaddedLeaf(**mass)
    feature, threshold = names[next(features)], next(thresholds)
    left = _tree(height - 1, names, rows)
    right = _tree(height - 1, names, rows)
    return PaddedBranch(left, right, feature=feature, threshold=threshold, **mass)
