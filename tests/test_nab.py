"""The Numenta benchmark over a folder made here: what it judges is what `score` gives."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.nab_checks import left_out
from benchmarks.nab_data import Series, read_corpus
from benchmarks.nab_layers import LAYERS, STREAM, run
from benchmarks.nab_scoring import PROFILES, best_score, gains, marks
from service.cli import main

ROWS = 450
SPIKE = 380


def write(folder: Path) -> None:
    windows: dict[str, Any] = {}
    for k, name in enumerate(["one/a.csv", "two/b.csv"]):
        (folder / name).parent.mkdir(parents=True)
        draw = np.random.default_rng(k)
        values = [10 + 5 * math.sin(i / 24 * 2 * math.pi) + draw.normal() for i in range(ROWS)]
        values[SPIKE] = 60.0
        times = [f"2015-01-{1 + i // 24:02} {i % 24:02}:00:00" for i in range(ROWS)]
        rows = "".join(f"{t},{v}\n" for t, v in zip(times, values, strict=True))
        (folder / name).write_text(f"timestamp,value\n{rows}", "utf-8")
        windows[name] = [[times[SPIKE - 10] + ".000000", times[SPIKE + 9] + ".000000"]]
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows), "utf-8")


def test_what_is_judged_is_what_score_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    series = read_corpus(tmp_path)[0]
    judged = run(series, seed=1)
    assert main(["score", str(tmp_path / series.name)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    for layer, column in ((STREAM, "anomaly_score"), ("raw score", "raw_score")):
        given = [float(row[column]) if row[column] else math.nan for row in rows]
        np.testing.assert_array_equal(judged[layer], given)
    assert judged.keys() == LAYERS.keys()
    assert judged[STREAM][SPIKE] > 0.5


def test_bench_nab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    plot = tmp_path / "nab.png"
    assert main(["bench", "nab", "--data", str(tmp_path), "--seeds", "2", "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert (found["files"], found["windows"], found["seeds"]) == (2, 2, [1, 2])
    assert found["layers"].keys() == LAYERS.keys()
    own = found["layers"][STREAM]
    assert own["standard"]["min"] > 50
    for name in (profile.name for profile in PROFILES):
        assert own[name]["min"] <= own[name]["mean"] <= own[name]["max"] <= 100
    added = sum(row["adds"]["mean"] for row in found["per_file"].values())
    assert added == pytest.approx(own["standard"]["mean"], abs=0.01)
    assert all(row["found"] == 1 for row in found["per_file"].values())
    assert found["published"] == {}
    assert "windows found" in captured.err
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("missing", ["labels", "one"])
def test_a_folder_that_lacks_something_is_an_error_of_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    write(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    assert main(["bench", "nab", "--data", str(tmp_path)]) == 2
    assert "combined_windows.json" in capsys.readouterr().err


def test_without_a_folder_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nab"]) == 2
    assert "--data" in capsys.readouterr().err


def test_a_threshold_chosen_elsewhere_costs() -> None:
    """Two files that need thresholds of their own: each is judged at the other's."""
    corpus = [Series(f"{name}/x.csv", [{}] * 100, marks(100, [(50, 59)])) for name in "ab"]
    scores = [np.zeros(100), np.zeros(100)]
    scores[0][[30, 50]] = 0.5, 0.9
    scores[1][[30, 50]] = 0.2, 0.4
    found = {
        series.name: gains(series.marks, score)
        for series, score in zip(corpus, scores, strict=True)
    }
    best = best_score(list(found.values()), 2).value
    assert best == pytest.approx(100 - 0.11 * 25)
    held_out = left_out(corpus, found)
    assert held_out["categories"] == pytest.approx(50 - 0.11 * 25)
    assert held_out["halves"] == pytest.approx(held_out["categories"])
