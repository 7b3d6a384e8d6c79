"""The arguments of the program: what each command takes, and how that is read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from service.transport import DEFAULT_URL


class _Version(argparse.Action):
    """Shows the version, which takes a moment to find, only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from service.version import VERSION

        print(f"synaptide {VERSION}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program."""
    whole = argparse.ArgumentParser(
        prog="synaptide", description="Learns from live streams, one event at a time."
    )
    whole.add_argument("--version", action=_Version)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return whole


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the service",
        description="Run the service until it is told to stop. What is not given here is taken "
        "from SYNAPTIDE_* variables (SYNAPTIDE_PORT, SYNAPTIDE_DATA_DIR and so on).",
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (8000); 0 takes a free one")
    serve.add_argument("--data-dir", type=Path, help="folder of the embedded journal (data)")
    serve.add_argument("--redis", metavar="URL", help="address of a Redis or Valkey journal")
    serve.add_argument(
        "--role", choices=("all", "api", "worker"), help="what this process does (all)"
    )
    serve.add_argument(
        "--synchronous",
        choices=("FULL", "NORMAL"),
        help="FULL (the default) survives a power cut, NORMAL may lose its last moments",
    )
    serve.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    serve.add_argument(
        "--insecure",
        action="store_true",
        default=None,
        help="allow an address that other machines reach, without authentication",
    )


def _add_replay(commands: Commands) -> None:
    replay = commands.add_parser(
        "replay",
        help="post a file's events to a stream of a running service",
        description="Post a file's events, in order, to a stream, which is made if it is not "
        "there. The last line of output is a JSON object that sums it up.",
    )
    _add_file(replay)
    replay.add_argument("--stream", required=True, metavar="NAME", help="the stream's name")
    _add_url(replay)
    replay.add_argument(
        "--speed", type=_positive, metavar="N", help="N times real time (default: at once)"
    )
    replay.add_argument(
        "--ids",
        action="store_true",
        help="give each event an id of file name and line, so that nothing is learned from twice",
    )


def _add_label(commands: Commands) -> None:
    label = commands.add_parser(
        "label",
        help="post a file's labels to a stream of a running service",
        description="Say what was true of earlier events: CSV with a column for the event's id and "
        "one for the label, or JSON lines of event_id and y. The last line of output is a JSON "
        "object that sums it up.",
    )
    label.add_argument("file", metavar="FILE", type=Path, help="CSV or JSON lines, maybe .gz")
    label.add_argument("--stream", required=True, metavar="NAME", help="the stream's name")
    _add_url(label)
    label.add_argument("--id", default="event_id", metavar="COL", help="column of ids (event_id)")
    label.add_argument("--y", default="y", metavar="COL", help="column of labels (y)")


def _add_score(commands: Commands) -> None:
    score = commands.add_parser(
        "score",
        help="score a file without a service",
        description="Run a file's events through the service's own pipeline, and write one row of "
        "CSV for each: timestamp, value, anomaly_score, raw_score, is_anomaly. Rows without a "
        "timestamp count as one second apart.",
    )
    _add_file(score)
    score.add_argument("--out", metavar="SCORES.csv", type=Path, help="default: standard output")


def _add_streams(commands: Commands) -> None:
    streams = commands.add_parser("streams", help="list, create, show or delete streams")
    actions = streams.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, said in (
        ("list", "list every stream"),
        ("create", "make a stream, or change one's threshold, title or policies"),
        ("show", "show a stream's spec and status"),
        ("learning", "have a stream learn, pause, or do as its governor says"),
        ("delete", "delete a stream and all that is kept of it"),
    ):
        action = actions.add_parser(name, help=said, description=f"{said.capitalize()}.")
        if name != "list":
            action.add_argument("name", metavar="NAME", help="the stream's name")
        if name == "create":
            _add_spec(action)
        if name == "learning":
            action.add_argument("state", choices=("learning", "paused", "auto"), metavar="STATE")
        _add_url(action)
        action.add_argument("--json", action="store_true", help="JSON also on a terminal")


def _add_export(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="write streams of a stopped service to a file",
        description="Write streams with their state, results and log to a file that `synaptide "
        "import` reads. No service may run on the journal. The last line of output is a JSON "
        "object that sums it up.",
    )
    _add_journal(export)
    export.add_argument(
        "--stream",
        action="append",
        default=[],
        metavar="NAME",
        help="a stream to write, repeated for several (default: all)",
    )
    export.add_argument("file", metavar="FILE", type=Path, help="the file to make")


def _add_import(commands: Commands) -> None:
    parser = commands.add_parser(
        "import",
        help="take the streams of a file into the journal of a stopped service",
        description="Take in the streams of a file that `synaptide export` wrote, each whole or "
        "not at all: after an interruption, run it again. No service may run on the journal. The "
        "last line of output is a JSON object that sums it up.",
    )
    _add_journal(parser)
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to read")


def _add_journal(parser: argparse.ArgumentParser) -> None:
    journal = parser.add_mutually_exclusive_group()
    journal.add_argument("--data-dir", type=Path, help="folder of an embedded journal (data)")
    journal.add_argument("--redis", metavar="URL", help="address of a Redis or Valkey journal")


def _add_bench(commands: Commands) -> None:
    bench = commands.add_parser(
        "bench",
        help="run a benchmark",
        description="Run a benchmark; the last line of output is a JSON object.",
    )
    bench.add_argument("name", metavar="NAME", help="which one; a wrong name lists them")
    bench.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets")
    bench.add_argument(
        "--seeds", type=_count, default=1, metavar="N", help="how many seeds (default 1)"
    )
    bench.add_argument("--quick", action="store_true", help="a part of it, in a minute")
    bench.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw the figure too, if it has one"
    )
    bench.add_argument(
        "--accept", action="store_true", help="zoo: what the sources of each system say of it"
    )
    bench.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="zoo: this stream or system alone, repeated for several",
    )
    bench.add_argument("--page", type=Path, metavar="FILE.md", help="zoo: write what fits which")


def _add_warm(commands: Commands) -> None:
    commands.add_parser(
        "warm",
        help="compile the learners ahead of the first start",
        description="Compile the learners now, so that no start has to: what is compiled stays on "
        "disk beside the program.",
    )


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="watch a live service learn from real streams",
        description="Start a service with a temporary data folder, replay four real streams "
        "through it side by side, show what it found, and keep serving until Ctrl-C.",
    )
    demo.add_argument("--exit", action="store_true", help="end by itself")


_COMMANDS = (
    _add_serve,
    _add_replay,
    _add_label,
    _add_score,
    _add_streams,
    _add_export,
    _add_import,
    _add_bench,
    _add_warm,
    _add_demo,
)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV or JSON lines, maybe .gz")
    _add_spec(parser)
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="COL",
        help="column to learn from, repeated or separated by commas (default: `value`, else the "
        "first other column of numbers)",
    )
    parser.add_argument(
        "--timestamp",
        metavar="COL",
        help="column of the time (default: the first named timestamp, time, date, datetime or ts)",
    )


def _add_spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spec",
        type=Path,
        metavar="SPEC.json",
        help='the stream\'s spec (default: {"learner": {"kind": "sequence_memory"}})',
    )


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", default=DEFAULT_URL, type=_url, help=f"address of the service ({DEFAULT_URL})"
    )


def _url(text: str) -> str:
    from service.client import Client

    try:
        return Client(text).url
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected at least 1")
    return value
