"""What a search tries: the settings of each model and their ranges."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spasm.config.models import MEMBERS, LgbmMember, RocketMember

# What is searched of every published network, whose sizes stay the published ones, and of each.
PUBLISHED: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "loss": CategoricalDistribution(("plain", "weighted", "focal")),
    "body_scale": CategoricalDistribution((False, True)),
}
OWN: dict[str, dict[str, BaseDistribution]] = {
    "stam": {},
    "sta_gunet": {"triplet": FloatDistribution(0.0, 0.5)},
    "vsvig": {"loss": CategoricalDistribution(("plain", "weighted", "focal", "squared"))},
    "two_stream": {"head": CategoricalDistribution(("attn", "logsumexp")), "width": IntDistribution(16, 32, step=16)},
}
# Settings by the names of their flags. The defaults lie inside, and are tried first.
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "lgbm": {
        "rounds": IntDistribution(50, 800, log=True),
        "shrinkage": FloatDistribution(0.01, 0.2, log=True),
        "leaves": IntDistribution(2, 31, log=True),
        "leaf_segments": IntDistribution(3, 60, log=True),
        "statistics_share": FloatDistribution(0.05, 1.0),
        "bag_share": FloatDistribution(0.4, 1.0),
        "shrink_leaves": FloatDistribution(0.01, 100.0, log=True),
        "gaps": CategoricalDistribution((False, True)),
    },
    "rocket": {
        "biases": IntDistribution(2, 8, step=2),
        "copies": IntDistribution(0, 4),
    },
    "stgcn_mil": {
        "learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
        "epochs": IntDistribution(10, 40),
        "width": IntDistribution(32, 96, step=32),
        "dropout": FloatDistribution(0.0, 0.5),
        "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
        "rotation_deg": FloatDistribution(0.0, 60.0),
        "stretch": FloatDistribution(0.0, 0.4),
    },
    **{name: PUBLISHED | more for name, more in OWN.items()},
}
DEFAULTS: dict[str, Any] = {"lgbm": LgbmMember(), "rocket": RocketMember(), **MEMBERS}


# The settings of a trial


def with_values(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings in which the fields named in `values`, at any depth, are replaced; the names of leaves are unique."""
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


def default_values(member: str) -> dict[str, Any]:
    """What the defaults say of everything that is searched."""
    return values_of(DEFAULTS[member], list(SPACES[member]))


def every_setting(member: str) -> list[dict[str, Any]]:
    """All there is to try in a search space of whole numbers; empty for any other."""
    space = SPACES[member]
    numbers = [of for of in space.values() if isinstance(of, IntDistribution)]
    if len(numbers) < len(space):
        return []
    points = itertools.product(*(range(of.low, of.high + 1, of.step) for of in numbers))
    return [dict(zip(space, point, strict=True)) for point in points]


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
