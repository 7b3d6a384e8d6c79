"""The benchmark of calibration judges streams as the service does."""

from __future__ import annotations

import pytest

from benchmarks import calibration


def test_it_judges_each_learner_with_and_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bayes = {"MultinomialNB": calibration.LEARNERS["MultinomialNB"]}
    monkeypatch.setattr(calibration, "LEARNERS", bayes)
    found = calibration.main(None, seeds=5, quick=True)
    assert (found["events"], found["seeds"]) == (300, 1)
    raw, calibrated = (found["learners"]["MultinomialNB"][name] for name in ("raw", "calibrated"))
    assert raw["accuracy"] == calibrated["accuracy"] > 0.5
    assert 0 < calibrated["calibration_error"] < 0.5
    assert "MultinomialNB" in capsys.readouterr().err
