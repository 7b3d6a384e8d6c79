"""The benchmark of every system."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.accept as accept_package
from benchmarks.accept import SYSTEMS
from benchmarks.accept.rows import Row, at_least, at_most, near, never, not_run
from benchmarks.zoo_arms import ARMS, MAJORITY, RIVER, SETTINGS, SGD, Arm
from benchmarks.zoo_report import clearly_better, clearly_worse
from benchmarks.zoo_runs import Run, attempt
from benchmarks.zoo_streams import STREAMS, Event, Stream, Trial
from service.cli import main


def test_every_module_of_statements_is_listed() -> None:
    folder = Path(accept_package.__path__[0])
    assert {file.stem for file in folder.glob("*.py")} - {"__init__", "rows"} == set(SYSTEMS)
    assert list(SYSTEMS) == sorted(SYSTEMS)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (at_least("s", 0.5, [0.4, 0.6]), "met"),
        (at_least("s", 0.5, [0.4, 0.59]), "missed"),
        (at_most("s", 0.5, [0.4, 0.6]), "met"),
        (at_most("s", 0.5, [0.41, 0.6]), "missed"),
        (near("s", 1.0, 0.1, [1.2, 0.95]), "met"),
        (near("s", 1.0, 0.1, [1.2, 1.05]), "missed"),
        (never("s", [0, 0]), "met"),
        (never("s", [0, 1]), "missed"),
        (not_run("s", "needs data"), "not run"),
    ],
)
def test_a_verdict_follows_from_what_was_measured(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_what_cannot_be_measured_is_a_row_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "zoo", "--accept", "--quick", "--only", "soft_hebbian"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = found["acceptance"]
    assert (row["system"], row["measured"], row["verdict"]) == ("soft_hebbian", None, "not run")
    assert (found["met"], found["missed"], found["not_run"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zoo", "--accept", "--only", "unicorn"], "got 'unicorn', expected one of"),
        (["zoo", "--only", "unicorn"], "got 'unicorn', expected one of: digits"),
        (["steps", "--page", "a.md"], "--page: bench steps writes no page"),
        (["steps", "--accept"], "--accept: bench steps"),
    ],
)
def test_what_it_does_not_have_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_every_arm_has_as_many_settings_to_choose_from() -> None:
    counts = {name: len(arm.settings) for name, arm in ARMS.items()}
    assert counts.pop(MAJORITY) == 1
    assert set(counts.values()) == {SETTINGS}


@pytest.mark.parametrize("arm", ARMS.values(), ids=list(ARMS))
def test_every_setting_of_an_arm_is_one_that_a_stream_may_have(arm: Arm) -> None:
    for setting in arm.settings:
        assert arm.build(4, 3, setting, seed=1).predict({"a": 1.0}).label is None


@pytest.mark.parametrize("stream", [s for s in STREAMS.values() if s.needs is None])
def test_what_settings_are_chosen_by_is_not_what_is_judged(stream: Stream) -> None:
    judged, tuning = (stream.make(1, part, None) for part in (False, True))
    told = {tuple(x.items()) for x, _ in judged.events}
    if stream.name != "symbols":  # Of which there are only so many.
        assert not told & {tuple(x.items()) for x, _ in tuning.events}
    assert judged.events != tuning.events
    assert len(judged.tests) == len(judged.ends)
    again = stream.make(1, False, None)
    assert again.events == judged.events
    assert stream.make(2, False, None).events != judged.events


def test_a_run_tells_what_was_learned_and_what_was_forgotten() -> None:
    """The first of two phases says the opposite of the second."""
    first: list[Event] = [({"a": float(i % 2)}, "odd" if i % 2 else "even") for i in range(200)]
    second: list[Event] = [({"a": float(i % 2)}, "even" if i % 2 else "odd") for i in range(200)]
    trial = Trial(1, 2, [*first, *second], (200, 400), (first[:20], second[:20]))
    found = attempt(ARMS[SGD], trial, 3, seed=1)
    assert found.final == 0.5
    assert found.forgotten == 1.0
    assert 0.8 < found.accuracy < 1.0
    assert found.bytes
    nothing = attempt(ARMS[MAJORITY], trial, 0, seed=1)
    assert nothing.accuracy < 0.55
    assert nothing.bytes is None


def test_the_page_says_what_fits_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: ARMS[name] for name in (MAJORITY, RIVER, SGD, "homeostatic")}
    few[RIVER] = replace(few[RIVER], settings=few[RIVER].settings[:1])
    monkeypatch.setattr("benchmarks.zoo.ARMS", few)
    page = tmp_path / "zoo.md"
    assert main(["bench", "zoo", "--quick", "--only", "digits", "--page", str(page)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])["streams"]["digits"]
    assert list(found) == list(few)
    assert found["homeostatic"]["accuracy"]["mean"] > 0.8 > 0.2 > found["majority"]["later"]["mean"]
    text = page.read_text("utf-8")
    gain = found["homeostatic"]["accuracy"]["mean"] - found["sgd"]["accuracy"]["mean"]
    assert f"`homeostatic` +{gain:.3f}" in text
    assert "| majority |" in text
    assert "kept" in captured.err


def test_a_gain_counts_if_every_seed_has_it() -> None:
    def runs(*accuracies: float) -> list[Run]:
        return [Run(each, each, None, None, 1.0, 1) for each in accuracies]

    found = {
        SGD: runs(0.5, 0.6),
        "better": runs(0.55, 0.65),
        "better in the mean": runs(0.7, 0.6),
        "hardly better": runs(0.51, 0.61),
        "worse": runs(0.4, 0.5),
    }
    assert list(clearly_better(found)) == ["better"]
    assert clearly_worse(found) == ["worse"]
