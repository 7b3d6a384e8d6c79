"""The arrays of an adaptive network: how large, how they begin, and what they may hold."""

from __future__ import annotations

import math

import numpy as np

from learners.base import Arrays
from learners.kernels import adaptive_network as kernels
from learners.kernels.adaptive_conditions import refresh
from learners.parameters import Layout, allocate, check_range, check_state_arrays, require_state

LARGEST = 1e300
LARGEST_WEIGHT = 1e30
_PART = 1.0 + 1e-6


def network_layout(D: int, H: int, C: int, K: int) -> Layout:
    """Return the arrays of a `Network` of D inputs, H hidden units, C classes, K conditions."""
    return state_layout(D, H, C, K) | {
        "inverse": ((K + 1, D), np.float64),
        "distances": ((K + 1,), np.float64),
        "x": ((D,), np.float64),
        "corrected": ((D,), np.float32),
        "sums": ((H,), np.float32),
        "shares": ((H,), np.float32),
        "decays": ((H,), np.float32),
        "extremes": ((H,), np.float32),
        "squares": ((H,), np.float32),
        "u": ((H,), np.float64),
        "h": ((H,), np.float64),
        "a": ((H,), np.float64),
        "delta": ((H,), np.float32),
        "p": ((C,), np.float64),
        "dz": ((C,), np.float64),
    }


def state_layout(D: int, H: int, C: int, K: int) -> Layout:
    """Return those of them that are state; the rest is scratch."""
    return {
        "first": ((D, H), np.float32),
        "first_source": ((D, H), np.float32),
        "second": ((H, C), np.float64),
        "bias": ((C,), np.float64),
        "gain_source": ((2, H), np.float64),
        "input_source": ((2, D), np.float64),
        "gain": ((K, 2, H), np.float64),
        "inputs": ((K + 1, 2, D), np.float64),
        "hidden": ((K, 2, H), np.float64),
        "condition": ((K + 1, kernels.FIELDS), np.float64),
        "label_share": ((C,), np.float64),
        "class_share": ((C,), np.float64),
        "usual": ((C,), np.float64),
        "counts": ((kernels.COUNTS,), np.int64),
        "figures": ((kernels.FIGURES,), np.float64),
    }


def fresh_network(D: int, H: int, C: int, K: int, seed: int) -> kernels.Network:
    """Return an untaught network; first-layer weights are normal with variance 1 / D."""
    draw = np.random.default_rng(seed)
    net = kernels.Network(**allocate(network_layout(D, H, C, K)))
    net.first[:] = draw.normal(0.0, 1.0 / math.sqrt(D), (D, H))
    net.first_source[:] = net.first
    net.second[:] = draw.normal(0.0, 0.5 / math.sqrt(H), (H, C))
    net.gain_source[0] = 1.0
    net.gain[:, 0] = 1.0
    net.hidden[:, 1] = 1.0
    net.counts[kernels.HELD] = 1
    net.figures[kernels.RECOVERY] = -1.0
    net.figures[kernels.RELIABLE] = 1.0
    net.figures[kernels.PACE] = 1.0
    return net


def copy_network(net: kernels.Network) -> kernels.Network:
    """Return a network of its own with the same content."""
    return kernels.Network(**{name: array.copy() for name, array in net._asdict().items()})


def check_network(arrays: Arrays, D: int, H: int, C: int, K: int) -> None:
    """Raise `StateError` unless a network of these sizes could go on from the arrays."""
    check_state_arrays(arrays, state_layout(D, H, C, K))
    for name in ("first", "first_source", "second", "bias"):
        check_range(name, arrays[name], -LARGEST_WEIGHT, LARGEST_WEIGHT)
    for name in ("gain", "gain_source"):
        check_range(name, arrays[name], -kernels.LARGEST_GAIN, kernels.LARGEST_GAIN)
    for name in ("label_share", "class_share", "usual"):
        check_range(name, arrays[name], 0.0, _PART)
    for name in ("inputs", "hidden"):
        check_range(name, arrays[name][:, 0], -LARGEST, LARGEST)
        check_range(name, arrays[name][:, 1], 0.0, LARGEST)
    check_range("input_source", arrays["input_source"][0], -LARGEST, LARGEST)
    check_range("input_source", arrays["input_source"][1], 0.0, LARGEST)
    check_range("condition", arrays["condition"], -LARGEST, LARGEST)
    check_range("condition", arrays["condition"][:, : kernels.LOG_VARIANCES], -1e6, 2.0**62)
    check_range("figures", arrays["figures"], -1.0, LARGEST)
    counts = arrays["counts"]
    check_range("counts", counts, 0, 2**62)
    require_state(1 <= counts[kernels.HELD] <= K, "counts", f"expected 1..{K} conditions")
    require_state(counts[kernels.ACTIVE] < counts[kernels.HELD], "counts", "no such condition")
    require_state(counts[kernels.PHASE] <= kernels.TAUGHT_AGAIN, "counts", "no such phase")
    require_state(counts[kernels.WIDTH] <= D, "counts", f"expected at most {D} inputs")


def widen_network(net: kernels.Network, inputs: int) -> None:
    """Let a network see more inputs than before."""
    if net.counts[kernels.WIDTH] != inputs:
        net.counts[kernels.WIDTH] = inputs
        for k in range(int(net.counts[kernels.HELD])):
            refresh(net, k)


def restore_network(net: kernels.Network, arrays: Arrays) -> None:
    """Take over checked arrays, and work out what hangs on them."""
    for name, array in arrays.items():
        getattr(net, name)[...] = array
    if net.counts[kernels.WIDTH] > 0:
        for k in range(int(net.counts[kernels.HELD])):
            refresh(net, k)
