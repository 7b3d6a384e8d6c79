"""The command line: its output is a contract, and so are its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.client import Client
from service.commands import UsageError, _settings
from service.replay import Pace, chunked
from service.rows import InputError, Row

SPEC = {"learner": {"kind": "rolling_zscore"}}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """300 rows, a minute apart, and the 290th is far off."""
    rows = [f"2026-01-01 {i // 60:02}:{i % 60:02}:00,{i % 7}" for i in range(300)]
    rows[289] = rows[289].rpartition(",")[0] + ",5000"
    path = tmp_path / "flow.csv"
    path.write_text("\n".join(["timestamp,value", *rows]) + "\n")
    return path


def last_json(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text.splitlines()[-1])
    return content


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


# Usage


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["--version"]])
def test_help_and_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "synaptide" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["replay", "f.csv"], "--stream"),
        (["replay", "f.csv", "--stream", "s", "--speed", "0"], "expected a number above 0"),
        (["replay", "f.csv", "--stream", "s", "--speed", "x"], "invalid"),
        (["streams", "list", "--url", "ftp://x"], "url: got 'ftp://x', expected one such as"),
        (["streams", "show"], "NAME"),
        (["bench", "nonsense"], "got 'nonsense', expected one of: "),
        (["bench", "serve", "--seeds", "0"], "expected at least 1"),
        (["serve", "--role", "api"], "role: got 'api', and the embedded journal is of one process"),
        (["serve", "--role", "fly"], "invalid choice: 'fly'"),
        (["serve", "--port", "70000"], "port: got 70000"),
        (["serve", "--host", "0.0.0.0"], "host: got '0.0.0.0', which other machines may reach"),
        (["serve", "--synchronous", "OFF"], "invalid choice: 'OFF'"),
        (["score", "absent.csv"], "absent.csv: cannot be opened: No such file"),
        (["score", "absent.csv", "--spec", "absent.json"], "absent.json: cannot be read"),
    ],
)
def test_bad_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_flags_become_settings_and_the_rest_is_left_alone() -> None:
    from argparse import Namespace

    given = Namespace(command="serve", role=None, port=0, host=None, redis=None)
    assert _settings(given, ["host", "port"]) == {"port": 0}
    with_role = Namespace(command="serve", role="worker", redis="redis://x")
    assert _settings(with_role, ["role", "redis"]) == {"role": "worker", "redis": "redis://x"}
    with pytest.raises(UsageError):
        _settings(with_role, ["role"])


def test_no_service_is_one_sentence(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    for arguments in (["streams", "list"], ["replay", str(file), "--stream", "s"]):
        assert main([*arguments, "--url", "http://127.0.0.1:9"]) == 1
        said = capsys.readouterr().err
        assert "no service answers at http://127.0.0.1:9: Connection refused" in said
        assert len(said.splitlines()) == 1


# score


def score(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any], str]:
    code = main(["score", *arguments])
    captured = capsys.readouterr()
    return code, list(csv.reader(io.StringIO(captured.out))), captured.err


def test_scores_come_one_a_row(capsys: pytest.CaptureFixture[str], file: Path, spec: str) -> None:
    code, rows, said = score(capsys, str(file), "--spec", spec)
    assert code == 0
    assert rows[0] == ["timestamp", "value", "anomaly_score", "raw_score", "is_anomaly"]
    assert len(rows) == 301
    assert rows[290][:2] == ["2026-01-01 04:49:00", "5000.0"]
    assert float(rows[290][3]) > max(float(row[3] or 0) for row in rows[1:290])
    summary = last_json(said)
    assert summary["rows"] == 300
    assert summary["anomalies"] == sum(row[4] == "true" for row in rows)
    assert len(summary["digest"]) == 32


def test_scores_go_to_a_file(
    capsys: pytest.CaptureFixture[str], file: Path, spec: str, tmp_path: Path
) -> None:
    _, rows, _ = score(capsys, str(file), "--spec", spec)
    out = tmp_path / "scores.csv"
    assert score(capsys, str(file), "--spec", spec, "--out", str(out))[:2] == (0, [])
    with out.open(newline="") as scores:
        assert list(csv.reader(scores)) == rows


def test_the_scored_file_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], file: Path, spec: str
) -> None:
    code, _, said = score(capsys, str(file), "--spec", spec, "--out", str(file))
    assert (code, file.read_text()[:9]) == (2, "timestamp")
    assert "which is the file to be scored" in said


def test_several_values_have_a_column_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spec: str
) -> None:
    path = tmp_path / "two.csv"
    path.write_text("a,b,c\n1,x,2\n")
    code, rows, _ = score(capsys, str(path), "--spec", spec, "--value", "a,c")
    assert code == 0
    assert rows[0][:3] == ["timestamp", "a", "c"]
    assert rows[1][:3] == ["", "1.0", "2.0"]


def test_no_rows_are_a_header(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spec: str
) -> None:
    path = tmp_path / "none.csv"
    path.write_text("time,value\n")
    code, rows, said = score(capsys, str(path), "--spec", spec)
    assert (code, len(rows), last_json(said)["rows"]) == (0, 1, 0)


def test_a_bad_cell_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, spec: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time,value\n0,1\n1,abc\n")
    code, _, said = score(capsys, str(path), "--spec", spec)
    assert code == 2
    assert said == f"synaptide: {path}:3: value: got 'abc', expected a number\n"


def test_a_refused_event_is_named_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spec: str
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"x":{"v":1}}\n{"x":{"v":2},"z":0}\n{"x":{"v":3}}\n')
    code, rows, said = score(capsys, str(path), "--spec", spec)
    assert (code, len(rows), last_json(said)["refused"]) == (2, 4, 1)
    assert said.startswith(f"{path}:2: refused: /z")
    assert rows[2] == ["", "2", "", "", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "spec.json:1: not JSON"),
        ("[]", "spec.json: got list, expected an object"),
        ("{}", "spec.json: /learner: "),
        ('{"learner": {"kind": "oracle"}}', "spec.json: learner.kind: got 'oracle', expected one"),
    ],
)
def test_a_bad_spec_is_named(
    capsys: pytest.CaptureFixture[str], file: Path, spec: str, text: str, said: str
) -> None:
    Path(spec).write_text(text)
    code, _, err = score(capsys, str(file), "--spec", spec)
    assert code == 2
    assert said in err


def test_the_program_scores_and_a_closed_pipe_is_quiet(file: Path, spec: str) -> None:
    done = program("score", str(file), "--spec", spec)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 301)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "service.cli", "score", str(file), "--spec", spec]
    with os.fdopen(writer, "wb") as pipe:
        closed = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, cwd=ROOT)
    assert closed.returncode == 1
    assert b"Traceback" not in closed.stderr
    assert b"BrokenPipe" not in closed.stderr


# replay


def replay(
    capsys: pytest.CaptureFixture[str], server: str, *arguments: str
) -> tuple[int, str, str]:
    code = main(["replay", *arguments, "--url", server])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_replay_and_a_scoring_have_the_same_digest(
    capsys: pytest.CaptureFixture[str], server: str, file: Path, spec: str
) -> None:
    code, out, err = replay(capsys, server, str(file), "--stream", "replayed", "--spec", spec)
    summary = last_json(out)
    assert (code, err, len(out.splitlines())) == (0, "", 1)
    assert (summary["events"], summary["refused"]) == (300, 0)
    assert summary["events_per_second"] > 0
    _, _, said = score(capsys, str(file), "--spec", spec)
    assert summary["digest"] == last_json(said)["digest"]
    assert summary["anomalies"] == last_json(said)["anomalies"]


def test_ids_keep_a_second_replay_from_learning(
    capsys: pytest.CaptureFixture[str], server: str, file: Path, spec: str
) -> None:
    arguments = (str(file), "--stream", "twice", "--spec", spec, "--ids")
    first = last_json(replay(capsys, server, *arguments)[1])
    again = last_json(replay(capsys, server, *arguments)[1])
    assert (again["events"], again["duplicates"], again["digest"]) == (300, 300, first["digest"])
    with Client(server) as client:
        assert client.results("twice", limit=1)[0]["event_id"] == "flow.csv:2"


def test_a_replay_into_a_stream_that_is_there(
    capsys: pytest.CaptureFixture[str], server: str, file: Path
) -> None:
    with Client(server) as client:
        client.create_stream("there", SPEC)
        code, out, _ = replay(capsys, server, str(file), "--stream", "there", "--speed", "1e9")
        assert (code, last_json(out)["events"]) == (0, 300)
        assert client.state("there")["offset"] == 300


def test_refused_lines_are_named(
    capsys: pytest.CaptureFixture[str], server: str, tmp_path: Path, spec: str
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"x":{"v":1}}\n\n{"x":{"v":2},"z":0}\n{"x":{"v":3}}\n')
    code, out, err = replay(capsys, server, str(path), "--stream", "refused", "--spec", spec)
    summary = last_json(out)
    assert (code, summary["events"], summary["refused"]) == (2, 2, 1)
    assert err.startswith(f"{path}:3: refused: /z")


def test_what_stands_before_a_bad_cell_is_learned_from(
    capsys: pytest.CaptureFixture[str], server: str, tmp_path: Path, spec: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time,value\n0,1\n1,2\n2,abc\n")
    code, _, err = replay(capsys, server, str(path), "--stream", "until", "--spec", spec)
    assert code == 2
    assert f"{path}:4: value: got 'abc'" in err
    with Client(server) as client:
        assert client.state("until")["offset"] == 2


def test_another_spec_is_refused(
    capsys: pytest.CaptureFixture[str], server: str, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"learner": {"kind": "rolling_zscore", "window": 50}}')
    with Client(server) as client:
        client.create_stream("other", SPEC)
    code, _, err = replay(capsys, server, str(file), "--stream", "other", "--spec", str(other))
    assert code == 2
    assert "(409 spec-conflict)" in err


class Time:
    """A clock that sleeping moves on."""

    now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def rows_at(*seconds: float) -> Iterator[Row]:
    return (
        Row(i, "", {"ts": f"2026-01-01T00:00:{second:09.6f}Z", "x": {"v": 1.0}})
        for i, second in enumerate(seconds)
    )


def test_a_pace_sends_together_what_is_due_together() -> None:
    time = Time()
    pace = Pace(10, time.clock, time.sleep)
    seen = [(time.now, len(chunk)) for chunk in chunked(rows_at(0, 0, 20, 30, 30, 25), pace)]
    assert seen == [(100.0, 2), (102.0, 1), (103.0, 3)]


def test_events_without_a_time_are_due_at_once() -> None:
    assert Pace(1).seconds_until({"x": {}}) == 0
    assert Pace(1).seconds_until({"ts": "noon"}) == 0
    assert Pace(1, clock=lambda: 5.0).seconds_until({"ts": 1.5}) == 0


def test_rows_before_a_bad_one_are_not_lost() -> None:
    def rows() -> Iterator[Row]:
        yield from rows_at(0, 1)
        raise InputError("bad")

    chunks = chunked(rows())
    assert len(next(chunks)) == 2
    with pytest.raises(InputError):
        next(chunks)


# streams


def test_streams_are_made_listed_shown_and_deleted(
    capsys: pytest.CaptureFixture[str], server: str, spec: str
) -> None:
    def streams(*arguments: str) -> tuple[int, str]:
        code = main(["streams", *arguments, "--url", server])
        return code, capsys.readouterr().out

    code, made = streams("create", "by-hand", "--spec", spec)
    assert (code, last_json(made)["name"]) == (0, "by-hand")
    names = [json.loads(line)["name"] for line in streams("list")[1].splitlines()]
    assert "by-hand" in names
    assert last_json(streams("show", "by-hand")[1]) == last_json(made)
    assert last_json(streams("learning", "by-hand", "paused")[1])["command"] == "learning"
    shown = last_json(streams("show", "by-hand")[1])
    assert shown["status"]["governor"] == {"asked": "paused", "paused_by": "request"}
    assert streams("delete", "by-hand") == (0, "")
    assert streams("show", "by-hand") == (2, "")


def test_a_terminal_gets_a_table(
    capsys: pytest.CaptureFixture[str], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server) as client:
        client.create_stream("shown", SPEC)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["streams", "list", "--url", server]) == 0
    assert "│ shown" in capsys.readouterr().out
    assert main(["streams", "show", "shown", "--url", server]) == 0
    assert '"shown"' in capsys.readouterr().out


def test_a_refusal_of_the_service_is_bad_input(
    capsys: pytest.CaptureFixture[str], server: str
) -> None:
    assert main(["streams", "create", "-bad", "--url", server]) == 2
    assert main(["streams", "create", "bad name", "--url", server]) == 2
    assert "synaptide: " in capsys.readouterr().err


# bench, demo, serve


def test_a_benchmark_prints_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import benchmarks

    (tmp_path / "two_words.py").write_text(
        "\ndef main(data, seeds, quick):\n    print('hello')\n"
        "    return {'data': data, 'seeds': seeds, 'quick': quick}\n"
    )
    monkeypatch.setattr(benchmarks, "__path__", [str(tmp_path)])
    assert main(["bench", "two-words", "--seeds", "3", "--quick"]) == 0
    assert last_json(capsys.readouterr().out) == {"data": None, "seeds": 3, "quick": True}
    assert main(["bench", "three"]) == 2
    assert "expected one of: two-words" in capsys.readouterr().err
    assert main(["bench", "two-words", "--data", "absent"]) == 2
    capsys.readouterr()
    assert main(["bench", "two-words", "--plot", "a.png"]) == 2
    assert "--plot: bench two-words draws nothing" in capsys.readouterr().err
    del sys.modules["benchmarks.two_words"]


def test_the_demo_ends_by_itself() -> None:
    done = program("demo", "--exit")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Learned from 51,759 events of 4 streams" in done.stdout
    for found in ("accuracy 0.8", "roc_auc 0.9", "2022-04-27 13:00"):
        assert found in done.stdout
    assert "curl http://127.0.0.1:" in done.stdout


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs begun now hear SIGINT, even where the tests run in the background and do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_service_that_is_interrupted_ends_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().split()[-1]
        with Client(url) as client:
            client.wait_until_ready()
            busy = program("serve", "--port", "0", "--data-dir", str(tmp_path))
            assert busy.returncode == 1
            assert "Traceback" not in busy.stderr
            taken = program("serve", "--port", url.rpartition(":")[2])
            assert taken.returncode == 1
            assert "cannot listen on 127.0.0.1" in taken.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()


def test_a_service_that_is_told_to_stop_has_not_failed(tmp_path: Path) -> None:
    for level, expected in (("info", ["stopped"]), ("error", [])):
        command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--log-level", level, "--data-dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        with Client(process.stdout.readline().split()[-1]) as client:
            client.wait_until_ready()
            client.create_stream("kept", {"learner": {"kind": "rolling_zscore"}})
            client.post("kept", {"x": {"v": 1.0}})
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        logged = [json.loads(line) for line in err.splitlines()]
        assert [line["event"] for line in logged] == expected
        assert all({"level", "timestamp"} <= line.keys() for line in logged)


def test_the_embedded_service_loads_nothing_of_redis() -> None:
    code = "import sys, service.app; print(sorted(m for m in sys.modules if 'redis' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_redis_server_that_is_not_there_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["serve", "--port", "0", "--redis", "redis://user:secret@127.0.0.1:1"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("synaptide: redis: got ")
    assert "127.0.0.1 port 1, expected a server that answers" in said
    assert "secret" not in said


def test_a_worker_answers_no_requests_but_for_its_health_and_metrics() -> None:
    from pydantic import SecretStr

    from service.app import create_app
    from service.settings import Settings

    app = create_app(Settings(role="worker", redis=SecretStr("redis://127.0.0.1:1")))
    assert set(app.openapi()["paths"]) == {"/livez", "/readyz", "/metrics", "/version"}
