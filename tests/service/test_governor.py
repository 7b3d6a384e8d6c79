"""What a stream learns: asked for, held during an incident, or paused because it harms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from learners.base import Features, Learner, Prediction, Target
from service import catalog
from service.schemas import Event, Label, StreamSpec
from service.snapshots import restored, revived, snapshot
from service.stream import Stream

BIG = 1 << 30
Json = dict[str, Any]


def spec(**fields: Any) -> StreamSpec:
    return StreamSpec.model_validate({"learner": {"kind": "rolling_zscore"}} | fields)


def post(stream: Stream, value: float, i: int, **more: Any) -> Json:
    event = Event(x={"v": value}, ts=None, **more)
    said: Json = json.loads(stream.step(event, 300.0 * i).line)
    return said


NOISE = np.random.default_rng(0).normal(size=2_000)


def usual(i: int) -> float:
    return float(NOISE[i % len(NOISE)])


def twins(stream: Stream, blob: bytes) -> tuple[Stream, Stream]:
    return stream, revived(blob, BIG)


# What is asked for


def test_a_stream_told_to_pause_scores_and_does_not_learn() -> None:
    stream = Stream(spec(indicators=[{"kind": "value_range", "min_samples": 10}]))
    for i in range(50):
        assert post(stream, usual(i), i)["learning"] in ("warming", "learning")
    stream.ask("paused")
    before = stream.learner.get_state()
    for i in range(50, 60):
        said = post(stream, 500.0, i)
        assert (said["learning"], said["paused_by"]) == ("paused", "request")
        assert said["is_anomaly"]
    for name, array in stream.learner.get_state().items():
        assert array.tobytes() == before[name].tobytes()
    stream.ask("auto")
    assert "paused_by" not in post(stream, 0.0, 60)
    assert post(stream, 500.0, 61)["is_anomaly"]
    assert not post(stream, 500.0, 62)["is_anomaly"]
    assert stream.status()["governor"] == {"asked": "auto", "paused_by": None}


def test_what_is_asked_for_is_in_snapshots_and_in_the_digest() -> None:
    one, other = Stream(spec()), Stream(spec())
    for i in range(5):
        post(one, usual(i), i)
        post(other, usual(i), i)
    assert one.digest == other.digest
    one.ask("paused")
    assert one.digest != other.digest
    first, second = twins(one, snapshot(one))
    assert second.tutor.asked == "paused"
    for i in range(5, 20):
        assert post(first, usual(i), i) == post(second, usual(i), i)


def test_a_snapshot_from_before_the_governor_is_taken() -> None:
    from service import container

    stream = Stream(spec())
    for i in range(5):
        post(stream, usual(i), i)
    header, arrays = container.unpack(snapshot(stream, 2), BIG)
    del header["asked"], header["spec"]["governor"]
    first, second = twins(stream, container.pack(header, arrays))
    assert post(first, 1.0, 9) == post(second, 1.0, 9)


def test_a_spec_without_a_governor_has_the_digest_it_had() -> None:
    assert Stream(spec()).digest.hex() == Stream(spec(governor=None)).digest.hex()
    assert Stream(spec()).digest != Stream(spec(governor={})).digest


def test_a_quarantined_stream_learns_again_when_asked() -> None:
    stream = Stream(spec())
    stream.quarantine(Event(x={"v": 1.0}))
    stream.ask("paused")
    assert stream.learning == "quarantined"
    stream.ask("learning")
    assert post(stream, 1.0, 1)["learning"] == "warming"


# Holding

HOLD = {"hold": {"limit_seconds": 3 * 86_400, "release_events": 6}}


def incident(stream: Stream, length: int) -> tuple[list[Json], list[Json]]:
    """Three days, then a level that is too high, then an hour as before."""
    for i in range(864):
        post(stream, usual(i), i)
    during = [post(stream, usual(i) + 60.0, i) for i in range(864, 864 + length)]
    after = [post(stream, usual(i), i) for i in range(864 + length, 876 + length)]
    return during, after


@pytest.mark.parametrize("kind", ["novelty", "anomaly_likelihood", "value_range"])
def test_a_long_fault_stays_alarmed_to_its_end(kind: str) -> None:
    indicator = {"kind": kind} | (
        {"learning_period": 50, "estimation_samples": 250, "watch": "x.v"}
        if kind == "anomaly_likelihood"
        else {}
    )
    stream = Stream(spec(indicators=[indicator], governor=HOLD))
    during, after = incident(stream, 576)
    assert all(each["is_anomaly"] for each in during[12:])
    assert {each["paused_by"] for each in during[12:]} == {"anomaly"}
    assert not any(each["is_anomaly"] for each in after[-2:])
    assert post(stream, 0.0, 2_000)["learning"] == "learning"
    without = Stream(spec(indicators=[indicator]))
    assert not all(each["is_anomaly"] for each in incident(without, 576)[0][288:])


def test_what_lasts_beyond_the_limit_is_the_new_normal() -> None:
    hold = {"hold": {"limit_events": 100, "release_events": 6}}
    stream = Stream(spec(indicators=[{"kind": "value_range"}], governor=hold))
    during, _ = incident(stream, 400)
    assert [each["learning"] for each in during[:100]] == ["paused"] * 100
    assert {each["learning"] for each in during[100:]} == {"learning"}
    assert not any(each["is_anomaly"] for each in during[110:])
    assert stream.signals()["holds_given_up"] == 1


def test_a_restore_into_a_running_stream_leaves_what_was_asked_of_it() -> None:
    stream, other = Stream(spec()), Stream(spec())
    for i in range(20):
        post(stream, usual(i), i)
        post(other, usual(i), i)
    other.ask("paused")
    assert restored(stream, snapshot(other), BIG).tutor.asked == "auto"
    assert restored(Stream(spec()), snapshot(other), BIG).tutor.asked == "paused"


def test_a_hold_goes_on_in_a_copy() -> None:
    stream = Stream(spec(governor=HOLD))
    incident(stream, 0)
    for i in range(900, 950):
        post(stream, 70.0, i)
    first, second = twins(stream, snapshot(stream))
    for i in range(950, 1_000):
        assert post(first, 70.0 * (i < 970), i) == post(second, 70.0 * (i < 970), i)
    assert snapshot(first) == snapshot(second)


# Pausing


class ByHeart(Learner):
    """Gets better at what it is taught, and worse at all else."""

    learns_labels = True
    _state = ("taught",)

    def __init__(self) -> None:
        self.taught = np.zeros(1, np.int64)

    @classmethod
    def labels_are_learned(cls, **params: Any) -> bool:
        return True

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        return 8

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        known = int(self.taught[0]) / 200
        right = 1 - 1 / (1 + known) if x["pool"] else max(0.6 - 0.02 * known, 0.1)
        return Prediction(label="a", proba={"a": right, "b": 1 - right})

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        if y is not None:
            assert x["pool"], "a canary's label was learned"
            self.taught += 1

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        self.learn_one(x, y, t)


PAUSE = {"pause": {"canary_every": 5, "block_losses": 200, "probe_blocks": 0}}


@pytest.fixture
def by_heart(monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setitem(catalog.LEARNERS, "rolling_zscore", ByHeart)
    monkeypatch.setattr(catalog.Params, "values", lambda self: {})
    return Stream(spec(indicators=[], governor=PAUSE))


def labeled(stream: Stream, i: int) -> Json:
    event = Event(x={"pool": float(i % 5 != 4)}, y="a")
    said: Json = json.loads(stream.step(event, float(i)).line)
    return said


def test_learning_that_harms_pauses_and_the_best_weights_come_back(by_heart: Stream) -> None:
    said = [labeled(by_heart, i) for i in range(8_000)]
    assert said[-1]["paused_by"] == "harm"
    assert 0 < by_heart.learner.taught[0] < 1_000  # type: ignore[attr-defined]
    assert by_heart.signals()["pauses"] >= 1
    assert by_heart.held_bytes() > 0
    first, second = twins(by_heart, snapshot(by_heart))
    for i in range(8_000, 8_500):
        assert labeled(first, i) == labeled(second, i)
    assert snapshot(first) == snapshot(second)
    # Another policy begins anew; asked to learn, it learns all.
    by_heart.ask("learning")
    with pytest.raises(AssertionError, match="a canary's label was learned"):
        [labeled(by_heart, i) for i in range(8_500, 8_510)]


def test_late_labels_pass_the_same_gate(by_heart: Stream) -> None:
    learned = []
    for i in range(8_000):
        event = Event(x={"pool": float(i % 5 != 4)}, id=f"e{i}")
        by_heart.step(event, float(i))
        if i >= 5:
            late = by_heart.label(Label(event_id=f"e{i - 5}", y="a"), float(i))
            learned.append(json.loads(late.line)["learned"])
    assert learned[:10] == [True, True, True, True, False] * 2
    assert not any(learned[-1_000:])
    assert by_heart.tutor.paused_by == "harm"


def test_an_indicator_keeps_its_canaries_from_the_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.LEARNERS, "rolling_zscore", ByHeart)
    plain = spec(indicators=[{"kind": "early_stopping", "canary_every": 5, "block_losses": 100}])
    monkeypatch.setattr(
        catalog.Params,
        "values",
        lambda self: {"canary_every": 5, "block_losses": 100} if "early" in self.kind else {},
    )
    stream = Stream(plain)
    for i in range(500):
        labeled(stream, i)
    assert stream.learner.taught[0] == 400  # type: ignore[attr-defined]
    assert stream.signals()["canary_loss"] > stream.signals()["train_loss"] > 0


def test_a_learner_without_a_state_cannot_be_paused_by_itself() -> None:
    river = {"kind": "river", "estimator": "forest.ARFClassifier"}
    with pytest.raises(ValueError, match="pause: got a learner that keeps no state"):
        Stream(StreamSpec.model_validate({"learner": river, "governor": {"pause": {}}}))


def test_another_policy_begins_anew_and_weights_that_do_not_fit_are_refused(
    by_heart: Stream,
) -> None:
    for i in range(3_000):
        labeled(by_heart, i)
    other = spec(indicators=[], governor={"pause": {"probe_blocks": 3}})
    by_heart.ask("auto")
    kept = snapshot(by_heart)
    by_heart.configure(other)
    assert by_heart.tutor.governor is not None
    assert by_heart.tutor.governor.signals()["pauses"] == 0
    back = restored(by_heart, kept, BIG)
    assert back.tutor.governor is not None
    from service import container
    from service.errors import SnapshotError

    header, arrays = container.unpack(kept, BIG)
    arrays["tutor/best_taught"] = np.zeros(2, np.int64)
    with pytest.raises(SnapshotError, match="taught"):
        revived(container.pack(header, arrays), BIG)
    header["asked"] = "never"
    with pytest.raises(SnapshotError, match="asked"):
        revived(container.pack(header, arrays), BIG)
