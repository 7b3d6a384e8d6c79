"""The rules of early stopping against slow twins, and against figures worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import Prediction
from learners.indicators.early_stopping import EarlyStopping
from learners.loss import loss_of
from learners.stopping import ROOM, BlockLosses

LOSSES = st.lists(
    st.tuples(st.floats(0.01, 4.0), st.floats(0.01, 4.0)), min_size=1, max_size=ROOM - 1
)


def naive_phi(pairs: list[tuple[bool, bool]]) -> float:
    n = len(pairs)
    if n < 3:
        return 0.0
    a, b = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    both = sum(x and y for x, y in pairs) / n
    if both == 1:
        return 1.0
    # Never both by chance alone is exact in whole numbers, as it is not in floats.
    chance = sum(x for x, _ in pairs) * sum(y for _, y in pairs)
    if n * sum(x and y for x, y in pairs) <= chance:
        return 0.0
    return (both - a * b) / math.sqrt(a * (1 - a) * b * (1 - b))


def naive_correlation(fired: list[tuple[bool, bool, bool]], window: int, lag: int) -> float:
    rows = fired[-window:]
    found = [0.0]
    for i, j in itertools.permutations(range(3), 2):
        for lead in range(min(lag, len(rows) - 1) + 1):
            later, earlier = rows[lead:], rows[: len(rows) - lead]
            found.append(naive_phi([(x[i], y[j]) for x, y in zip(later, earlier, strict=True)]))
    return max(found)


def naive_fired(losses: list[tuple[float, float]], k: int) -> tuple[bool, bool, bool]:
    training, canary = [t for t, _ in losses], [v for _, v in losses]
    gl = max(100 * (canary[-1] / max(min(canary), 1e-3) - 1), 0.0)
    if len(losses) < k:
        return gl > 2, False, False
    strip = training[-k:]
    progress = max(1000 * (sum(strip) / k / max(min(strip), 1e-12) - 1), 0.0)
    up = len(losses) > k and canary[-1] > canary[-1 - k]
    return gl > 2, gl / max(progress, 1e-12) > 0.5, up


@settings(max_examples=200, deadline=None)
@given(LOSSES)
def test_rules_equal_their_slow_twins(losses: list[tuple[float, float]]) -> None:
    got, fired = BlockLosses(), []
    for n, (training, canary) in enumerate(losses, 1):
        got.add(training, canary)
        fired.append(naive_fired(losses[:n], 5))
        assert got.correlation() == pytest.approx(naive_correlation(fired, 10, 4))


def test_the_rules_on_a_loss_that_turns() -> None:
    got = BlockLosses()
    for training, canary in ((1.0, 1.0), (0.8, 0.8), (0.6, 0.5), (0.5, 0.4), (0.4, 0.5)):
        got.add(training, canary)
    assert got.generalization_loss() == pytest.approx(25.0)
    assert got.progress() == pytest.approx(650.0)
    assert got.quotient() == pytest.approx(25 / 650)
    assert not got.rises(1)
    for canary in (1.2, 1.4, 1.6, 1.8, 2.0, 2.2):
        got.add(0.3, canary)
    assert got.rises(1)
    assert got.rises(2)
    assert not got.rises(3)
    assert got.correlation() > 0.5
    got.clear()
    assert (got.blocks, got.correlation(), got.generalization_loss()) == (0, 0.0, 0.0)


def test_it_goes_on_beyond_what_it_remembers() -> None:
    got = BlockLosses()
    for i in range(3 * ROOM):
        got.add(1.0, 0.2 if i == 3 else 1.0 + i % 2)
    assert got.generalization_loss() == pytest.approx(900.0)
    assert got.canary(2).tolist() == [1.0, 2.0]
    assert len(got.canary(1_000)) == ROOM
    assert not got.rises(20)


def test_losses() -> None:
    sure = Prediction(label="a", proba={"a": 0.8, "b": 0.2})
    assert loss_of(sure, "a") == pytest.approx(0.08)
    assert loss_of(sure, "b") == pytest.approx(1.28)
    assert loss_of(sure, "c") == pytest.approx(1.68)
    assert loss_of(Prediction(label=3.0, proba={"3": 1.0}), 3.0) == 0.0
    assert loss_of(Prediction(label=3.0), 2.5) == 0.5
    assert (loss_of(Prediction(label="a"), "a"), loss_of(Prediction(label="a"), 1.0)) == (0.0, 1.0)
    assert loss_of(sure, None) is loss_of(Prediction(score=1.0), 1.0) is None


def test_the_indicator_holds_canaries_against_the_rest() -> None:
    indicator = EarlyStopping(canary_every=4, block_losses=8)
    withheld = []
    for i in range(8 * 12):
        withheld.append(indicator.withholds)
        harmed = indicator.withholds and i >= 40
        indicator.update(Prediction(label=0.0), {}, 1.0 + i / 8 if harmed else 1.0 / (1 + i // 8))
        assert (indicator.value() is None) == (i < 7)
    assert withheld == [i % 4 == 3 for i in range(8 * 12)]
    said = indicator.signals()
    assert said["canary_loss"] > 10 > said["train_loss"]
    assert (said["coi_fired_gl"], said["coi_fired_pq"], said["coi_fired_up"]) == (1, 1, 1)
    assert indicator.value() == said["coi_corr"] > 0.5


def test_the_indicator_on_scores_keeps_nothing_from_the_learner() -> None:
    indicator = EarlyStopping(canary_every=2, block_losses=4, watch="score")
    for i in range(8):
        assert not indicator.withholds
        indicator.update(Prediction(score=float(i % 2)), {}, "y")
        indicator.update(Prediction(score=math.nan), {})
        indicator.update(Prediction(), {})
    assert (indicator.signals()["canary_loss"], indicator.signals()["train_loss"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"canary_every": 1},
        {"block_losses": 5},
        {"watch": "error"},
        {"strip": 1},
        {"window": 2},
        {"lag": 9},
        {"gl": 0.0},
        {"pq": math.inf},
    ],
)
def test_parameters_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: got"):
        EarlyStopping(**bad)  # type: ignore[arg-type]


def test_naive_states() -> None:
    got = BlockLosses()
    got.add(math.inf, 1e200)
    assert np.isfinite(list(got.signals().values())).all()
