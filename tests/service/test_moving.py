"""Streams move from one journal to another, and go on as if they had not."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learners.base import Features, Learner, Prediction, Target
from learners.rolling_zscore import RollingZScore
from service import catalog
from service.cli import main
from service.client import Client
from service.journal.base import Moved, StreamRow
from service.journal.redis import RedisJournal
from service.journal.redis_adopt import Adoption
from service.journal.sqlite import SqliteJournal
from service.schemas import Command, Entry, parse_event, parse_label
from tests import valkey
from tests.conftest import Serving
from tests.service.test_api import Hand

CLASSES: dict[str, Any] = {"labels": {"pending": 200}, "indicators": []}
SPECS: dict[str, dict[str, Any]] = {
    "values": {"learner": {"kind": "rolling_zscore", "window": 50}},
    "sick": {"learner": {"kind": "rolling_zscore", "window": 30}},
    "sequences": {
        "learner": {"kind": "sequence_memory", "columns": 256, "cells_per_column": 4},
    },
    "forest": {
        "learner": {
            "kind": "river",
            "estimator": "forest.ARFClassifier",
            "params": {"n_models": 2, "seed": 7},
        },
        **CLASSES,
    },
    "classes": {"learner": {"kind": "homeostatic"}, **CLASSES},
}
LABELED = ("forest", "classes")
TEMPLATE: dict[str, Any] = {"learner": {"kind": "rolling_zscore"}}


class Fragile(RollingZScore):
    """Raises on -666."""

    def step_one(self, x: Features, y: Target = None, t: float | None = None) -> Prediction:
        if x.get("a") == -666:
            raise RuntimeError("cannot stand it")
        return super().step_one(x, y, t)


def event(name: str, i: int) -> dict[str, Any]:
    x = {"a": (i * 37 % 101) / 7} | ({"b": float(i % 5)} if name in LABELED else {})
    return {"id": f"{name}-{i}", "ts": 1.7e9 + 60 * i, "x": x}


def label(name: str, i: int) -> dict[str, Any]:
    return {"event_id": f"{name}-{i}", "y": "low" if i % 5 < 2 else "high"}


def lived(url: str) -> None:
    """Make the streams, and give them a past."""
    with Client(url) as client:
        client.put_template("any", "auto-*", TEMPLATE)
        for name, spec in SPECS.items():
            client.create_stream(name, spec)
            client.post(name, [event(name, i) for i in range(150)])
        for name in LABELED:
            client.label(name, [label(name, i) for i in range(120)])
        client.create_stream("values", SPECS["values"] | {"threshold": 0.75})
        kept = client.download_snapshot("values", client.snapshot("values")["id"])
        client.post("values", [event("values", i) for i in range(150, 170)])
        client.restore("values", kept)
        client.post("values", [event("values", i) for i in range(170, 180)])
        list(client.post("sick", [event("sick", 150) | {"x": {"a": -666.0}}, event("sick", 151)]))


def waiting(name: str) -> list[Entry]:
    """What was logged and not applied."""
    entries: list[Entry] = [
        parse_event(json.dumps(event(name, i)).encode()) for i in range(200, 290)
    ]
    if name in LABELED:
        entries += [parse_label(json.dumps(label(name, i)).encode()) for i in (130, 210)]
    return entries


def logged(folder: Path, *commands: Command) -> None:
    """Log entries of which nobody applies any."""

    async def log() -> None:
        journal = SqliteJournal(folder)
        await journal.open()
        for name in SPECS:
            uid = journal.stream(name).uid
            await journal.append(uid, waiting(name), "logged")
        for command in commands:
            await journal.append(journal.stream("values").uid, [command], "logged")
        await journal.close()

    asyncio.run(log())


def seen(url: str, begin: int) -> dict[str, Any]:
    """Go on with every stream, and return all that a client can see."""
    found: dict[str, Any] = {}
    with Client(url) as client:
        for name in SPECS:
            posted = client.post(name, [event(name, i) for i in range(begin, begin + 30)])
            if name in LABELED:
                late = [140, begin + 1]
                posted = [*posted, *client.label(name, [label(name, i) for i in late])]
            again = client.post(name, event(name, begin))
            state, shown = client.state(name), client.stream(name)
            follow = client.follow(name, after=state["offset"] - 40)
            found[name] = {
                "posted": posted,
                "again": again,
                "stands": (state["offset"], state["digest"], state["learning"]),
                "spec": (shown["spec"], shown["version"], shown["created_at"]),
                "results": client.results(name, after=0, limit=1_000),
                "live": [next(follow) for _ in range(40)],
                "letters": client._json("GET", f"/v1/streams/{name}/dead-letters")["dead_letters"],
                "kept": [each["offset"] for each in client.snapshots(name) if each.get("kept")],
            }
            follow.close()  # type: ignore[attr-defined]
        found["templates"] = {
            each["name"]: (each["pattern"], each["spec"]) for each in client.templates()
        }
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare what was seen, and tell no more than where it differs."""
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        for what, want in each.items():
            got = found[name][what]
            for one, other in zip(got, want, strict=True):
                assert one == other, (name, what)


