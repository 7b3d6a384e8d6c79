"""Event files: what is read as an event, and what is refused with which words."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from service.cells import number, rfc3339
from service.rows import EventFile, InputError, Row


def read(path: Path, text: str | bytes, values: tuple[str, ...] = (), **more: Any) -> list[Row]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with EventFile(path, values, **more) as rows:
        return list(rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def test_timestamp_and_value_are_found_by_name(path: Path) -> None:
    (row,) = read(path, "id,Timestamp,other,value\n1,2014-07-01 00:00:00,2,10844\n")
    assert row == Row(
        2, "2014-07-01 00:00:00", {"ts": "2014-07-01T00:00:00Z", "x": {"value": 10844.0}}
    )


def test_the_first_numeric_column_is_the_default_value(path: Path) -> None:
    rows = read(path, "when,place,flow\n1,kitchen,\n2,hall,7.5\n", timestamp="when")
    assert [row.event["x"] for row in rows] == [{"flow": None}, {"flow": 7.5}]


@pytest.mark.parametrize("values", [("a,c",), ("a", "c"), ("a , c",)])
def test_several_values_may_be_named(path: Path, values: tuple[str, ...]) -> None:
    (row,) = read(path, "a,b,c\n1,x,3\n", values)
    assert row.event == {"x": {"a": 1.0, "c": 3.0}}


def test_a_column_may_have_a_comma_in_its_name(path: Path) -> None:
    (row,) = read(path, '"flow, l/s",b\n1,2\n', ("flow, l/s",))
    assert row.event == {"x": {"flow, l/s": 1.0}}


def test_headers_of_nupic_are_passed_over(path: Path) -> None:
    text = "reset,when,kw\nint,datetime,float\nR,T,\n0,7/2/10 0:00,21.2\n"
    (row,) = read(path, text, ("kw",))
    assert row.line == 4
    assert row.event == {"ts": "2010-07-02T00:00:00Z", "x": {"kw": 21.2}}


def test_byte_order_mark_crlf_quotes_and_blank_lines(path: Path) -> None:
    text = b'\xef\xbb\xbftime,value\r\n\r\n0,"1"\r\n"1",2\r\n'
    rows = read(path, text)
    assert [(row.line, row.event["x"]["value"]) for row in rows] == [(3, 1.0), (4, 2.0)]


def test_a_row_is_named_by_the_line_it_begins_on(path: Path) -> None:
    rows = read(path, 'note,value\n"two\nlines",1\nx,2\n')
    assert [row.line for row in rows] == [2, 4]


def test_gzip_is_recognized_whatever_the_name(path: Path) -> None:
    (row,) = read(path, gzip.compress(b"value\n3\n"))
    assert row.event == {"x": {"value": 3.0}}


def test_thousands_of_columns(path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(5_000))
    (row,) = read(path, f"{names}\n{','.join(map(str, range(5_000)))}\n", ("c4999",))
    assert row.event == {"x": {"c4999": 4999.0}}


def test_json_lines_of_events_are_taken_as_they_are(path: Path) -> None:
    event = {"id": "a", "ts": "2014-07-01T00:00:00Z", "x": {"v": 1, "w": None}, "y": "ok"}
    rows = read(path, '\n{"id":"a","ts":"2014-07-01T00:00:00Z","x":{"v":1,"w":null},"y":"ok"}\n')
    assert rows == [Row(2, "2014-07-01T00:00:00Z", event)]


def test_features_of_json_events_may_be_chosen(path: Path) -> None:
    rows = read(path, '{"x":{"v":1,"w":2}}\n{"x":{"v":3}}\n', ("w",))
    assert [row.event["x"] for row in rows] == [{"w": 2}, {"w": None}]


def test_json_lines_of_flat_objects_are_a_table(path: Path) -> None:
    rows = read(path, '{"time": 60, "kind": "a", "load": 2}\n{"time": 120.5, "load": NaN}\n')
    assert [row.event for row in rows] == [
        {"ts": "1970-01-01T00:01:00Z", "x": {"load": 2.0}},
        {"ts": "1970-01-01T00:02:00.500000Z", "x": {"load": None}},
    ]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "empty file"),
        ("\n \n", {}, "empty file"),
        ("time,value\n0,1\n1,x\n", {}, ":3: value: got 'x', expected a number"),
        ("time,value\n0,1\n1,inf\n", {}, ":3: value: got 'inf', expected a number"),
        ("time,value\n0,1_0\n", {}, ":2: value: got '1_0', expected a number"),
        ("time,value\nnoon,1\n", {}, ":2: time: got 'noon', expected a time such as"),
        ("time,value\n,1\n", {}, ":2: time: got '', expected a time such as"),
        ("time,value\n13/13/14 0:00,1\n", {}, ":2: time: got '13/13/14 0:00'"),
        ("time,value\n0,1,2\n", {}, ":2: got 3 cells, expected 2: time, value"),
        ("time,value\n0,1\n", {"values": ("flow",)}, "column 'flow': not among the columns: time,"),
        ("time,value\n0,1\n", {"timestamp": "when"}, "column 'when': not among the columns: time,"),
        ("a,a\n0,1\n", {"values": ("a",)}, "column 'a': twice or more"),
        ("time,kind\n0,a\n", {}, "no column of numbers to take as the value"),
        ("time,value\n", {}, None),
        ('time,value\n0,"1\n', {}, ":2: not CSV: unexpected end of data"),
        (b"time,value\n0,1\n0,\xff\n", {}, ":3: got text that is not UTF-8"),
        (gzip.compress(b"value\n1\n")[:-4], {}, "cannot be read"),
        ('{"x":{"v":1}}\n{"x":\n', {}, ":2: not JSON"),
        ('{"x":{"v":1}}\n[1]\n', {}, ":2: got [1], expected an object"),
        ('{"x":{"v":1}}\n{"ts":1}\n', {}, ":2: x: got None, expected an object"),
        ('{"x":{"v":1}}\n', {"values": ("w",)}, "column 'w': not among the columns: v"),
        ('{"v":true}\n', {"values": ("v",)}, ":1: v: got True, expected a number"),
    ],
)
def test_what_cannot_be_used_is_named(
    path: Path, text: str | bytes, options: dict[str, Any], said: str | None
) -> None:
    if said is None:
        assert read(path, text, **options) == []
        return
    with pytest.raises(InputError) as caught:
        read(path, text, **options)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv: cannot be opened"):
        read_nothing(tmp_path / "absent.csv")


def read_nothing(path: Path) -> None:
    with EventFile(path):
        pass


def test_the_position_ends_at_the_size(path: Path) -> None:
    path.write_text("value\n" + "1\n" * 50_000)
    with EventFile(path) as rows:
        assert 0 < rows.position < rows.size
        assert sum(1 for _ in rows) == 50_000
        assert rows.position == rows.size


@pytest.mark.parametrize("cell", ["", " ", "NA", "NaN", "nan", "null", "-nan", None])
def test_missing_cells(cell: object) -> None:
    assert number(cell) is None


@pytest.mark.parametrize(("cell", "value"), [("1", 1.0), (" -2.5e3 ", -2500.0), (7, 7.0)])
def test_numbers(cell: object, value: float) -> None:
    assert number(cell) == value


@pytest.mark.parametrize("cell", ["x", "1,5", "1e999", True, 10**400, [1]])
def test_cells_that_are_not_numbers(cell: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        number(cell)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2014-07-01 00:00:00", "2014-07-01T00:00:00Z"),
        ("2014-07-01 00:00:00.000000", "2014-07-01T00:00:00Z"),
        ("2014-07-01T00:00:00.25Z", "2014-07-01T00:00:00.250000Z"),
        ("2022-03-20T11:00:00+01:00", "2022-03-20T10:00:00Z"),
        ("2014-07-01", "2014-07-01T00:00:00Z"),
        ("7/2/10 0:00", "2010-07-02T00:00:00Z"),
        ("12/31/2010 23:59:58", "2010-12-31T23:59:58Z"),
        ("1404172800", "2014-07-01T00:00:00Z"),
        ("1404172800000", "2014-07-01T00:00:00Z"),
        ("-0.5", "1969-12-31T23:59:59.500000Z"),
    ],
)
def test_times(text: str, moment: str) -> None:
    assert rfc3339(text) == moment
