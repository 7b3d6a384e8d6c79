"""The program: `synaptide serve`, `replay`, `score`, `export` and so on.

Exit codes: 0 done, 2 bad usage or bad input, 1 anything else. Each command's last line on standard
output is made for programs, what is meant for people goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from service.arguments import make_parser

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what is expected to fail fails in a sentence."""
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as ended:  # argparse has said what is wrong, or shown the help.
        return ended.code if isinstance(ended.code, int) else 2
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; Python must not complain when it closes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: argparse.Namespace) -> int:
    """Carry out the command, or say what kept it from that."""
    from service.commands import UsageError
    from service.errors import InvalidInput, SynaptideError
    from service.rows import InputError
    from service.transport import Problem, Unreachable

    try:
        return _dispatch(arguments)
    except (UsageError, InputError, InvalidInput) as error:
        return _say(error, 2)
    except Problem as problem:
        theirs = 400 <= problem.status < 500 and problem.status not in (410, 429)
        return _say(problem, 2 if theirs else 1)
    except Unreachable as error:
        return _say(f"{error}; `synaptide serve` runs a service, --url names another", 1)
    except SynaptideError as error:
        return _say(error, 1)


def _dispatch(arguments: argparse.Namespace) -> int:
    """Import what the command needs, and no more, so that help is there at once."""
    match arguments.command:
        case "serve":
            from service.commands import serve

            return serve(arguments)
        case "replay":
            from service.replay import replay

            return replay(arguments)
        case "label":
            from service.labeling import label

            return label(arguments)
        case "score":
            from service.score import score

            return score(arguments)
        case "streams":
            from service.commands import streams

            return streams(arguments)
        case "export":
            from service.moving import export_streams

            return export_streams(arguments)
        case "import":
            from service.moving import import_streams

            return import_streams(arguments)
        case "bench":
            from service.commands import bench

            return bench(arguments)
        case "warm":
            from service.warm import command

            return command(arguments)
        case _:
            from service.demo import demo

            return demo(arguments)


def _say(what: object, code: int) -> int:
    print(f"synaptide: {what}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
