"""What a settings class is: a frozen dataclass whose values pydantic checks, read from flags or from JSON."""

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Hashable
from typing import Annotated, Any, TypeVar, cast, dataclass_transform

import tyro
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import ErrorDetails

T = TypeVar("T")


class SettingsError(Exception):
    """A setting that is unknown, of the wrong type, or out of range; the message names the nearest valid one.

    It is no ValueError, because the command line's parser would take that for its own and hide the message in a box.
    """


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass of settings. A wrong value raises SettingsError, naming its flag."""
    checked = checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))(cls)
    build = checked.__init__

    @functools.wraps(build)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        try:
            build(self, *args, **values)
        except ValidationError as error:
            raise SettingsError(describe(error)) from error

    checked.__init__ = __init__  # type: ignore[method-assign]
    return cast(type[T], checked)


def within(low: float, high: float) -> Any:
    """The closed range a number must lie in."""
    return Field(ge=low, le=high)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is not odd; the nearest valid value is {value - 1}")
    return value


def _plain(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        nearest = re.sub(r"[^A-Za-z0-9_-]+", "_", value) or "segment_name"
        raise ValueError(f"{value!r} is not a plain name; the nearest valid value is {nearest}")
    return value


@dataclasses.dataclass(frozen=True)
class Shown:
    """How a field, or a group of fields, stands in the help of a script."""

    default: str = ""
    """The default in words, where the value itself is not clear."""
    value: str = ""
    """What stands for the value, such as NAMES."""
    advanced: bool = False
    """Whether it comes after the common flags."""
    brief: bool = False
    """Whether a group shows only names and defaults, unless --models names it."""


ADVANCED = Shown(advanced=True)
PER_CORE = Shown(default="one per CPU core")
FLAT = tyro.conf.arg(name="")  # a group whose flags stand among the others, without its name before them
REPEATED: Any = tyro.conf.UseAppendAction  # can be given again for more values; its default must be ()
POSITIONAL: Any = tyro.conf.Positional  # words of a command line that stand without a flag
Odd = AfterValidator(_odd)
Identifier = Annotated[str, AfterValidator(_plain)]  # goes into a file as it is: letters, digits, _ and - only
Probability = Annotated[float, within(0, 1)]
Count = Annotated[int, within(1, 1_000_000)]
Seed = Annotated[int, within(0, 2**31 - 1)]


def describe(error: ValidationError) -> str:
    """The first wrong value, as a flag, and the nearest valid one."""
    first = error.errors()[0]
    flag = flag_of(str(next((part for part in reversed(first["loc"]) if isinstance(part, str)), "value")))
    context = first.get("ctx", {})
    if "ge" in context or "le" in context:
        nearest, side = (context["ge"], "below") if "ge" in context else (context["le"], "above")
        return f"{flag} {first['input']} is {side} {nearest}; the nearest valid value is {nearest}"
    if first["type"] == "value_error":
        return f"{flag} {context['error']}"
    return _of_type(flag, first)


def _of_type(flag: str, first: ErrorDetails) -> str:
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{flag} is unknown"
    return f"{flag} cannot be {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


@functools.cache
def _adapter(settings_class: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type, settings_class))


def to_tree(values: Any) -> dict[str, Any]:
    """Settings as a nested dictionary that JSON can hold."""
    tree: dict[str, Any] = _adapter(cast(Hashable, type(values))).dump_python(values, mode="json")
    return tree


def from_tree(settings_class: Callable[..., T], tree: Any) -> T:
    """Settings from a nested dictionary such as a manifest holds; raises SettingsError for a wrong key or type."""
    adapter = _adapter(cast(Hashable, settings_class))
    try:
        # As JSON, in which a list may be a tuple and a dictionary a class, but True is no number.
        values: T = adapter.validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise SettingsError(describe(error)) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"the settings of {getattr(settings_class, '__name__', settings_class)} cannot be read ({error})"
        ) from error
    if to_tree(values) != tree:
        raise SettingsError(
            f"the settings of {getattr(settings_class, '__name__', settings_class)} are not those of this version"
        )
    return values
