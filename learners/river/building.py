"""From a spec to River's object: a dotted name inside `river.`, and its parameters.

`{"estimator": "linear_model.LogisticRegression", "params": {"optimizer": {"estimator":
"optim.SGD", "params": {"lr": 0.1}}}}`. A name is looked up among what River's packages publish in
`__all__`, nothing is ever imported or evaluated by name, and only classes that are estimators, or
for parameters parts of them, are called.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from river import (
    anomaly,
    base,
    cluster,
    compose,
    drift,
    dummy,
    ensemble,
    facto,
    feature_extraction,
    feature_selection,
    forest,
    imblearn,
    linear_model,
    misc,
    model_selection,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    proba,
    rules,
    stats,
    time_series,
    tree,
)

from learners.river.codec import shown
from learners.river.curated import CODECS, codec_of

PACKAGES: Mapping[str, ModuleType] = {
    package.__name__.removeprefix("river."): package
    for package in (
        anomaly,
        cluster,
        compose,
        drift,
        dummy,
        ensemble,
        facto,
        feature_extraction,
        feature_selection,
        forest,
        imblearn,
        linear_model,
        misc,
        model_selection,
        multiclass,
        naive_bayes,
        neighbors,
        optim,
        preprocessing,
        proba,
        rules,
        stats,
        time_series,
        tree,
    )
}
DEEPEST = 8
LONGEST_LIST = 1_000
MOST_PARTS = 1_000
"""How many of anything, such as models of a forest, may be asked for: some are built at once."""

NOT_BUILT = (compose.FuncTransformer, compose.Pipeline)


_NEIGHBORS = (neighbors.KNNClassifier, neighbors.KNNRegressor)


def build(spec: Mapping[str, Any], seed: int, where: str = "") -> Any:
    """Build the estimator that a spec names, seeded; raises `ValueError` saying what is wrong."""
    cls = find(spec["estimator"], where)
    if not issubclass(cls, base.Estimator):
        raise ValueError(f"{where}estimator: got {shown(spec['estimator'])}, expected an estimator")
    estimator = _construct(cls, spec.get("params") or {}, seed, where, DEEPEST)
    codec = codec_of(estimator)
    try:
        if codec is not None:
            codec.check(estimator)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None
    return estimator


def find(name: object, where: str = "") -> type[Any]:
    """Return the public class of River of this dotted name, or raise `ValueError`."""
    wanted = "a name inside `river.`, such as 'anomaly.HalfSpaceTrees'"
    refusal = ValueError(f"{where}estimator: got {shown(name)}, expected {wanted}")
    if not isinstance(name, str) or len(name) > 100:
        raise refusal
    package, *inner, last = name.split(".") if "." in name else ("", name)
    found: Any = PACKAGES.get(package)
    for part in (*inner, last):
        if not isinstance(found, ModuleType) or part not in getattr(found, "__all__", ()):
            raise refusal
        found = getattr(found, part, None)
    if not _can_be_built(found):
        raise refusal
    return found  # type: ignore[no-any-return]


def check_spec(spec: object, where: str) -> Mapping[str, Any]:
    """Return an `{"estimator": ..., "params": {...}}`, or raise `ValueError`."""
    if isinstance(spec, Mapping) and "estimator" in spec and spec.keys() <= {"estimator", "params"}:
        return spec
    raise ValueError(f"{where}: got {shown(spec)}, expected an object of estimator and params")


def _can_be_built(found: Any) -> bool:
    return (
        isinstance(found, type)
        and issubclass(found, base.Base)
        and found.__module__.startswith("river.")
        and ".datasets" not in found.__module__
        and not inspect.isabstract(found)
        and found not in NOT_BUILT
    )


def _construct(cls: type[Any], params: Mapping[str, Any], seed: int, where: str, depth: int) -> Any:
    if not isinstance(params, Mapping):
        raise ValueError(f"{where}params: got {shown(params)}, expected an object")
    known = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    for name in params:
        if name not in known:
            wanted = f"one of {', '.join(known)}" if known else "none"
            raise ValueError(f"{where}params: got {shown(name)}, expected {wanted}")
    for name, value in params.items():
        if name.startswith("n_") and isinstance(value, int) and value > MOST_PARTS:
            raise ValueError(
                f"{where}params: {name}: got {shown(value)}, expected {MOST_PARTS} at most"
            )
    values = {name: _value(value, seed, where, depth - 1) for name, value in params.items()}
    if "seed" in known and values.get("seed") is None:
        values["seed"] = seed
    if cls in _NEIGHBORS and values.get("engine") is None:
        # River's own choice, but for its seed.
        distance = cls().engine.dist_func
        values["engine"] = neighbors.SWINN(dist_func=distance, seed=seed)
    codec = CODECS.get(cls)
    try:
        if codec is not None:
            codec.check_params(values)
            given = {name: value for name, value in values.items() if value is not None}
            values = {**values, **codec.defaults, **given}
        return cls(**values)
    except Exception as error:
        text = str(error).removeprefix("params: ")[:300]
        raise ValueError(f"{where}params: {text}") from None


def _value(value: Any, seed: int, where: str, depth: int) -> Any:
    """Return a parameter, with each object that names an estimator in its place built."""
    if depth < 0:
        raise ValueError(f"{where}params: got more than {DEEPEST} levels, expected fewer")
    if isinstance(value, Mapping):
        if "estimator" in value:
            spec = check_spec(value, f"{where}params")
            cls = find(spec["estimator"], f"{where}params: ")
            return _construct(cls, spec.get("params") or {}, seed, where, depth)
        return {str(name): _value(each, seed, where, depth - 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > LONGEST_LIST:
            raise ValueError(f"{where}params: got {len(value)} items, expected {LONGEST_LIST}")
        return [_value(each, seed, where, depth - 1) for each in value]
    if value is None or isinstance(value, str | bool | int) or math.isfinite(value):
        return value
    raise ValueError(f"{where}params: got {value!r}, expected a finite number")
