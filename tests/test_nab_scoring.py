"""The benchmark's scorer: by hand, against its recipe row by row, and totals others published."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.nab_data import Series, read_corpus
from benchmarks.nab_scoring import (
    NEVER,
    PROFILES,
    Gains,
    Profile,
    best_score,
    gains,
    marks,
    probation_rows,
    score_at,
    shares,
)
from learners.base import Prediction
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from service.rows import InputError

DATA = Path(__file__).parents[2] / "shared" / "data" / "nab"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")

File = tuple[int, list[tuple[int, int]], list[float]]


def sig(x: float) -> float:
    return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1


def naive_total(files: Sequence[File], threshold: float, profile: Profile) -> float:
    """Row by row, as the benchmark's own text says it."""
    total = 0.0
    for rows, windows, scores in files:
        found: dict[int, float] = {}
        for i in range(probation_rows(rows), rows):
            if not scores[i] >= threshold:
                continue
            inside = [k for k, (left, right) in enumerate(windows) if left <= i <= right]
            before = [(left, right) for left, right in windows if right < i]
            if inside:
                left, right = windows[inside[0]]
                worth = sig(-(right - i + 1) / (right - left + 1)) / sig(-1) * profile.found
                found[inside[0]] = max(found.get(inside[0], 0.0), worth)
            elif before:
                left, right = before[-1]
                total += sig((i - right) / max(right - left, 1e-9)) * profile.outside
            else:
                total -= profile.outside
        total += sum(found.values()) - profile.missed * (len(windows) - len(found))
    return total


def naive_score(files: Sequence[File], profile: Profile) -> float:
    windows = sum(len(each) for _, each, _ in files)
    thresholds = {score for _, _, scores in files for score in scores} | {math.inf}
    best = max(naive_total(files, each, profile) for each in thresholds)
    nothing, everything = -windows * profile.missed, windows * profile.found
    return 100 * (best - nothing) / (everything - nothing) if windows else 0.0


def gained(files: Sequence[File]) -> tuple[list[Gains], int]:
    found = [gains(marks(rows, windows), np.array(scores)) for rows, windows, scores in files]
    return found, sum(len(windows) for _, windows, _ in files)


@st.composite
def a_file(draw: st.DrawFn) -> File:
    rows = draw(st.integers(1, 60))
    cuts = sorted(draw(st.sets(st.integers(0, rows - 1), max_size=6)))
    windows = list(zip(cuts[::2], cuts[1::2], strict=False))
    levels = st.sampled_from([0.0, 0.1, 0.1, 0.5, 0.9, 1.0])
    return rows, windows, draw(st.lists(levels, min_size=rows, max_size=rows))


@given(files=st.lists(a_file(), min_size=1, max_size=4), profile=st.sampled_from(PROFILES))
def test_equals_the_recipe_row_by_row(files: list[File], profile: Profile) -> None:
    found, windows = gained(files)
    got = best_score(found, windows, profile)
    assert got.value == pytest.approx(naive_score(files, profile), abs=1e-9)
    at = score_at(found, windows, got.threshold, profile)
    assert at == pytest.approx(got.value, abs=1e-9)
    each = shares({str(i): one for i, one in enumerate(found)}, windows, got.threshold, profile)
    assert sum(each.values()) == pytest.approx(got.value, abs=1e-9)


def one_file(detections: Sequence[int], profile: Profile = PROFILES[0]) -> float:
    """100 rows with one window of rows 50 to 59; probation is the first 15."""
    scores = np.zeros(100)
    scores[list(detections)] = 1.0
    return best_score([gains(marks(100, [(50, 59)]), scores)], 1, profile).value


def test_by_hand() -> None:
    assert one_file([50]) == pytest.approx(100.0)
    late = (2 / (1 + math.exp(-0.5)) - 1) / (2 / (1 + math.exp(-5)) - 1)
    assert one_file([59]) == pytest.approx(50 * (1 + late))
    assert one_file([59], PROFILES[2]) == pytest.approx(100 * (2 + late) / 3)
    assert one_file([50, 59]) == one_file([50])
    assert one_file([20, 50]) == pytest.approx(100 - 50 * 0.11)
    assert one_file([20, 50], PROFILES[1]) == pytest.approx(100 - 50 * 0.22)
    near = 2 / (1 + math.exp(5 / 9)) - 1
    assert one_file([50, 60]) == pytest.approx(100 + 50 * 0.11 * near)
    assert one_file([50, 99]) == pytest.approx(100 - 50 * 0.11)
    assert one_file([3, 14, 50]) == one_file([50])
    assert one_file([]) == 0.0
    assert one_file(range(15, 50)) == 0.0


