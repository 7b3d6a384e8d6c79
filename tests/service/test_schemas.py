"""Wire types: what is read, what is refused, and that the log gives back what went in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInput, MalformedBody, UnknownKind
from service.schemas import (
    Command,
    Event,
    decode_entry,
    encode_entry,
    parse_event,
    parse_events,
    parse_frame,
    parse_spec,
)

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
texts = st.text(st.characters(codec="utf-8"), max_size=30)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | finite | texts
moments = st.none() | st.datetimes(timezones=st.just(UTC))


@given(x=st.dictionaries(names, values, min_size=1, max_size=5), y=values, ts=moments)
def test_the_log_gives_back_the_event(
    x: dict[str, Any], y: float | str | None, ts: datetime | None
) -> None:
    event = Event(id="a", ts=ts, x=x, y=y)
    line = encode_entry(event)
    back = decode_entry(line)
    assert back == event
    assert encode_entry(back) == line


@given(finite)
def test_floats_keep_every_bit(number: float) -> None:
    back = decode_entry(encode_entry(Event(x={"v": number}, y=number)))
    assert isinstance(back, Event)
    for got in (back.x["v"], back.y):
        assert isinstance(got, float)
        assert got.hex() == number.hex()


def test_the_log_gives_back_a_command() -> None:
    command = Command(command="restore", snapshot=3)
    assert decode_entry(encode_entry(command)) == command


@given(st.dictionaries(names, values, min_size=1, max_size=5), st.randoms())
def test_the_order_of_features_is_nothing(x: dict[str, Any], draw: Any) -> None:
    items = list(x.items())
    draw.shuffle(items)
    one, other = ({"x": x}, {"x": dict(items)})
    first, second = (parse_event(json.dumps(each).encode()) for each in (one, other))
    assert encode_entry(first) == encode_entry(second)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        (
            "2026-01-01T01:00:00+02:00",
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        ),
        (1_767_225_600, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_times(text: Any, want: datetime) -> None:
    event = parse_event(json.dumps({"ts": text, "x": {"v": 1}}).encode())
    assert event.ts == want
    assert event.ts is not None
    assert event.ts.tzinfo is UTC


@pytest.mark.parametrize(
    "line",
    [
        b'{"x":{"v":1},"x":{"v":1}}',
        b'{"x":{"v":1,"v":1}}',
        rb'{"x":{"v":1,"\u0076":1}}',
        b'{"ts":"2026-01-01T00:00:00Z","x":{"v":1,"v":1}}',
        b'{"x":{"a:b":"c:d","a:b":""}}',
    ],
)
def test_a_key_that_stands_twice_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidInput, match="more than once"):
        parse_event(line)
    assert parse_events(b"[%b]" % line) is None
    assert parse_frame(b'{"type":"events","seq":1,"events":[%b]}' % line) is None


@given(st.lists(st.dictionaries(names, values, min_size=1, max_size=3), max_size=4))
def test_many_at_once_are_read_as_each_alone(xs: list[dict[str, Any]]) -> None:
    lines = [json.dumps({"x": x}, ensure_ascii=False).encode() for x in xs]
    together = parse_events(b"[" + b",".join(lines) + b"]")
    assert together is None or together == [parse_event(line) for line in lines]


def test_a_spec_writes_its_defaults_out() -> None:
    spec = parse_spec(b'{"learner":{"kind":"rolling_zscore"}}')
    assert parse_spec(spec.to_json()) == spec
    assert json.loads(spec.to_json())["learner"]["window"] == 100


def test_refusals_of_a_spec() -> None:
    with pytest.raises(UnknownKind, match="rolling_zscore") as caught:
        parse_spec(b'{"learner":{"kind":"oracle"}}')
    assert "sequence_memory" in caught.value.facts["known"]
    with pytest.raises(MalformedBody):
        parse_spec(b"{")
    with pytest.raises(InvalidInput, match="more than once"):
        parse_spec(b'{"learner":{"kind":"rolling_zscore"},"title":"a","title":"b"}')


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        (b'{"x":{"v":[]}}', ["/x/v"]),
        (b'{"x":{"a/b":{}}}', ["/x/a~1b"]),
        (b'{"x":{},"y":[]}', ["/x", "/y"]),
        (b'{"id":7,"x":{"v":1},"z":0}', ["/id", "/z"]),
    ],
)
def test_a_pointer_leads_through_the_event(text: bytes, pointers: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_event(text)
    assert [item["pointer"] for item in refused.value.errors] == pointers


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (b'{"learner":{"kind":"rolling_zscore","windw":5}}', "/learner/windw"),
        (b'{"learner":{"kind":"sequence_memory","horizons":[1,"2"]}}', "/learner/horizons/1"),
        (b'{"learner":{"kind":"what"}}', "/learner"),
        (
            b'{"learner":{"kind":"rolling_zscore"},'
            b'"indicators":[{"kind":"anomaly_likelihood","histry":1}]}',
            "/indicators/0/histry",
        ),
    ],
)
def test_a_pointer_leads_through_the_spec(text: bytes, pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_spec(text)
    assert [item["pointer"] for item in refused.value.errors] == [pointer]
