"""Any array a stranger may send: refused with nothing changed, or lived with to the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.base import Indicator, Prediction, StateError
from learners.indicators.adwin import Adwin
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.indicators.early_stopping import EarlyStopping
from learners.indicators.kswin import Kswin
from learners.indicators.missing_values import MissingValues
from learners.indicators.novelty import Novelty
from learners.indicators.page_hinkley import PageHinkley
from learners.indicators.silence import Silence
from learners.indicators.structured_knowledge import StructuredKnowledge
from learners.indicators.value_range import ValueRange

KINDS: list[tuple[type[Indicator], dict[str, Any]]] = [
    (Adwin, {"clock": 1, "max_buckets": 2}),
    (AnomalyLikelihood, {"learning_period": 5, "estimation_samples": 5, "history": 20}),
    (EarlyStopping, {"canary_every": 2, "block_losses": 3, "watch": "score"}),
    (Kswin, {"window_size": 12, "stat_size": 4}),
    (Kswin, {"window_size": 300, "stat_size": 4}),
    (MissingValues, {"window": 12, "max_features": 4}),
    (
        Novelty,
        {
            "representatives": 4,
            "tail": 2,
            "learning_period": 3,
            "min_samples": 7,
            "averaging": 3,
            "quiet_events": 5,
            "max_features": 4,
        },
    ),
    (PageHinkley, {"threshold": 1e-3, "min_instances": 1}),
    (Silence, {"window": 12}),
    (StructuredKnowledge, {"neurons": 3, "learning_rate": 0.05, "max_features": 4}),
    (ValueRange, {"min_samples": 3, "max_features": 4}),
]
WILD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 0.5, -1.0, 1e99, 1e119, 1e151, 1e308]


def feed(indicator: Indicator, n: int) -> None:
    for i in range(n):
        score = [float(i % 5), 1e308, -1e308, 1e-300][i % 17 % 4]
        x = {"v": None if i % 3 else score, "w": score}
        indicator.update(Prediction(score=score), x, None, 1e3 * i)


def check_finite(indicator: Indicator) -> None:
    numbers = [*indicator.signals().values()]
    numbers += [number for each in indicator.drifts() for number in (each.before, each.after)]
    numbers += [] if indicator.value() is None else [float(indicator.value() or 0.0)]
    assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize(("kind", "params"), KINDS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_arrays_from_a_stranger(
    kind: type[Indicator], params: dict[str, Any], data: st.DataObject
) -> None:
    indicator = kind(**params)
    feed(indicator, data.draw(st.integers(0, 40)))
    good, bad = indicator.get_state(), indicator.get_state()
    for _ in range(data.draw(st.integers(1, 3))):
        array = bad[data.draw(st.sampled_from(sorted(bad)))].reshape(-1)
        if not array.size:
            continue
        at = data.draw(st.integers(0, array.size - 1))
        if array.dtype == np.float64:
            array[at] = data.draw(st.one_of(st.sampled_from(WILD), st.floats()))
        elif array.dtype == np.bool_:
            array.view(np.uint8)[at] = data.draw(st.integers(0, 255))
        else:
            # Not the last counts before a counter's limit, from where no state can go on.
            least, most = int(np.iinfo(array.dtype).min), int(np.iinfo(array.dtype).max)
            array[at] = data.draw(st.one_of(st.integers(least, most // 4), st.just(most)))
    try:
        indicator.set_state(bad)
    except StateError:
        for name, kept in indicator.get_state().items():
            assert kept.tobytes() == good[name].tobytes()
        return
    for _ in range(3):
        check_finite(indicator)
        feed(indicator, 20)
        indicator.set_state(indicator.get_state())
    check_finite(indicator)


@pytest.mark.parametrize(("kind", "params"), KINDS)
def test_own_state_is_taken_back_after_any_number(
    kind: type[Indicator], params: dict[str, Any]
) -> None:
    indicator, twin = kind(**params), kind(**params)
    for _ in range(100):
        feed(indicator, 7)
        twin.set_state(indicator.get_state())
        assert (twin.value(), twin.signals()) == (indicator.value(), indicator.signals())
        check_finite(twin)
