"""The streams of the demonstration: real ones that ship with River, each with a learner for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from service.transport import Json


@dataclass(frozen=True, slots=True)
class Source:
    """One stream: what it is called, what learns from it, and its events."""

    name: str
    title: str
    spec: Json
    count: int
    events: Callable[[], Iterator[Json]]


def sources() -> list[Source]:
    """Return the streams, the one with the most events last."""
    from river import datasets

    water, passengers = datasets.WaterFlow(), datasets.AirlinePassengers()
    phishing, shuttle = datasets.Phishing(), datasets.Shuttle()
    return [
        Source(
            "water-flow",
            "Water flow in a pipeline, liters per second",
            {"learner": {"kind": "sequence_memory"}},
            water.n_samples,
            lambda: _water_flow(water),
        ),
        Source(
            "airline-passengers",
            "Airline passengers a month, thousands",
            _river(
                "time_series.HoltWinters",
                {
                    "alpha": 0.3,
                    "beta": 0.1,
                    "gamma": 0.6,
                    "seasonality": 12,
                    "multiplicative": True,
                },
                feature="passengers",
            )
            | {"indicators": [{"kind": "anomaly_likelihood", "watch": "error"}]},
            passengers.n_samples,
            lambda: _airline_passengers(passengers),
        ),
        Source(
            "phishing",
            "Is this web page phishing?",
            _river("tree.HoeffdingTreeClassifier", {"grace_period": 50})
            | {"indicators": [{"kind": "adwin", "watch": "error"}]},
            phishing.n_samples,
            lambda: _phishing(phishing),
        ),
        Source(
            "shuttle",
            "Sensors of the space shuttle, with the anomalies labeled",
            _river(
                "anomaly.HalfSpaceTrees",
                {"n_trees": 10, "height": 8, "window_size": 250},
                preprocessing=[{"estimator": "preprocessing.MinMaxScaler"}],
            )
            | {"indicators": []},
            shuttle.n_samples,
            lambda: _shuttle(shuttle),
        ),
    ]


def _river(estimator: str, params: Json, **more: Any) -> Json:
    return {"learner": {"kind": "river", "estimator": estimator, "params": params} | more}


def _water_flow(dataset: Any) -> Iterator[Json]:
    for x, flow in dataset:
        yield {"ts": x["Time"].isoformat(), "x": {"flow": flow}}


def _airline_passengers(dataset: Any) -> Iterator[Json]:
    for x, passengers in dataset:
        yield {"ts": x["month"].isoformat(), "x": {"passengers": float(passengers)}}


def _phishing(dataset: Any) -> Iterator[Json]:
    for x, is_phishing in dataset:
        yield {"x": x, "y": "phishing" if is_phishing else "genuine"}


def _shuttle(dataset: Any) -> Iterator[Json]:
    for x, is_anomaly in dataset:
        yield {"x": x, "y": float(is_anomaly)}
