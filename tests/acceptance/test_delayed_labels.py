"""Labels late and out of order, over HTTP and through kill -9: the figures of River's own loop.

The same are the order in which the learner sees events and labels, and with it every prediction;
the figures judge each label by what was predicted when its event came.
"""

from __future__ import annotations

import json
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest
from river import compose, evaluate, linear_model, metrics, naive_bayes, preprocessing, tree
from river import stream as rivers

from benchmarks.images import digits
from learners.base import Prediction
from service import catalog
from service.client import Client
from service.schemas import Event, Label, StreamSpec
from service.stream import Stream
from tests.acceptance.test_kill import serving

COUNT = 400
BATCH = 64
KILLS = 2
SCALED = [{"estimator": "preprocessing.StandardScaler"}]
LEARNERS: dict[str, tuple[dict[str, Any], Any]] = {
    "bayes": ({"estimator": "naive_bayes.GaussianNB"}, naive_bayes.GaussianNB),
    "tree": (
        {"estimator": "tree.HoeffdingTreeClassifier", "params": {"grace_period": 20}},
        lambda: tree.HoeffdingTreeClassifier(grace_period=20),
    ),
    "softmax": (
        {"estimator": "linear_model.SoftmaxRegression", "preprocessing": SCALED},
        lambda: compose.Pipeline(preprocessing.StandardScaler(), linear_model.SoftmaxRegression()),
    ),
}
OWN: dict[str, dict[str, Any]] = {
    "hebbian": {"kind": "soft_hebbian", "units": 60, "seed": 3},
    "homeostatic": {"kind": "homeostatic", "hidden": [32], "seed": 3},
}
"""Learners of this project, held against a bare loop over their contract."""
NAMES = (*LEARNERS, *OWN)
Row = tuple[dict[Any, Any], str]


class LogLoss(metrics.CrossEntropy):
    """River's, but a class that was given no probability at all is no perfect prediction."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def update(self, y_true: Any, y_pred: Any, w: Any = 1.0) -> None:
        super().update(y_true, {y_true: 0.0} | y_pred, w)


def rows() -> list[Row]:
    """Digits, with features in the order that the service gives them."""
    found = digits().shuffled(1)
    pixels = [{f"p{i:02}": float(v) for i, v in enumerate(x)} for x in found.x[:COUNT]]
    return [(x, f"digit {y}") for x, y in zip(pixels, found.y[:COUNT].tolist(), strict=True)]


def delays() -> Iterator[int]:
    """How many events later each label comes: most soon, some long after others that are newer."""
    draw = random.Random(5)
    while True:
        yield draw.choice((0, 1, 3, 3, 30, 200))


def questions_and_answers() -> Iterator[tuple[int, dict[str, float], str | None]]:
    """Events and labels in the order in which River's progressive validation has them."""
    later = delays()
    yield from rivers.simulate_qa(rows(), moment=None, delay=lambda x, y: next(later))


def judged_by_river(model: Any, metric: Any) -> Any:
    later = delays()
    return evaluate.progressive_val_score(
        dataset=rows(), model=model, metric=metric, moment=None, delay=lambda x, y: next(later)
    )


def figures_of_river(made: Any) -> dict[str, float]:
    accuracy, f1, kappa = metrics.Accuracy(), metrics.MacroF1(), metrics.CohenKappa()
    judged_by_river(made(), accuracy + f1 + kappa)
    loss = judged_by_river(made(), LogLoss())
    return {
        "accuracy": accuracy.get(),
        "macro_f1": f1.get(),
        "cohen_kappa": kappa.get(),
        "log_loss": loss.get(),
    }


