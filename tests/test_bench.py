"""What benchmarks measure with: a load generator that counts what was answered."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import load, serve
from service.catalog import INDICATORS, LEARNERS
from service.cli import main

DATA = Path(__file__).parents[2] / "shared" / "data" / "nab"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")


def test_a_load_is_what_was_answered(tmp_path: Path) -> None:
    lines = list(serve.event_lines([1.0, 2.5, 3.0]))
    with serve.running([sys.executable, "-m", "benchmarks.echo"], tmp_path) as url:
        requests = [load.request(url, "/events", line) for line in lines]
        once = load.send(url, requests, requests * 2)
        assert once.requests == 9
        again = load.repeat(url, requests, connections=3, seconds=0.3)
        assert again.requests == len(again.latencies) > 3
        assert 0.3 <= again.seconds < 5
        assert again.latencies == sorted(again.latencies)
        assert 0 < again.quantile(0.5) <= again.quantile(0.99) <= 1e3 * again.latencies[-1]
        with pytest.raises(RuntimeError, match=r"got b'HTTP/1.1 422"):
            load.send(url, [load.request(url, "/events", b"{}")])


@pytest.mark.long
def test_bench_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "serve", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["measures"].keys() >= serve.TARGETS.keys()
    assert all(each["median"] > 0 for each in found["measures"].values())
    assert all(each["median"] > 0 for each in found["ratios"].values())


@pytest.mark.long
def test_bench_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "steps", "--quick"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["measures"]
    assert found.keys() >= (LEARNERS.keys() | INDICATORS.keys()) - {"river"}
    theirs = [name for name in found if name.startswith("river.") and "drift" not in name]
    assert len(theirs) >= 8
    assert found.keys() >= {name.removeprefix("river.") for name in theirs}
    assert all(0 < each["min"] <= each["median"] <= each["max"] for each in found.values())


@pytest.mark.long
@needs_data
def test_bench_htm_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "htm-speed", "--quick", "--data", str(DATA)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["of_half_space_trees"]["median"] > 0.1
    assert len(found["files"]) == 4
    for each in found["files"].values():
        stages = {name: stage["median"] for name, stage in each["microseconds"].items()}
        whole = stages.pop("whole")
        assert sum(stages.values()) == pytest.approx(whole, rel=0.5)
    sizes = [row["segments"] for row in found["memory_step"]]
    assert sizes[0] > 1_000
    assert sizes[1] > 20_000


@pytest.mark.long
@needs_data
def test_bench_htm_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "htm-memory", "--quick", "--data", str(DATA)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    (young,) = found["stream"]
    assert young["snapshot_bytes"] < 1_000_000
    server = found["server"]
    assert server["digests_as_if_never_written_out"] == server["streams"] == 200
    assert server["most_in_memory_after_a_round"] <= 11
