"""The stream: its receipt, its memory of ids, and what a snapshot carries over."""

from __future__ import annotations

import json
import random
import struct
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from learners.base import Scorer, StateError
from service import container
from service.duplicates import DuplicateRing
from service.errors import SnapshotError
from service.schemas import Event, StreamSpec, parse_event, parse_spec
from service.snapshots import restore, restored, revived, snapshot
from service.stream import Fate, Stream

LIMIT = 1 << 26


def spec_of(window: int = 20, **more: Any) -> StreamSpec:
    learner = {"kind": "rolling_zscore", "window": window, "min_samples": 5}
    return parse_spec(json.dumps({"learner": learner} | more).encode())


def event(value: float, **more: Any) -> Event:
    return parse_event(json.dumps({"x": {"v": value}} | more).encode())


def fed(stream: Stream, count: int, begin: int = 0) -> Stream:
    for i in range(begin, begin + count):
        stream.step(event(i % 7, id=f"e{i}"), float(i))
    return stream


def test_the_same_events_give_the_same_digest() -> None:
    one, other = fed(Stream(spec_of()), 50), fed(Stream(spec_of()), 50)
    assert one.digest == other.digest
    assert one.step(event(3), 99.0) == other.step(event(3), 99.0)
    assert one.step(event(3), 99.0).line != other.step(event(3.5), 99.0).line
    assert one.digest != other.digest


def test_the_order_of_features_does_not_matter() -> None:
    one, other = Stream(spec_of()), Stream(spec_of())
    a = one.step(parse_event(b'{"x":{"a":1,"b":2}}'), 0.0)
    b = other.step(parse_event(b'{"x":{"b":2,"a":1}}'), 0.0)
    assert a.line == b.line
    assert one.digest == other.digest


def test_an_id_is_learned_from_once() -> None:
    stream = fed(Stream(spec_of()), 5)
    digest = stream.digest
    reply = stream.step(event(99, id="e2"), 9.0)
    assert (reply.fate, reply.offset) == (Fate.DUPLICATE, 3)
    assert (stream.offset, stream.digest) == (5, digest)


def test_an_event_that_does_not_fit_changes_nothing() -> None:
    stream = fed(Stream(spec_of()), 5)
    before = snapshot(stream)
    reply = stream.step(parse_event(b'{"id":"bad","x":{"v":"text"}}'), 9.0)
    assert reply.fate is Fate.REFUSED
    assert json.loads(reply.line)["code"] == "invalid-event"
    assert snapshot(stream) == before


def scored(indicators: list[dict[str, Any]], values: list[float]) -> list[Any]:
    stream = Stream(spec_of(indicators=indicators))
    lines = [stream.step(event(value), float(i)).line for i, value in enumerate(values)]
    return [json.loads(line) for line in lines]


def test_the_score_is_the_largest_of_the_scorers() -> None:
    range_alone: dict[str, Any] = {"kind": "value_range", "min_samples": 10}
    likelihood: dict[str, Any] = {
        "kind": "anomaly_likelihood",
        "learning_period": 5,
        "estimation_samples": 20,
        "averaging": 1,
    }
    values = [float(i % 7) for i in range(60)] + [6.4, 9.0, 3.0]
    alone = scored([range_alone], values)
    other = scored([likelihood], values)
    drift = {"kind": "adwin"}
    for both in ([range_alone, drift, likelihood], [likelihood, range_alone]):
        each = scored(both, values)
        for got, one, two in zip(each, alone, other, strict=True):
            said = [r["anomaly_score"] for r in (one, two) if r["anomaly_score"] is not None]
            assert got["anomaly_score"] == max(said, default=None)
            assert (got["learning"] == "warming") == (
                "warming" in (one["learning"], two["learning"])
            )
        assert each[61]["is_anomaly"]
    assert alone[61]["anomaly_score"] > other[61]["anomaly_score"]
    assert [r["anomaly_score"] for r in alone[:11]] == [None] * 10 + [0.0]


def test_who_names_no_indicators_has_a_scorer() -> None:
    (only,) = Stream(spec_of()).indicators
    assert isinstance(only, Scorer)


def test_late_events() -> None:
    scored = Stream(spec_of(late={"tolerance_seconds": 10}))
    rejecting = Stream(spec_of(late={"policy": "rejected"}))
    for stream in (scored, rejecting):
        stream.step(event(1, ts=1_000), 0.0)
    assert b'"late"' not in scored.step(event(1, ts=990), 0.0).line
    assert scored.standing.newest == 1_000
    learner = scored.learner.get_state()
    late = json.loads(scored.step(event(1, ts=989), 0.0).line)
    assert (late["late"], late["anomaly_score"]) == (True, None)
    assert all((learner[k] == v).all() for k, v in scored.learner.get_state().items())
    refused = rejecting.step(event(1, ts=999), 0.0)
    assert refused.fate is Fate.REFUSED
    assert json.loads(refused.line)["code"] == "late-event"
    assert rejecting.offset == 1


