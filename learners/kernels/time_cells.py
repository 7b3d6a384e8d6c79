"""Time cells: what comes how long after what, from cells that each answer at an age of their cue.

Shapes: C symbols, K cells, G = 3 (K - 1) + 1 points of a grid that is even in the logarithm of a
cue's age, three to a cell. Everything is measured in points of that grid: cells are Gaussian with
a deviation of `CELL_DEVIATION`, the pulse that stands for an event with one of `PULSE_DEVIATION`.
So a cell is as wide as its age is long, by a constant share (Weber's law), and so is a pulse.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.kernels.jit import lean_njit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

A_CELL = 3
"""Points of the grid to a cell."""
CELL_DEVIATION = 2.85
PULSE_DEVIATION = 2.0
REACH = 12
"""Points to either side at which a cell still answers."""
PULSE_REACH = 6
EPSILON = 0.1
QUIET = 0.02
"""Less than this of a pulse is not expected of anything: it is what learning leaves behind."""
CLEARLY = 1.25
"""An older cue is believed if it expects a symbol by so much more clearly than a younger one."""
FAR = 1 << 20
PULSE_MASS = PULSE_DEVIATION * math.sqrt(2.0 * math.pi)
MOST_ERROR = 2.0

# settings
RATE, SHORTEST, STEP = 0, 1, 2
SETTINGS = 3


class Cells(NamedTuple):
    """All there is."""

    R: Floats  # [C, K, C] by cue, cell and what comes
    last: Floats  # [C] when a symbol came last, in seconds
    done: Places  # [C] the first point of a cue's grid that nothing was learned of yet
    recent: Places  # [cues] the latest different symbols, newest first, then -1
    ring_t: Floats  # [E] times of events
    ring_s: Places  # [E] their symbols
    counted: Places  # [1] events so far
    T: Floats  # [G, C] scratch: pulses of what came, then steps
    z: Floats  # [C] scratch: what is expected
    one: Floats  # [C] scratch: what one cue expects
    best: Floats  # [C] scratch: the most that a cue expects
    best_at: Floats  # [C] scratch: when
    ages: Floats  # [G] in seconds, at each point
    bump: Floats  # [REACH + 1] the answer of a cell by distance
    held: Floats  # [C, C] scratch: what a cue expects at `held_g`
    held_g: Places  # [C] scratch
    settings: Floats  # [SETTINGS]


class Ahead(NamedTuple):
    """What comes after an event."""

    p: Floats  # [C] probability that a symbol is next
    at: Floats  # [C] seconds after the event at which it is expected most
    peak: Floats  # [C] how much of a pulse is expected then
    cue: Places  # [C] what it is expected from, or -1
    passed: Floats  # [G] probability that something has come by a point after the event


@lean_njit
def point_of(s: Cells, age: float) -> float:
    """Return where an age lies on the grid, between points."""
    if age <= 0.0:
        return -float(FAR)
    point = math.log(age / s.settings[SHORTEST]) / s.settings[STEP]
    return min(max(point, -float(FAR)), float(FAR))  # type: ignore[no-any-return]


@lean_njit
def first_cell(point: int) -> int:
    """Return the first cell that answers at a point."""
    return max((point - REACH + A_CELL - 1) // A_CELL, 0)


@lean_njit
def answer(s: Cells, cue: int, point: int, known: int, z: Floats) -> float:
    """Put what a cue expects at a point of its grid into z; return the sum of squared answers."""
    for c in range(known):
        z[c] = 0.0
    squares = 0.0
    for k in range(first_cell(point), min((point + REACH) // A_CELL, s.R.shape[1] - 1) + 1):
        a = s.bump[abs(point - A_CELL * k)]
        squares += a * a
        for c in range(known):
            z[c] += a * s.R[cue, k, c]
    return squares


@lean_njit
def answer_settled(
    s: Cells, cue: int, begun: float, point: int, known: int, z: Floats, one: Floats
) -> None:
    """Put what a cue still expects at a point into z, less what has come since it began.

    An event is learned as a pulse, which goes on a little after it. What the cue expects in place
    of the event is over with it, the more, the surer the event was.
    """
    answer(s, cue, point, known, z)
    E = s.ring_t.shape[0]
    for back in range(min(s.counted[0], E)):
        i = (s.counted[0] - 1 - back) % E
        if s.ring_t[i] <= begun:
            break
        at = point_of(s, s.ring_t[i] - begun)
        if point - at >= PULSE_REACH:
            break
        came, height = s.ring_s[i], pulse(point - at)
        answer(s, cue, round(at), known, one)
        keep = 1.0 - height * min(max(one[came], 0.0), 1.0)
        own = max(z[came] - height, 0.0) if z[came] > 0.0 else z[came]
        for c in range(known):
            z[c] *= keep
        z[came] = own


@lean_njit
def pulse(off: float) -> float:
    """Return the height of an event's pulse at a distance from it, in points."""
    return math.exp(-0.5 * (off / PULSE_DEVIATION) ** 2)


