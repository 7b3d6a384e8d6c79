"""The benchmark of every system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import benchmarks.accept as accept_package
from benchmarks.accept import SYSTEMS
from benchmarks.accept.rows import Row, at_least, at_most, near, never, not_run
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
        (["zoo"], "--accept"),
        (["steps", "--accept"], "--accept: bench steps"),
    ],
)
def test_what_it_does_not_have_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err
