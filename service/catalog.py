"""The table of learners and indicators: kind to class, parameters to a pydantic model, `build`.

To add a learner, write its file in `learners/` and add its line here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from learners.adaptive_threshold_features import AdaptiveThresholdFeatures
from learners.base import Indicator, Learner, Stateful
from learners.coupled_ensemble import CoupledEnsemble
from learners.hebbian_adaptation import HebbianAdaptation
from learners.homeostatic import Homeostatic
from learners.indicators.adwin import Adwin
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.indicators.early_stopping import EarlyStopping
from learners.indicators.kswin import Kswin
from learners.indicators.missing_values import MissingValues
from learners.indicators.novelty import Novelty
from learners.indicators.page_hinkley import PageHinkley
from learners.indicators.silence import Silence
from learners.indicators.structured_knowledge import StructuredKnowledge
from learners.indicators.value_range import ValueRange
from learners.memories.associative_memory import AssociativeMemory
from learners.memories.dragon_hatchling import DragonHatchling
from learners.memories.hopfield_memory import HopfieldMemory
from learners.memories.multitasking_memory import MultitaskingMemory
from learners.plastic.boolean_threshold import BooleanThreshold
from learners.plastic.network import PlasticNetwork
from learners.plastic.presynaptic_pool import PresynapticPool
from learners.plastic.stdp_detector import StdpDetector
from learners.reservoirs.autonomous_recurrent import AutonomousRecurrent
from learners.reservoirs.driven_recurrent import DrivenRecurrent
from learners.reservoirs.event_reservoir import EventReservoir
from learners.reservoirs.liquid_state import LiquidState
from learners.river.adapter import RiverEstimator
from learners.rolling_zscore import RollingZScore
from learners.sequence_memory import SequenceMemory
from learners.soft_hebbian import SoftHebbian

LEARNERS: Mapping[str, type[Learner]] = {
    "adaptive_threshold_features": AdaptiveThresholdFeatures,
    "associative_memory": AssociativeMemory,
    "autonomous_recurrent": AutonomousRecurrent,
    "boolean_threshold": BooleanThreshold,
    "coupled_ensemble": CoupledEnsemble,
    "dragon_hatchling": DragonHatchling,
    "driven_recurrent": DrivenRecurrent,
    "event_reservoir": EventReservoir,
    "hebbian_adaptation": HebbianAdaptation,
    "homeostatic": Homeostatic,
    "hopfield_memory": HopfieldMemory,
    "liquid_state": LiquidState,
    "multitasking_memory": MultitaskingMemory,
    "plastic_network": PlasticNetwork,
    "presynaptic_pool": PresynapticPool,
    "river": RiverEstimator,
    "rolling_zscore": RollingZScore,
    "sequence_memory": SequenceMemory,
    "soft_hebbian": SoftHebbian,
    "stdp_detector": StdpDetector,
}

INDICATORS: Mapping[str, type[Indicator]] = {
    "adwin": Adwin,
    "anomaly_likelihood": AnomalyLikelihood,
    "early_stopping": EarlyStopping,
    "kswin": Kswin,
    "missing_values": MissingValues,
    "novelty": Novelty,
    "page_hinkley": PageHinkley,
    "silence": Silence,
    "structured_knowledge": StructuredKnowledge,
    "value_range": ValueRange,
}

T = TypeVar("T", bound=Stateful)


class Params(BaseModel):
    """The parameters of one kind, checked; `kind` chooses the class."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    kind: str

    def values(self) -> dict[str, Any]:
        """Return the parameters alone, as the class takes them."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        return {
            name: {"kind": value.kind, **value.values()} if isinstance(value, Params) else value
            for name, value in given.items()
        }


@cache
def _params_model(kind: str) -> type[Params]:
    cls: type[Stateful] = LEARNERS[kind] if kind in LEARNERS else INDICATORS[kind]
    hints = get_type_hints(cls.__init__)
    nested = getattr(cls, "nested", {})
    fields: dict[str, Any] = {"kind": (Literal[kind], Field(description=_summary(cls)))}
    for name, parameter in inspect.signature(cls).parameters.items():
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        hint = _one_of(nested[name]) if name in nested else _from_json(hints[name])
        fields[name] = (hint, default)
    return create_model(f"{cls.__name__}Params", __base__=Params, **fields)


def _one_of(kinds: Iterable[str]) -> Any:
    """The kind and parameters of one of several learners, or nothing."""
    models = tuple(_params_model(kind) for kind in kinds)
    return Annotated[Union[models], Field(discriminator="kind")] | None  # noqa: UP007 (computed)


def _from_json(hint: Any) -> Any:
    """JSON has arrays, not tuples: let a tuple be written as one."""
    is_tuple = getattr(hint, "__origin__", None) is tuple
    return Annotated[hint, Field(strict=False)] if is_tuple else hint


def _summary(cls: type[Stateful]) -> str:
    return inspect.getdoc(cls).splitlines()[0] if inspect.getdoc(cls) else cls.__name__  # type: ignore[union-attr]


if TYPE_CHECKING:
    LearnerParams = Params
    IndicatorParams = Params
else:
    LearnerParams = Annotated[
        Union[tuple(map(_params_model, LEARNERS))],  # noqa: UP007 (a computed union)
        Field(discriminator="kind"),
    ]
    IndicatorParams = Annotated[
        Union[tuple(map(_params_model, INDICATORS))],  # noqa: UP007
        Field(discriminator="kind"),
    ]


def kinds(field: str) -> list[str]:
    """Return the known kinds of `learner` or `indicators`."""
    return sorted(INDICATORS if field == "indicators" else LEARNERS)


def default_indicators() -> list[Params]:
    """Return what watches a stream that asks for nothing."""
    return [_params_model("novelty")(kind="novelty")]


def build_learner(params: Params) -> Learner:
    """Build a fresh learner; raise `ValueError` when its parameters contradict each other."""
    return LEARNERS[params.kind](**params.values())


def build_indicator(params: Params) -> Indicator:
    """Build a fresh indicator; raise `ValueError` when its parameters contradict each other."""
    return INDICATORS[params.kind](**params.values())


def memory_bytes(params: Params) -> int:
    """Return the most bytes that this learner or indicator will hold, without building it."""
    cls: type[Learner] | type[Indicator] = (
        LEARNERS[params.kind] if params.kind in LEARNERS else INDICATORS[params.kind]
    )
    return cls.memory_bytes(**params.values())


def keeps_state(params: Params) -> bool:
    """Return whether a learner's state can be taken out and put back."""
    return LEARNERS[params.kind].state_is_kept(**params.values())


def learns_labels(params: Params) -> bool:
    """Return whether labels change a learner."""
    return LEARNERS[params.kind].labels_are_learned(**params.values())