@lean_njit
def expect(s: Cells, symbol: int, t: float, known: int, ahead: Ahead) -> float:
    """Return how much of a pulse of a symbol, or -1, its cue expected at a time."""
    cue = ahead.cue[symbol] if symbol >= 0 else -1
    if cue < 0:
        return 0.0
    point = round(point_of(s, t - s.last[cue]))
    answer_settled(s, cue, s.last[cue], point, known, s.z, s.one)
    return s.z[symbol]  # type: ignore[no-any-return]


@lean_njit
def take(s: Cells, symbol: int, t: float, known: int, learn: bool) -> None:
    """Let a symbol come at a time that is not before the last, and learn what it settles.

    A pulse is learned whole, so what is younger than that waits. When a cue comes again, all that
    is left of its time is learned: nothing came later than this. So what is expected adds up to a
    probability. A symbol of -1 is not known, and only passes.
    """
    if symbol < 0:
        return
    E, G = s.ring_t.shape[0], s.T.shape[0]
    s.ring_t[s.counted[0] % E], s.ring_s[s.counted[0] % E] = t, symbol
    s.counted[0] += 1
    for i in range(s.recent.shape[0]):
        cue = s.recent[i]
        if cue < 0:
            break
        now = math.floor(point_of(s, t - s.last[cue]))
        upto = G - 1 if cue == symbol else min(now - PULSE_REACH, G - 1)
        if upto >= s.done[cue]:
            if learn:
                _learn(s, cue, upto, known)
            s.done[cue] = upto + 1
    _bring_to_front(s.recent, symbol)
    s.last[symbol], s.done[symbol] = t, 0


@lean_njit
def _bring_to_front(recent: Places, symbol: int) -> None:
    carried = symbol
    for i in range(recent.shape[0]):
        carried, recent[i] = recent[i], carried
        if carried == symbol or carried < 0:
            break


