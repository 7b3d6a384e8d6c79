"""What memories and features have to bear: hostile arrays, wild numbers, silly parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.adaptive_threshold_features import AdaptiveThresholdFeatures
from learners.base import Features, InvalidEvent, Learner, StateError
from learners.memories.associative_memory import AssociativeMemory
from learners.memories.hopfield_memory import HopfieldMemory
from learners.memories.multitasking_memory import MultitaskingMemory

Case = tuple[type[Learner], dict[str, Any]]
WILD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 0.5, -1.0, 1e99, 1e119, 1e308]
SMALL: dict[str, Any] = {"max_features": 3, "classes": 3}
CASES: list[Case] = [
    (AssociativeMemory, SMALL | {"keys": 16, "active": 3}),
    (AssociativeMemory, SMALL | {"code": "plain", "scaling": "none"}),
    (AssociativeMemory, SMALL | {"code": "unit", "scaling": "center", "rule": "hebb"}),
    (AdaptiveThresholdFeatures, SMALL | {"units": 4}),
    (AdaptiveThresholdFeatures, SMALL | {"units": 1, "lags": 3, "scaling": "none"}),
    (MultitaskingMemory, SMALL),
    (MultitaskingMemory, SMALL | {"scaling": "none", "threshold": 0.5, "separator": ""}),
    (HopfieldMemory, SMALL | {"patterns": 6}),
    (HopfieldMemory, SMALL | {"patterns": 5, "scaling": "none", "iterations": 3, "repair": 0.0}),
    (HopfieldMemory, SMALL | {"patterns": 5, "scaling": "center", "write": "all", "merge_at": 0.5}),
]


def name_of(case: object) -> str | None:
    return f"{case[0].__name__}-{CASES.index(case)}" if isinstance(case, tuple) else None


every = pytest.mark.parametrize("case", CASES, ids=name_of)


def drive(learner: Learner, n: int) -> None:
    for i in range(n):
        size = [float(i % 5), 1e308, -1e308, 1e-300, 1.0][i % 17 % 5]
        x: Features = {"f0": None if i % 3 else size, "f1": size, "f2": 1.0}
        check(learner, x)
        learner.step_one(x, "abc"[i % 3] if i % 2 else None)
        check(learner, x)


def check(learner: Learner, x: Features) -> None:
    said = learner.predict(x)
    assert all(0.0 <= share <= 1.0 for share in (said.proba or {}).values())
    numbers = [*learner.signals().values(), *(said.expected or {}).values()]
    numbers += [] if said.score is None else [said.score]
    assert all(map(math.isfinite, numbers))


@every
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arrays_from_a_stranger(case: Case, data: st.DataObject) -> None:
    # A stranger may rename a label, which makes one more.
    learner = case[0](**case[1] | {"classes": 9})
    drive(learner, data.draw(st.integers(0, 25)))
    good, bad = learner.get_state(), learner.get_state()
    for _ in range(data.draw(st.integers(1, 3))):
        array = bad[data.draw(st.sampled_from(sorted(bad)))].reshape(-1)
        if not array.size:
            continue
        at = data.draw(st.integers(0, array.size - 1))
        if array.dtype == np.float64:
            array[at] = data.draw(st.one_of(st.sampled_from(WILD), st.floats()))
        else:
            most = int(np.iinfo(array.dtype).max)
            array[at] = data.draw(st.one_of(st.integers(0, most // 4), st.just(most)))
    try:
        learner.set_state(bad)
    except StateError:
        for name, kept in learner.get_state().items():
            assert kept.tobytes() == good[name].tobytes()
        return
    for _ in range(3):
        drive(learner, 15)
        learner.set_state(learner.get_state())


def wild(count: int, seed: int) -> Iterator[Features]:
    """Stretches of a hundred events of one kind, with something missing in one of ten."""
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 5, count // 100 + 1).tolist()
    for i, row in enumerate(draw.normal(size=(count, 3)).tolist()):
        kind = kinds[i // 100]
        if kind == 1:
            row = [5.0, 5.0, 5.0]
        elif kind == 2:
            row = [value * 10.0 ** (i % 308) for value in row]
        elif kind == 3:
            row = [0.0, 1e308, -1e308]
        x: Features = dict(zip("abc", row, strict=True))
        yield dict.fromkeys(x) if kind == 4 else x if i % 10 else {"b": row[1], "k": "v"}


@every
def test_wild_streams(case: Case) -> None:
    first, second = (case[0](**case[1]) for _ in range(2))
    for i, x in enumerate(wild(10_000, 1)):
        first.learn_one(x, "abc"[i % 3] if i % 2 else None)
        if i % 97 == 0:
            check(first, x)
    second.set_state(first.get_state())
    for i, x in enumerate(wild(500, 2)):
        assert first.step_one(x, "abc"[i % 3]) == second.step_one(x, "abc"[i % 3])
    assert first.held_bytes() <= case[0].memory_bytes(**case[1])


@every
def test_bad_events_change_nothing(case: Case) -> None:
    learner = case[0](**case[1])
    for i, y in enumerate("abc"):
        learner.learn_one({"f0": 1.0 + i, "f1": 2.0}, y)
    before = learner.get_state()
    with pytest.raises(InvalidEvent):
        learner.learn_one({"f0": 1.0}, "d")
    with pytest.raises(InvalidEvent):
        learner.learn_label({"f0": 1.0}, "d")
    with pytest.raises(InvalidEvent):
        learner.learn_one({"f1": math.inf}, "a")
    with pytest.raises(InvalidEvent):
        learner.learn_label({"f1": math.inf}, "a")
    after = learner.get_state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (AssociativeMemory, {"rule": "oja"}),
        (AssociativeMemory, {"rate": 1.5}),
        (AssociativeMemory, {"retention": 0.0}),
        (AssociativeMemory, {"code": "dense"}),
        (AssociativeMemory, {"keys": 1}),
        (AssociativeMemory, {"keys": 8, "active": 9}),
        (AssociativeMemory, {"scaling": "log"}),
        (AssociativeMemory, {"seed": -1}),
        (AdaptiveThresholdFeatures, {"units": 0}),
        (AdaptiveThresholdFeatures, {"rate": 0.0}),
        (AdaptiveThresholdFeatures, {"rise": 0.0}),
        (AdaptiveThresholdFeatures, {"fall": 2.0}),
        (AdaptiveThresholdFeatures, {"first_threshold": 2.0}),
        (AdaptiveThresholdFeatures, {"lags": 0}),
        (AdaptiveThresholdFeatures, {"readout_rate": 0.0}),
        (AdaptiveThresholdFeatures, {"seed": -1}),
        (MultitaskingMemory, {"threshold": -1.0}),
        (MultitaskingMemory, {"sweeps": -1}),
        (MultitaskingMemory, {"window": 0}),
        (MultitaskingMemory, {"separator": "and so on"}),
        (MultitaskingMemory, {"scaling": "log"}),
        (HopfieldMemory, {"patterns": 1}),
        (HopfieldMemory, {"beta": 0.0}),
        (HopfieldMemory, {"iterations": 0}),
        (HopfieldMemory, {"write": "never"}),
        (HopfieldMemory, {"sure": 1.0}),
        (HopfieldMemory, {"merge_at": 0.0}),
        (HopfieldMemory, {"repair": 2.0}),
        (HopfieldMemory, {"score": "height"}),
        (HopfieldMemory, {"classes": 1}),
    ],
)
def test_silly_parameters_are_refused(kind: type[Learner], params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        kind(**params)
