"""What was asked of a stream's learning, and what it holds, survives kill -9 and a replay."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.schemas import StreamSpec, parse_event
from service.stream import Stream
from tests.acceptance.test_kill import serving

HELD = {
    "learner": {"kind": "rolling_zscore"},
    "indicators": [{"kind": "value_range", "min_samples": 20}],
    "governor": {"hold": {"release_events": 5}},
    "snapshot_every_events": 1_000,
}
REPLAYED = {
    "learner": {"kind": "river", "estimator": "neighbors.KNNRegressor"},
    "indicators": [{"kind": "early_stopping", "canary_every": 5, "block_losses": 10}],
}


def event(i: int) -> dict[str, Any]:
    value = 500.0 if 150 <= i % 200 < 180 else float((i * 7) % 24)
    return {"id": f"e{i}", "ts": f"{1_700_000_000 + 60 * i}", "x": {"v": value}, "y": float(i % 3)}


@pytest.mark.parametrize("spec", [HELD, REPLAYED], ids=["snapshots", "replay"])
def test_what_was_asked_of_learning_survives_a_kill(spec: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    command += ["--data-dir", str(tmp_path / "data")]
    unbroken, done = Stream(StreamSpec.model_validate(spec)), 0
    with Client(f"http://127.0.0.1:{port}", max_retries=1_000, reconnect_seconds=300) as client:
        for life, asked in enumerate(("auto", "paused", "auto", "learning")):
            with serving(command, tmp_path / "log"):
                client.wait_until_ready()
                if life == 0:
                    client.create_stream("s", spec)
                else:
                    receipt = client.state("s")
                    assert (receipt["offset"], receipt["digest"]) == (done, unbroken.digest.hex())
                    client.put_learning("s", asked)  # type: ignore[arg-type]
                    unbroken.ask(asked)  # type: ignore[arg-type]
                    assert client.state("s")["digest"] == unbroken.digest.hex()
                    assert client.stream("s")["status"]["governor"]["asked"] == asked
                for i in range(done, done + 165):
                    said = client.post("s", event(i))
                    line = unbroken.step(parse_event(json.dumps(event(i)).encode()), 0.0).line
                    assert said == json.loads(line)
                    if asked == "paused":
                        assert said["paused_by"] == "request"
                done += 165
            # Leaving the block kills the server.
    assert unbroken.learning == "learning"