@lean_njit
def _learn(s: Cells, cue: int, upto: int, known: int) -> None:
    """Move a cue's cells towards what came, at the points from `done` to `upto`."""
    first = s.done[cue]
    _write_pulses(s, s.last[cue], first, upto, known)
    for point in range(first, upto + 1):
        squares = answer(s, cue, point, known, s.z)
        rate = s.settings[RATE] / (EPSILON + squares)
        for c in range(known):
            error = s.T[point, c] - s.z[c]
            s.T[point, c] = rate * min(max(error, -MOST_ERROR), MOST_ERROR)
    # All at once: step by step in the order of time, peaks would move towards what is later.
    for point in range(first, upto + 1):
        for k in range(first_cell(point), min((point + REACH) // A_CELL, s.R.shape[1] - 1) + 1):
            a = s.bump[abs(point - A_CELL * k)]
            for c in range(known):
                s.R[cue, k, c] += a * s.T[point, c]


@lean_njit
def _write_pulses(s: Cells, begun: float, first: int, upto: int, known: int) -> None:
    """Put pulses of what came after a cue into s.T, from one point of its grid to another."""
    for point in range(first, upto + 1):
        for c in range(known):
            s.T[point, c] = 0.0
    E = s.ring_t.shape[0]
    for back in range(min(s.counted[0], E)):
        i = (s.counted[0] - 1 - back) % E
        if s.ring_t[i] <= begun:
            break
        c, at = s.ring_s[i], point_of(s, s.ring_t[i] - begun)
        low = max(math.ceil(at - PULSE_REACH), first)
        for point in range(low, min(math.floor(at + PULSE_REACH), upto) + 1):
            s.T[point, c] = max(s.T[point, c], pulse(point - at))


@lean_njit
def look_if(s: Cells, symbol: int, t: float, known: int, ahead: Ahead) -> None:
    """Look ahead as if a symbol had come, and leave what has come as it is."""
    i = s.counted[0] % s.ring_t.shape[0]
    t_before, s_before = s.ring_t[i], s.ring_s[i]
    if symbol >= 0:
        s.ring_t[i], s.ring_s[i] = t, symbol
        s.counted[0] += 1
    look_ahead(s, symbol, t, known, ahead)
    if symbol >= 0:
        s.ring_t[i], s.ring_s[i] = t_before, s_before
        s.counted[0] -= 1


@lean_njit
def look_ahead(s: Cells, symbol: int, t: float, known: int, ahead: Ahead) -> None:
    """Say what comes after a time at which `symbol` came; -1 is one that nothing is known of.

    Each symbol is left to the cue that expects it most clearly. What these expect is then walked
    through in the order of time, from point to point of the age of what came now: what comes next
    is what comes before the shares of whole pulses add up to 1.
    """
    for c in range(known):
        ahead.p[c] = ahead.at[c] = ahead.peak[c] = 0.0
        ahead.cue[c] = -1
    for i in range(-1, s.recent.shape[0]):
        cue = symbol if i < 0 else s.recent[i]
        if cue >= 0 and (i < 0 or cue != symbol):
            _offer(s, cue, symbol, t, known, ahead)
    for i in range(s.held_g.shape[0]):
        s.held_g[i] = FAR
    total = 0.0
    for point in range(ahead.passed.shape[0]):
        age = s.ages[point]
        for c in range(known):
            cue = ahead.cue[c]
            if cue < 0 or total >= 1.0:
                continue
            since = t - (t if cue == symbol else s.last[cue]) + age
            _hold(s, cue, symbol, t, point, since, known)
            if s.held[cue, c] > QUIET:
                # Points of this grid are closer together than those of an older cue's.
                share = min(s.held[cue, c] * age / since / PULSE_MASS, 1.0 - total)
                ahead.p[c] += share
                total += share
        ahead.passed[point] = total


@lean_njit
def _offer(s: Cells, cue: int, symbol: int, t: float, known: int, ahead: Ahead) -> None:
    """Leave to a cue all symbols that it expects more clearly than those before it, younger all."""
    begun = t if cue == symbol else s.last[cue]
    before, last = -2 * FAR, ahead.passed.shape[0] - 1 + REACH
    for c in range(known):
        s.best[c] = 0.0
    for point in range(ahead.passed.shape[0]):
        age = s.ages[point]
        own = point if cue == symbol else round(point_of(s, t - begun + age))
        if own > last:
            break
        if own == before:
            continue
        before = own
        answer_settled(s, cue, begun, own, known, s.z, s.one)
        for c in range(known):
            if s.z[c] > s.best[c]:
                s.best[c], s.best_at[c] = s.z[c], age
    for c in range(known):
        if s.best[c] > QUIET and s.best[c] > CLEARLY * ahead.peak[c]:
            ahead.cue[c], ahead.peak[c], ahead.at[c] = cue, s.best[c], s.best_at[c]


@lean_njit
def _hold(s: Cells, cue: int, symbol: int, t: float, point: int, since: float, known: int) -> None:
    """Put what a cue expects into its row of s.held, if it has moved on to another point."""
    own = point if cue == symbol else round(point_of(s, since))
    if s.held_g[cue] != own:
        begun = t if cue == symbol else s.last[cue]
        answer_settled(s, cue, begun, own, known, s.held[cue], s.one)
        s.held_g[cue] = own
