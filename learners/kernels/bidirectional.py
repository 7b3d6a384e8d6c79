"""One set of weights read both ways: from inputs to classes, and from a class to inputs."""

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit
from learners.kernels.network import BELOW, HERE, INPUTS, UNITS, WEIGHTS, dot
from learners.kernels.plastic import reads


@lean_njit
def generate(
    theta: NDArray[np.float64],
    layout: NDArray[np.int64],
    downward: NDArray[np.float64],
    x: NDArray[np.float64],
    y: int,
    weight: float,
    pre: NDArray[np.float64],
    post: NDArray[np.float64],
) -> float:
    """Make an input of class y, and put the step that brings it nearer to x in `pre` and `post`.

    Going down, a layer says the rectified sum of its `downward` biases (float64[inputs + hidden
    units]) and of what the layer above says through the transposed weights; the inputs' are not
    rectified. `post` (float64[units]) then holds `weight` times what each layer says, the class
    above among them, `pre` (as `downward`) the errors going back up. Returns the
    mean squared error.
    """
    top, inputs = layout.shape[0] - 1, layout[0, INPUTS]
    here = layout[top, HERE]
    for j in range(layout[top, UNITS]):
        post[here + j] = 1.0 if j == y else 0.0
    for layer in range(top, -1, -1):
        lower, units, weights = layout[layer, INPUTS], layout[layer, UNITS], layout[layer, WEIGHTS]
        here, at = layout[layer, HERE], reads(layout, layer)
        above = post[here : here + units]
        for i in range(lower):
            row = theta[weights + i * units : weights + (i + 1) * units]
            said = downward[at + i] + dot(row, above)
            if layer == 0:
                pre[i] = said - x[i]
            else:
                post[layout[layer, BELOW] + i] = max(said, 0.0)
    lost = 0.0
    for i in range(inputs):
        lost += pre[i] * pre[i] / inputs
    for layer in range(top):
        lower, units, weights = layout[layer, INPUTS], layout[layer, UNITS], layout[layer, WEIGHTS]
        here, at, next_at = layout[layer, HERE], reads(layout, layer), reads(layout, layer + 1)
        errors = pre[next_at : next_at + units]
        for j in range(units):
            errors[j] = 0.0
        for i in range(lower):
            row = theta[weights + i * units : weights + (i + 1) * units]
            for j in range(units):
                errors[j] += pre[at + i] * row[j]
        for j in range(units):
            if post[here + j] <= 0.0:
                errors[j] = 0.0
    for j in range(post.shape[0]):
        post[j] *= weight
    return lost
