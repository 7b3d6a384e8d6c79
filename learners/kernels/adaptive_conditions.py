"""The conditions an adaptive network has met: recognizing one, undoing it, beginning another.

Shapes as in `adaptive_network`.
"""

import math

from learners.kernels.adaptive_network import (
    ACTIVE,
    ADAPTED,
    ALARMS,
    EVENTS,
    FIT,
    FIT_SQUARES,
    FURTHEST,
    HELD,
    LABELED,
    LOG_VARIANCES,
    OPENED,
    PHASE,
    RHO,
    STREAK,
    TAUGHT,
    TINY,
    USED,
    WIDTH,
    Network,
    Rules,
    clip,
    copy_rows,
    mean_of,
)
from learners.kernels.jit import lean_njit

OUTLYING = 100.0  # deviations of all inputs at which a raw input ends
FIT_RATE = 0.01
YOUNG = 20
UNFIT_DEVIATIONS = 4.0
UNFIT_LEAST = 0.05
VARIANCE_FLOOR = 0.01
FARTHEST = 1e3
CANDIDATE_WEIGHT = 4.0
CERTAIN_SLOPE = 0.5
LEAST_SLOPE, MOST_SLOPE = 1e-3, 1e3


@lean_njit
def bound(net: Network) -> None:
    """End raw inputs 100 deviations of all inputs from their source means."""
    D = net.counts[WIDTH]
    if net.counts[LABELED] < YOUNG:
        return
    limit = OUTLYING * math.sqrt(mean_of(net.input_source[1], D))
    if limit > 0.0:
        for i in range(D):
            middle = net.input_source[0, i]
            net.x[i] = min(max(net.x[i], middle - limit), middle + limit)


@lean_njit
def refresh(net: Network, k: int) -> None:
    """Work out what distances to condition `k` need, from its moments."""
    D = net.counts[WIDTH]
    floor = VARIANCE_FLOOR * mean_of(net.input_source[1], D) + 1e-12
    product, logs = 1.0, 0.0
    for i in range(D):
        v = net.inputs[k, 1, i] + floor
        net.inverse[k, i] = 1.0 / v
        product *= v
        # A logarithm an input costs more than the distance itself.
        if product < 1e-100 or product > 1e100 or i == D - 1:
            logs += math.log(product)
            product = 1.0
    net.condition[k, LOG_VARIANCES] = logs / D


@lean_njit
def distance(net: Network, k: int) -> float:
    """Return minus twice the mean log likelihood of the inputs under condition `k`, less ln 2 pi.

    At most 1000, so that one absurd event does not spoil what is usual.
    """
    D = net.counts[WIDTH]
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    whole = D - D % 4
    for i in range(0, whole, 4):
        e0 = net.x[i] - net.inputs[k, 0, i]
        e1 = net.x[i + 1] - net.inputs[k, 0, i + 1]
        e2 = net.x[i + 2] - net.inputs[k, 0, i + 2]
        e3 = net.x[i + 3] - net.inputs[k, 0, i + 3]
        s0 += e0 * e0 * net.inverse[k, i]
        s1 += e1 * e1 * net.inverse[k, i + 1]
        s2 += e2 * e2 * net.inverse[k, i + 2]
        s3 += e3 * e3 * net.inverse[k, i + 3]
    for i in range(whole, D):
        e0 = net.x[i] - net.inputs[k, 0, i]
        s0 += e0 * e0 * net.inverse[k, i]
    return float(min((s0 + s1 + (s2 + s3)) / D, FARTHEST) + net.condition[k, LOG_VARIANCES])


@lean_njit
def recognize(net: Network) -> int:
    """Return the nearest of the remembered conditions."""
    best = 0
    for k in range(net.counts[HELD]):
        net.distances[k] = distance(net, k)
        if net.distances[k] < net.distances[best]:
            best = k
    return best


@lean_njit
def fits(net: Network, k: int) -> bool:
    """Return whether the latest distance is usual for condition `k`; a young one takes anything.

    Too near is unusual as well: a faint image lies nearer to noise than noise does.
    """
    condition = net.condition[k]
    if condition[EVENTS] < YOUNG:
        return True
    variance = max(condition[FIT_SQUARES] - condition[FIT] * condition[FIT], 0.0)
    limit = UNFIT_DEVIATIONS * math.sqrt(variance) + UNFIT_LEAST
    return bool(abs(net.distances[k] - condition[FIT]) <= limit)


