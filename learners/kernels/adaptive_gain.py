"""Gains driven by entropy, and what keeps an adaptive network from collapsing.

Shapes as in `adaptive_network`.
"""

import math

from learners.kernels.adaptive_network import (
    ACTIVE,
    CLASSES_RATE,
    DRIFT,
    ENTROPY,
    HELD,
    LARGEST_GAIN,
    PACE,
    RECOVERY,
    RELIABLE,
    RESETS,
    RHO,
    Network,
    Rules,
    clip,
    copy_row,
    copy_rows,
    entropy_of,
)
from learners.kernels.jit import lean_njit

ENTROPY_FILTER = 0.4
REDUNDANCY_RATE = 0.1
RECOVERY_RATE = 0.1
REPORT_RATE = 0.01
PACE_KEPT = 0.1
PACE_RATE = 1e-4


@lean_njit
def turn(net: Network, k: int, j: int, step: float) -> None:
    """Move gain and shift of hidden unit `j` against the gradient."""
    net.gain[k, 0, j] = clip(net.gain[k, 0, j] - step * net.h[j], LARGEST_GAIN)
    net.gain[k, 1, j] = clip(net.gain[k, 1, j] - step, LARGEST_GAIN)


@lean_njit
def modulate(net: Network, rules: Rules, k: int, entropy: float, known: int) -> None:
    """Move gain and shift of condition `k` down the gradient of the entropy, if it is reliable.

    dH/dz_c = -p_c (ln p_c + H); the step weighs exp(E0 - H). What looks like the last events is
    left out.
    """
    share = rules.entropy_filter if rules.entropy_filter > 0.0 else ENTROPY_FILTER
    margin = share * math.log(known)
    reliable = rules.entropy_filter <= 0.0 or entropy < margin
    net.figures[ENTROPY] += REPORT_RATE * (entropy - net.figures[ENTROPY])
    net.figures[RELIABLE] += REPORT_RATE * (reliable - net.figures[RELIABLE])
    for c in range(known):
        net.class_share[c] += CLASSES_RATE * (net.p[c] - net.class_share[c])
    if not reliable:
        return
    usual = net.figures[RECOVERY]
    step = RECOVERY_RATE * (entropy - usual) if usual >= 0.0 else entropy - usual
    net.figures[RECOVERY] += step
    if rules.gain_rate <= 0.0 or (rules.redundancy > 0.0 and redundant(net, rules, known)):
        return
    rate = net.figures[PACE] * rules.gain_rate
    rate *= math.exp(margin - entropy) if rules.weighting else 1.0
    for c in range(known):
        p = net.p[c]
        net.dz[c] = -p * (math.log(p) + entropy) if p > 0.0 else 0.0
    for j in range(net.u.shape[0]):
        if net.a[j] > 0.0:
            da = 0.0
            for c in range(known):
                da += net.dz[c] * net.second[j, c]
            turn(net, k, j, rate * clip(da, LARGEST_GAIN))


@lean_njit
def redundant(net: Network, rules: Rules, known: int) -> bool:
    """Return whether the probabilities point where those of the last reliable events did."""
    pp, pq, qq = 0.0, 0.0, 0.0
    for c in range(known):
        p, q = net.p[c], net.usual[c]
        pp += p * p
        pq += p * q
        qq += q * q
        net.usual[c] += REDUNDANCY_RATE * (p - q)
    return qq > 0.0 and pq >= rules.redundancy * math.sqrt(pp * qq)


@lean_njit
def guard(net: Network, rules: Rules, known: int) -> None:
    """Go back to the source when probabilities gather in few classes, or entropy all but ends.

    Few is less than 1 and a share of how many more there effectively were among the labels. Rates
    that led there are a tenth from then on, and rise again over some 10,000 events.
    """
    found = math.exp(entropy_of(net.class_share, known))
    wanted = math.exp(entropy_of(net.label_share, known)) - 1.0
    net.figures[PACE] += PACE_RATE * (1.0 - net.figures[PACE])
    lost = rules.balance > 0.0 and found < 1.0 + rules.balance * wanted
    usual = net.figures[RECOVERY]
    certain = 0.0 <= usual < rules.recovery_entropy * math.log(known)
    if lost or certain:
        restore_source(net, rules)


@lean_njit
def restore_source(net: Network, rules: Rules) -> None:
    """Give up what was adapted but the conditions; the statistics then move fast once more."""
    copy_rows(net.first, net.first_source)
    for k in range(net.counts[HELD]):
        copy_rows(net.gain[k], net.gain_source)
    net.condition[net.counts[ACTIVE], RHO] = rules.statistics_start
    copy_row(net.class_share, net.label_share)
    net.usual[:] = 0.0
    net.figures[RECOVERY] = -1.0
    net.figures[PACE] *= PACE_KEPT
    net.figures[DRIFT] = 0.0
    net.counts[RESETS] += 1
