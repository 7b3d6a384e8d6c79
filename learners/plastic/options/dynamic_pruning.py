"""For each event only the units that a cheap predictor expects to fire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.parameters import Layout, check_range, require
from learners.plastic.option import Floats, Option
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

SHARE = 0.01
MOST = 1e6
KEPT, PRECISION, RECALL = range(3)


class DynamicPruning(Option):
    """Hidden units that a predictor does not expect among the most active are set to 0.

    The predictor of a layer sees what the layer reads: q = A B s + c, B of `rank` rows, and a unit
    is kept where q >= 0. It learns by logistic loss, apart from the task, which units hold together
    the share `mass` of all activation, the fewest that do. With `in_learning`, as published, masks
    hold in learning too; without, in answers alone, which loses less.

    Its own cost is rank (inputs + units) beside inputs times units, and `kept_share` says what a
    machine that skips units would save. This one does not: weights lie in rows of inputs, so that
    all units of a row are done at once. It fails where activations are spread evenly, for most
    units are then needed.

    References
    ----------
    Elkerdawy et al. 2022, arXiv:2110.08232; the low rank is our own.
    """

    name: ClassVar[str] = "dynamic_pruning"
    needs_layers = True
    masks = True
    goes_with_weights = True

    def __init__(
        self,
        mass: float = 0.95,
        rank: int = 16,
        mask_rate: float = 0.2,
        in_learning: bool = False,
    ) -> None:
        super().__init__()
        require(0.0 < mass <= 1.0, "dynamic_pruning.mass", mass, "above 0, at most 1")
        require(1 <= rank <= 1_024, "dynamic_pruning.rank", rank, "1..1024")
        rates = "above 0, at most 10"
        require(0.0 < mask_rate <= 10.0, "dynamic_pruning.mask_rate", mask_rate, rates)
        self.mass, self.rank, self.mask_rate = mass, rank, mask_rate
        self.in_learning = in_learning
        self._asked = False

    def layout(self, shape: Shape) -> Layout:
        """Return A, B and c of each hidden layer, and gauges."""
        found: Layout = {"gauges": ((3,), np.float64)}
        for layer, (inputs, units) in enumerate(_hidden(shape)):
            found[f"a_{layer}"] = ((units, self.rank), np.float64)
            found[f"b_{layer}"] = ((self.rank, inputs), np.float64)
            found[f"c_{layer}"] = ((units,), np.float64)
        return found

    def scratch(self, shape: Shape) -> Layout:
        """Return what each predictor read, said and should have said."""
        found: Layout = {}
        for layer, (inputs, units) in enumerate(_hidden(shape)):
            found[f"read_{layer}"] = ((inputs,), np.float64)
            found[f"said_{layer}"] = ((units,), np.float64)
            found[f"wanted_{layer}"] = ((units,), np.float64)
        return found

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw B; all units are kept at first."""
        self.arrays["gauges"][:] = 1.0
        for layer, (inputs, _) in enumerate(_hidden(body.shape)):
            b = self.arrays[f"b_{layer}"]
            b[:] = draw.standard_normal(b.shape) / np.sqrt(inputs)

    def before(self, body: Body, x: Floats, y: int) -> None:
        """Wait for the layers of this event."""
        self._asked = False

    def mask(self, body: Body, layer: int, source: Floats, out: Floats) -> None:
        """Set units to 0 that are not expected; of a new event, note which should be."""
        a, b, c = (self.arrays[f"{name}_{layer}"] for name in "abc")
        said = a @ (b @ source) + c
        if body.fresh:
            self._asked = True
            self.work[f"read_{layer}"][:] = source
            self.work[f"said_{layer}"][:] = said
            self.work[f"wanted_{layer}"][:] = holding(np.abs(out), self.mass)
        if self.in_learning or not body.learning:
            out[said < 0.0] = 0.0

    def shape(self, body: Body) -> None:
        """Leave units alone that were set to 0, whatever their slope there."""
        hidden = body.shape.hidden_units
        if self.in_learning:
            body.post[:, :hidden] *= body.acts[:hidden] != 0.0

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Let each predictor learn what it should have said."""
        if not self._asked:
            return
        counts = np.zeros(4)
        for layer in range(len(body.shape.hidden)):
            said, wanted = self.work[f"said_{layer}"], self.work[f"wanted_{layer}"]
            kept = said >= 0.0
            counts += (len(said), kept.sum(), wanted.sum(), wanted[kept].sum())
            self._learn(layer, said, wanted)
        units, kept_units, held, both = counts.tolist()
        for gauge, value in (
            (KEPT, kept_units / max(units, 1.0)),
            (PRECISION, both / max(kept_units, 1.0)),
            (RECALL, both / max(held, 1.0)),
        ):
            self.arrays["gauges"][gauge] += SHARE * (value - self.arrays["gauges"][gauge])

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the share of units kept, precision and recall of masks, and of products left."""
        kept, precision, recall = self.arrays["gauges"].tolist()
        shape = body.shape
        whole = float(shape.classes * shape.sizes[-2])
        cost = whole * (kept if shape.hidden else 1.0)
        for layer, (inputs, units) in enumerate(_hidden(shape)):
            whole += inputs * units
            cost += inputs * units * kept * (kept if layer else 1.0) + self.rank * (inputs + units)
        return {
            "kept_share": kept,
            "precision": precision,
            "recall": recall,
            "products_share": cost / whole,
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for predictors beyond their limits."""
        check_range("dynamic_pruning_gauges", arrays["gauges"], 0.0, 1.0)
        for name, array in arrays.items():
            check_range(f"dynamic_pruning_{name}", array, -MOST, MOST)

    def _learn(self, layer: int, said: Floats, wanted: Floats) -> None:
        a, b, c = (self.arrays[f"{name}_{layer}"] for name in "abc")
        read = self.work[f"read_{layer}"]
        error = 1.0 / (1.0 + np.exp(-np.clip(said, -30.0, 30.0))) - wanted
        inner = b @ read
        back = a.T @ error
        a -= np.outer(error, inner * (self.mask_rate / (1.0 + inner @ inner)))
        b -= np.outer(back * self.mask_rate, read / (1.0 + read @ read))
        c -= self.mask_rate * error
        for each in (a, b, c):
            np.clip(each, -MOST, MOST, out=each)


def holding(active: Floats, mass: float) -> Floats:
    """Return 1.0 for the fewest units that hold a share of all activation, else 0.0."""
    order = np.argsort(-active, kind="stable")
    reach = np.cumsum(active[order])
    wanted = np.zeros(len(active))
    if reach[-1] > 0.0:
        wanted[order[: int(np.searchsorted(reach, mass * reach[-1])) + 1]] = 1.0
    return wanted


def _hidden(shape: Shape) -> Iterator[tuple[int, int]]:
    """Yield inputs and units of each hidden layer."""
    yield from zip(shape.sizes[:-2], shape.hidden, strict=True)
