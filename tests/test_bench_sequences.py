"""The discrete experiments: their streams, the decoding, the metric, and a run that learns."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import sequences_published as published
from benchmarks.plots import Canvas
from benchmarks.sequences_acceptance import acceptance
from benchmarks.sequences_data import (
    CORRUPTIONS,
    FOUR_ENDS,
    HIGH_ORDER,
    NOISE,
    TWO_ENDS,
    Symbols,
    Task,
    corrupt,
    presentations,
    two_groups,
)
from benchmarks.sequences_models import (
    Memory,
    Table,
    Trace,
    accuracy,
    follow,
    largest,
    random_codes,
    trailing,
)
from benchmarks.sequences_report import Results, learned, line, report
from benchmarks.sequences_runs import QUICK, Pair, Plan
from service.cli import main
from service.commands import UsageError

PAIR = Task(symbols=5, ends=1, sequences=((0, 2, 3, 1), (1, 2, 3, 4)))


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shared_middles(sequences: tuple[Symbols, ...]) -> set[Symbols]:
    return {sequence[1:-1] for sequence in sequences}


def test_the_end_depends_on_the_start_alone() -> None:
    for task, n in ((HIGH_ORDER, 8), (TWO_ENDS, 16), (FOUR_ENDS, 32)):
        assert len(set(task.sequences)) == n
        assert {symbol for each in task.sequences for symbol in each} == set(range(task.symbols))
        assert len(shared_middles(task.sequences)) == 4
        ends: dict[Symbols, set[int]] = {}
        for *before, end in task.sequences:
            ends.setdefault(tuple(before), set()).add(end)
        assert all(len(found) == task.ends for found in ends.values())


def test_the_change_swaps_the_two_ends_of_each_middle() -> None:
    before = {each[:-1]: each[-1] for each in HIGH_ORDER.sequences}
    after = {each[:-1]: each[-1] for each in HIGH_ORDER.changed}
    assert before.keys() == after.keys()
    assert all(before[start] != after[start] for start in before)
    for middle in shared_middles(HIGH_ORDER.sequences):
        starts = [start for start in before if start[1:] == middle]
        assert {before[start] for start in starts} == {after[start] for start in starts}


@pytest.mark.parametrize("length", [4, 10, 33])
def test_two_groups_share_all_but_start_and_end(length: int) -> None:
    sequences = two_groups(length, draw(length)).sequences
    assert [len(each) for each in sequences] == [length] * 4
    for one, other in (sequences[:2], sequences[2:]):
        assert one[1:-1] == other[1:-1]
        assert len({*one, *other}) == length + 2
    assert sequences == two_groups(length, draw(length)).sequences


def test_a_stream_is_sequences_with_noise_between() -> None:
    seen = list(presentations(HIGH_ORDER, draw(), elements=8_000, change_at=4_000))
    given = 0
    for *sequence, noise in seen:
        wanted = HIGH_ORDER.sequences if given < 4_000 else HIGH_ORDER.changed
        assert tuple(sequence) in wanted
        assert HIGH_ORDER.symbols <= noise < HIGH_ORDER.symbols + NOISE
        given += len(sequence) + 1
    assert 8_000 <= given < 8_000 + 9
    assert len({tuple(each[:-1]) for each in seen}) == 16
    assert len({each[-1] for each in seen}) > 700


def test_corruption_replaces_one_element_behind_the_start() -> None:
    places = set()
    for *sequence, _ in presentations(HIGH_ORDER, draw(), elements=2_000, corrupt_from=0):
        strange = [i for i, symbol in enumerate(sequence) if symbol >= HIGH_ORDER.symbols]
        assert len(strange) == 1
        whole = [each for each in HIGH_ORDER.sequences if len(each) == len(sequence)]
        assert any(
            all(
                a == b
                for i, (a, b) in enumerate(zip(each, sequence, strict=True))
                if i not in strange
            )
            for each in whole
        )
        places |= set(strange)
    assert places == {1, 2, 3}


@pytest.mark.parametrize(
    ("corruption", "longer", "strange"),
    [
        ("replaced", 0, 1),
        ("two replaced", 0, 2),
        ("replaced by a known symbol", 0, 0),
        ("noise inserted", 1, 1),
        ("known symbol inserted", 1, 0),
        ("left out", -1, 0),
    ],
)
def test_each_corruption_changes_what_it_says(corruption: str, longer: int, strange: int) -> None:
    assert corruption in CORRUPTIONS
    for seed in range(30):
        whole = list(HIGH_ORDER.sequences[seed % 8])
        sequence = whole.copy()
        corrupt(sequence, corruption, HIGH_ORDER.symbols, draw(seed))
        assert sequence != whole
        assert (sequence[0], sequence[-1]) == (whole[0], whole[-1])
        assert len(sequence) == len(whole) + longer
        assert sum(symbol >= HIGH_ORDER.symbols for symbol in sequence) == strange


def test_codes_and_their_decoding() -> None:
    codes = random_codes(50, draw())
    assert codes.shape == (50, 41)
    assert (np.diff(codes, axis=1) > 0).all()
    assert largest(np.array([3, 9, 1, 7]), 2, draw()) == [1, 3]
    ties = [largest(np.array([0, 5, 5, 5]), 1, draw(seed))[0] for seed in range(60)]
    assert set(ties) == {1, 2, 3}


def test_accuracy_is_of_the_last_hundred_ends() -> None:
    hits = draw().random(350) < 0.4
    got = trailing(hits)
    ref = [hits[max(0, i - 99) : i + 1].mean() for i in range(350)]
    np.testing.assert_allclose(got, ref)
    trace = Trace(np.arange(5, 350 * 8, 8), hits)
    assert accuracy(trace, [4, 5, 12, 13, 10_000]).tolist() == [
        0.0,
        ref[0],
        ref[0],
        ref[1],
        ref[-1],
    ]


def test_learned_is_when_accuracy_stays_up() -> None:
    trace = Trace(np.arange(10, 4_010, 10), np.arange(400) >= 150)
    assert learned(trace, 0) == 10 + 10 * (150 + 94)
    assert learned(trace, 2_000) == 10 + 10 * (150 + 94) - 2_000


def test_line() -> None:
    assert line({10: 30, 20: 50, 40: 90}) == {"slope": 2.0, "intercept": 10.0, "r_squared": 1.0}
    assert line({10: 30}) is None
    assert line(published.E3)["r_squared"] > 0.99  # type: ignore[index]


def test_the_table_recalls_a_context_that_comes_back() -> None:
    table = Table(PAIR, order=10)
    trace = follow(table, presentations(PAIR, draw(), elements=400), 1, lambda n: None)
    assert trace.hits[4:].mean() > 0.95
    short = follow(Table(PAIR, order=1), presentations(PAIR, draw(), 2_000), 1, lambda n: None)
    assert 0.35 < short.hits[50:].mean() < 0.65


def test_the_memory_learns_high_order_ends_and_survives_a_lesion() -> None:
    memory = Memory(PAIR, 0, max_segments=8_192)
    ticks: list[int] = []
    trace = follow(memory, presentations(PAIR, draw(), 1_000), 1, ticks.append)
    assert sum(ticks) >= 1_000
    assert trace.hits[:5].mean() < 1.0
    assert trace.hits[-50:].all()

    def accuracy_with(share: float) -> float:
        lesioned = memory.lesioned(share)
        segments = lesioned.memory.segments
        found = follow(lesioned, presentations(PAIR, draw(1), 250), 1, lambda n: None)
        assert lesioned.memory.segments == segments
        return float(found.hits.mean())

    assert accuracy_with(0.2) == 1.0
    assert accuracy_with(0.8) < 0.8


def test_a_run_is_repeatable() -> None:
    def run() -> Trace:
        stream = islice(presentations(PAIR, draw(3)), 30)
        return follow(Memory(PAIR, 3, max_segments=4_096), stream, 1, lambda n: None)

    one, other = run(), run()
    assert one.hits.tolist() == other.hits.tolist()


def test_published_rows_are_as_long_as_their_axes() -> None:
    assert {len(row) for row in published.E1.values()} == {len(published.AT_E1)}
    assert len(published.E1_SPREAD) == len(published.AT_E1)
    for ends in (2, 4):
        rows = [*published.E2[ends].values(), published.E2_SPREAD[ends]]
        assert {len(row) for row in rows} == {len(published.AT_E2)}
    rows = [*published.E5.values(), published.E5_SPREAD]
    assert {len(row) for row in rows} == {len(published.AT_E5)}


def results(plan: Plan, seeds: int) -> Results:
    """What a model that is never wrong would leave."""
    at = np.arange(5, 20_000, 8)
    right = Pair(Trace(at, at > 0), Trace(at, at > 0), segments=7)
    return Results(
        plan,
        high_order={0: [right] * seeds, 1: [right] * seeds},
        several_ends={2: [right] * seeds, 4: [right] * seeds},
        lengths={n: [(n * 10, None)] * seeds for n in plan.lengths},
        noise_throughout={0: [right] * seeds, 1: [right] * seeds},
        noise_later={0: [right] * seeds, 1: [right] * seeds},
        corruptions=[[[1.0] * 3] * len(CORRUPTIONS)] * seeds,
        killed=[[1.0] * len(plan.killed)] * seeds,
    )


def test_each_line_says_what_was_expected_measured_and_found() -> None:
    lines = acceptance(results(Plan(), 5))
    verdicts = {each["line"]: each["verdict"] for each in lines}
    missed = {name for name, verdict in verdicts.items() if verdict == "missed"}
    assert missed == {
        "E1 accuracy at 10 500, mean",
        "E1 accuracy at 11 000, mean",
        "E5 fall of accuracy from 40% to 60% dead, mean",
    }
    assert len(verdicts) == len(lines) == 13
    assert all(each["measured"] == 1.0 for each in lines[:-1])
    assert acceptance(results(QUICK, 1)) == []


def test_a_report_is_plain_json_with_rows_as_long_as_their_axes() -> None:
    for plan in (Plan(), QUICK):
        found = json.loads(json.dumps(report(results(plan, 2)), allow_nan=False))
        for each in found.values():
            axes = ("elements", "length", "killed", "corruption")
            axis = next(each[key] for key in axes if key in each)
            assert len(each["measured"]) == len(axis)
            assert all(one["mean"] >= 1.0 for one in each["measured"])
        assert found["E3_length"]["line"]["measured"]["slope"] == 10.0
        assert found["E3_length"]["table"] == [None] * len(plan.lengths)


def test_a_figure_that_cannot_be_drawn_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        Canvas(tmp_path / "none" / "a.png", 1, 1)
    with pytest.raises(UsageError, match="ending in one of"):
        Canvas(tmp_path / "a.doc", 1, 1)
    assert main(["bench", "sequences", "--data", str(tmp_path)]) == 2
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", "sequences", "--plot", str(tmp_path / "a.png")]) == 2
    said = capsys.readouterr().err
    assert published.CURVES in said
    assert "matplotlib is missing" in said


@pytest.mark.long
def test_bench_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sequences.png"
    assert main(["bench", "sequences", "--quick", "--plot", str(file)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert file.stat().st_size > 50_000
    assert found["acceptance"] == []
    experiments = found["experiments"]
    high_order = experiments["E1_high_order"]
    assert [e < high_order["change_at"] for e in high_order["elements"]] == [True] * 3
    assert high_order["measured"][-1]["mean"] > 0.6
    assert high_order["published"]["HTM"]["mean"] == published.E1["HTM"][:3]
    assert all(len(row) == 3 for row in high_order["quoted"].values())
    assert experiments["E4_noise_later"]["measured"][-1]["mean"] < 0.7
    assert experiments["E4_noise_later"]["bridging_1"][-1]["mean"] > 0.9
    killed = experiments["E5_killed_cells"]["measured"]
    assert killed[0]["mean"] > 0.7 > killed[-1]["mean"]
