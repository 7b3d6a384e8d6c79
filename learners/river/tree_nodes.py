"""The nodes of a Hoeffding tree as rows of arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from river.tree.nodes.branch import NumericBinaryBranch

from learners.base import Arrays
from learners.parameters import Layout, check_range, require_state
from learners.river.codec import Label, require_rows
from learners.river.gaussian import check_moments, moments_of, set_moments

LAYOUT: Layout = {
    "names": ((-1,), np.uint8),
    "labels": ((-1,), np.uint8),
    "feature": ((-1,), np.int32),
    "threshold": ((-1,), np.float64),
    "active": ((-1,), np.uint8),
    "votes": ((-1, 3), np.float64),
    "stat": ((-1, 2), np.int32),
    "stat_weight": ((-1,), np.float64),
    "disabled": ((-1, 2), np.int32),
    "cell": ((-1, 3), np.int32),
    "cell_moments": ((-1, 5), np.float64),
    "leaves": ((2,), np.int64),
    "weight": ((1,), np.float64),
}


def names_of(nodes: list[Any]) -> set[str]:
    """Return the features that the nodes know."""
    names = {node.feature for node in nodes if isinstance(node, NumericBinaryBranch)}
    for node in nodes:
        names |= (getattr(node, "splitters", None) or {}).keys()
        names |= getattr(node, "_disabled_attrs", set())
    return names


def rows_of(nodes: list[Any], names: list[str], labels: list[Label]) -> dict[str, list[Any]]:
    """Return the rows of each array over nodes, and over what they have seen, in River's order."""
    name = {each: i for i, each in enumerate(names)}
    label = {each: i for i, each in enumerate(labels)}
    rows: dict[str, list[Any]] = {each: [] for each in LAYOUT if each not in ("names", "labels")}
    for i, node in enumerate(nodes):
        for y, weight in node.stats.items():
            rows["stat"].append((i, label[y]))
            rows["stat_weight"].append(weight)
        branch = isinstance(node, NumericBinaryBranch)
        rows["feature"].append(name[node.feature] if branch else -1)
        rows["threshold"].append(node.threshold if branch else 0.0)
        rows["active"].append(not branch and node.is_active())
        rows["votes"].append((0.0, 0.0, 0.0) if branch else _votes(node))
        if not branch:
            rows["disabled"].extend((i, name[each]) for each in sorted(node._disabled_attrs))
            _add_cells(rows, i, node, name, label)
    return rows


def _votes(leaf: Any) -> tuple[float, float, float]:
    majority = getattr(leaf, "_mc_correct_weight", 0.0)
    return leaf.last_split_attempt_at, majority, getattr(leaf, "_nb_correct_weight", 0.0)


def _add_cells(
    rows: dict[str, list[Any]], i: int, leaf: Any, name: dict[str, int], label: dict[Label, int]
) -> None:
    for feature, splitter in (leaf.splitters or {}).items():
        for y, gaussian in splitter._att_dist_per_class.items():
            low, high = splitter._min_per_class[y], splitter._max_per_class[y]
            rows["cell"].append((i, name[feature], label[y]))
            rows["cell_moments"].append((low, high, *moments_of(gaussian)))


def check_rows(arrays: Arrays, names: int, labels: int) -> None:
    """Raise `StateError` unless rows agree in number, and their entries are within bounds."""
    nodes = len(arrays["feature"])
    for name in ("threshold", "active", "votes"):
        require_rows(name, arrays[name], nodes)
    require_rows("stat_weight", arrays["stat_weight"], len(arrays["stat"]))
    require_rows("cell_moments", arrays["cell_moments"], len(arrays["cell"]))
    check_range("feature", arrays["feature"], -1, names - 1)
    check_range("threshold", arrays["threshold"], -1e300, 1e300)
    check_range("active", arrays["active"], 0, 1)
    for name in ("votes", "weight", "stat_weight"):
        check_range(name, arrays[name], 0.0, 2.0**53)
    for name, limits in (("stat", (nodes, labels)), ("disabled", (nodes, names))):
        for column, limit in enumerate(limits):
            check_range(name, arrays[name][:, column], 0, limit - 1)
    for column, limit in enumerate((nodes, names, labels)):
        check_range("cell", arrays["cell"][:, column], 0, limit - 1)
    check_range("cell_moments", arrays["cell_moments"][:, :2], -1e300, 1e300)
    check_moments("cell_moments", arrays["cell_moments"][:, 2:])
    leaves = bool((arrays["feature"][arrays["disabled"][:, 0]] < 0).all())
    require_state(leaves, "disabled", "got one outside a leaf")
    at_leaves = arrays["feature"][arrays["cell"][:, 0]] < 0
    active = arrays["active"][arrays["cell"][:, 0]] == 1
    require_state(bool((at_leaves & active).all()), "cell", "got one outside an active leaf")


def build_nodes(estimator: Any, arrays: Arrays, names: list[str]) -> list[Any]:
    """Return new nodes, depth first, each branch with its children."""
    nodes: list[Any] = []
    rows = iter(zip(arrays["feature"].tolist(), arrays["threshold"].tolist(), strict=True))
    if len(arrays["feature"]):
        _grow(estimator, rows, names, 0, nodes)
    require_state(next(rows, None) is None, "feature", "got more nodes than the tree has")
    return nodes


def _grow(
    estimator: Any,
    rows: Iterator[tuple[int, float]],
    names: list[str],
    depth: int,
    nodes: list[Any],
) -> Any:
    row = next(rows, None)
    require_state(row is not None, "feature", "got fewer nodes than the tree has")
    require_state(depth <= estimator.max_depth, "feature", "got a tree deeper than max_depth")
    feature, threshold = row  # type: ignore[misc]
    if feature < 0:
        leaf = estimator._new_leaf({})
        leaf.depth = depth
        nodes.append(leaf)
        return leaf
    branch = NumericBinaryBranch({}, names[feature], threshold, depth, None, None)
    nodes.append(branch)
    children = [_grow(estimator, rows, names, depth + 1, nodes) for _ in range(2)]
    branch.children[:] = children  # type: ignore[index]
    return branch


def fill_nodes(
    estimator: Any, nodes: list[Any], arrays: Arrays, names: list[str], labels: list[Label]
) -> None:
    """Write into the nodes what they have seen."""
    weights = arrays["stat_weight"].tolist()
    for (i, y), weight in zip(arrays["stat"].tolist(), weights, strict=True):
        nodes[i].stats[labels[y]] = weight
    for i, (active, votes) in enumerate(
        zip(arrays["active"].tolist(), arrays["votes"].tolist(), strict=True)
    ):
        if isinstance(nodes[i], NumericBinaryBranch):
            continue
        if not active:
            nodes[i].deactivate()
        nodes[i].last_split_attempt_at = votes[0]
        if hasattr(nodes[i], "_mc_correct_weight"):
            nodes[i]._mc_correct_weight, nodes[i]._nb_correct_weight = votes[1:]
    for i, feature in arrays["disabled"].tolist():
        nodes[i]._disabled_attrs.add(names[feature])
    moments = arrays["cell_moments"].tolist()
    for (i, feature, y), (low, high, *rest) in zip(arrays["cell"].tolist(), moments, strict=True):
        splitters = nodes[i].splitters
        if names[feature] not in splitters:
            splitters[names[feature]] = estimator.splitter.clone()
        splitter = splitters[names[feature]]
        splitter.update(low, labels[y], 1.0)
        splitter._max_per_class[labels[y]] = high
        set_moments(splitter._att_dist_per_class[labels[y]], tuple(rest))
