"""Labels that come after their events: what is learned, judged, refused and kept."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from learners.base import StateError
from service import container
from service.schemas import Event, Label, StreamSpec, decode_entry, encode_entry, parse_spec
from service.snapshots import revived, snapshot
from service.stream import Fate, Reply, Stream

LIMIT = 1 << 26
BAYES = {"kind": "river", "estimator": "naive_bayes.GaussianNB"}
TREE = {"kind": "river", "estimator": "tree.HoeffdingTreeClassifier", "params": {"grace_period": 5}}
ZSCORE = {"kind": "rolling_zscore", "min_samples": 5}


def spec_of(learner: dict[str, Any] = TREE, **more: Any) -> StreamSpec:
    return parse_spec(json.dumps({"learner": learner, "indicators": []} | more).encode())


def rows(count: int, seed: int = 0) -> list[tuple[Event, str]]:
    draw = random.Random(seed)
    found = []
    for i in range(count):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        found.append((Event(id=f"e{i}", x={"a": a, "b": b}), "up" if a + b > 0 else "down"))
    return found


def labeled(event: Event, y: str | float) -> Event:
    return event.model_copy(update={"y": y})


def label(stream: Stream, event_id: str, y: str | float, at: float = 0.0) -> Reply:
    return stream.label(Label(event_id=event_id, y=y), at)


def said(reply: Reply) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(reply.line)
    return answer


def test_a_label_at_once_is_a_label_in_the_event() -> None:
    inside, after = Stream(spec_of()), Stream(spec_of())
    for event, y in rows(200):
        got = said(after.step(event, 0.0))
        ref = said(inside.step(labeled(event, y), 0.0))
        assert (got.get("prediction"), got.get("proba")) == (
            ref.get("prediction"),
            ref.get("proba"),
        )
        answer = said(label(after, event.id or "", y))
        assert answer["learned"]
        assert answer.get("prediction") == got.get("prediction")
        assert answer.get("quality") == ref.get("quality")
    assert after.quality.report() == inside.quality.report()
    assert after.quality.labeled == 199
    ref, got = inside.learner.get_state(), after.learner.get_state()
    assert all((got[name] == array).all() for name, array in ref.items())


def test_a_late_label_judges_what_was_predicted_when_its_event_came() -> None:
    stream = Stream(spec_of(BAYES))
    first, *others = rows(40)
    stream.step(labeled(others[0][0], "down"), 0.0)
    foreseen = said(stream.step(first[0], 0.0))["prediction"]
    assert foreseen == "down"
    for event, _ in others[1:]:
        stream.step(labeled(event, "up"), 0.0)
    before = stream.quality.overall()["accuracy"]
    assert said(label(stream, "e0", "down"))["prediction"] == "down"
    assert stream.quality.overall()["accuracy"] > before


def test_a_label_is_applied_once() -> None:
    stream = Stream(spec_of())
    for event, _ in rows(5):
        stream.step(event, 0.0)
    first = label(stream, "e2", "up")
    assert first.fate is Fate.LABELED
    digest, blob = stream.digest, snapshot(stream)
    again = label(stream, "e2", "up")
    assert (again.fate, said(again)) == (
        Fate.REPEATED,
        {"event_id": "e2", "y": "up", "duplicate": True},
    )
    other = label(stream, "e2", "down")
    assert (other.fate, other.refusal, said(other)["status"]) == (
        Fate.REFUSED,
        "label-conflict",
        409,
    )
    assert (stream.digest, snapshot(stream)) == (digest, blob)


def test_a_label_that_came_with_its_event_counts_as_had() -> None:
    stream = Stream(spec_of())
    ((event, y),) = rows(1)
    stream.step(labeled(event, y), 0.0)
    assert label(stream, "e0", y).fate is Fate.REPEATED
    assert label(stream, "e0", "other").refusal == "label-conflict"


@pytest.mark.parametrize("event_id", ["nobody", "@2", "@0", "@x", "@", "@1e9"])
def test_an_unknown_event_is_named(event_id: str) -> None:
    stream = Stream(spec_of())
    stream.step(Event(x={"a": 1.0}), 0.0)
    blob = snapshot(stream)
    reply = label(stream, event_id, "up")
    assert (reply.fate, reply.refusal, said(reply)["status"]) == (
        Fate.REFUSED,
        "unknown-event",
        404,
    )
    assert snapshot(stream) == blob
    assert label(stream, "@1", "up").fate is Fate.LABELED


def test_events_wait_as_long_as_the_spec_says() -> None:
    stream = Stream(spec_of(labels={"expire_seconds": 10}))
    for i, (event, _) in enumerate(rows(20)):
        stream.step(event, float(i))
    assert stream.status()["labels"]["pending"] == 11
    assert stream.status()["labels"]["expired"] == 9
    assert label(stream, "e9", "up", 19.0).fate is Fate.LABELED
    old = label(stream, "e10", "up", 20.5)
    assert (old.refusal, said(old)["status"]) == ("label-not-awaited", 410)
    assert label(stream, "e8", "up", 19.0).refusal == "label-not-awaited"
    assert label(stream, "e15", "up", 21.5).fate is Fate.LABELED
    assert stream.status()["labels"] == {
        "pending": 7,
        "pending_bytes": stream.status()["labels"]["pending_bytes"],
        "taken": 2,
        "expired": 11,
        "displaced": 0,
    }


@pytest.mark.parametrize(
    ("policy", "most"), [({"pending": 3}, 3), ({"pending_bytes": 2_500}, 4), ({"pending": 1}, 1)]
)
def test_the_oldest_make_room(policy: dict[str, Any], most: int) -> None:
    stream = Stream(spec_of(labels=policy))
    for event, _ in rows(20):
        stream.step(event, 0.0)
    report = stream.status()["labels"]
    assert 1 <= report["pending"] <= most
    assert report["displaced"] == 20 - report["pending"]
    assert report["pending_bytes"] <= policy.get("pending_bytes", 1 << 20)
    assert label(stream, "e19", "up").fate is Fate.LABELED
    assert label(stream, "e0", "up").refusal == "label-not-awaited"


def test_an_event_larger_than_the_table_waits_for_nothing() -> None:
    stream = Stream(spec_of(labels={"pending_bytes": 100}))
    stream.step(Event(id="big", x={"a": 1.0}), 0.0)
    assert stream.status()["labels"]["pending"] == 0
    assert label(stream, "big", "up").refusal == "label-not-awaited"


def test_only_who_has_a_use_for_labels_keeps_events_for_them() -> None:
    plain, judged = Stream(spec_of(ZSCORE)), Stream(spec_of(ZSCORE, labels={}))
    off = Stream(spec_of(TREE, labels={"pending": 0}))
    for stream in (plain, judged, off):
        for i in range(30):
            stream.step(Event(id=f"e{i}", x={"a": float(i % 3 + 50 * (i == 29))}), 0.0)
    assert plain.pending is None
    assert off.pending is None
    assert "labels" not in plain.status()
    refused = label(plain, "e3", 0)
    assert (refused.refusal, said(refused)["status"]) == ("labels-not-kept", 409)
    assert judged.digest != plain.digest
    answer = said(label(judged, "e29", 1))
    assert answer["learned"] is False
    assert answer["quality"]["recall"] == 1.0
    assert judged.quality.report()["task"] == "anomaly"


def test_labels_may_be_asked_for_and_given_up_later() -> None:
    stream = Stream(spec_of(ZSCORE))
    stream.step(Event(id="a", x={"v": 1.0}), 0.0)
    stream.configure(spec_of(ZSCORE, labels={}))
    assert label(stream, "a", 0).refusal == "label-not-awaited"
    for name in ("b", "c", "d"):
        stream.step(Event(id=name, x={"v": 1.0}), 0.0)
    label(stream, "b", 0)
    stream.configure(spec_of(ZSCORE, labels={"pending": 1}, duplicates_remembered=3))
    assert label(stream, "c", 0).refusal == "label-not-awaited"
    assert label(stream, "b", 0).fate is Fate.REPEATED
    assert label(stream, "d", 0).fate is Fate.LABELED
    stream.configure(spec_of(ZSCORE))
    assert label(stream, "d", 0).refusal == "labels-not-kept"


def test_a_label_that_does_not_fit_changes_nothing_and_another_may_come() -> None:
    regressor = {"kind": "river", "estimator": "linear_model.LinearRegression"}
    stream = Stream(spec_of(regressor))
    stream.step(Event(id="a", x={"v": 1.0}), 0.0)
    blob = snapshot(stream)
    refused = label(stream, "a", "text")
    assert (refused.fate, refused.refusal) == (Fate.REFUSED, "invalid-event")
    assert snapshot(stream) == blob
    assert label(stream, "a", 1e308).fate is Fate.LABELED


def test_a_late_event_is_scored_only_and_waits_for_no_label() -> None:
    stream = Stream(spec_of())
    stream.step(Event.model_validate_json(b'{"id":"new","ts":1000,"x":{"a":1}}'), 0.0)
    stream.step(Event.model_validate_json(b'{"id":"old","ts":10,"x":{"a":1}}'), 0.0)
    assert label(stream, "old", "up").refusal == "label-not-awaited"


def test_a_quarantined_stream_is_judged_and_does_not_learn() -> None:
    stream = Stream(spec_of())
    first, second, third, fourth = (event for event, _ in rows(4))
    stream.step(labeled(first, "up"), 0.0)
    stream.step(second, 0.0)
    stream.quarantine(third)
    state = stream.learner.get_state()
    answer = said(label(stream, "e1", "down"))
    assert (answer["learned"], answer["prediction"]) == (False, "up")
    assert all((state[name] == array).all() for name, array in stream.learner.get_state().items())
    stream.step(fourth, 0.0)
    assert label(stream, "e3", "down").refusal == "label-not-awaited"
    stream.quarantine(Label(event_id="e9", y=1.0))
    assert stream.learning == "quarantined"


def scrambled(count: int, seed: int) -> list[Event | Label]:
    """Events, and their labels some time later, out of order."""
    draw = random.Random(seed)
    entries: list[tuple[float, Event | Label]] = []
    for i, (event, y) in enumerate(rows(count, seed)):
        entries.append((i, event))
        entries.append((i + draw.expovariate(1 / 20) + 0.5, Label(event_id=f"e{i}", y=y)))
    return [entry for _, entry in sorted(entries, key=lambda each: each[0])]


@pytest.mark.parametrize(
    "learner",
    [BAYES, TREE, {"kind": "soft_hebbian"}, {"kind": "hebbian_adaptation"}],
    ids=["bayes", "tree", "soft hebbian", "hebbian"],
)
def test_a_snapshot_between_events_and_labels_changes_nothing(learner: dict[str, Any]) -> None:
    entries = scrambled(300, 1)
    whole = Stream(spec_of(learner, labels={"pending": 14, "expire_seconds": 25}))
    resumed = Stream(whole.spec)
    for i, entry in enumerate(entries):
        if i % 97 == 50:
            resumed = revived(snapshot(resumed), LIMIT)
        assert resumed.apply(entry, i / 2) == whole.apply(entry, i / 2)
    assert resumed.digest == whole.digest
    assert resumed.status() == whole.status()
    assert whole.status()["labels"]["expired"] > 0
    assert whole.status()["labels"]["displaced"] > 0


def test_a_snapshot_from_before_there_were_labels_is_read() -> None:
    stream = Stream(spec_of())
    for event, y in rows(30):
        stream.step(labeled(event, y), 0.0)
    header, arrays = container.unpack(snapshot(stream, 2), LIMIT)
    for name in ("labels", "calibrate"):
        del header["spec"][name]
    older = {name: array for name, array in arrays.items() if not name.startswith("labels/")}
    assert len(older) < len(arrays)
    old = revived(container.pack(header, older), LIMIT)
    assert (old.offset, old.digest) == (stream.offset, stream.digest)
    assert label(old, "e3", "up").refusal == "label-not-awaited"
    old.step(Event(id="new", x={"a": 1.0, "b": 1.0}), 0.0)
    assert label(old, "new", "up").fate is Fate.LABELED


def test_what_is_learned_later_is_part_of_the_digest() -> None:
    one, other = Stream(spec_of()), Stream(spec_of())
    for stream in (one, other):
        stream.step(rows(1)[0][0], 0.0)
    assert one.digest == other.digest
    label(one, "e0", "up")
    label(other, "e0", "down")
    assert one.digest != other.digest
    assert one.offset == other.offset == 1


def test_a_label_in_the_log_is_read_as_it_was_written() -> None:
    for entry in (Label(event_id="@1", y=1.0), Label(event_id='q"uote', y="täg")):
        assert decode_entry(encode_entry(entry)) == entry


def test_a_damaged_table_is_refused_and_changes_nothing() -> None:
    stream = Stream(spec_of(labels={"pending": 4}))
    for event, _ in rows(4):
        stream.step(event, 0.0)
    assert stream.pending is not None
    good = stream.pending.get_state()
    body = good["results"]
    damages: list[dict[str, Any]] = [
        {"times": good["times"][:3]},
        {"times": np.full((4, 2), np.nan)},
        {"lengths": good["lengths"][:3]},
        {"lengths": good["lengths"].astype(np.float64)},
        {"lengths": -good["lengths"]},
        {"counts": -np.ones(3, np.int64)},
        {"results": body[:-1]},
        {"results": np.full_like(body, ord("{"))},
        {"results": np.tile(body[: len(body) // 4], 4)},
        {"duplicate_ids": np.zeros(1)},
    ]
    for damage in damages:
        with pytest.raises((StateError, ValueError)):
            stream.pending.set_state(good | damage)
    got = stream.pending.get_state()
    assert all((got[name] == array).all() for name, array in good.items())
    with pytest.raises(StateError, match="lengths"):
        Stream(spec_of(labels={"pending": 3})).pending.set_state(good)  # type: ignore[union-attr]
