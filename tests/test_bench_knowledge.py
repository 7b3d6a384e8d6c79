"""The benchmark of structured knowledge, on the digits that are always there."""

from __future__ import annotations

import json

import pytest

from service.cli import main


def test_bench_knowledge(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "knowledge", "--quick"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert (found["data"], found["seeds"], found["acceptance"]) == ("digits", 1, [])
    for peaks, finer in zip(found["flow_peaks"], found["flow_peaks_at_half_the_rate"], strict=True):
        assert peaks[1] < peaks[2] < peaks[0]
        assert all(abs(b / (2 * a) - 1) < 0.1 for a, b in zip(peaks[:3], finer[:3], strict=True))
    plain, centered = found["accuracy"].values()
    assert [row["steps"] for row in plain] == [0, 20, 50]
    assert plain[0]["read_out"][0] > 0.7
    assert plain[2]["centroids"][1] < plain[0]["centroids"][1]
    assert centered[2]["centroids"][0] > plain[2]["centroids"][0]
    assert "layer 4" in captured.err
