"""What comes in wrong: every answer is a problem, none is a 500, and the stream learns on."""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import pytest
import zstandard
from safetensors.numpy import save
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.container import MAGIC
from service.formats import FORMAT
from tests.conftest import Serving
from tests.service.raw import JSON, NDJSON, Answer, ask, close_code, opened

NUMBERS = "/v1/streams/numbers"
EVENTS = f"{NUMBERS}/events"
SMALL: dict[str, Any] = {
    "kind": "sequence_memory",
    "columns": 64,
    "active_columns": 4,
    "cells_per_column": 4,
    "max_segments": 256,
    "activation_threshold": 3,
    "matching_threshold": 2,
}


@pytest.fixture(scope="module")
def url(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with low limits and one stream, `numbers`, that has learned a little."""
    with serving(
        tmp_path_factory.mktemp("bad"),
        max_body_bytes=300_000,
        max_frame_bytes=200_000,
        max_snapshot_bytes=4 << 20,
        max_stream_bytes=64 << 20,
        results_kept=10,
        socket_credits=8,
    ) as url:
        spec = {
            "learner": {"kind": "rolling_zscore", "window": 20},
            "late": {"policy": "rejected", "tolerance_seconds": 10},
        }
        for name in ("numbers", "late-scored"):
            if name == "late-scored":
                spec["late"] = {"policy": "scored_only"}
            made = ask(url, "PUT", f"/v1/streams/{name}", JSON, json.dumps(spec))
            assert made.status == 201, made.body
        for i in range(20):
            learned(url, "numbers", i)
            learned(url, "late-scored", i)
        yield url


def learned(url: str, stream: str = "numbers", value: float = 1.0) -> int:
    """Post a good event; return its offset."""
    body = json.dumps({"x": {"v": value}})
    answer = ask(url, "POST", f"/v1/streams/{stream}/events", JSON, body)
    assert answer.status == 200, answer.body
    return int(answer.json["offset"])


def offset_of(url: str, stream: str = "numbers") -> int:
    return int(ask(url, "GET", f"/v1/streams/{stream}/state").json["offset"])


def is_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is this problem, and return it."""
    assert answer.status == status, answer.body[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert problem["code"] == code, problem
    assert problem["type"] == f"urn:synaptide:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


class Row(NamedTuple):
    """One line of the table; `says` is a part of the answer."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    code: str
    says: str = ""


def event(name: str, body: str | bytes, status: int, code: str, says: str = "") -> Row:
    return Row(name, "POST", EVENTS, JSON, body, status, code, says)


def value(name: str, text: str, status: int = 400, code: str = "malformed-body") -> Row:
    return event(f"value {name}", '{"x":{"v":' + text + "}}", status, code)


def spec(name: str, body: Any, status: int, code: str, says: str = "") -> Row:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Row(f"spec {name}", "PUT", "/v1/streams/new", JSON, text, status, code, says)


def get(name: str, path: str, status: int, code: str, **headers: str) -> Row:
    named = {key.replace("_", "-"): text for key, text in headers.items()}
    return Row(name, "GET", path, named, None, status, code)


def zscore(**params: Any) -> dict[str, Any]:
    return {"learner": {"kind": "rolling_zscore"} | params}


INVALID = (422, "invalid-input")
MALFORMED = (400, "malformed-body")

VALUES = [
    value("NaN", "NaN", *INVALID),
    value("nan", "nan"),
    value("Infinity", "Infinity", *INVALID),
    value("-Infinity", "-Infinity", *INVALID),
    value("inf", "inf"),
    value("1e999", "1e999", *INVALID),
    value("-1e999", "-1e999", *INVALID),
    value("string NaN", '"NaN"', 422, "invalid-event"),
    value("string", '"12"', 422, "invalid-event"),
    value("bool", "true", *INVALID),
    value("list", "[1]", *INVALID),
    value("object", '{"a":1}', *INVALID),
    value("5 000 digits", "9" * 5_000),
    value("bare word", "undefined"),
    value("leading zero", "01"),
    value("hexadecimal", "0x1F"),
    value("lone surrogate", r'"\ud800"'),
    value("raw NUL in a string", '"a\0b"'),
    value("very long string", '"' + "a" * 2_000 + '"', *INVALID),
]

EVENT_ROWS = [
    event("duplicate key", '{"x":{"v":1},"x":{"v":2}}', *INVALID, "more than once"),
    event("duplicate feature", '{"x":{"v":1,"v":2}}', *INVALID, "more than once"),
    event("duplicate escaped", r'{"x":{"v":1,"\u0076":2}}', *INVALID, "more than once"),
    event("duplicate id", '{"id":"a","x":{"v":1},"id":"b"}', *INVALID, "more than once"),
    event("surrogate in a name", r'{"x":{"\udfff":1}}', *MALFORMED),
    event("raw surrogate", b'{"x":{"v\xed\xa0\x80":1}}', *MALFORMED),
    event("not UTF-8", b'{"x":{"v\xff":1}}', *MALFORMED),
    event("NUL in an id", r'{"id":"\u0000","x":{"v":1}}', *INVALID),
    event("id of the service's", '{"id":"@1","x":{"v":1}}', *INVALID),
    event("long id", json.dumps({"id": "i" * 201, "x": {"v": 1}}), *INVALID),
    event("empty id", '{"id":"","x":{"v":1}}', *INVALID),
    event("number as id", '{"id":7,"x":{"v":1}}', *INVALID),
    event("unknown field", '{"x":{"v":1},"value":3}', *INVALID, "/value"),
    event("unknown field, huge", json.dumps({"x": {"v": 1}, "q" * 99_999: 3}), *INVALID),
    event("no x", "{}", *INVALID, "/x"),
    event("x is null", '{"x":null}', *INVALID),
    event("x is a list", '{"x":[["v",1]]}', *INVALID),
    event("no features", '{"x":{}}', *INVALID),
    event("empty feature name", '{"x":{"":1}}', *INVALID),
    event("10 000 features", json.dumps({"x": {f"f{i}": i for i in range(10_000)}}), *INVALID),
    event("y is a list", '{"x":{"v":1},"y":[1]}', *INVALID),
    event("time is a word", '{"ts":"yesterday","x":{"v":1}}', *INVALID, "/ts"),
    event("time is a bool", '{"ts":true,"x":{"v":1}}', *INVALID, "/ts"),
    event("time beyond all years", '{"ts":1e300,"x":{"v":1}}', *INVALID, "/ts"),
    event("time NaN", '{"ts":NaN,"x":{"v":1}}', *INVALID, "/ts"),
    event("time before year 1", '{"ts":"0001-01-01T00:00:00+14:00","x":{"v":1}}', *INVALID, "/ts"),
    event("time going backwards", '{"ts":1,"x":{"v":1}}', 422, "late-event"),
    event("deep arrays", '{"x":' + "[" * 100_000, *MALFORMED),
    event("deep arrays, closed", '{"x":' + "[" * 90_000 + "]" * 90_000 + "}", *MALFORMED),
    event("deep arrays, ajar", "[" * 100_000 + "]" * 99_999, *MALFORMED),
    event("brackets that close too soon", '[{"x":{"v":1}}}]', *MALFORMED),
    event("array and more", '[{"x":{"v":1}}]5', *MALFORMED),
    event("string without an end", r'[{"x":{"v":"\"}}]', *MALFORMED),
    event("deep objects", '{"x":' * 20_000 + "1" + "}" * 20_000, *MALFORMED),
    event("BOM", b'\xef\xbb\xbf{"x":{"v":1}}', *MALFORMED),
    event("UTF-16", '{"x":{"v":1}}'.encode("utf-16"), *MALFORMED),
    event("empty body", b"", *MALFORMED),
    event("blank body", b" \n", *MALFORMED),
    event("a number", b"5", *INVALID),
    event("a string", b'"x"', *INVALID),
    event("null", b"null", *INVALID),
    event("cut short", b'{"x":{"v":1}', *MALFORMED),
    event("two documents", b'{"x":{"v":1}}{"x":{"v":1}}', *MALFORMED),
    event("trailing comma", b'{"x":{"v":1,}}', *MALFORMED),
    event("single quotes", b"{'x':{'v':1}}", *MALFORMED),
    event("array cut short", b'[{"x":{"v":1}},', *MALFORMED),
    Row("form", "POST", EVENTS, {"Content-Type": "text/plain"}, b"v=1", 415, "unsupported-media"),
    Row("no content type", "POST", EVENTS, {}, b'{"x":{"v":1}}', 415, "unsupported-media"),
    Row(
        "gzip",
        "POST",
        EVENTS,
        JSON | {"Content-Encoding": "gzip"},
        gzip.compress(b'{"x":{"v":1}}'),
        415,
        "unsupported-media",
    ),
    event("oversize", b" " * 300_001, 413, "too-large"),
    Row("bad ack", "POST", f"{EVENTS}?ack=soon", JSON, b'{"x":{"v":1}}', *INVALID, "ack"),
    Row("bad atomic", "POST", f"{EVENTS}?atomic=1", JSON, b'{"x":{"v":1}}', *INVALID, "atomic"),
    Row(
        "atomic with a broken line",
        "POST",
        f"{EVENTS}?atomic=true",
        NDJSON,
        b'{"x":{"v":1}}\nnope\n{"x":{"v":2}}',
        *INVALID,
        '"line":2',
    ),
    Row(
        "atomic with a broken element",
        "POST",
        f"{EVENTS}?atomic=true",
        JSON,
        b'[{"x":{"v":1}},{"x":3}]',
        *INVALID,
        '"line":2',
    ),
]

SPEC_ROWS = [
    spec("empty", "", *MALFORMED),
    spec("list", [], *INVALID),
    spec("without learner", {}, *INVALID, "/learner"),
    spec("unknown field", zscore() | {"treshold": 0.4}, *INVALID, "/treshold"),
    spec("unknown parameter", zscore(windw=3), *INVALID, "windw"),
    spec("unknown kind", {"learner": {"kind": "oracle"}}, 422, "unknown-kind", "rolling_zscore"),
    spec("no kind", {"learner": {}}, 422, "unknown-kind", "sequence_memory"),
    spec("kind is a list", {"learner": {"kind": ["x"]}}, 422, "unknown-kind", "sequence_memory"),
    spec("learner is a string", {"learner": "rolling_zscore"}, *INVALID),
    spec(
        "unknown indicator",
        zscore() | {"indicators": [{"kind": "oracle"}]},
        422,
        "unknown-kind",
        "anomaly_likelihood",
    ),
    spec("window as text", zscore(window="20"), *INVALID, "/window: Input should be a valid int"),
    spec("window as bool", zscore(window=True), *INVALID, "/window: Input should be a valid int"),
    spec("window as float", zscore(window=2.5), *INVALID, "/window: Input should be a valid int"),
    spec("long integer", '{"learner":{"kind":"rolling_zscore","window":' + "9" * 5_000 + "}}",
         *MALFORMED),
    spec("integer beyond 64 bits", zscore(window=10**30), 422, "too-much-memory"),
    spec(
        "option that there is not",
        {"learner": {"kind": "plastic_network", "options": {"clasp": {}}}},
        *INVALID,
        "clasp",
    ),
    spec(
        "parameter of an option",
        {"learner": {"kind": "plastic_network", "options": {"classp": {"power": 9}}}},
        *INVALID,
        "classp.power",
    ),
    spec(
        "huge memory",
        zscore(window=10_000_000, max_features=4_096),
        422,
        "too-much-memory",
        '"memory_bytes_estimate":3',
    ),
    spec("threshold above 1", zscore() | {"threshold": 1.5}, *INVALID, "/threshold"),
    spec("threshold NaN", '{"learner":{"kind":"rolling_zscore"},"threshold":NaN}', *INVALID),
    spec("duplicate key", '{"learner":{"kind":"rolling_zscore","kind":"rolling_zscore"}}',
         *INVALID, "more than once"),
    spec("surrogate in the title", '{"learner":{"kind":"rolling_zscore"},"title":"\\ud800"}',
         *MALFORMED),
    spec("deep", '{"learner":' + "[" * 100_000, *MALFORMED),
    spec("nine indicators", zscore() | {"indicators": [{"kind": "anomaly_likelihood"}] * 9},
         *INVALID),
    spec("oversize", " " * 300_001, 413, "too-large"),
]  # fmt: skip

PUT_SPEC = json.dumps(zscore())
NAME_ROWS = [
    Row(f"name {name}", "PUT", f"/v1/streams/{path}", JSON, PUT_SPEC, status, code)
    for name, path, status, code in [
        ("with a space", "a%20b", *INVALID),
        ("with a slash", "a%2Fb", 404, "not-found"),
        ("Unicode", "%C3%BCber", *INVALID),
        ("too long", "a" * 129, *INVALID),
        ("leading dot", ".hidden", *INVALID),
        ("line break", "a%0A", *INVALID),
        ("NUL", "a%00", *INVALID),
        ("not UTF-8", "%FF%FE", *INVALID),
        ("dots", "..%2e", *INVALID),
    ]
]

ROUTE_ROWS = [
    get("unknown stream", "/v1/streams/nobody", 404, "stream-not-found"),
    get("unknown stream's results", "/v1/streams/nobody/results", 404, "stream-not-found"),
    get("unknown stream's live", "/v1/streams/nobody/live", 404, "stream-not-found"),
    get("unknown stream's state", "/v1/streams/nobody/state", 404, "stream-not-found"),
    Row("unknown stream's events", "POST", "/v1/streams/nobody/events", JSON, b'{"x":{"v":1}}',
        404, "stream-not-found"),
    Row("delete unknown", "DELETE", "/v1/streams/nobody", {}, None, 404, "stream-not-found"),
    Row("snapshot unknown", "POST", "/v1/streams/nobody/snapshots", {}, None, 404,
        "stream-not-found"),
    get("unknown snapshot", f"{NUMBERS}/snapshots/999", 404, "snapshot-not-found"),
    get("snapshot by name", f"{NUMBERS}/snapshots/last", *INVALID),
    get("snapshot beyond 64 bits", f"{NUMBERS}/snapshots/{10**30}", *INVALID),
    get("snapshot of a long number", f"{NUMBERS}/snapshots/{'9' * 5_000}", *INVALID),
    get("Last-Event-ID word", f"{NUMBERS}/live", *INVALID, Last_Event_ID="abc"),
    get("Last-Event-ID negative", f"{NUMBERS}/live", *INVALID, Last_Event_ID="-1"),
    get("Last-Event-ID long", f"{NUMBERS}/live", *INVALID, Last_Event_ID="9" * 500),
    get("Last-Event-ID superscript", f"{NUMBERS}/live", *INVALID, Last_Event_ID="\xb2"),
    get("after a word", f"{NUMBERS}/results?after=x", *INVALID),
    get("after negative", f"{NUMBERS}/results?after=-1", *INVALID),
    get("after too large", f"{NUMBERS}/results?after={2**60}", *INVALID),
    get("after NaN", f"{NUMBERS}/results?after=nan", *INVALID),
    get("limit 0", f"{NUMBERS}/results?limit=0", *INVALID),
    get("limit too large", f"{NUMBERS}/results?limit=10001", *INVALID),
    Row("wrong method", "PATCH", NUMBERS, JSON, b"{}", 405, "method-not-allowed"),
    get("events cannot be got", EVENTS, 405, "method-not-allowed"),
    get("unknown route", "/v2/streams", 404, "not-found"),
    get("climbing out", "/v1/streams/../../etc/passwd", 404, "not-found"),
    Row("learning: other state", "PUT", f"{NUMBERS}/learning", JSON, b'{"state":"off"}', *INVALID),
    Row("learning: empty", "PUT", f"{NUMBERS}/learning", JSON, b"", *MALFORMED),
    Row("learning: more", "PUT", f"{NUMBERS}/learning", JSON, b'{"state":"learning","a":1}',
        *INVALID, '"/a"'),
]  # fmt: skip


def sealed(start: bytes) -> bytes:
    return start + blake2b(start, digest_size=16).digest()


def container(head: bytes, frame: bytes) -> bytes:
    return sealed(MAGIC + struct.pack("<I", len(head)) + head + frame)


BOMB = zstandard.ZstdCompressor().compress(bytes(64 << 20))
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(save({}))
EMPTY = zstandard.ZstdCompressor().compress(save({}))


def restore(
    name: str, blob: bytes, says: str, status: int = 422, code: str = "bad-snapshot"
) -> Row:
    return Row(f"restore {name}", "POST", f"{NUMBERS}/restore", {}, blob, status, code, says)


RESTORE_ROWS = [
    restore("nothing", b"", "begins"),
    restore("not ours", b"\x80\x04\x95" + b"cos\nsystem\n" * 9, "begins"),
    restore("magic alone", MAGIC, "checksum"),
    restore("long header", sealed(MAGIC + struct.pack("<I", 2**31) + b"{}"), "header"),
    restore("bomb", container(b"{}", BOMB), "inflated"),
    restore("unknown size", container(b"{}", UNSIZED), "inflated"),
    restore("no format", container(b"{}", EMPTY), "format"),
    restore("no spec", container(b'{"format":%d}' % FORMAT, EMPTY), "spec"),
    restore("oversize", bytes((4 << 20) + 1), "", 413, "too-large"),
]

TABLE = [*VALUES, *EVENT_ROWS, *SPEC_ROWS, *NAME_ROWS, *ROUTE_ROWS, *RESTORE_ROWS]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "-"))
def test_it_is_refused_and_the_stream_learns_on(url: str, row: Row) -> None:
    before = offset_of(url)
    answer = ask(url, row.method, row.path, row.headers, row.body)
    problem = is_problem(answer, row.status, row.code)
    assert row.says in answer.body.decode()
    assert len(answer.body) < 6_000, "the input came back"
    assert "Traceback" not in json.dumps(problem)
    assert learned(url) == before + 1


def sequence(**params: Any) -> dict[str, Any]:
    return {"learner": SMALL | params}


def likelihood(**params: Any) -> dict[str, Any]:
    indicators: list[Any] = [{"kind": "anomaly_likelihood"}, {"kind": "anomaly_likelihood"}]
    indicators[1] |= params
    return zscore() | {"indicators": indicators}


@pytest.mark.parametrize(
    ("spec", "pointer", "says"),
    [
        (zscore(window=-4), "/learner/window", "got -4, expected 2.."),
        (zscore(window=10, min_samples=11), "/learner/min_samples", "window (10)"),
        (zscore(max_features=0), "/learner/max_features", "got 0"),
        (
            sequence(active_columns=65),
            "/learner/active_columns",
            "got 65, expected 1..columns (64)",
        ),
        (sequence(activation_threshold=5), "/learner/activation_threshold", "active_columns (4)"),
        (sequence(horizons=[3, 1]), "/learner/horizons", "got (3, 1)"),
        (sequence(horizons=[1, 1]), "/learner/horizons", "got (1, 1)"),
        (sequence(horizons=[]), "/learner", "empty"),
        (sequence(value_bits=126), "/learner/value_bits", "value_on_bits (21)"),
        (sequence(initial_permanence=1e308), "/learner", "infinity"),
        (sequence(seed=-1), "/learner/seed", "got -1"),
        (sequence(feature=""), "/learner/feature", "got ''"),
        (sequence(eviction="never"), "/learner/eviction", "got 'never'"),
        (likelihood(averaging=0), "/indicators/1/averaging", "got 0"),
        (likelihood(history=10, averaging=11), "/indicators/1/averaging", "history (10)"),
        (likelihood(learning_period=2**63), "/indicators/1", "too large"),
        (likelihood(learning_period=10**400), "/indicators/1", "too large"),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_parameters_that_contradict_each_other(
    url: str, spec: dict[str, Any], pointer: str, says: str
) -> None:
    problem = is_problem(ask(url, "PUT", "/v1/streams/new", JSON, json.dumps(spec)), *INVALID)
    assert problem["errors"][0]["pointer"] == pointer
    assert len(problem["errors"]) == 1
    assert says in problem["detail"]
    is_problem(ask(url, "GET", "/v1/streams/new"), 404, "stream-not-found")


@pytest.mark.parametrize("params", [{}, {"active_columns": 64}, {"horizons": [1, 3]}])
def test_parameters_that_do_not(url: str, params: dict[str, Any]) -> None:
    body = json.dumps(sequence(**params))
    assert ask(url, "PUT", "/v1/streams/fits", JSON, body).status == 201
    assert learned(url, "fits") == 1
    assert ask(url, "DELETE", "/v1/streams/fits").status == 204


def test_a_body_without_a_length_is_cut_off(url: str) -> None:
    answer = ask(url, "POST", EVENTS, JSON, (b" " * 50_000 for _ in range(7)))
    is_problem(answer, 413, "too-large")
    assert ask(url, "POST", EVENTS, JSON, iter([b'{"x":', b'{"v":1}}'])).status == 200


def test_a_broken_line_is_named_and_the_others_are_applied(url: str) -> None:
    before = offset_of(url)
    body = b'{"x":{"v":1}}\n\n{"x":{"v":NaN}}\r\n{"x":{"v":"a"}}\n{"x":{"v":2}}'
    answer = ask(url, "POST", EVENTS, NDJSON, body)
    assert answer.status == 207
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line.get("offset") for line in lines] == [before + 1, None, None, before + 2]
    assert [line.get("line") for line in lines] == [None, 3, 4, None]
    assert [line.get("code") for line in lines[1:3]] == ["invalid-input", "invalid-event"]
    assert lines[1]["errors"][0]["line"] == 3
    assert offset_of(url) == before + 2


def test_a_broken_element_is_named_and_the_others_are_applied(url: str) -> None:
    before = offset_of(url)
    answer = ask(url, "POST", EVENTS, JSON, b'[{"x":{"v":1}},5,{"x":{"v":2,"v":3}},{"x":{"v":2}}]')
    assert answer.status == 207
    assert [each.get("line") for each in answer.json] == [None, 2, 3, None]
    assert offset_of(url) == before + 2


LONE: list[tuple[str, bytes, int]] = [
    ("long integer", b'{"x":{"v":' + b"9" * 5_000 + b"}}", 400),
    ("long integer of no event", b"9" * 5_000, 400),
    ("long negative integer", b'{"x":{"v":-' + b"9" * 5_000 + b"}}", 400),
    ("long integer as y", b'{"x":{"v":1},"y":' + b"9" * 5_000 + b"}", 400),
    ("4 300 digits", b'{"x":{"v":' + b"9" * 4_300 + b"}}", 422),
    ("1e400", b'{"x":{"v":1e400}}', 422),
    ("NaN", b'{"x":{"v":NaN}}', 422),
    ("-Infinity", b'{"x":{"v":-Infinity}}', 422),
    ("lone surrogate", rb'{"x":{"v":"\ud800"}}', 400),
    ("lone surrogate as a key", rb'{"x":{"\udfff":1}}', 400),
    ("NUL", b'{"x":{"v":"\0"}}', 400),
    ("NUL in an id", rb'{"id":"\u0000a","x":{"v":1}}', 422),
    ("BOM", b'\xef\xbb\xbf{"x":{"v":1}}', 400),
    ("not UTF-8", b'{"x":{"v\xff":1}}', 400),
    ("cut UTF-8", b'{"x":{"v\xe2\x82":1}}', 400),
    ("encoded surrogate", b'{"x":{"v\xed\xa0\x80":1}}', 400),
    ("deep arrays", b"[" * 50_000 + b"]" * 50_000, 400),
    ("deep arrays in x", b'{"x":{"v":' + b"[" * 50_000 + b"]" * 50_000 + b"}}", 400),
    ("deep objects", b'{"x":' * 20_000 + b"1" + b"}" * 20_000, 400),
    ("900 deep", b"[" * 900 + b"]" * 900, 400),
    ("150 deep", b'{"x":' + b"[" * 150 + b"]" * 150 + b"}", 422),
    ("duplicate key", b'{"x":{"v":1,"v":2}}', 422),
    ("duplicate key, escaped", rb'{"x":{"v":1,"\u0076":2}}', 422),
    ("huge string", b'{"x":{"v":"' + b"a" * 100_000 + b'"}}', 422),
    ("huge name", b'{"x":{"' + b"a" * 100_000 + b'":1}}', 422),
    ("word", b"nope", 400),
    ("brackets in a string", rb'{"x":{"v":true,"]}\"[{":2}}', 422),
    ("string", rb'"}],{[\\"', 422),
]
"""Events that are refused, each alone: what stands beside them is taken, in whatever form."""
GOOD = b'{"x":{"v":1}}'
lone = pytest.mark.parametrize(("broken", "status"), [row[1:] for row in LONE],
                               ids=[row[0].replace(" ", "-") for row in LONE])  # fmt: skip


def refused_alone(results: list[dict[str, Any]], before: int, status: int) -> None:
    """Check that of three events the one in the middle was refused, and it alone."""
    first, bad, last = results
    assert (first["offset"], last["offset"]) == (before + 1, before + 2)
    assert (bad["status"], bad["line"]) == (status, 2)
    assert bad["code"] == ("malformed-body" if status == 400 else "invalid-input")
    assert bad["errors"][0]["line"] == 2
    assert len(json.dumps(bad)) < 1_000, "the input came back"


@lone
def test_a_broken_event_is_refused_alone_in_an_array(url: str, broken: bytes, status: int) -> None:
    before = offset_of(url)
    answer = ask(url, "POST", EVENTS, JSON, b"[%b, %b ,%b]" % (GOOD, broken, GOOD))
    assert answer.status == 207
    refused_alone(answer.json, before, status)
    answer = ask(url, "POST", f"{EVENTS}?atomic=true", JSON, b"[%b,%b]" % (GOOD, broken))
    assert is_problem(answer, *INVALID)["errors"][0]["line"] == 2
    assert offset_of(url) == before + 2


@lone
def test_a_broken_event_is_refused_alone_in_lines(url: str, broken: bytes, status: int) -> None:
    before = offset_of(url)
    answer = ask(url, "POST", EVENTS, NDJSON, b"%b\n%b\r\n%b" % (GOOD, broken, GOOD))
    assert answer.status == 207
    refused_alone([json.loads(line) for line in answer.body.splitlines()], before, status)


@lone
def test_a_broken_event_is_refused_in_a_frame(url: str, broken: bytes, status: int) -> None:
    before = offset_of(url)
    with opened(url) as socket:
        socket.recv(10)
        sent = b'{"type":"events","seq":3,"events":[%b, %b ,%b]}' % (GOOD, broken, GOOD)
        socket.send(sent)  # As a binary frame, which may hold what is not UTF-8.
        answer = json.loads(socket.recv(10))
        assert (answer["type"], answer["seq"], answer["credits"]) == ("results", 3, 3)
        refused_alone(answer["results"], before, status)
        socket.send(frame(1.0, seq=4))
        assert json.loads(socket.recv(10))["results"][0]["offset"] == before + 3


@lone
def test_a_broken_event_is_refused_by_itself(url: str, broken: bytes, status: int) -> None:
    before = offset_of(url)
    answer = ask(url, "POST", f"{EVENTS}?ack=logged", JSON, broken)
    if broken.startswith(b"["):
        assert (answer.status, answer.json["accepted"]) == (422, 0)
        answer = Answer(status, answer.headers, json.dumps(answer.json["refused"][0]).encode())
        assert answer.json["status"] == status
    else:
        is_problem(answer, status, "malformed-body" if status == 400 else "invalid-input")
    assert len(answer.body) < 1_000, "the input came back"
    assert learned(url) == before + 1


def test_all_lines_broken(url: str) -> None:
    before = offset_of(url)
    answer = ask(url, "POST", EVENTS, NDJSON, b"nope\n[]\n")
    assert answer.status == 422
    assert [json.loads(line)["line"] for line in answer.body.splitlines()] == [1, 2]
    answer = ask(url, "POST", f"{EVENTS}?ack=logged", NDJSON, b'nope\n{"x":{"v":1}}\n')
    assert (answer.status, answer.json["accepted"]) == (207, 1)
    assert answer.json["refused"][0]["line"] == 1
    assert learned(url) == before + 2


def test_nothing_but_blank_lines(url: str) -> None:
    for headers, body in ((NDJSON, b""), (NDJSON, b"\n\r\n \n"), (JSON, b"[]")):
        assert ask(url, "POST", EVENTS, headers, body).status == 200


def test_a_late_event_is_scored_and_no_more(url: str) -> None:
    before = offset_of(url, "late-scored")
    body = b'{"ts":1000,"x":{"v":1}}'
    late = ask(url, "POST", "/v1/streams/late-scored/events", JSON, body).json
    assert late["late"] is True
    assert late["anomaly_score"] is None
    assert late["raw_score"] is not None
    assert late["offset"] == before + 1
    assert learned(url, "late-scored") == before + 2


def test_a_damaged_snapshot_is_refused(url: str) -> None:
    taken = ask(url, "POST", f"{NUMBERS}/snapshots").json["id"]
    blob = ask(url, "GET", f"{NUMBERS}/snapshots/{taken}").body
    before = offset_of(url)
    flipped = bytearray(blob)
    flipped[len(blob) // 2] ^= 4
    for damaged in (blob[:-1], blob[: len(blob) // 2], bytes(flipped), blob + b"\0"):
        answer = ask(url, "POST", f"{NUMBERS}/restore", {}, damaged)
        is_problem(answer, 422, "bad-snapshot")
    assert learned(url) == before + 1


def test_a_snapshot_of_another_kind_is_refused(url: str) -> None:
    made = ask(
        url, "PUT", "/v1/streams/other", JSON, json.dumps({"learner": {"kind": "sequence_memory"}})
    )
    assert made.status == 201
    taken = ask(url, "POST", "/v1/streams/other/snapshots").json["id"]
    blob = ask(url, "GET", f"/v1/streams/other/snapshots/{taken}").body
    before = offset_of(url)
    is_problem(ask(url, "POST", f"{NUMBERS}/restore", {}, blob), 422, "bad-snapshot")
    assert learned(url) == before + 1


# WebSocket


def frame(*values: float, seq: int = 1) -> str:
    return json.dumps({"type": "events", "seq": seq, "events": [{"x": {"v": v}} for v in values]})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("nope", 1007),
        ("[" * 1_000, 1007),
        ("[" * 100_000, 1007),
        ('{"type":"events","seq":' + "9" * 5_000 + ',"events":[]}', 1007),
        ('{"type":"events","seq":1,"events":[]', 1007),
        ('{"type":"events","seq":1,"events":[{"x":{"v":1}}]]}', 1007),
        ('{"type":"events","seq":1,"events":[]}5', 1007),
        ('{"type":"events","seq":1,"events":[]5}', 1007),
        ('{"type":"events","seq":1,"events":[{]}}', 1007),
        ('{"type":"events",seq:1,"events":[]}', 1007),
        (r'{"type":"events","seq":1,"\ud800":[]}', 1007),
        (r'{"type":"\ud800"}', 1007),
        (b"\xff\xfe", 1007),
        (b'\xef\xbb\xbf{"type":"events","seq":1,"events":[]}', 1007),
        ("", 1007),
        (frame(*range(9)), 1008),
        (" " * 200_001, 1009),
    ],
    ids=[
        "no JSON",
        "deep",
        "very deep",
        "long seq",
        "cut short",
        "closed too soon",
        "trailing",
        "trailing in events",
        "crossed brackets",
        "bare key",
        "surrogate key",
        "surrogate type",
        "bytes",
        "BOM",
        "empty",
        "credits",
        "oversize",
    ],
)
def test_a_frame_that_ends_the_socket(url: str, sent: str | bytes, code: int) -> None:
    before = offset_of(url)
    with opened(url) as socket:
        assert json.loads(socket.recv(10))["credits"] == 8
        socket.send(sent)
        assert close_code(socket) == code
    assert learned(url) == before + 1


@pytest.mark.parametrize(
    "sent",
    [
        '{"type":"dance"}',
        '{"type":["events"]}',
        "{}",
        "[]",
        "5",
        "null",
        '"events"',
        '{"type":"events"}',
        '{"type":"events","seq":1}',
        '{"type":"events","seq":"1","events":[]}',
        '{"type":"events","seq":true,"events":[]}',
        '{"type":"events","seq":NaN,"events":[]}',
        '{"type":"events","seq":1,"events":{}}',
        '{"type":"events","seq":1,"events":[],"atomic":true}',
        '{"type":"follow"}',
        '{"type":"follow","after":"0"}',
        '{"type":"follow","after":-1}',
        '{"type":"follow","after":1000000000000000000000000000000}',
        json.dumps({"type": "x" * 100_000}),
        json.dumps({"type": "events", "seq": "x" * 100_000, "events": []}),
        json.dumps({"type": "events", "seq": 1, "events": [], "u" * 100_000: 1}),
        json.dumps({"type": "events", "seq": 1, "events": []} | {f"u{i}": 1 for i in range(9_999)}),
        '{"type":"events","seq":1,"seq":2,"events":[]}',
        '{"type":"events","seq":1,"events":[{"x":{"v":1}}],"events":[]}',
        r'{"type":"events","seq":1,"events":[],"\u0073eq":1}',
        '{"type":"events","seq":9223372036854775808,"events":[{"x":{"v":1}}]}',
        '{"type":"follow","after":0,"type":"follow","more":1}',
        '{"type":"follow","after":1e400}',
    ],
)
def test_a_frame_that_is_answered_with_a_problem(url: str, sent: str) -> None:
    before = offset_of(url)
    with opened(url) as socket:
        socket.recv(10)
        socket.send(sent)
        text = socket.recv(10)
        assert len(text) < 2_000
        problem = json.loads(text)
        assert problem["type"] == "problem", problem
        assert problem["status"] in (410, 422)
        socket.send(frame(1.0, seq=7))
        results = json.loads(socket.recv(10))
        assert (results["type"], results["seq"]) == ("results", 7)
        assert results["results"][0]["offset"] == before + 1


@pytest.mark.parametrize(
    "broken",
    [
        '{"x":{}}',
        "5",
        '{"x":{"v":NaN}}',
        '{"x":{"v":1,"v":2}}',
        r'{"x":{"v":1,"\u0076":2}}',
        '{"x":{"v":true}}',
        '{"x":[' + "[" * 150 + "]" * 150 + "]}",
    ],
)
def test_a_broken_event_in_a_frame_is_named(url: str, broken: str) -> None:
    before = offset_of(url)
    with opened(url) as socket:
        socket.recv(10)
        good = '{"x":{"v":1}}'
        socket.send('{"type":"events","seq":3,"events":[' + f"{good},{broken},{good}" + "]}")
        answer = json.loads(socket.recv(10))
        assert (answer["type"], answer["seq"], answer["credits"]) == ("results", 3, 3)
        first, bad, last = answer["results"]
        assert (first["offset"], last["offset"]) == (before + 1, before + 2)
        assert (bad["status"] // 100, bad["line"]) == (4, 2)


@pytest.mark.parametrize(
    "sent",
    [
        r'{"type":"\u0065vents","seq":7,"\u0065vents":[{"x":{"v":1}}]}',
        '{"events":[{"x":{"v":1}}],"seq":7,"type":"events"}',
        ' { "events" : [ {"x" : {"v":1} } ] , "seq" : 7 , "type" : "events" } ',
        r'{"events":[{"x":{"events\":[":1,"v":1}}],"seq":7,"type":"events"}',
    ],
)
def test_a_frame_that_is_written_in_another_way(url: str, sent: str) -> None:
    before = offset_of(url)
    for form in (sent, sent.encode(), [sent[:9], sent[9:20], "", sent[20:]], iter(sent)):
        with opened(url) as socket:
            socket.recv(10)
            socket.send(form)  # What is iterated goes as fragments of one frame.
            answer = json.loads(socket.recv(10))
            assert (answer["type"], answer["seq"], len(answer["results"])) == ("results", 7, 1)
            before += 1
            assert answer["results"][0]["offset"] == before


def test_fragments_that_exceed_the_limit_together(url: str) -> None:
    before = offset_of(url)
    with opened(url) as socket:
        socket.recv(10)
        with contextlib.suppress(ConnectionClosed):
            socket.send(" " * 50_000 for _ in range(5))
        assert close_code(socket) == 1009
    assert learned(url) == before + 1


def test_another_origin_is_refused(url: str) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example"):
        with pytest.raises(InvalidStatus) as caught, opened(url, origin=origin):
            pass
        assert caught.value.response.status_code == 403
    with opened(url, origin=url) as socket:
        assert json.loads(socket.recv(10))["type"] == "hello"


@pytest.mark.parametrize("stream", ["nobody", "a%20b", ".hidden", "x" * 500])
def test_a_socket_of_an_unknown_stream(url: str, stream: str) -> None:
    with opened(url, stream) as socket:
        problem = json.loads(socket.recv(10))
        assert (problem["type"], problem["code"]) == ("problem", "stream-not-found")
        assert close_code(socket) == 1008
