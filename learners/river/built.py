"""An estimator of River as it was built from a spec, with its role and its codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from river import base, compose

from learners.base import Arrays, Features
from learners.parameters import names_in, require_state, with_prefix, without_prefix
from learners.river import building
from learners.river.codec import Codec, Label, Size, labels_in
from learners.river.curated import codec_of
from learners.river.forecasters import REGRESSOR
from learners.river.forecasting import Forecaster
from learners.river.role import Role, Values, features_of
from learners.river.roles import role_of

MODEL = "model/"


@dataclass(slots=True)
class Built:
    """The whole pipeline, its last step, and what this project adds to them."""

    model: Any
    final: Any
    role: Role
    codec: Codec | None
    keeps_state: bool
    takes_text: bool

    def features_of(self, x: Features) -> Values:
        """Return the features of an event as River takes them, or raise `InvalidEvent`."""
        return features_of(x, self.takes_text)

    def memory_bytes(self, size: Size) -> int:
        """Return the most bytes of a model that keeps its state."""
        assert self.codec is not None
        return self.codec.memory_bytes(self.model, size)

    def admits(self, size: Size) -> bool:
        """Return whether the estimator may come to know as much."""
        codec = codec_of(self.final)
        return codec is None or not self.keeps_state or codec.admits(self.final, size)

    def get_state(self) -> Arrays:
        """Return the arrays of role and model."""
        assert self.codec is not None
        return self.role.get_state() | with_prefix(MODEL, self.codec.to_arrays(self.model))

    def set_state(self, arrays: Arrays, names: list[str], labels: list[Label]) -> None:
        """Write the arrays into a model that has learned nothing, or raise `StateError`."""
        assert self.codec is not None
        own = {name: a for name, a in arrays.items() if not name.startswith(MODEL)}
        inner = without_prefix(MODEL, arrays)
        self.codec.from_arrays(self.model, inner)
        self.role.set_state(own)
        _check_texts(inner, names, labels)
        good = self.admits(Size(len(names), len(labels)))
        require_state(good, "names", "got more features and labels than fit")


def build(
    estimator: str,
    params: Mapping[str, Any] | None,
    preprocessing: Sequence[Mapping[str, Any]],
    seed: int,
    horizon: int,
) -> Built:
    """Build a pipeline from its spec; raises `ValueError` naming the part that is wrong."""
    final = building.build({"estimator": estimator, "params": params}, seed)
    steps = [_transformer(spec, seed, i) for i, spec in enumerate(preprocessing)]
    model = compose.Pipeline(*steps, final) if steps else final
    role = role_of(model, final)
    if role is None:
        wanted = "one that detects, predicts or forecasts"
        raise ValueError(f"estimator: got {estimator!r}, expected {wanted}")
    if role.one_value and steps:
        raise ValueError(
            f"preprocessing: got {len(steps)} steps, expected none, as {estimator} sees one value"
        )
    if isinstance(role, Forecaster):
        role.horizon = horizon
    codec = codec_of(model)
    first = steps[0] if steps else final
    first_codec = codec_of(first)
    return Built(
        model=model,
        final=final,
        role=role,
        codec=codec,
        keeps_state=codec is not None and codec.keeps(model),
        takes_text=not role.one_value and (first_codec is None or first_codec.takes_text(first)),
    )


def _transformer(spec: Mapping[str, Any], seed: int, i: int) -> Any:
    where = f"preprocessing[{i}]"
    checked = building.check_spec(spec, where)
    step = building.build(checked, seed, f"{where}.")
    if not isinstance(step, base.Transformer):
        got = checked["estimator"]
        raise ValueError(f"{where}.estimator: got {got!r}, expected a transformer")
    return step


def _check_texts(arrays: Arrays, names: list[str], labels: list[Label]) -> None:
    """Raise `StateError` unless a model's features and labels are among those ever seen."""
    for name, array in arrays.items():
        if name.startswith(REGRESSOR):
            continue
        last = name.rpartition("/")[2]
        if last == "labels":
            good = set(labels_in(name, array)) == set(labels)
            require_state(good, name, "got other labels than the learner")
        elif last in ("names", "shrunk_names"):
            good = set(names_in(name, array)) <= set(names)
            require_state(good, name, "got other features than the learner")
