"""The benchmark of concept shift: its streams, and its tables on scikit-learn's digits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.images import digits
from benchmarks.shift_arms import ARMS
from benchmarks.shift_streams import CHANGING, SHIFTS, stream
from service.cli import main


def test_labels_are_exchanged_when_they_should_be() -> None:
    part = stream(digits(), 0, 3_000)
    still = part.y["never"]
    order = np.unique(still, return_index=True)[1]
    assert (np.diff(order) > 0).all()
    for name, (period, *more) in SHIFTS.items():
        y = part.y[name]
        if more or not period:
            continue
        for begin in range(0, 3_000, period):
            pairs = set(zip(still[begin : begin + period], y[begin : begin + period], strict=True))
            assert len(pairs) == len(set(still[begin : begin + period])), "one meaning a period"
        first, second = slice(0, period), slice(period, 2 * period)
        meanings = [
            dict(zip(still[s].tolist(), y[s].tolist(), strict=True)) for s in (first, second)
        ]
        if period < 3_000:
            moved = [c for c in meanings[0] if meanings[1].get(c, -1) != meanings[0][c]]
            assert len(moved) == 2
    assert len(CHANGING) == 10


def test_seeds_share_nothing_and_repeat() -> None:
    first, again, other = (stream(digits(), seed, 500) for seed in (1, 1, 2))
    assert (first.x == again.x).all()
    assert all((first.y[name] == again.y[name]).all() for name in SHIFTS)
    assert (first.x != other.x).any()


def test_bench_shift(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "shift", "--quick"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert (found["benchmark"], found["seeds"], found["acceptance"]) == ("shift", 1, [])
    arms = found["data"]["digits"]["arms"]
    assert list(arms)[:2] == ["constant 0.01", "constant, best of grid"]
    assert arms.keys() >= ARMS.keys()
    for shift in SHIFTS:
        grid = [row[shift] for row in found["data"]["digits"]["grid"].values()]
        assert arms["constant, best of grid"][shift]["accuracy"] == max(grid)
        assert arms["balance"][shift]["accuracy"] >= max(grid)
        assert arms["balance"][shift]["cost"] > 1.0
    assert "digits: mean accuracy" in captured.err