def test_who_never_fires_scores_nothing() -> None:
    missing = gains(marks(100, [(50, 59)]), np.full(100, np.nan))
    assert best_score([missing], 1).value == 0.0
    assert best_score([missing], 1).threshold == NEVER
    assert best_score([], 0).value == 0.0


def test_ties_move_together() -> None:
    flat = gains(marks(1000, [(500, 509)]), np.ones(1000))
    assert best_score([flat], 1).value == 0.0


def test_a_score_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="got 9, expected 10"):
        gains(marks(10, []), np.zeros(9))


def write(folder: Path, windows: object, header: str = "timestamp,value") -> None:
    (folder / "kind").mkdir()
    rows = "".join(f"2015-01-01 00:{i:02}:00,{i}\n" for i in range(20))
    (folder / "kind" / "a.csv").write_text(f"{header}\n{rows}", "utf-8")
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows), "utf-8")


def test_a_corpus_is_read(tmp_path: Path) -> None:
    window = ["2015-01-01 00:05:00.000000", "2015-01-01 00:07:00.000000"]
    write(tmp_path, {"kind/a.csv": [window], "kind/absent.csv": []})
    (series,) = read_corpus(tmp_path)
    assert (series.name, series.category, len(series.events)) == ("kind/a.csv", "kind", 20)
    assert np.flatnonzero(series.marks.window == 0).tolist() == [5, 6, 7]
    assert series.events[3] == {"ts": "2015-01-01T00:03:00Z", "x": {"value": 3.0}}


@pytest.mark.parametrize(
    ("windows", "header", "problem"),
    [
        ([], "timestamp,value", "expected an object"),
        ({}, "timestamp,value", "no entry 'kind/a.csv'"),
        ({"kind/a.csv": [["2015-01-02 00:00:00", "2015-01-02 00:00:00"]]}, "timestamp,value", "no"),
        ({"kind/a.csv": [["noon"]]}, "timestamp,value", "noon"),
        ({"kind/a.csv": 3}, "timestamp,value", "got 3"),
        ({"kind/a.csv": []}, "timestamp,size", "column 'value'"),
        ({"kind/a.csv": []}, "when,value", "column 'timestamp'"),
    ],
)
def test_a_bad_corpus_is_refused(
    tmp_path: Path, windows: object, header: str, problem: str
) -> None:
    write(tmp_path, windows, header)
    with pytest.raises(InputError, match=problem):
        read_corpus(tmp_path)


def test_a_missing_corpus_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError):
            read_corpus(folder)


def outside_range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where a value leaves the range so far by 5 % of it."""
    high, low = np.maximum.accumulate(values)[:-1], np.minimum.accumulate(values)[:-1]
    margin = 0.05 * (high - low)
    out = (values[1:] > high + margin) | (values[1:] < low - margin)
    return np.append(0.0, (out & (high > low)).astype(float))


def rolling_distance(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """|z| against the last `window` values."""
    out = np.zeros(len(values))
    for i in range(1, len(values)):
        past = values[max(0, i - window) : i]
        deviation = past.std()
        out[i] = abs(values[i] - past.mean()) / deviation if deviation > 0 else 0.0
    return out


def likelihood(values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The benchmark's own periods, which depend on the file's length."""
    probation = probation_rows(len(values))
    period = probation // 2
    indicator = AnomalyLikelihood(period, probation - period)
    out = np.empty(len(values))
    for i, (value, score) in enumerate(zip(values.tolist(), scores.tolist(), strict=True)):
        indicator.update(Prediction(score=score), {"value": value})
        out[i] = indicator.value()
    return out


def values_of(series: Series) -> NDArray[np.float64]:
    return np.array([event["x"]["value"] for event in series.events])


@needs_data
def test_known_totals() -> None:
    corpus = read_corpus(DATA)
    assert (len(corpus), sum(each.marks.windows for each in corpus)) == (41, 79)
    found = []
    for series in corpus:
        values = values_of(series)
        score = likelihood(values, rolling_distance(values, 1000))
        found.append(gains(series.marks, np.maximum(score, outside_range(values))))
    got = [best_score(found, 79, profile).value for profile in PROFILES]
    assert got == pytest.approx([57.08, 52.58, 62.52], abs=0.05)
