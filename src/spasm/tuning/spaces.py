"""Search spaces: settings of a model, their default values, and how a trial samples others."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spasm.models.model import Model


def with_values(settings: Any, values: Mapping[str, Any]) -> Any:
    """Replace the fields named in `values`, at any depth of the settings; leaf names are unique."""
    changed = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        nested = dataclasses.is_dataclass(value)
        changed[field.name] = with_values(value, values) if nested else values.get(field.name, value)
    return dataclasses.replace(settings, **changed)


def values_of(settings: Any, names: Sequence[str]) -> dict[str, Any]:
    """The fields `names`, at any depth of the settings."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        found |= values_of(value, names) if dataclasses.is_dataclass(value) else {field.name: value}
    return {name: found[name] for name in names if name in found}


def default_values(model: Model) -> dict[str, Any]:
    """The default values of all searched fields."""
    return values_of(model.config(), list(model.search_space()))


def every_setting(model: Model) -> list[dict[str, Any]]:
    """All settings of a search space of whole numbers; empty for any other."""
    space = model.search_space()
    numbers = [of for of in space.values() if isinstance(of, IntDistribution)]
    if len(numbers) < len(space):
        return []
    points = itertools.product(*(range(of.low, of.high + 1, of.step) for of in numbers))
    return [dict(zip(space, point, strict=True)) for point in points]


def propose(trial: optuna.Trial, model: Model) -> dict[str, Any]:
    """The values of one trial, by the names of the fields."""
    return {name: suggest(trial, name, of) for name, of in model.search_space().items()}


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """The value of one setting in a trial."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