def test_a_snapshot_becomes_the_same_stream() -> None:
    stream = fed(Stream(spec_of()), 30)
    twin = revived(snapshot(stream), LIMIT)
    assert (twin.offset, twin.digest, twin.status()) == (30, stream.digest, stream.status())
    assert twin.step(event(3, id="e9"), 0.0) == stream.step(event(3, id="e9"), 0.0)
    assert fed(twin, 20, 30).digest == fed(stream, 20, 30).digest
    assert snapshot(twin) == snapshot(stream)


def test_a_used_stream_keeps_its_offset_and_its_ids() -> None:
    source, used = fed(Stream(spec_of()), 30), fed(Stream(spec_of()), 10)
    copy = restored(used, snapshot(source), LIMIT)
    assert (copy.offset, used.offset) == (10, 10)
    assert copy.digest not in (used.digest, source.digest)
    assert copy.step(event(1, id="e5"), 0.0).fate is Fate.DUPLICATE
    assert copy.step(event(1, id="e25"), 40.0).fate is Fate.APPLIED


def test_a_snapshot_of_another_learner_is_refused() -> None:
    with pytest.raises(SnapshotError, match="learner: got"):
        restore(Stream(spec_of(21)), snapshot(Stream(spec_of())), LIMIT)


def test_every_damage_is_a_snapshot_error() -> None:
    blob = snapshot(fed(Stream(spec_of()), 30))
    draw = random.Random(3)
    for end in range(0, len(blob), 17):
        with pytest.raises(SnapshotError):
            restore(Stream(spec_of()), blob[:end], LIMIT)
    for _ in range(200):
        flipped = bytearray(blob)
        flipped[draw.randrange(len(blob))] ^= 1 << draw.randrange(8)
        with pytest.raises(SnapshotError):
            revived(bytes(flipped), LIMIT)


def test_quarantine_and_back() -> None:
    stream = fed(Stream(spec_of()), 10)
    stream.quarantine(event(13))
    held = json.loads(stream.step(event(1), 20.0).line)
    assert (held["learning"], held["anomaly_score"], held["offset"]) == ("quarantined", None, 11)
    stream.resume()
    assert json.loads(stream.step(event(1), 21.0).line)["learning"] != "quarantined"


def test_configure() -> None:
    stream = fed(Stream(spec_of(duplicates_remembered=8)), 8)
    digest = stream.digest
    stream.configure(spec_of(duplicates_remembered=3, threshold=0.9))
    assert stream.digest != digest
    assert stream.step(event(1, id="e4"), 20.0).fate is Fate.APPLIED
    assert stream.step(event(1, id="e7"), 20.0).fate is Fate.DUPLICATE
    with pytest.raises(ValueError, match="learner: got"):
        stream.configure(spec_of(30))


# The ring of ids


@pytest.mark.parametrize("capacity", [1, 3, 10])
def test_the_ring_remembers_the_newest(capacity: int) -> None:
    ring = DuplicateRing(capacity)
    for i in range(25):
        ring.add(f"e{i}", i)
        known = [j for j in range(25) if ring.offset_of(f"e{j}") is not None]
        assert known == list(range(max(0, i + 1 - capacity), i + 1))


def test_a_ring_of_none_remembers_none() -> None:
    ring = DuplicateRing(0)
    ring.add("a", 1)
    assert ring.offset_of("a") is None


@pytest.mark.parametrize("new", [0, 2, 5, 9])
@pytest.mark.parametrize("filled", [0, 3, 5, 12])
def test_a_ring_is_resized(filled: int, new: int) -> None:
    ring = DuplicateRing(5)
    for i in range(filled):
        ring.add(f"e{i}", i)
    other = ring.resized(new)
    for i in range(filled, filled + 3):
        other.add(f"e{i}", i)
    kept = min(new, min(5, filled) + 3)
    known = [i for i in range(filled + 3) if other.offset_of(f"e{i}") == i]
    assert known == list(range(filled + 3 - kept, filled + 3))