@lean_njit
def slope_of(net: Network, k: int) -> float:
    """Return by how much inputs move in condition `k` when they move by 1 in the source.

    The least squares of all inputs' means on those of the source; 1 where they do not correlate.
    """
    D = net.counts[WIDTH]
    now, source = net.inputs[k, 0], net.input_source[0]
    m, n = mean_of(source, D), mean_of(now, D)
    sxx, sxy, syy = 0.0, 0.0, 0.0
    for i in range(D):
        e, f = source[i] - m, now[i] - n
        sxx += e * e
        sxy += e * f
        syy += f * f
    if abs(sxy) <= CERTAIN_SLOPE * math.sqrt(sxx) * math.sqrt(syy):
        return 1.0
    slope = min(max(abs(sxy) / sxx, LEAST_SLOPE), MOST_SLOPE)
    return slope if sxy > 0.0 else -slope


@lean_njit
def correct(net: Network, k: int, rules: Rules) -> None:
    """Bring raw inputs of condition `k` to what they would have been in the source, in `corrected`.

    Alike inputs are taken for x = a * source + b + noise, with three numbers for all of them;
    the best linear guess of the source is then a v / (a^2 v + noise) (x - mean) + its mean
    (Wiener). Others are moved and stretched one by one, to the source's mean and deviation.
    """
    D = net.counts[WIDTH]
    source, variance = net.input_source[0], net.input_source[1]
    now, now_variance = net.inputs[k, 0], net.inputs[k, 1]
    m, v = mean_of(source, D), mean_of(variance, D) + 1e-12
    scale = 1.0 / math.sqrt(v)
    if not rules.correct_inputs or net.counts[PHASE] == TAUGHT:
        for i in range(D):
            net.corrected[i] = clip((net.x[i] - m) * scale, FURTHEST)
        return
    if not rules.alike:
        for i in range(D):
            stretch = math.sqrt((variance[i] + TINY * v) / (now_variance[i] + TINY * v))
            found = source[i] - m + stretch * (net.x[i] - now[i])
            net.corrected[i] = clip(found * scale, FURTHEST)
        return
    n, a = mean_of(now, D), slope_of(net, k)
    noise = max(mean_of(now_variance, D) - a * a * v, 0.0) + 1e-4 * v * a * a
    for i in range(D):
        e = source[i] - m
        part = a * variance[i] / (a * a * variance[i] + noise)
        net.corrected[i] = clip((e + part * (net.x[i] - n - a * e)) * scale, FURTHEST)


@lean_njit
def note_fit(net: Network, k: int) -> None:
    """Take the latest distance to condition `k` for usual."""
    condition = net.condition[k]
    rate = max(FIT_RATE, 1.0 / (condition[EVENTS] + 1.0))
    condition[FIT] += rate * (net.distances[k] - condition[FIT])
    condition[FIT_SQUARES] += rate * (net.distances[k] ** 2 - condition[FIT_SQUARES])
    condition[EVENTS] += 1.0
    condition[USED] = net.counts[LABELED] + net.counts[ADAPTED]


@lean_njit
def wonder(net: Network, rules: Rules) -> None:
    """Take in an event that fits nothing known; the last of a row of them begins a condition.

    The row's moments are those of the new condition. Where only one is kept, its statistics are
    made to move fast again.
    """
    K = rules.conditions
    D = net.counts[WIDTH]
    net.counts[STREAK] += 1
    n = net.counts[STREAK]
    if n == 1:
        net.inputs[K, :, :] = 0.0
    for i in range(D):
        e = net.x[i] - net.inputs[K, 0, i]
        net.inputs[K, 0, i] += e / n
        net.inputs[K, 1, i] += e * (net.x[i] - net.inputs[K, 0, i])  # the sum, until it is known
    if n < rules.alarm_events:
        return
    net.counts[STREAK] = 0
    net.counts[ALARMS] += 1
    if K == 1:
        net.condition[0, RHO] = rules.statistics_start
        net.condition[0, EVENTS] = 0.0
        return
    k = room_for(net, K)
    pooled = mean_of(net.inputs[K, 1], D) / max(n - 1, 1)
    for i in range(D):
        found = net.inputs[K, 1, i] + CANDIDATE_WEIGHT * pooled
        net.inputs[k, 0, i] = net.inputs[K, 0, i]
        net.inputs[k, 1, i] = found / (n - 1 + CANDIDATE_WEIGHT)
    copy_rows(net.hidden[k], net.hidden[0])
    copy_rows(net.gain[k], net.gain_source)
    net.condition[k, :] = 0.0
    net.condition[k, RHO] = rules.statistics_start
    refresh(net, k)
    net.counts[ACTIVE] = k
    net.counts[OPENED] += 1


@lean_njit
def room_for(net: Network, K: int) -> int:
    """Return a free place for a condition, or that of the one not met for longest."""
    if net.counts[HELD] < K:
        net.counts[HELD] += 1
        return int(net.counts[HELD]) - 1
    oldest = 1
    for k in range(2, K):
        if net.condition[k, USED] < net.condition[oldest, USED]:
            oldest = k
    return oldest
