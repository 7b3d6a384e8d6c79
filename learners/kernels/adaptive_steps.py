"""One event through an adaptive network: look, be taught, or adapt without a label.

Shapes as in `adaptive_network`.
"""

import math

from learners.kernels.adaptive_conditions import (
    bound,
    correct,
    distance,
    fits,
    note_fit,
    recognize,
    refresh,
    wonder,
)
from learners.kernels.adaptive_gain import guard, modulate, turn
from learners.kernels.adaptive_hebb import compete, length_of
from learners.kernels.adaptive_network import (
    ACTIVE,
    ADAPTED,
    ADAPTS,
    CLASSES_RATE,
    DRIFT,
    HELD,
    LABELED,
    LARGEST_GAIN,
    PACE,
    PHASE,
    RECOVERY,
    RELIABLE,
    RHO,
    SOURCE_LENGTH,
    STREAK,
    TAUGHT,
    TAUGHT_AGAIN,
    TINY,
    UNLABELED,
    WIDTH,
    Network,
    Rules,
    clip,
    copy_row,
    copy_rows,
    follow,
    forward,
    project,
)
from learners.kernels.jit import lean_njit

SOURCE_RATE = 0.01
STEEPEST = 1.0


@lean_njit
def look(net: Network, rules: Rules, known: int) -> float:
    """Work out the probabilities of an event in `x`; return their entropy over its most, ln C."""
    bound(net)
    k = recognize(net)
    correct(net, k, rules)
    project(net)
    entropy = forward(net, k, known)
    return min(entropy / math.log(known), 1.0) if known > 1 else 1.0


@lean_njit
def teach(net: Network, rules: Rules, y: int, known: int) -> None:
    """Learn that the event in `x` is of class `y`: one step down the gradient of -ln p[y].

    Normalization is by running moments, through which no gradient passes.
    """
    rate = max(SOURCE_RATE, 1.0 / (net.counts[LABELED] + 1.0))
    bound(net)
    k = recognize(net)
    follow(net.inputs[k], net.x, net.counts[WIDTH], rate)
    if net.counts[PHASE] == TAUGHT:
        follow(net.input_source, net.x, net.counts[WIDTH], rate)
    else:
        net.counts[PHASE] = TAUGHT_AGAIN
    refresh(net, k)
    net.distances[k] = distance(net, k)
    note_fit(net, k)
    net.counts[ACTIVE] = k
    correct(net, k, rules)
    project(net)
    follow(net.hidden[k], net.u, net.u.shape[0], rate)
    forward(net, k, known)
    descend(net, rules, k, y, known)
    share_rate = max(CLASSES_RATE, 1.0 / (net.counts[LABELED] + 1.0))
    for c in range(known):
        net.label_share[c] += share_rate * ((c == y) - net.label_share[c])
    net.counts[LABELED] += 1
    net.counts[UNLABELED] = 0


@lean_njit
def descend(net: Network, rules: Rules, k: int, y: int, known: int) -> None:
    """Move every weight down the gradient; each step is bounded, so that none can explode."""
    H, rate = net.u.shape[0], rules.learning_rate
    for c in range(known):
        net.dz[c] = net.p[c] - (c == y)
        net.bias[c] -= rate * net.dz[c]
    for j in range(H):
        net.delta[j] = 0
        if net.a[j] > 0.0:
            da, a = 0.0, min(net.a[j], LARGEST_GAIN)
            for c in range(known):
                da += net.dz[c] * net.second[j, c]
                net.second[j, c] -= rate * net.dz[c] * a
            da = clip(da, LARGEST_GAIN)
            dh = da * net.gain[k, 0, j] / math.sqrt(net.hidden[k, 1, j] + TINY)
            net.delta[j] = rate * clip(dh, STEEPEST)
            turn(net, k, j, rate * da)
    for i in range(net.counts[WIDTH]):
        x = net.corrected[i]
        if x != 0:
            for j in range(H):
                net.first[i, j] -= x * net.delta[j]


@lean_njit
def freeze(net: Network, rules: Rules) -> None:
    """Take the network as labels left it for the source that adaptation starts from."""
    k = net.counts[ACTIVE]
    copy_rows(net.first_source, net.first)
    copy_rows(net.gain_source, net.gain[k])
    net.condition[:, RHO] = rules.statistics_start
    copy_row(net.class_share, net.label_share)
    net.usual[:] = 0.0
    net.counts[STREAK] = 0
    net.counts[PHASE] = ADAPTS
    net.figures[DRIFT] = 0.0
    net.figures[SOURCE_LENGTH] = length_of(net)
    net.figures[RECOVERY] = -1.0
    net.figures[RELIABLE] = 1.0
    net.figures[PACE] = 1.0
    for each in range(net.counts[HELD]):
        refresh(net, each)


@lean_njit
def adapt(net: Network, rules: Rules, known: int) -> None:
    """Learn from the event in `x`, whose label is not known."""
    net.counts[UNLABELED] += 1
    if net.counts[UNLABELED] <= rules.labels_stop_after or known < 2:
        return
    if net.counts[PHASE] != ADAPTS:
        freeze(net, rules)
    bound(net)
    k = recognize(net)
    if rules.alarm_events > 0 and not fits(net, k):
        wonder(net, rules)
        if net.counts[STREAK] > 0:
            return
        k = net.counts[ACTIVE]
        net.distances[k] = distance(net, k)
    net.counts[STREAK] = 0
    net.counts[ACTIVE] = k
    net.counts[ADAPTED] += 1
    note_fit(net, k)
    net.condition[k, RHO] *= rules.statistics_decay
    rate = net.condition[k, RHO] + rules.statistics_floor
    follow(net.inputs[k], net.x, net.counts[WIDTH], rate)
    refresh(net, k)
    correct(net, k, rules)
    project(net)
    if rules.hebbian_rate > 0.0 and net.counts[ADAPTED] % rules.hebbian_every == 0:
        compete(net, rules)
    follow(net.hidden[k], net.u, net.u.shape[0], rate)
    entropy = forward(net, k, known)
    modulate(net, rules, k, entropy, known)
    guard(net, rules, known)
