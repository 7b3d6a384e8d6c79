"""What the shared engine promises, over the Redis that is installed: Debian's is of version 7.0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import valkey

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_redis_keeps_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    valkey.redis()  # Without one this is skipped.
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not long", "-p", "no:cacheprovider"]
    command += [f"tests/service/test_{name}.py" for name in ("redis", "redis_guards", "moving")]
    environment = os.environ | {"TEST_SERVER": "redis"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    with capsys.disabled():
        print(f"\n{done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