@pytest.fixture(scope="module", autouse=True)
def fragile() -> Iterator[None]:
    learners: dict[str, type[Learner]] = catalog.LEARNERS  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learners, "rolling_zscore", Fragile)
        yield


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, serving: Serving) -> Path:
    """Two folders: of a service that was stopped, and of one whose machine went off."""
    folder = tmp_path_factory.mktemp("past")
    with serving(folder / "stopped") as url:
        lived(url)
        shutil.copytree(folder / "stopped", folder / "off")
    logged(folder / "stopped")
    logged(folder / "off")
    return folder


@pytest.fixture
def server(shared: valkey.Server) -> valkey.Server:
    shared.ask("FLUSHALL")
    return shared


def moved(*arguments: object) -> int:
    return main([str(each) for each in arguments])


@pytest.mark.parametrize("ended", ["stopped", "off"])
def test_streams_go_on_where_they_were_moved_to(
    ended: str,
    past: Path,
    tmp_path: Path,
    server: valkey.Server,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, control = tmp_path / "source", tmp_path / "control"
    shutil.copytree(past / ended, source)
    shutil.copytree(past / ended, control)
    with serving(control) as url:
        expected, later = seen(url, 300), seen(url, 400)
    assert expected["sick"]["stands"][2] == "quarantined"

    # Into many parts, as long logs are.
    monkeypatch.setattr("service.moved_file.BODY_BYTES", 5_000)
    monkeypatch.setattr("service.moved_file.RESULTS_TOGETHER", 50)
    monkeypatch.setattr("service.journal.redis_adopt.STAGED_BYTES", 5_000)
    redis = ("--redis", server.url)
    assert moved("export", "--data-dir", source, tmp_path / "1") == 0
    assert moved("import", *redis, tmp_path / "1") == 0
    assert moved("export", *redis, tmp_path / "2") == 0
    monkeypatch.setenv("SYNAPTIDE_REDIS_PREFIX", "other")
    monkeypatch.setenv("SYNAPTIDE_REDIS_PARTITIONS", "8")
    assert moved("import", *redis, tmp_path / "2") == 0
    assert moved("export", *redis, tmp_path / "3") == 0
    assert moved("import", "--data-dir", tmp_path / "end", tmp_path / "3") == 0
    printed = capsys.readouterr().out.splitlines()
    said = [json.loads(line) for line in printed if line.startswith("{")]
    assert len(said) == 6
    assert {each["streams"] for each in said} == {len(SPECS)}
    assert len({each["entries"] for each in said}) == 1

    with serving(tmp_path / "end") as url:
        same(seen(url, 300), expected)
    with serving(tmp_path / "end") as url:  # What it left is as good as what it was given.
        same(seen(url, 400), later)
    for prefix, partitions in (("synaptide", 64), ("other", 8)):
        place = {"redis_prefix": prefix, "redis_partitions": partitions}
        with serving(tmp_path / "none", redis=server.url, **place) as url:
            same(seen(url, 300), expected)
            same(seen(url, 400), later)


def test_what_waited_is_applied_without_another_event(
    tmp_path: Path, server: valkey.Server, serving: Serving
) -> None:
    file = exported(tmp_path / "a", tmp_path / "file", waiting=5)
    assert moved("import", "--redis", server.url, file) == 0
    assert moved("import", "--data-dir", tmp_path / "b", file) == 0
    digests: list[list[str]] = []
    for folder, place in (("a", {}), ("b", {"redis": server.url}), ("b", {})):
        with serving(tmp_path / folder, **place) as url:
            digests.append([Hand(url, f"s{i}").settled(5)["digest"] for i in range(3)])
    # Without a time of their own, events have that of their arrival.
    assert digests[0] == digests[1] == digests[2]


# What is refused


def small(folder: Path, count: int = 3, waiting: int = 0) -> Path:
    """Make a journal of streams that have had nothing, or of which some waits."""

    async def make() -> None:
        journal = SqliteJournal(folder)
        await journal.open()
        for i in range(count):
            row, _ = await journal.create_stream(f"s{i}", b'{"learner":{"kind":"rolling_zscore"}}')
            if waiting:
                await journal.append(row.uid, [parse_event(b'{"x":{"a":1}}')] * waiting, "logged")
        await journal.close()

    asyncio.run(make())
    return folder


def exported(folder: Path, file: Path, **made: int) -> Path:
    assert moved("export", "--data-dir", small(folder, **made), file) == 0
    return file


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.97])
def test_a_damaged_file_is_refused_and_says_where(
    share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = exported(tmp_path / "a", tmp_path / "file", waiting=5)
    whole = file.read_bytes()
    at = int(share * len(whole))
    for damaged in (
        whole[:at],
        whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
        whole + b"x",
    ):
        file.write_bytes(damaged)
        assert moved("import", "--data-dir", tmp_path / "b", file) == 2
        said = capsys.readouterr().err
        assert str(file) in said
        assert any(each in said for each in ("damaged", "begins", "more after its end"))
    if share == 0.6:
        assert "stream 's" in said or "end" in said
    assert not (tmp_path / "b").exists()


def test_a_file_of_another_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("service.moved_file.FORMAT", 2)
        file = exported(tmp_path / "a", tmp_path / "file")
    assert moved("import", "--data-dir", tmp_path / "b", file) == 2
    assert f"{file}: got format 2, expected 1" in capsys.readouterr().err


def test_what_cannot_be_done_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = exported(tmp_path / "a", tmp_path / "file")
    for arguments, code, said in (
        (("export", "--data-dir", tmp_path / "a", file), 2, "is there already"),
        (("export", "--data-dir", tmp_path / "no", tmp_path / "f"), 2, "there is no journal"),
        (
            ("export", "--data-dir", tmp_path / "a", "--stream", "x", tmp_path / "f"),
            2,
            "--stream: got x",
        ),
        (("import", "--data-dir", tmp_path / "b", tmp_path / "f"), 2, "cannot be read"),
        (
            ("export", "--data-dir", tmp_path / "a", tmp_path / "no" / "f"),
            2,
            "cannot be written",
        ),
        (("export", "--redis", "nonsense", tmp_path / "f"), 1, "an address that is none"),
        (("import", "--data-dir", small(tmp_path / "c", 1), file), 2, "stream 's0'"),
        (("import", "--data-dir", small(tmp_path / "d", 1, 2), file), 2, "stream 's0'"),
    ):
        assert moved(*arguments) == code
        assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("f.*"))


