"""Weights within groups of units and few between them; weak ones are replaced by likely ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels.network import INPUTS, UNITS, WEIGHTS
from learners.parameters import Layout, check_range, require
from learners.plastic.option import Floats, Option
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

PACE = 0.02
CORRELATE_EVERY = 8
TINY = 1e-12
LARGEST = 1e15


class GroupSparsity(Option):
    """Hidden layers have weights within `groups` groups and a share `between` of the others.

    The rest is held at 0. After each `rewire_every` labels the share `replaced` of weights, the
    smallest, go, and as many come, at 0, between an input and a unit whose activities have been
    correlated most (a running correlation, looked at in each eighth event). The output layer is
    dense. The gain over a dense network that is published was not seen here; what it is worth is
    fewer weights at less loss than a random choice of as many. It fails with few units a group.

    References
    ----------
    Konstantaropoulos et al. 2025, arXiv:2508.14140, abstract; the mechanics are our own.
    """

    name: ClassVar[str] = "group_sparsity"
    needs_factors = True
    goes_with_weights = True

    def __init__(
        self,
        groups: int = 4,
        between: float = 0.03,
        rewire_every: int = 500,
        replaced: float = 0.05,
    ) -> None:
        super().__init__()
        require(1 <= groups <= 256, "group_sparsity.groups", groups, "1..256")
        require(0.0 <= between <= 1.0, "group_sparsity.between", between, "0..1")
        known = 0 <= rewire_every <= 10**9
        require(known, "group_sparsity.rewire_every", rewire_every, "0..1000000000")
        require(0.0 <= replaced <= 0.5, "group_sparsity.replaced", replaced, "0..0.5")
        self.groups, self.between = groups, between
        self.rewire_every, self.replaced = rewire_every, replaced
        self._held = self._inside = 0

    def layout(self, shape: Shape) -> Layout:
        """Return which weights there are, and means, variances and products of activities."""
        weights = sum(inputs * units for inputs, units in _hidden(shape))
        return {
            "mask": ((weights,), np.bool_),
            "products": ((weights if self.rewire_every else 0,), np.float32),
            "moments": ((2, shape.inputs + shape.hidden_units), np.float64),
            "gauges": ((2,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Choose weights; what is left has the variance that suits so many."""
        for mask, weights, _ in self._layers(body):
            inside = _inside(self.groups, *mask.shape)
            mask[:] = inside | (draw.random(mask.shape) < self.between)
            weights *= mask / np.sqrt(max(float(mask.mean()), 1.0 / mask.size))
        self.restored(body)

    def restored(self, body: Body) -> None:
        """Count weights; how many there are changes only as they are rewired."""
        self._held = int(np.count_nonzero(self.arrays["mask"]))
        self._inside = sum(
            int(np.count_nonzero(mask & _inside(self.groups, *mask.shape)))
            for mask, *_ in self._layers(body)
        )

    def settle(self, body: Body) -> None:
        """Bring weights back to 0 that there are not to be."""
        for mask, weights, _ in self._layers(body):
            weights *= mask

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Follow what is active together, and rewire when it is time."""
        if not self.rewire_every:
            return
        if body.labels % CORRELATE_EVERY == 0:
            self._correlate(body, x)
        if body.labels % self.rewire_every == 0:
            for mask, weights, (pre, post, products) in self._layers(body):
                self._rewire(mask, weights, pre, post, products)
            self.restored(body)

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return density, how much of it lies within groups, and how much was rewired."""
        return {
            "density": self._held / max(len(self.arrays["mask"]), 1),
            "inside_share": self._inside / max(self._held, 1),
            "rewired": float(self.arrays["gauges"][0]),
            "grown_correlation": float(self.arrays["gauges"][1]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for activities beyond all measure."""
        for name in ("products", "moments"):
            check_range(f"group_sparsity_{name}", arrays[name], -LARGEST, LARGEST)
        check_range("group_sparsity_moments", arrays["moments"][1], 0.0, LARGEST)
        check_range("group_sparsity_gauges", arrays["gauges"], 0.0, LARGEST)

    def _layers(
        self, body: Body
    ) -> Iterator[tuple[NDArray[np.bool_], Floats, tuple[slice, slice, NDArray[np.float32]]]]:
        """Yield of each hidden layer mask and weights [input, unit], and where activities are."""
        at = pre = 0
        post = body.shape.inputs
        for row in body.layout[:-1]:
            inputs, units, begin = int(row[INPUTS]), int(row[UNITS]), int(row[WEIGHTS])
            size = inputs * units
            mask = self.arrays["mask"][at : at + size].reshape(inputs, units)
            weights = body.theta[begin : begin + size].reshape(inputs, units)
            products = self.arrays["products"][at : at + size]
            if len(products):
                products = products.reshape(inputs, units)
            yield mask, weights, (slice(pre, pre + inputs), slice(post, post + units), products)
            at += size
            pre += inputs
            post += units

    def _correlate(self, body: Body, x: Floats) -> None:
        active = np.concatenate([x, body.acts[: body.shape.hidden_units]])
        np.clip(active, -1e6, 1e6, out=active)
        moments = self.arrays["moments"]
        off = active - moments[0]
        moments[0] += PACE * off
        moments[1] += PACE * (off * off - moments[1])
        for _, _, (pre, post, products) in self._layers(body):
            products *= 1.0 - PACE
            products += np.outer(PACE * off[pre], off[post])

    def _rewire(
        self,
        mask: NDArray[np.bool_],
        weights: Floats,
        pre: slice,
        post: slice,
        products: NDArray[np.float32],
    ) -> None:
        there, absent = np.flatnonzero(mask), np.flatnonzero(~mask)
        count = min(int(self.replaced * len(there)), len(absent))
        if not count:
            return
        spread = np.sqrt(self.arrays["moments"][1])
        likely = np.abs(products) / (np.outer(spread[pre], spread[post]) + TINY)
        least = there[np.argsort(np.abs(weights.ravel()[there]), kind="stable")[:count]]
        most = absent[np.argsort(-likely.ravel()[absent], kind="stable")[:count]]
        mask.flat[least] = False
        mask.flat[most] = True
        weights.flat[least] = 0.0
        gauges = self.arrays["gauges"]
        gauges[0] += count
        gauges[1] = float(likely.ravel()[most].mean())


def _inside(groups: int, inputs: int, units: int) -> NDArray[np.bool_]:
    """Return which weights connect inputs and units of one group, groups lying side by side."""
    of_inputs = np.arange(inputs) * groups // inputs
    of_units = np.arange(units) * groups // units
    return np.asarray(of_inputs[:, None] == of_units)


def _hidden(shape: Shape) -> Iterator[tuple[int, int]]:
    yield from zip(shape.sizes[:-2], shape.hidden, strict=True)
