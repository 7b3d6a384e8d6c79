"""The benchmark of holding: what it makes up, and what it finds on a short stream."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import hold
from service.cli import main


def test_a_fault_lies_where_it_is_said_to() -> None:
    clean = hold.series(1, "level", 400, 100)
    for fault in ("pattern", "stuck"):
        values = hold.series(1, fault, 400, 100)
        assert np.array_equal(values[:400], clean[:400])
        assert np.array_equal(values[500:], clean[500:])
    assert 50 < (clean[400:500] - hold.series(1, "stuck", 500, 100)[400:500]).mean() < 70
    with pytest.raises(ValueError, match="fault: got 'none'"):
        hold.series(1, "none", 400, 100)


def test_a_level_that_is_held_is_alarmed_to_its_end() -> None:
    before, long = 3 * hold.DAY, hold.DAY
    values = hold.series(0, "level", before, long)
    held, free = (
        hold.run("rolling_zscore", "novelty", values, each, before, long) for each in (True, False)
    )
    assert (held["alarmed"], held["last_hour"]) == (1.0, 1.0)
    assert free["alarmed"] < 0.1
    assert held["hour_after"] <= free["hour_after"]
    assert held["hour_after_that"] == 0.0


@pytest.mark.long
def test_bench_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "hold", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert found["rolling_zscore, novelty, level, held"]["last_hour"] == 1.0
