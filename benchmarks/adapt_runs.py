"""Runs of the adaptive network over images: by the learner's own kernels, without its names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images
from learners.adaptive_arrays import copy_network
from learners.hebbian_adaptation import HebbianAdaptation
from learners.kernels import adaptive_network as kernels
from learners.kernels.adaptive_network import Network, Rules, entropy_of
from learners.kernels.adaptive_steps import adapt, look, teach

Params = dict[str, Any]
CLASSES = 10
BATCH = 128

FROZEN: Params = {
    "correct_inputs": False,
    "alarm_events": 0,
    "statistics_start": 0.0,
    "statistics_floor": 0.0,
    "hebbian_rate": 0.0,
    "gain_rate": 0.0,
    "balance": 0.0,
}
STATISTICS: Params = {
    "correct_inputs": False,
    "alarm_events": 0,
    "hebbian_rate": 0.0,
    "gain_rate": 0.0,
}
INPUTS: Params = {"alarm_events": 0, "hebbian_rate": 0.0, "gain_rate": 0.0}
REMEMBERED: Params = {"hebbian_rate": 0.0, "gain_rate": 0.0}
METHODS: Mapping[str, Params] = {
    "source": FROZEN,
    "running statistics": STATISTICS,
    "  + Hebb": {"correct_inputs": False, "alarm_events": 0, "gain_rate": 0.0},
    "  + gain": {"correct_inputs": False, "alarm_events": 0, "hebbian_rate": 0.0},
    "  + Hebb + gain": {"correct_inputs": False, "alarm_events": 0},
    "  + inputs": INPUTS,
    "  + inputs + conditions": REMEMBERED,
    "all (default)": {},
}


@dataclass
class Run:
    """What came of one stream: whether each event was recognized, and the network after it."""

    hits: NDArray[np.bool_]
    net: Network

    @property
    def error(self) -> float:
        """The share of events not recognized, in percent."""
        return 100.0 * float(1.0 - self.hits.mean())

    def last_error(self, events: int) -> float:
        """The error of the last events, in percent."""
        return 100.0 * float(1.0 - self.hits[-events:].mean())

    def count(self, which: int) -> int:
        """One of the network's counts."""
        return int(self.net.counts[which])

    @property
    def drift(self) -> float:
        """How far the first layer is from its source, relative to its length."""
        return float(self.net.figures[kernels.DRIFT])

    @property
    def effective_classes(self) -> float:
        """How many classes the last 500 predictions effectively spread over."""
        return math.exp(entropy_of(self.net.class_share, CLASSES))


def learner_of(inputs: int, hidden: int, seed: int, **params: Any) -> HebbianAdaptation:
    """Return a learner of images whose labels stop at once."""
    return HebbianAdaptation(
        inputs=inputs,
        hidden=hidden,
        max_classes=CLASSES,
        inputs_alike=True,
        labels_stop_after=0,
        seed=seed,
        **params,
    )


@numba.njit(nogil=True)
def _follow(
    net: Network,
    rules: Rules,
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    labels: bool,
    hits: NDArray[np.bool_],
) -> None:
    for i in range(len(y)):
        net.x[:] = x[i]
        look(net, rules, CLASSES)
        hits[i] = np.argmax(net.p) == y[i]
        net.x[:] = x[i]
        if labels:
            teach(net, rules, y[i], CLASSES)
        else:
            adapt(net, rules, CLASSES)


def follow(net: Network, rules: Rules, images: Images, labels: bool = False) -> Run:
    """Predict and then learn each image, in a copy of the network."""
    own, hits = copy_network(net), np.zeros(len(images), np.bool_)
    _follow(own, rules, images.x, images.y, labels, hits)
    return Run(hits, own)


def taught(images: Images, hidden: int, seed: int) -> Run:
    """Return a network taught by the images' labels, one after the other."""
    learner = learner_of(images.x.shape[1], hidden, seed)
    learner.network.counts[kernels.WIDTH] = images.x.shape[1]
    return follow(learner.network, learner.rules, images, labels=True)


def adapted(net: Network, images: Images, params: Params) -> Run:
    """Return how a taught network does on images without labels."""
    inputs, hidden = net.first.shape
    held = len(net.hidden)
    return follow(net, learner_of(inputs, hidden, 0, conditions=held, **params).rules, images)


def batch_error(net: Network, images: Images) -> float:
    """Return the error in percent with each batch's own statistics: for reference, no stream."""
    mean, variance = net.input_source
    wrong = 0
    for i in range(0, len(images), BATCH):
        x = (images.x[i : i + BATCH] - mean.mean()) / np.sqrt(variance.mean())
        u = x @ net.first
        h = (u - u.mean(0)) / np.sqrt(u.var(0) + kernels.TINY)
        z = np.maximum(net.gain[0, 0] * h + net.gain[0, 1], 0.0) @ net.second + net.bias
        wrong += int((z.argmax(1) != images.y[i : i + BATCH]).sum())
    return 100.0 * wrong / len(images)