def figures_of_a_loop(params: dict[str, Any]) -> dict[str, float]:
    """Predict, learn without the label, and learn from it when it comes."""
    spec = StreamSpec.model_validate({"learner": params})
    learner = catalog.build_learner(spec.learner)
    measures: dict[str, Any] = {
        "accuracy": metrics.Accuracy(),
        "macro_f1": metrics.MacroF1(),
        "cohen_kappa": metrics.CohenKappa(),
    }
    loss: Any = LogLoss()
    foreseen: dict[int, Prediction] = {}
    for i, x, y in questions_and_answers():
        t = 1_700_000_000.0 + 60 * i
        if y is None:
            foreseen[i] = learner.step_one(x, None, t)
            continue
        prediction = foreseen.pop(i)
        if prediction.label is not None:
            for measure in measures.values():
                measure.update(y, prediction.label)
            loss.update(y, dict(prediction.proba or {}))
        learner.learn_label(x, y, t)
    return {name: each.get() for name, each in measures.items()} | {"log_loss": loss.get()}


def entries() -> list[dict[str, Any]]:
    """What is posted: events with ids and times of their own, and labels."""
    return [
        {"id": f"row-{i}", "ts": 1_700_000_000 + 60 * i, "x": x}
        if y is None
        else {"event_id": f"row-{i}", "y": y}
        for i, x, y in questions_and_answers()
    ]


def batches(posted: list[dict[str, Any]]) -> Iterator[tuple[bool, list[dict[str, Any]]]]:
    """Neighbors of one kind, as they would be posted together."""
    for is_label, group in groupby(posted, lambda entry: "event_id" in entry):
        while batch := list(islice(group, BATCH)):
            yield is_label, batch


def post(client: Client, name: str, is_label: bool, batch: list[dict[str, Any]]) -> None:
    answers = client.label(name, batch) if is_label else client.post(name, batch)
    assert not any("status" in each for each in answers), answers


def spec_of(name: str) -> dict[str, Any]:
    return {
        "learner": OWN.get(name) or {"kind": "river"} | LEARNERS[name][0],
        "indicators": [],
        "snapshot_every_events": 150,
    }


def alone(name: str, posted: list[dict[str, Any]]) -> Stream:
    """A bare stream that is given the same, and never interrupted."""
    stream = Stream(StreamSpec.model_validate(spec_of(name)))
    for entry in posted:
        line = json.dumps(entry).encode()
        kind = Label if "event_id" in entry else Event
        stream.apply(kind.model_validate_json(line), 0.0)
    return stream


def test_figures_and_digests_are_those_of_a_loop(tmp_path: Path) -> None:
    posted = entries()
    # Labels overtake others and lie behind their events, or this would show nothing.
    order = [int(e["event_id"].removeprefix("row-")) for e in posted if "event_id" in e]
    assert order != sorted(order)
    work = list(batches(posted))
    kills = {len(work) * (i + 1) // (KILLS + 1) for i in range(KILLS)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    command += ["--data-dir", str(tmp_path / "data")]
    with (
        Client(f"http://127.0.0.1:{port}", max_retries=1_000, reconnect_seconds=300) as client,
        ExitStack() as running,
    ):
        process = running.enter_context(serving(command, tmp_path / "log"))
        client.wait_until_ready()
        for name in NAMES:
            client.create_stream(name, spec_of(name))
        for i, (is_label, batch) in enumerate(work):
            if i in kills:
                for name in NAMES:  # Durable, but who knows whether it is applied.
                    (client.label if is_label else client.post)(name, batch, "logged")
                process.kill()
                process.wait()
                process = running.enter_context(serving(command, tmp_path / "log"))
                client.wait_until_ready()
            for name in NAMES:
                post(client, name, is_label, batch)
        for name, (_, made) in LEARNERS.items():
            check(client, name, posted, figures_of_river(made))
        for name, params in OWN.items():
            check(client, name, posted, figures_of_a_loop(params))
    assert "Traceback" not in (tmp_path / "log").read_text()


def check(client: Client, name: str, posted: list[dict[str, Any]], want: dict[str, float]) -> None:
    state, judged = client.state(name), client.quality(name)
    unbroken = alone(name, posted)
    assert (state["offset"], state["digest"]) == (COUNT, unbroken.digest.hex())
    assert state["labels"]["taken"] == COUNT
    assert state["labels"]["pending"] == 0
    got = {figure: judged["overall"][figure] for figure in want}
    assert got == pytest.approx(want, abs=1e-12), name
    assert judged["confusion"]["overall"] == unbroken.quality.report()["confusion"]["overall"]
