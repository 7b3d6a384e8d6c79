"""Metrics: complete, cheap, bounded, and readable by whoever scrapes them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from service.api import operations
from service.errors import QueueFull, ResultsExpired
from service.journal.base import StreamRow
from service.metrics import Metrics
from service.peaks import BUCKET_SECONDS, Peaks
from service.stream_series import MAX_EXEMPLAR_CHARACTERS, MAX_SIGNALS, exemplar_labels
from tests.conftest import Serving
from tests.service.raw import ask
from tests.service.test_api import SPEC, Hand, event

MODERN = {"Accept": "application/openmetrics-text; version=1.0.0"}
parse_modern: Any = parse_openmetrics


def samples(url: str, query: str = "", modern: bool = False) -> Iterator[Any]:
    headers = MODERN if modern else {}
    text = ask(url, "GET", f"/metrics{query}", headers).body.decode()
    for family in (parse_modern if modern else parse_plain)(text):
        yield from family.samples


def value(url: str, name: str, query: str = "", **labels: str) -> float | None:
    for sample in samples(url, query):
        if sample.name == f"synaptide_{name}" and sample.labels == labels:
            return float(sample.value)
    return None


def exported(url: str, query: str = "") -> set[str]:
    return {each.labels["stream"] for each in samples(url, query) if "stream" in each.labels}


# The highest score of a minute


def test_a_peak_lasts_a_minute_and_little_more() -> None:
    now = 1_003.0
    peaks = Peaks(lambda: now)
    assert peaks.of(1) is None
    peaks.note(1, 0.9)
    peaks.note(1, 0.2)
    peaks.note(1, None)
    peaks.note(2, 0.0)
    for second in range(60):
        now = 1_003.0 + second
        assert (peaks.of(1), peaks.of(2), peaks.of(3)) == (0.9, 0.0, None)
    now += BUCKET_SECONDS + 1
    assert peaks.of(1) is None
    peaks.note(1, 0.1)
    now += 1_000.0
    assert peaks.of(1) is None


def test_a_spike_between_two_scrapes_is_seen(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        hand = Hand(url, "spiky")
        hand.put(SPEC | {"indicators": [], "threshold": 0.9})
        hand.post([event(i) for i in range(20)])
        spike = hand.post(event(20, x={"v": 1e6}))["anomaly_score"]
        last = hand.post([event(i) for i in range(21, 60)])[-1]["anomaly_score"]
        assert value(url, "anomaly_score", stream="spiky") == last < spike
        assert value(url, "anomaly_score_max", stream="spiky") == spike


def test_what_is_replayed_is_no_peak(serving: Serving, tmp_path: Path) -> None:
    spec = {"learner": {"kind": "river", "estimator": "anomaly.StandardAbsoluteDeviation"}}
    with serving(tmp_path) as url:
        hand = Hand(url, "replayed")
        hand.put(spec | {"indicators": []})
        hand.post([event(i) for i in range(50)])
        before = hand.post([event(50, x={"v": 1e6})])
        assert before[0]["anomaly_score"] == 1.0
        assert value(url, "anomaly_score_max", stream="replayed") == 1.0
    with serving(tmp_path) as url:
        assert value(url, "anomaly_score_max", stream="replayed") is None
        assert value(url, "anomaly_score", stream="replayed") == 1.0
        score = Hand(url, "replayed").post(event(51, x={"v": 3.0}))["anomaly_score"]
        assert value(url, "anomaly_score_max", stream="replayed") == score < 1.0


# Which streams


def test_series_are_for_the_streams_that_matter_most(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, metrics_max_streams=2) as url:
        for i, name in enumerate(["calm", "odd", "quiet", "strange"]):
            hand = Hand(url, name)
            hand.put(SPEC | {"indicators": []})
            hand.post([event(k) for k in range(20)])
            hand.post(event(20, x={"v": 1e6 if i % 2 else 3.0}))
        assert exported(url) == {"odd", "strange"}
        assert (value(url, "streams"), value(url, "streams_not_exported")) == (4, 2)
        chosen = "?stream=calm&stream=odd&stream=unknown"
        assert exported(url, chosen) == {"calm", "odd"}
        assert all("stream" in each.labels for each in samples(url, chosen))
        assert all("stream" in each.labels for each in samples(url, chosen, modern=True))
        assert not list(samples(url, "?stream=unknown", modern=True))
        Hand(url, "odd").ask("delete_stream", 204)
        assert "odd" not in exported(url)
        assert len(exported(url)) == 2


def test_none_may_have_series(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, metrics_max_streams=0) as url:
        Hand(url, "silent").put()
        assert not exported(url)
        assert exported(url, "?stream=silent") == {"silent"}


class Shelf:
    """As much of a journal as metrics look at."""

    partitions = (0,)
    owned = {0: 1}  # noqa: RUF012

    def __init__(self, rows: list[StreamRow]) -> None:
        self._rows = rows

    def streams(self) -> list[StreamRow]:
        return self._rows

    def held_count(self) -> int:
        return 0

    def stream_count(self) -> int:
        return len(self._rows)

    def depth(self, partition: int | None = None) -> int:
        return 0

    def needed(self, partition: int) -> int:
        return 3


def row(i: int, **status: Any) -> StreamRow:
    spec = b'{"learner":{"kind":"rolling_zscore"},"indicators":[{"kind":"adwin"}],"threshold":0.5}'
    status = {
        "learning": "learning",
        "anomaly_score": 0.0,
        "anomalies": i,
        "received_at": "2026-01-01T00:00:00.25Z",
        "newest_ts": "2025-01-01T00:00:00Z",
        "last_anomaly": {"event_id": f"e{i}", "offset": 1, "ts": "2026-01-01T00:00:00Z"},
        "drifts": {"adwin": 2},
        "labeled": 7,
        "quality": {"task": "anomaly", "overall": {"f1": 0.5}, "window": {"f1": 0.5}},
        "forecast": {"feature": "v", "observed": 1.5, "yhat": 1.4, "yhat_lower": None},
        "signals": {f"signal_{k}": k / 7 for k in range(10)},
    } | status
    return StreamRow(i, f"stream-{i:05}", spec, 1, 0.0, first_spec=spec, offset=10, status=status)


def shown(metrics: Metrics, modern: bool = False) -> str:
    encode, _ = choose_encoder(MODERN["Accept"] if modern else "")
    return metrics.expose(encode, modern, metrics.rows()).decode()


def test_a_stream_in_quarantine_comes_first() -> None:
    metrics = Metrics(max_streams=2)
    rows = [row(i, anomaly_score=i / 10) for i in range(9)]
    rows.append(row(9, learning="quarantined", anomaly_score=None))
    metrics.watch(Shelf(rows), [])  # type: ignore[arg-type]
    assert [each.uid for each in metrics.chosen(rows)] == [9, 8]
    metrics.peaks.note(3, 0.95)
    assert [each.uid for each in metrics.chosen(rows)] == [9, 3]


@pytest.mark.parametrize("modern", [False, True])
def test_a_scrape_is_quick(modern: bool) -> None:
    metrics = Metrics(max_streams=500)
    metrics.watch(Shelf([row(i) for i in range(2_000)]), [])  # type: ignore[arg-type]
    took = []
    for _ in range(3):
        begun = time.thread_time()
        text = shown(metrics, modern)
        took.append(time.thread_time() - begun)
    assert text.count("\nsynaptide_anomalies_total{") == 500
    assert min(took) < 0.25


def test_metrics_can_be_read_before_there_is_a_journal() -> None:
    assert "\nsynaptide_build_info{" in shown(Metrics())


# What is written


@pytest.mark.parametrize("modern", [False, True])
def test_what_is_not_known_has_no_sample(modern: bool) -> None:
    metrics = Metrics()
    unknown = {"f1": math.nan, "recall": math.inf}
    quality = {"overall": unknown, "window": unknown | {"accuracy": 0.75}}
    rows = [row(1, status={}, quality=quality), replace(row(2), name="new", offset=0, status={})]
    metrics.watch(Shelf(rows), [])  # type: ignore[arg-type]
    families = (parse_modern if modern else parse_plain)(shown(metrics, modern))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if "stream" in sample.labels
    }
    assert all(math.isfinite(each) for each in found.values())
    one, new = "stream-00001", "new"
    assert found["synaptide_quality", one, "accuracy", "window"] == 0.75
    assert found["synaptide_stream_error_rolling_ratio", one] == 0.25
    assert ("synaptide_quality", one, "f1", "window") not in found
    assert ("synaptide_prediction_lower", one) not in found
    assert ("synaptide_anomaly_score", new) not in found
    assert found["synaptide_stream_last_event_timestamp_seconds", one] == 1767225600.25
    assert found["synaptide_stream_newest_event_time_seconds", one] == 1735689600
    # Counters begin at 0, or the first thing to be counted would not show as an increase.
    for name in ("anomalies_total", "stream_events_total", "labeled_events_total"):
        assert found[f"synaptide_{name}", new] == 0
    assert found["synaptide_drifts_detected_total", new, "adwin"] == 0
    assert found["synaptide_drifts_detected_total", one, "adwin"] == 2
    states = [key[2] for key, each in found.items() if key[0].endswith("learning_state") and each]
    assert sorted(states) == ["learning", "warming"]


def test_a_paused_stream_should_stop() -> None:
    metrics = Metrics()
    rows = [row(1, learning="paused"), row(2, signals={"should_stop": 1.0}), row(3)]
    metrics.watch(Shelf(rows), [])  # type: ignore[arg-type]
    text = shown(metrics)
    for i, wanted in ((1, "1.0"), (2, "1.0"), (3, "0.0")):
        assert f'\nsynaptide_stream_should_stop{{stream="stream-0000{i}"}} {wanted}\n' in text
    assert '\nsynaptide_learning_state{stream="stream-00001",state="paused"} 1.0\n' in text
    assert '\nsynaptide_learning_state{stream="stream-00001",state="learning"} 0.0\n' in text


def test_names_that_clients_choose_are_read_back_whole(server: str) -> None:
    hand = Hand(server, "escaped")
    hand.put(SPEC | {"indicators": [{"kind": "missing_values"}]})
    names = ['a"b', "c\\d", "e\nf", "g}h", "i,j", "ü"]
    hand.post([event(i, x=dict.fromkeys(names, 1.0)) for i in range(3)])
    for modern in (False, True):
        found = {
            each.labels["signal"]
            for each in samples(server, "?stream=escaped", modern)
            if each.name == "synaptide_signal"
        }
        assert {f"missing_x.{name}" for name in names} <= found


def test_a_stream_of_many_features_has_few_signals(server: str) -> None:
    hand = Hand(server, "wide")
    hand.put(SPEC | {"indicators": [{"kind": "missing_values"}]})
    hand.post([event(i, x={f"v{k}": 1.0 for k in range(60)}) for i in range(3)])
    signals = [each for each in samples(server, "?stream=wide") if each.name == "synaptide_signal"]
    assert len(signals) == MAX_SIGNALS


# Exemplars


def test_exemplars_name_the_event_as_far_as_there_is_room(server: str) -> None:
    hand = Hand(server, "named")
    hand.put(SPEC | {"indicators": [], "threshold": 0.0})
    room = MAX_EXEMPLAR_CHARACTERS - len("event_id")
    for event_id, wanted in (
        ("short", {"event_id": "short", "stream": "named"}),
        ('a"quoted', None),
        ("with\\backslash", None),
        ("m" * room, {"event_id": "m" * room}),
        ("l" * (room + 1), None),
    ):
        hand.post([event(i) for i in range(20)])
        hand.post(event(30, id=event_id))
        assert exemplar_labels(event_id, "named") == wanted
        (anomalies,) = [
            each
            for each in samples(server, "?stream=named", modern=True)
            if each.name == "synaptide_anomalies_total"
        ]
        assert (anomalies.exemplar.labels if anomalies.exemplar else None) == wanted
    assert "# {" not in ask(server, "GET", "/metrics").body.decode()


def test_the_latency_of_an_answer_names_its_event() -> None:
    def named(line: bytes) -> dict[str, str] | None:
        metrics = Metrics()
        metrics.latency.observe("http", "boiler", line, 0.002)
        found = [
            sample.exemplar.labels
            for family in parse_modern(shown(metrics, modern=True))
            for sample in family.samples
            if sample.exemplar
        ]
        return found[0] if found else None

    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.3, 60.0):
        metrics.latency.observe("http", "boiler", b"", seconds)
    text = shown(metrics)
    for bound, count in (("0.001", 2), ("0.25", 2), ("0.5", 3), ("30.0", 3), ("+Inf", 4)):
        sample = f'_bucket{{le="{bound}",transport="http"}} {count}.0'
        assert f"\nsynaptide_event_latency_seconds{sample}\n" in text
    assert '\nsynaptide_event_latency_seconds_sum{transport="http"} 60.3015\n' in text
    assert '\nsynaptide_event_latency_seconds_count{transport="http"} 4.0\n' in text

    assert named(b'{"event_id":"@7","offset":7}') == {"event_id": "@7", "stream": "boiler"}
    assert named(b'{"status":422,"event_id":"x"}') is None
    assert named(b'{"event_id":"a\\"b","offset":7}') is None
    assert named(b'{"event_id":"%b","offset":7}' % (b"x" * 200)) is None


# What is counted


def test_requests_are_counted_by_route(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, max_body_bytes=1_000) as url:
        hand = Hand(url, "counted")
        hand.put()
        hand.post([event(i) for i in range(3)])
        hand.post({"x": "word"}, 422)
        hand.ask("post_events", 413, b'{"x":{"v":1}}' + b" " * 1_000)
        ask(url, "GET", "/nowhere/counted")
        ask(url, "PROPFIND", "/livez")

        def count(method: str, route: str, status: str) -> float | None:
            return value(url, "http_requests_total", method=method, route=route, status=status)

        assert count("PUT", "/v1/streams/{stream}", "2xx") == 1
        assert count("POST", "/v1/streams/{stream}/events", "2xx") == 1
        assert count("POST", "/v1/streams/{stream}/events", "4xx") == 2
        assert count("GET", "other", "4xx") == 1
        assert count("other", "/livez", "4xx") == 1
        assert value(url, "events_rejected_total", reason="too_large") == 1
        with urlopen(f"{url}/v1/streams/counted/live") as reply:  # Which has no end.
            reply.readline()
            assert count("GET", "/v1/streams/{stream}/live", "2xx") == 1
        names = {each.labels.get("route", "") for each in samples(url)}
        assert not any("counted" in name or "nowhere" in name for name in names)


def test_what_the_service_fails_on_is_counted(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError("a mistake")

    with serving(tmp_path) as url:
        with monkeypatch.context() as patched:
            patched.setattr(operations, "choose_encoder", mistaken)
            Hand(url, "").ask("get_metrics", 500)
        labels = {"method": "GET", "route": "/metrics"}
        assert value(url, "http_requests_total", status="5xx", **labels) == 1
        assert value(url, "http_requests_total", status="2xx", **labels) == 1


def test_snapshots_dead_letters_and_the_start_are_counted(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        hand = Hand(url, "kept")
        hand.put()
        begun = value(url, "last_checkpoint_timestamp_seconds", partition="0")
        assert begun is not None
        assert abs(time.time() - begun) < 120
        assert value(url, "checkpoint_bytes_count") == 0
        hand.post([event(i) for i in range(3)])
        hand.post(event(4, x={"v": "word"}), 422)
        hand.ask("post_snapshot", 201)
        assert value(url, "checkpoint_bytes_count") == 1
        kept = value(url, "last_checkpoint_timestamp_seconds", partition="0")
        assert kept is not None
        assert kept > begun
        assert value(url, "events_dead_lettered_total", reason="invalid") == 1
        assert value(url, "takeover_duration_seconds_count") == 1
        assert value(url, "partition_owned", partition="0") == 1
        assert value(url, "partition_epoch", partition="0") == 1


def test_a_stream_that_is_written_out_keeps_its_series(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path, max_learners_bytes=1) as url:
        for name in ("first", "second"):
            hand = Hand(url, name)
            hand.put({**SPEC, "indicators": [{"kind": "anomaly_likelihood"}]})
            hand.post([event(i) for i in range(30)])
        while value(url, "streams_in_memory") != 1:  # The reply to an event comes before that.
            time.sleep(0.01)
        assert value(url, "streams") == 2
        assert value(url, "learners_memory_limit_bytes") == 1
        held = value(url, "learners_memory_bytes")
        assert held is not None
        assert held > 1
        assert value(url, "stream_events_total", stream="first") == 30
        assert value(url, "anomaly_score", stream="first") is not None


def test_only_results_that_are_gone_are_missed() -> None:
    metrics = Metrics()
    metrics.missed(QueueFull("full"), 3)
    metrics.missed(ResultsExpired("gone", oldest=11), 3)
    assert "\nsynaptide_subscriber_dropped_results_total 7.0\n" in shown(metrics)
