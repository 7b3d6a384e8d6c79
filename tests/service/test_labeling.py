"""The command `label`: its output is a contract, as the others' are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from service.cli import main
from service.client import Client

SPEC = {"learner": {"kind": "river", "estimator": "naive_bayes.GaussianNB"}, "indicators": []}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object], str]:
    code = main(["label", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out or "{}"), said.err


def test_a_file_of_labels_is_posted(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(server) as client:
        client.create_stream("labeling", SPEC)
        client.post("labeling", [{"id": f"e{i}", "x": {"v": float(i % 2)}} for i in range(40)])
        table, lines = tmp_path / "labels.csv", tmp_path / "labels.ndjson.gz"
        table.write_text("parcel,weight,kind\n" + "".join(f"e{i},7, k{i % 2}\n" for i in range(30)))
        rows = [{"event_id": f"e{i}", "y": f"k{i % 2}"} for i in range(25, 40)]
        rows.append({"event_id": "nobody", "y": "k0"})
        lines.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
        common = ("--stream", "labeling", "--url", server)
        code, said, _ = run(capsys, str(table), "--id", "parcel", "--y", "kind", *common)
        assert (code, said["labels"], said["duplicates"], said["refused"]) == (0, 30, 0, 0)
        code, said, err = run(capsys, str(lines), *common)
        assert (code, said["labels"], said["duplicates"], said["refused"]) == (2, 10, 5, 1)
        assert f"{lines}:16: refused: event_id: got 'nobody'" in err
        assert said["digest"] == client.state("labeling")["digest"]
        assert client.state("labeling")["labels"]["taken"] == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,y\na,1\n", "column 'event_id': not among the columns: id, y"),
        ("event_id,y\na\n", "labels.csv:2: got 1 cells, expected 2"),
        ("", "got an empty file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with Client(server) as client:
        client.create_stream("labeling-bad", SPEC)
    code, _, err = run(capsys, str(path), "--stream", "labeling-bad", "--url", server)
    assert code == 2
    assert message in err


def test_numbers_in_a_table_are_numbers(tmp_path: Path) -> None:
    from service.labeling import LabelFile

    path = tmp_path / "labels.csv"
    path.write_text("event_id,y\n@1,3\n@2,nan\n@3,4.5e3\n@4,three\n")
    with LabelFile(path) as rows:
        assert [row.event["y"] for row in rows] == [3.0, "nan", 4500.0, "three"]