def test_a_ring_takes_back_its_state() -> None:
    ring, other = DuplicateRing(4), DuplicateRing(4)
    for i in range(7):
        ring.add(f"e{i}", i)
    other.set_state(ring.get_state())
    assert [other.offset_of(f"e{i}") for i in range(7)] == [None, None, None, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"duplicate_ids": np.zeros(2, np.uint64)},
        {"duplicate_ids": np.zeros(5, np.uint64), "duplicate_offsets": np.zeros(5, np.int64)},
        {"duplicate_ids": np.zeros(2, np.uint64), "duplicate_offsets": np.zeros(3, np.int64)},
        {"duplicate_ids": np.zeros(2, np.int64), "duplicate_offsets": np.zeros(2, np.int64)},
        {
            "duplicate_ids": np.zeros((1, 2), np.uint64),
            "duplicate_offsets": np.zeros((1, 2), np.int64),
        },
    ],
)
def test_a_state_that_does_not_fit_the_ring(arrays: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        DuplicateRing(4).set_state(arrays)


@pytest.mark.parametrize("second", ["59Z", "59.999999Z", "59.9999999Z"])
def test_the_last_moment_there_is_can_be_shown(second: str) -> None:
    stream = fed(Stream(spec_of()), 5)
    reply = stream.step(event(1, ts=f"9999-12-31T23:59:{second}"), 9.0)
    assert reply.fate is Fate.APPLIED
    assert stream.status()["newest_ts"] == "9999-12-31T23:59:59Z"
    first = Stream(spec_of())
    assert first.step(event(1, ts="0001-01-01T00:00:00Z"), 9.0).fate is Fate.APPLIED
    assert first.status()["newest_ts"] == "0001-01-01T00:00:00Z"
    for each in (stream, first):
        assert revived(snapshot(each), LIMIT).status() == each.status()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("newest", 1e300),
        ("newest", float("nan")),
        ("newest", "1"),
        ("newest", True),
        ("offset", -1),
        ("offset", 2**64),
        ("offset", 5.5),
        ("offset", None),
        ("anomalies", -1),
        ("anomalies", "many"),
        ("anomaly_score", "high"),
        ("anomaly_score", 1.5),
        ("raw_score", [1]),
        ("raw_score", float("nan")),
        ("digest", "ab"),
        ("digest", "z" * 32),
        ("digest", 5),
        ("learning", "later"),
    ],
)
def test_a_header_that_no_stream_has_is_refused(field: str, value: Any) -> None:
    header, arrays = container.unpack(snapshot(fed(Stream(spec_of()), 9)), LIMIT)
    if field in header["standing"]:
        header["standing"][field] = "@"
    else:
        header[field] = "@"
    start = container.pack(header, arrays)
    written = json.dumps(value)
    head = json.dumps(header, separators=(",", ":"))
    changed = head.replace('"@"', written).encode()
    frame = start[len(container.MAGIC) + 4 + len(head) : -16]
    whole = container.MAGIC + struct.pack("<I", len(changed)) + changed + frame
    blob = whole + blake2b(whole, digest_size=16).digest()
    with pytest.raises(SnapshotError, match=field):
        revived(blob, LIMIT)
    stream = fed(Stream(spec_of()), 5)
    digest = stream.digest
    with pytest.raises(SnapshotError):
        restored(stream, blob, LIMIT)
    assert stream.digest == digest


def drifting(stream: Stream, count: int, begin: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(begin)
    return [
        json.loads(stream.step(event(draw.gauss(5.0 if i > 200 else 0.0, 0.2)), float(i)).line)
        for i in range(begin, begin + count)
    ]


def test_several_indicators_tell_of_drift_each_in_its_own_name() -> None:
    watched = ("x.v", "score", "error")
    spec = spec_of(indicators=[{"kind": "adwin", "watch": each} for each in watched])
    stream = Stream(spec)
    results = drifting(stream, 300)
    (drift,) = next(each["drift"] for each in results if "drift" in each)
    assert (drift["detector"], drift["watch"]) == ("adwin", "x.v")
    assert 3 < drift["size"] < 5.5
    status = stream.status()
    assert status["drifts"]["adwin"] == sum(len(each.get("drift", ())) for each in results)
    assert status["last_drift"]["watch"] in watched
    assert {"adwin_x.v_drifts", "adwin_score_drifts", "adwin_error_drifts"} <= set(stream.signals())
    twin = revived(snapshot(stream), LIMIT)
    assert twin.status() == status
    assert drifting(twin, 100, 300) == drifting(stream, 100, 300)


def test_a_labeled_stream_goes_on_from_its_snapshot() -> None:
    stream = Stream(spec_of(indicators=[]))
    for i in range(40):
        stream.step(event(float(i % 5), y=float(i % 9 == 0)), float(i))
    twin = revived(snapshot(stream), LIMIT)
    assert twin.status() == stream.status()
    assert twin.status()["quality"]["task"] == "anomaly"
    both = [each.step(event(3.0, y=1.0), 40.0).line for each in (stream, twin)]
    assert both[0] == both[1]
    assert json.loads(both[0])["quality"] == json.loads(both[1])["quality"]
