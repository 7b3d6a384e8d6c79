"""Fixed recurrent networks and linear read-outs taught online.

Shapes: N units, m connections each, D inputs, F features, C outputs. Sums over features run along
rows that the compiler turns into vector instructions, in an order that never changes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

POTENTIAL, CURRENT, REFRACTORY, FAST, SLOW = range(5)
"""Rows of the body of spiking units; of others the first is the state."""
MEMBRANE_STEPS, SYNAPSE_STEPS, REFRACTORY_STEPS = 30.0, 5.0, 3.0
FAST_STEPS, SLOW_STEPS = 30.0, 120.0
FIRST_DRIVE = 0.3
MOST_TRACE = 1e6
"""The most that the mean diagonal entry of P may be of its first value."""


@lean_njit
def step_rates(
    sources: Places,  # [N, m] which units each one hears
    weights: Floats,  # [N, m]
    W_in: Floats,  # [N, D]
    bias: Floats,  # [N]
    leaks: Floats,  # [N]
    u: Floats,  # [D]
    known: int,
    body: Floats,  # [5, N]
    after: Floats,  # [5, N]
    f: Floats,  # [F] N states, 1, D inputs
) -> None:
    """Put x' = (1 - a) x + a tanh(W x + W_in u + b) into `after`, and the features into f.

    The leaky echo state network of Jaeger et al. 2007, Neural Networks 20(3), equation 1.
    """
    N = bias.shape[0]
    for i in range(N):
        drive = bias[i]
        for j in range(sources.shape[1]):
            drive += weights[i, j] * body[0, sources[i, j]]
        for j in range(known):
            drive += W_in[i, j] * u[j]
        after[0, i] = (1.0 - leaks[i]) * body[0, i] + leaks[i] * math.tanh(drive)
        f[i] = after[0, i]
    f[N] = 1.0
    for j in range(known):
        f[N + 1 + j] = u[j]


@lean_njit
def step_spikes(
    targets: Places,  # [N, m] which units hear each one
    weights: Floats,  # [N, m]
    W_in: Floats,  # [N, D]
    gain: float,
    u: Floats,  # [D]
    known: int,
    steps: int,
    body: Floats,  # [5, N]
    after: Floats,  # [5, N]
    f: Floats,  # [F] N fast traces, N slow ones, 1
) -> float:
    """Run leaky integrate-and-fire units for some steps; return spikes a unit and step.

    v <- v exp(-1/30) + I + gain W_in u, a spike at v > 1, then 0 for three steps;
    I <- I exp(-1/5) + W s (Maass et al. 2002, Neural Computation 14(11), in steps of 1 ms).
    """
    N, spikes = body.shape[1], 0
    for row in range(5):
        for i in range(N):
            after[row, i] = body[row, i]
    membrane, synapse = math.exp(-1.0 / MEMBRANE_STEPS), math.exp(-1.0 / SYNAPSE_STEPS)
    fast, slow = math.exp(-1.0 / FAST_STEPS), math.exp(-1.0 / SLOW_STEPS)
    for _ in range(steps):
        for i in range(N):
            drive = after[CURRENT, i]
            for j in range(known):
                if u[j] != 0.0:
                    drive += gain * W_in[i, j] * u[j]
            after[CURRENT, i] *= synapse
            if after[REFRACTORY, i] > 0.0:
                after[REFRACTORY, i] -= 1.0
            else:
                after[POTENTIAL, i] = max(after[POTENTIAL, i] * membrane + drive, -1.0)
        for i in range(N):
            after[FAST, i] *= fast
            after[SLOW, i] *= slow
            if after[POTENTIAL, i] > 1.0:
                spikes += 1
                after[POTENTIAL, i], after[REFRACTORY, i] = 0.0, REFRACTORY_STEPS
                after[FAST, i] += 1.0 - fast
                after[SLOW, i] += 1.0 - slow
                for j in range(targets.shape[1]):
                    after[CURRENT, targets[i, j]] += weights[i, j]
    for i in range(N):
        f[i], f[N + i] = after[FAST, i] * FAST_STEPS, after[SLOW, i] * FAST_STEPS
    f[2 * N] = 1.0
    return spikes / (N * steps)  # type: ignore[no-any-return]


@lean_njit
def relax(x: Floats, current: Floats, pace: float, r: Floats) -> None:
    """Move states towards their currents, x += pace (current - x), and put tanh x into r."""
    for i in range(x.shape[0]):
        x[i] += pace * (current[i] - x[i])
        r[i] = math.tanh(x[i])


@lean_njit
def drive(
    sources: Places,  # [N, m]
    weights: Floats,  # [N, m]
    W_in: Floats,  # [N, D]
    W_back: Floats,  # [N, C]
    pinned: Floats,  # [O] what the read-out says of the recurrent currents of the first units
    pins: int,  # how many of these there are, from the C-th output on
    r: Floats,  # [N]
    back: Floats,  # [C] what is fed back
    u: Floats,  # [D]
    current: Floats,  # [N]
) -> None:
    """Put the currents J r + W_back z + W_in u into `current`; J of pinned units is learned."""
    C = W_back.shape[1]
    for i in range(current.shape[0]):
        total = 0.0
        if i < pins:
            total = pinned[C + i]
        else:
            for j in range(sources.shape[1]):
                total += weights[i, j] * r[sources[i, j]]
        for c in range(C):
            total += W_back[i, c] * back[c]
        for j in range(u.shape[0]):
            total += W_in[i, j] * u[j]
        current[i] = total


@lean_njit
def read(W: Floats, f: Floats, used: int, outputs: int, z: Floats) -> None:
    """Put W f into z, over the first `used` features; W is [F, C]."""
    for c in range(outputs):
        z[c] = 0.0
    for i in range(used):
        if f[i] != 0.0:
            for c in range(outputs):
                z[c] += W[i, c] * f[i]


@lean_njit
def squares(f: Floats, used: int) -> float:
    """Return the squared length of the first `used` features."""
    total = 0.0
    for i in range(used):
        total += f[i] * f[i]
    return total


@lean_njit
def move(W: Floats, k: Floats, used: int, outputs: int, errors: Floats) -> None:
    """Add k errors' to W [F, C]."""
    for i in range(used):
        if k[i] != 0.0:
            for c in range(outputs):
                W[i, c] += k[i] * errors[c]


