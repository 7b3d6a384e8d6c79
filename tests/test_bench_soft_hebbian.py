"""The benchmark of soft Hebbian features, on the digits that are always there."""

from __future__ import annotations

import json

import pytest

from benchmarks.soft_hebbian import ARMS, STANDARDIZED
from service.cli import main


def test_bench_soft_hebbian(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "soft-hebbian", "--quick"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])
    assert (found["seeds"], found["majority_vote"], found["acceptance"]) == (1, {}, [])
    arms = found["tasks"]["digits"]
    assert list(arms)[2:] == [*ARMS, *STANDARDIZED]
    accuracy = {arm: row["accuracy"]["mean"] for arm, row in arms.items()}
    assert accuracy["majority class"] < 0.15
    assert accuracy["soft, softmax"] > 0.85
    assert accuracy["anti-Hebbian, softmax"] < accuracy["soft, softmax"]
    assert "last quarter" in captured.err


def test_without_mnist_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "soft-hebbian"]) == 2
    assert "mnist" in capsys.readouterr().err
