"""Steps that leave alone what layers read in earlier tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels.random import next_u64
from learners.parameters import Layout, check_range, require, require_state
from learners.plastic.option import Floats, Option
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

FROZEN, LEARNING = range(2)
PACE = 0.01
LENGTH = 3.0
"""What inputs are scaled to before directions are learned from them."""
MOST_SHARE = 0.8
SHARE = 0.01
LARGEST = 2.0
"""Of eigenvalues of directions' products; learning brings them back to 1 from as far as that."""
ROUNDING = 1e-6


class OrthogonalProjection(Option):
    """Each layer learns the directions of what it reads, and later tasks do not step along them.

    Directions H (rows) are learned by Hebb's rule with an anti-Hebbian part from lateral units: y =
    H z, H += pace y (z - H^T y - L^T L z)^T, z being what the layer reads, a 1 for its biases
    included, brought to length 3, and L the directions that are frozen. When a task begins, H is
    made orthonormal with L and frozen, and the next `more` directions begin; steps of weights then
    use z - L^T L z. A layer has room for `tasks` tasks, at most for .8 of what it reads.

    A task begins when `PlasticNetwork.new_task` is called, or after each `every` labels, for a
    stream of events says nothing of tasks; a task that begins without need wastes directions. It
    fails where labels of the same inputs change, for it protects what should be relearned.

    References
    ----------
    Xiao et al. 2024, arXiv:2402.11984.
    """

    name: ClassVar[str] = "orthogonal_projection"
    needs_factors = True
    goes_with_weights = True

    def __init__(
        self, directions: int = 100, more: int = 25, tasks: int = 10, every: int = 0
    ) -> None:
        super().__init__()
        for field, value in (("directions", directions), ("more", more)):
            require(1 <= value <= 4_096, f"orthogonal_projection.{field}", value, "1..4096")
        require(1 <= tasks <= 1_000, "orthogonal_projection.tasks", tasks, "1..1000")
        require(0 <= every <= 10**9, "orthogonal_projection.every", every, "0..1000000000")
        self.directions, self.more, self.tasks, self.every = directions, more, tasks, every
        self._biases: Floats | None = None

    def layout(self, shape: Shape) -> Layout:
        """Return the directions of each layer, frozen ones first, and how many there are."""
        rows: Layout = {
            f"directions_{layer}": ((self._room(inputs + 1), inputs + 1), np.float64)
            for layer, inputs in enumerate(shape.sizes[:-1])
        }
        gauges: Layout = {"gauges": ((shape.layers, 2), np.float64)}
        return rows | {"ranks": ((shape.layers, 2), np.int64)} | gauges

    def scratch(self, shape: Shape) -> Layout:
        """Return what the widest layer reads."""
        return {"read": ((max(shape.sizes[:-1]) + 1,), np.float64)}

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Begin with directions drawn at random."""
        self.arrays["gauges"][:, 0] = 1.0
        for layer in range(body.shape.layers):
            self._start(layer, self.directions, draw)

    def before(self, body: Body, x: Floats, y: int) -> None:
        """Begin a task if it is time."""
        if self.every and body.labels > 1 and (body.labels - 1) % self.every == 0:
            body.new_task()

    def shape(self, body: Body) -> None:
        """Learn directions from a new event, then take the frozen ones out of the step."""
        self._give_back(body)
        self._biases = body.bias.copy()
        for layer, inputs, at in _layers(body.shape):
            rows, z = self.arrays[f"directions_{layer}"], self.work["read"][: inputs + 1]
            frozen, learning = self.arrays["ranks"][layer].tolist()
            for term in range(len(body.pre)):
                z[:-1] = body.pre[term, at : at + inputs]
                z[-1] = body.bias[term, layer]
                if body.fresh and term == 0 and learning:
                    self._learn(layer, rows[:frozen], rows[frozen : frozen + learning], z)
                if not frozen:
                    continue
                before = float(z @ z)
                z -= rows[:frozen].T @ (rows[:frozen] @ z)
                body.pre[term, at : at + inputs] = z[:-1]
                body.bias[term, layer] = z[-1]
                if term == 0 and before > 0.0:
                    left = min(float(z @ z) / before, 1.0)
                    gauges = self.arrays["gauges"][layer]
                    gauges[0] += SHARE * (left - gauges[0])

    def settle(self, body: Body) -> None:
        """Let biases read again what the rule has them read."""
        self._give_back(body)

    def new_task(self, body: Body) -> None:
        """Freeze the directions learned, orthonormal, and begin others while there is room."""
        draw = np.random.default_rng(int(next_u64(body.rng)))
        for layer in range(body.shape.layers):
            rows, ranks = self.arrays[f"directions_{layer}"], self.arrays["ranks"][layer]
            frozen = int(ranks.sum())
            rows[:frozen] = np.linalg.qr(rows[:frozen].T)[0].T
            ranks[:] = frozen, 0
            self._start(layer, self.more, draw)

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the share of directions frozen, what of steps is left, and what is captured."""
        frozen = self.arrays["ranks"][:, FROZEN] / (np.array(body.shape.sizes[:-1]) + 1)
        return {
            "frozen_share": float(frozen.max()),
            "plasticity": float(self.arrays["gauges"][:, 0].min()),
            "captured": float(self.arrays["gauges"][:, 1].mean()),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for more directions than fit, or far from orthonormal."""
        name = "orthogonal_projection"
        check_range(f"{name}_gauges", arrays["gauges"], 0.0, 1.0)
        check_range(f"{name}_ranks", arrays["ranks"], 0, 2**31)
        for layer, ranks in enumerate(arrays["ranks"]):
            rows = arrays[f"directions_{layer}"]
            check_range(f"{name}_directions_{layer}", rows, -LARGEST, LARGEST)
            require_state(int(ranks.sum()) <= len(rows), f"{name}_ranks", f"got {ranks.sum()}")
            _check_directions(f"{name}_directions_{layer}", rows, ranks)

    def _give_back(self, body: Body) -> None:
        # After a step that was not taken, this is found out by the next.
        if self._biases is not None:
            body.bias[:] = self._biases
            self._biases = None

    def _room(self, read: int) -> int:
        return max(min(self.directions + self.more * (self.tasks - 1), int(MOST_SHARE * read)), 1)

    def _start(self, layer: int, wanted: int, draw: np.random.Generator) -> None:
        """Draw directions that are orthonormal with each other and with the frozen ones."""
        rows, ranks = self.arrays[f"directions_{layer}"], self.arrays["ranks"][layer]
        frozen = int(ranks[FROZEN])
        count = min(wanted, len(rows) - frozen)
        fresh = draw.standard_normal((count, rows.shape[1]))
        fresh -= (fresh @ rows[:frozen].T) @ rows[:frozen]
        rows[frozen : frozen + count] = np.linalg.qr(fresh.T)[0].T
        ranks[LEARNING] = count

    def _learn(self, layer: int, frozen: Floats, learning: Floats, read: Floats) -> None:
        length = float(np.sqrt(read @ read))
        if length == 0.0:
            return
        z = read * (LENGTH / length)
        y = learning @ z
        rest = z - learning.T @ y
        if len(frozen):
            rest -= frozen.T @ (frozen @ z)
        learning += np.outer(PACE * y, rest)
        captured = max(1.0 - float(rest @ rest) / LENGTH**2, 0.0)
        gauges = self.arrays["gauges"][layer]
        gauges[1] += SHARE * (captured - gauges[1])


def _check_directions(name: str, rows: Floats, ranks: NDArray[np.int64]) -> None:
    frozen, held = int(ranks[FROZEN]), int(ranks.sum())
    products = rows[:held] @ rows[:held].T
    off = np.abs(products[:frozen, :frozen] - np.eye(frozen)).max(initial=0.0)
    require_state(bool(off <= ROUNDING), name, f"got frozen ones {off:g} from orthonormal")
    most = float(np.linalg.eigvalsh(products).max(initial=0.0))
    require_state(most <= LARGEST, name, f"got an eigenvalue of {most:g}, expected about 1")


def _layers(shape: Shape) -> Iterator[tuple[int, int, int]]:
    """Yield each layer, how much it reads, and where that begins in a step's factors."""
    at = 0
    for layer, inputs in enumerate(shape.sizes[:-1]):
        yield layer, inputs, at
        at += inputs