@lean_njit
def gain(P: Floats, f: Floats, used: int, forgetting: float, ridge: float, k: Floats) -> None:
    """Put the gain of recursive least squares into k, and take the features into P [F, F].

    P stays symmetric to the last bit. Where features stop varying, forgetting lets it grow; it is
    held within a million times its first mean diagonal entry, 1 / ridge. Once rounding has made it
    indefinite it begins anew.
    """
    total = forgetting + _project(P, f, used, k)
    if not total >= 0.5 * forgetting:
        for i in range(used):
            for j in range(used):
                P[i, j] = 1.0 / ridge if i == j else 0.0
        total = forgetting + _project(P, f, used, k)
    scale, trace = 1.0 / total, 0.0
    for i in range(used):
        for j in range(used):
            P[i, j] = (P[i, j] - (k[i] * k[j]) * scale) / forgetting
        trace += P[i, i]
    for i in range(used):
        k[i] *= scale
    most = MOST_TRACE * used / ridge
    if trace > most:
        for i in range(used):
            for j in range(used):
                P[i, j] *= most / trace


@lean_njit
def _project(P: Floats, f: Floats, used: int, k: Floats) -> float:
    """Put P f into k and return f' P f."""
    for i in range(used):
        k[i] = 0.0
    for j in range(used):
        if f[j] != 0.0:
            for i in range(used):
                k[i] += P[j, i] * f[j]
    total = 0.0
    for i in range(used):
        total += f[i] * k[i]
    return total
