"""Probabilities that are brought to what comes true, and late labels that reveal a drift."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from learners.base import Prediction
from service.calibration import LEAST, MOST, Temperature
from service.reliability import Reliability
from service.schemas import Event, Label, parse_spec
from service.snapshots import revived, snapshot
from service.specs import meaning
from service.stream import Stream

LIMIT = 1 << 26
BAYES = {"kind": "river", "estimator": "naive_bayes.GaussianNB"}


def stream_of(**more: Any) -> Stream:
    return Stream(parse_spec(json.dumps({"learner": BAYES, "indicators": []} | more).encode()))


def confident(draw: random.Random, sure: float, true: float) -> tuple[dict[str, float], str]:
    """A prediction that states `sure` of a class which is the true one in `true` of all cases."""
    classes = ["a", "b", "c"]
    guess = draw.choice(classes)
    proba = {each: sure if each == guess else (1 - sure) / 2 for each in classes}
    others = [each for each in classes if each != guess]
    return proba, guess if draw.random() < true else draw.choice(others)


@pytest.mark.parametrize(("sure", "true"), [(0.99, 0.6), (0.5, 0.9), (0.7, 0.7)])
def test_what_is_stated_is_what_comes_true(sure: float, true: float) -> None:
    draw, temperature = random.Random(1), Temperature()
    stated, told = Reliability(), Reliability()
    for i in range(3_000):
        proba, y = confident(draw, sure, true)
        got = temperature.apply(Prediction(label=max(proba, key=proba.__getitem__), proba=proba))
        assert got.proba is not None
        assert sum(got.proba.values()) == pytest.approx(1.0)
        if i >= 1_000:
            guess = str(got.label)
            stated.count(proba[guess], guess == y)
            told.count(got.proba[guess], guess == y)
        temperature.learn(got.proba, y)
    assert told.error() == pytest.approx(0.0, abs=0.05)
    assert stated.error() == pytest.approx(abs(sure - true), abs=0.03)
    assert (temperature.temperature > 1) == (sure > true) or sure == true


def test_the_step_is_the_gradient_of_the_log_loss() -> None:
    proba, y, h = {"a": 0.6, "b": 0.3, "c": 0.1}, "b", 1e-6

    def loss(log_exponent: float) -> float:
        temperature = Temperature()
        temperature.log_exponent = log_exponent
        got = temperature.apply(Prediction(proba=proba)).proba
        assert got is not None
        return -math.log(got[y])

    slope = (loss(0.3 + h) - loss(0.3 - h)) / (2 * h)
    temperature = Temperature()
    temperature.log_exponent = 0.3
    temperature.learn(temperature.apply(Prediction(proba=proba)).proba, y)
    assert temperature.log_exponent == pytest.approx(0.3 - 0.5 * slope / (abs(slope) + 0.01))


@pytest.mark.parametrize(
    "proba",
    [{}, None, {"a": math.nan, "b": 1.0}, {"a": -1.0}, {"a": math.inf}, {"a": 0.0}, {"a": 1.0}],
)
def test_nothing_it_is_given_breaks_it(proba: Any) -> None:
    temperature = Temperature()
    for _ in range(100):
        got = temperature.apply(Prediction(label="a", proba=proba))
        temperature.learn(got.proba, "a")
        temperature.learn(got.proba, "never heard of")
        assert LEAST <= temperature.log_exponent <= MOST


def fed(stream: Stream, begin: int, count: int) -> Stream:
    for i in range(begin, begin + count):
        draw = random.Random(i)
        x: dict[str, float | str | None] = {f"v{j}": draw.gauss(0, 1) for j in range(4)}
        x |= {f"copy {j}": x["v0"] for j in range(8)}  # Which Bayes takes for further evidence.
        stream.step(Event(id=f"e{i}", x=x), 0.0)
        if i >= 5:
            y = "up" if random.Random(i - 5).gauss(0, 1) + draw.gauss(0, 1) > 0 else "down"
            stream.label(Label(event_id=f"e{i - 5}", y=y), 0.0)
    return stream


def test_a_calibrated_stream_states_less_and_goes_on_from_its_snapshot() -> None:
    plain, calibrated = fed(stream_of(), 0, 300), fed(stream_of(calibrate=True), 0, 150)
    resumed = revived(snapshot(calibrated), LIMIT)
    for stream in (calibrated, resumed):
        fed(stream, 150, 150)
    assert resumed.digest == calibrated.digest
    assert snapshot(resumed) == snapshot(calibrated)
    ours, theirs = calibrated.quality.overall(), plain.quality.overall()
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["calibration_error"] < theirs["calibration_error"]
    assert ours["log_loss"] < theirs["log_loss"]
    assert calibrated.status()["signals"]["temperature"] > 1
    assert "temperature" not in plain.status()["signals"]


def test_calibration_may_be_asked_for_and_given_up_later() -> None:
    stream, other = fed(stream_of(), 0, 50), stream_of(calibrate=True)
    assert meaning(other.spec) != meaning(stream.spec)
    assert b"calibrate" not in meaning(stream.spec)
    stream.configure(other.spec)
    fed(stream, 50, 50)
    assert stream.calibration is not None
    kept = stream.calibration.labels
    assert kept > 0
    stream.configure(other.spec)
    assert stream.calibration.labels == kept
    stream.configure(stream_of().spec)
    assert stream.calibration is None


def test_late_labels_reveal_a_drift_of_the_error_once() -> None:
    adwin = {"kind": "adwin", "watch": "error", "grace_period": 10, "clock": 1}
    stream = stream_of(indicators=[adwin, {"kind": "adwin", "watch": "x.v"}])
    found = []
    for i in range(400):
        stream.step(Event(id=f"e{i}", x={"v": float(i % 2)}), 0.0)
        if i >= 30:
            truth = (i - 30) % 2 if i < 230 else 1 - (i - 30) % 2
            reply = stream.label(Label(event_id=f"e{i - 30}", y=f"class {truth}"), 0.0)
            answer = json.loads(reply.line)
            found += [(answer["event_id"], each) for each in answer.get("drift", [])]
    assert found
    event_id, drift = found[0]
    assert (drift["detector"], drift["watch"]) == ("adwin", "error")
    assert drift["after"] > drift["before"]
    assert int(event_id.removeprefix("e")) >= 200
    assert stream.standing.drifts == {"adwin": len(found)}
    assert stream.standing.last_drift is not None
    assert stream.standing.last_drift.offset == int(found[-1][0].removeprefix("e")) + 1
