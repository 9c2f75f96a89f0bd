"""Ranges of settings, and reading settings back from JSON."""

import dataclasses
import re
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class SettingsError(ValueError):
    """A setting that is unknown, of the wrong type, or out of range; the message names the nearest valid one."""


@dataclasses.dataclass(frozen=True)
class Between:
    """The closed range a number must lie in."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Odd:
    """Marks a whole number that must be odd."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """Marks a text that goes into a file as it is: letters, digits, _ and - only."""


class Checked:
    """Refuses values outside the range that a field's annotation gives."""

    def __post_init__(self) -> None:
        for name, annotation in typing.get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            for limit in getattr(annotation, "__metadata__", ()):
                if isinstance(limit, Between) and value is not None and not limit.low <= value <= limit.high:
                    nearest = limit.low if not value >= limit.low else limit.high
                    raise SettingsError(
                        f"--{name.replace('_', '-')} {value} is outside {limit.low} to {limit.high}; "
                        f"the nearest valid value is {nearest}"
                    )
                if isinstance(limit, Odd) and value % 2 == 0:
                    raise SettingsError(
                        f"--{name.replace('_', '-')} {value} is not odd; the nearest valid value is {value - 1}"
                    )
                if isinstance(limit, Plain) and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
                    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", value) or "segment_name"
                    raise SettingsError(f"--{name} {value!r} is not a plain name; the nearest valid value is {plain}")


Probability = Annotated[float, Between(0, 1)]
Count = Annotated[int, Between(1, 1_000_000)]
Seed = Annotated[int, Between(0, 2**31 - 1)]
# Settings that a later version added: runs of before know nothing of them and are as their defaults say.
ADDED = ("backbone", "weights", "triplet")


def from_tree(settings_class: type[T], tree: Any) -> T:
    """Settings from a nested dictionary such as a manifest holds; raises SettingsError for a wrong key or type."""
    annotations = typing.get_type_hints(settings_class)
    if isinstance(tree, dict):
        absent = [field for field in dataclasses.fields(settings_class) if field.name in ADDED]
        tree = {field.name: field.default for field in absent} | tree
    if not isinstance(tree, dict) or set(tree) != set(annotations):
        raise SettingsError(f"the settings of {settings_class.__name__} are not those of this version")
    values = {}
    for name, annotation in annotations.items():
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            values[name] = from_tree(annotation, tree[name])
            continue
        if not _fits(tree[name], annotation):
            raise SettingsError(f"the setting {name} cannot be {tree[name]!r}")
        values[name] = tree[name]
    return settings_class(**values)


def _fits(value: Any, annotation: Any) -> bool:
    if typing.get_origin(annotation) is Literal:
        return value in typing.get_args(annotation)
    if typing.get_origin(annotation) is types.UnionType:
        return any(_fits(value, part) for part in typing.get_args(annotation))
    # type() and not isinstance(): True is an int to Python, but not a number of epochs.
    return type(value) in (int, float) if annotation is float else type(value) is annotation