def test_a_chosen_stream_goes_alone_and_a_second_time_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path / "a")
    file = tmp_path / "file"
    assert moved("export", "--data-dir", tmp_path / "a", "--stream", "s1", file) == 0
    for streams, already in ((1, 0), (0, 1)):
        assert moved("import", "--data-dir", tmp_path / "b", file) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (said["streams"], said["there_already"]) == (streams, already)
    assert names(tmp_path / "b") == ["s1"]


def names(folder: Path) -> list[str]:
    async def look() -> list[str]:
        journal = SqliteJournal(folder)
        await journal.open()
        found = [row.name for row in journal.streams()]
        await journal.close()
        return found

    return asyncio.run(look())


def test_a_service_at_work_is_left_alone(
    tmp_path: Path,
    server: valkey.Server,
    serving: Serving,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = exported(tmp_path / "a", tmp_path / "file")
    with serving(tmp_path / "b"):
        for command in ("export", "import"):
            target = tmp_path / "other" if command == "export" else file
            assert moved(command, "--data-dir", tmp_path / "b", target) == 1
            assert "in use by process" in capsys.readouterr().err
    with serving(tmp_path / "c", redis=server.url):
        for command in ("export", "import"):
            target = tmp_path / "other" if command == "export" else file
            assert moved(command, "--redis", server.url, target) == 1
            assert "at work on it; stop the service" in capsys.readouterr().err
    assert moved("import", "--redis", server.url, file) == 0


def test_entries_that_wait_where_streams_are_to_go_have_to_be_applied_first(
    tmp_path: Path,
    server: valkey.Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SYNAPTIDE_REDIS_PARTITIONS", "1")
    file = exported(tmp_path / "a", tmp_path / "file", count=1)

    async def log() -> None:
        journal = RedisJournal(server.url, partitions=1)
        await journal.open()
        row, _ = await journal.create_stream("own", b"{}")
        await journal.append(row.uid, [parse_event(b'{"x":{"a":1}}')] * 3, "logged")
        await journal.close()

    asyncio.run(log())
    assert moved("import", "--redis", server.url, file) == 1
    assert "got 3 entries that wait to be applied" in capsys.readouterr().err


def test_a_command_that_waits_has_to_be_applied_first(
    past: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(past / "stopped", tmp_path / "a")
    logged(tmp_path / "a", Command(command="learning", state="paused"))
    assert moved("export", "--data-dir", tmp_path / "a", tmp_path / "file") == 1
    assert "values: got the command 'learning' that waits" in capsys.readouterr().err
    assert not list(tmp_path.glob("file*"))


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_an_import_that_was_broken_off_is_run_again(
    engine: str,
    past: Path,
    tmp_path: Path,
    server: valkey.Server,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, file = tmp_path / "source", tmp_path / "file"
    shutil.copytree(past / "off", source)
    assert moved("export", "--data-dir", source, file) == 0
    with serving(source) as url:
        expected = seen(url, 300)
    to = {"sqlite": ("--data-dir", tmp_path / "b"), "redis": ("--redis", server.url)}[engine]

    class BrokenOffError(BaseException):
        pass

    taken: list[str] = []
    with monkeypatch.context() as patch:
        if engine == "redis":
            # After all has been written, and before it is a stream.
            lines = Adoption._stage_lines

            async def broken_off(self: Adoption, uid: int, here: Moved) -> list[str]:
                kinds = await lines(self, uid, here)
                taken.append(here.row.name)
                if len(taken) == 3:
                    raise BrokenOffError
                return kinds

            patch.setattr(Adoption, "_stage_lines", broken_off)
        else:
            adopt = SqliteJournal.adopt

            async def cut(self: SqliteJournal, moved: Moved) -> StreamRow | None:
                taken.append(moved.row.name)
                if len(taken) == 3:
                    raise BrokenOffError
                return await adopt(self, moved)

            patch.setattr(SqliteJournal, "adopt", cut)
        with pytest.raises(BrokenOffError):
            moved("import", *to, file)
    assert moved("import", *to, file) == 0
    place: dict[str, Any] = {} if engine == "sqlite" else {"redis": server.url}
    with serving(tmp_path / "b", **place) as url:
        same(seen(url, 300), expected)
