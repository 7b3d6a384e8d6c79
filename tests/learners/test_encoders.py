"""Codes keep likeness: near is alike, far is not, missing is silent."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.encoders import CategoryEncoder, DateEncoder, ScalarEncoder
from learners.sequence_memory import SequenceMemory
from tests import naive

quick = settings(max_examples=60, deadline=None)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@quick
@given(st.floats(-1e9, 1e9), st.integers(0, 2**32))
def test_scalar(value: float, seed: int) -> None:
    ref = naive.scalar_bits(value, 0.5, 400, 21, seed)
    got = ScalarEncoder(0.5, seed=seed).encode(value)
    assert set(np.flatnonzero(got).tolist()) == ref


@quick
@given(st.integers(-1000, 1000), st.integers(0, 40))
def test_overlap_falls_with_distance(place: int, steps: int) -> None:
    encoder = ScalarEncoder(1.0, n=2000, w=21)
    a, b = encoder.encode(place + 0.5), encoder.encode(place + steps + 0.5)
    overlap = int((a & b).sum())
    assert max(0, 21 - steps) - 2 <= overlap <= max(0, 21 - steps) + 5


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, -0.0, 1e-300])
def test_any_finite_value_has_a_code(value: float) -> None:
    assert 15 <= ScalarEncoder(1e-3).encode(value).sum() <= 21


def test_codes_are_the_same_everywhere() -> None:
    assert (
        np.flatnonzero(ScalarEncoder(1.0).encode(-3.0))[:4].tolist()
        == sorted(naive.scalar_bits(-3.0, 1.0, 400, 21, 1))[:4]
    )
    assert not np.array_equal(ScalarEncoder(1.0).encode(3.0), ScalarEncoder(1.0).encode(-3.0))


@quick
@given(st.floats(-1e10, 1e10))
def test_time_of_day(t: float) -> None:
    ref = naive.periodic_bits((t % 86400.0) / 86400.0, 54, 21)
    got = DateEncoder().encode(t)
    assert set(np.flatnonzero(got).tolist()) == ref


def test_midnight_is_near_midnight() -> None:
    encoder = DateEncoder()
    late = encoder.encode(seconds("2026-03-01 23:50:00"))
    early = encoder.encode(seconds("2026-03-02 00:10:00"))
    noon = encoder.encode(seconds("2026-03-02 12:00:00"))
    assert (late & early).sum() >= 20
    assert (late & noon).sum() == 0


@pytest.mark.parametrize(
    ("text", "weekend"),
    [
        ("2026-03-05 12:00:00", False),
        ("2026-03-06 17:59:00", False),
        ("2026-03-06 18:00:00", True),
        ("2026-03-08 23:59:00", True),
        ("2026-03-09 00:00:00", False),
        ("1969-12-28 12:00:00", True),
    ],
)
def test_weekend(text: str, weekend: bool) -> None:
    got = DateEncoder(time_of_day=False, weekend=True).encode(seconds(text))
    assert got.tolist() == [0] * 21 + [1] * 21 if weekend else [1] * 21 + [0] * 21


def test_day_of_week() -> None:
    encoder = DateEncoder(time_of_day=False, day_of_week=True)
    monday = encoder.encode(seconds("2026-03-02 12:00:00"))
    next_monday = encoder.encode(seconds("2026-03-09 12:00:00"))
    tuesday = encoder.encode(seconds("2026-03-03 12:00:00"))
    sunday_night = encoder.encode(seconds("2026-03-08 23:00:00"))
    assert np.array_equal(monday, next_monday)
    assert (monday & tuesday).sum() == 0
    assert (sunday_night & encoder.encode(seconds("2026-03-02 01:00:00"))).sum() > 15


def test_category() -> None:
    encoder = CategoryEncoder()
    north, south = encoder.encode("north"), encoder.encode("south")
    assert north.sum() == south.sum() == 41
    assert (north & south).sum() < 8
    assert np.array_equal(north, CategoryEncoder().encode("north"))
    assert not np.array_equal(north, CategoryEncoder(seed=2).encode("north"))


def test_missing_is_silent() -> None:
    assert not ScalarEncoder(1.0).encode(None).any()
    assert not DateEncoder(True, True, True).encode(None).any()
    assert not CategoryEncoder().encode(None).any()


def test_learner_and_encoders_write_one_code() -> None:
    learner = SequenceMemory(
        columns=64, active_columns=21, cells_per_column=2, day_of_week=True, weekend=True
    )
    t = seconds("2026-03-07 08:30:00")
    learner.predict({"v": 12.5}, t)
    got = learner._scale.bits
    ref = np.concatenate([ScalarEncoder(1.0).encode(12.5), DateEncoder(True, True, True).encode(t)])
    np.testing.assert_array_equal(got, ref)


@pytest.mark.parametrize(
    "params", [{"resolution": 0.0}, {"resolution": 1.0, "n": 100}, {"resolution": 1.0, "w": 0}]
)
def test_silly_encoder_is_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ScalarEncoder(**params)  # type: ignore[arg-type]
