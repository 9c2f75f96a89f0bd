"""The flags of a script, found in the classes of its settings, and a check of a command line against them."""

import ast
import dataclasses
import difflib
import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple

from spasm.cli.synonyms import VALUES, suggestions
from spasm.config.fields import FLAT, POSITIONAL, REPEATED, SettingsError, Shown, flag_of
from spasm.core.errors import shorten

SETTINGS = "--settings"
WORDS_OF_A_SWITCH = ("true", "false", "yes", "no", "on", "off", "1", "0")


class Flag(NamedTuple):
    """A flag of a script."""

    name: str
    """Such as --lgbm.num-leaves; of what stands without a flag, the field's name in capitals."""
    kind: type
    """bool, int, float, str or Path, of each of its values where there may be several."""
    choices: tuple[str, ...]
    default: Any
    owner: type
    """The class that has the field, which is called `field`."""
    field: str
    group: str
    """The group whose name stands before the flag's own; empty where there is none."""
    shown: Shown
    is_many: bool = False
    is_optional: bool = False
    is_positional: bool = False
    is_repeated: bool = False
    """Whether it can be given again for more values, see `in_order`."""

    @property
    def text(self) -> str:
        """What it does: the text below the field."""
        return _texts(self.owner)[self.field]

    @property
    def leaf(self) -> str:
        """The name without dashes and group."""
        return self.name.removeprefix("--").rpartition(".")[2]

    @property
    def negative(self) -> str:
        """What turns a switch off."""
        return self.name.removesuffix(self.leaf) + f"no-{self.leaf}"

    @property
    def value(self) -> str:
        """What stands for its value in a help text."""
        if self.shown.value or self.choices:
            return self.shown.value or f"{{{','.join(self.choices)}}}"
        return {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH", bool: ""}[self.kind]

    @property
    def default_text(self) -> str:
        """The default, in words where it has some."""
        if self.shown.default:
            return self.shown.default
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if self.default in (None, "", ()):
            return "none"
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


class Group(NamedTuple):
    """Flags whose names begin with the name of their group."""

    name: str
    text: str
    shown: Shown


def flags_of(settings: Any, omit_prefixes: bool) -> tuple[list[Flag], list[Group]]:
    """The flags of settings with their default values, and the groups whose names stand before those of their flags."""
    groups: list[Group] = []
    return list(_flags(settings, "", Shown(), omit_prefixes, groups)), groups


def _flags(settings: Any, group: str, outer: Shown, omit_prefixes: bool, groups: list[Group]) -> Iterator[Flag]:
    settings_class: Any = type(settings)
    hints = typing.get_type_hints(settings_class, include_extras=True)
    for field in dataclasses.fields(settings):
        kind, marks = _unwrapped(hints[field.name])
        shown = next((mark for mark in marks if isinstance(mark, Shown)), Shown())
        shown = dataclasses.replace(shown, advanced=shown.advanced or outer.advanced)
        default = getattr(settings, field.name)
        if dataclasses.is_dataclass(kind):
            inner = group
            if not (omit_prefixes or FLAT in marks):
                inner = flag_of(field.name).removeprefix("--")
                groups.append(Group(inner, (type(default).__doc__ or "").split("\n")[0], shown))
            yield from _flags(default, inner, shown, omit_prefixes, groups)
            continue
        name = flag_of(f"{group}.{field.name}" if group else field.name)
        is_positional = POSITIONAL in marks
        yield Flag(
            name=field.name.upper() if is_positional else name,
            default=default,
            owner=settings_class,
            field=field.name,
            group=group,
            shown=shown,
            is_positional=is_positional,
            is_repeated=REPEATED in marks,
            **(_kind(kind) | ({"is_many": False} if REPEATED in marks else {})),
        )


def _kind(kind: Any) -> dict[str, Any]:
    """The fields of `Flag` that follow from the type of a field."""
    is_optional = typing.get_origin(kind) in (UnionType, typing.Union)
    if is_optional:
        kind = next(part for part in typing.get_args(kind) if part is not NoneType)
    is_many = typing.get_origin(kind) is tuple
    if is_many:
        kind = typing.get_args(kind)[0]
    kind, _ = _unwrapped(kind)
    choices = tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is Literal else ()
    return {"kind": str if choices else kind, "choices": choices, "is_many": is_many, "is_optional": is_optional}


def _unwrapped(hint: Any) -> tuple[Any, list[Any]]:
    """A type without what annotates it, and that."""
    if typing.get_origin(hint) is not Annotated:
        return hint, []
    kind, *marks = typing.get_args(hint)
    return kind, marks


@functools.cache
def _texts(settings_class: type) -> dict[str, str]:
    """The text below each field of a class and of those it is made from."""
    found: dict[str, str] = {}
    for base in reversed(settings_class.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                found[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return found


# ---- a command line


def check_words(words: Sequence[str], flags: Sequence[Flag]) -> None:
    """Raises SettingsError for the first word that belongs to no flag, and for a value that its flag cannot have."""
    by_name = {flag.name: flag for flag in flags}
    switches = {name: flag for flag in flags if flag.kind is bool for name in (flag.name, flag.negative)}
    several = any(flag.is_positional for flag in flags)
    last: Flag | None = None  # takes the words that follow
    values: list[str] = []
    for word in words:
        if not re.match(r"--.|-[A-Za-z]", word):
            if last is None and not several:
                raise SettingsError(_stray(word, by_name))
            if last is not None and last.kind is bool and word.lower() in WORDS_OF_A_SWITCH:
                raise _takes_no_value(last, word)
            if last is not None and last.kind is not bool and (_takes_more(last, several) or not values):
                values.append(word)
                _check_value(last, word)
            elif not several:
                raise (
                    _takes_no_value(last, word) if last and last.kind is bool else SettingsError(_stray(word, by_name))
                )
            continue
        _check_complete(last, values)
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        last, values = by_name.get(name) or switches.get(name), []
        if last is None:
            raise SettingsError(_unknown(word.partition("=")[0], flags))
        if equals:
            if last.kind is bool:
                raise _takes_no_value(last, value)
            values = [value]
            if value:
                _check_value(last, value)
    _check_complete(last, values)


def in_order(words: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """The words of a checked command line as the parser reads all of them.

    It keeps the last values of a flag that is given twice, and words without a flag in one place alone. So these come
    first, and a flag that can be repeated stands before each of its values: `--events a.csv b.csv` and
    `--events a.csv --events b.csv` are the same.
    """
    by_name = {flag.name: flag for flag in flags if flag.kind is not bool}
    several = any(flag.is_positional for flag in flags)
    free: list[str] = []
    found: list[str] = []
    last: Flag | None = None  # takes the words that follow
    for word in words:
        if re.match(r"--.|-[A-Za-z]", word):
            name, _, value = word.partition("=")
            last = by_name.get(name.replace("_", "-"))
            if last is None or value or not last.is_repeated:
                found.append(word)
            if last and value and not _takes_more(last, several):
                last = None
        elif last is None:
            free.append(word)
        else:
            found += [last.name, word] if last.is_repeated else [word]
            last = last if _takes_more(last, several) else None
    return [*free, *found]


def check_given_once(words: Sequence[str], flags: Sequence[Flag]) -> None:
    """Raises SettingsError where a flag with several values is there again: only its last values would be used."""
    many = {flag.name for flag in flags if flag.is_many and not flag.is_positional}
    names = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    again = next((name for number, name in enumerate(names) if name in many and name in names[:number]), None)
    if again is not None:
        raise SettingsError(f"{again} is given twice; give all of its values after one {again}: {again} A B")


def _takes_more(flag: Flag, several: bool) -> bool:
    """Whether words after its first value are its own; several: the script has words that stand without a flag."""
    return flag.is_many or (flag.is_repeated and not several)


def _takes_no_value(switch: Flag, value: str) -> SettingsError:
    off = f"; {switch.negative} turns it off" if switch.default else ""
    return SettingsError(
        f"{switch.name} is a switch and takes no value, not {shorten(value)}: {switch.name} turns it on{off}"
    )


def _check_complete(flag: Flag | None, values: Sequence[str]) -> None:
    if flag is not None and flag.kind is not bool and not flag.is_many and not values:
        example = flag.choices[0] if flag.choices else flag.value
        raise SettingsError(f"{flag.name} needs a value: {flag.name} {example}")


def _check_value(flag: Flag, value: str) -> None:
    if flag.is_optional and value == "None":
        return
    if flag.choices and value not in flag.choices:
        near = [VALUES.get(value.lower(), ""), *difflib.get_close_matches(value.lower(), flag.choices, 1)]
        meant = next((name for name in near if name in flag.choices), None)
        question = f"; did you mean {meant}?" if meant else ""
        raise SettingsError(f"{flag.name} cannot be {shorten(value)}; it is {_or(flag.choices)}{question}")
    if flag.kind in (int, float):
        try:
            flag.kind(value)
        except ValueError:
            wanted = "a whole number" if flag.kind is int else "a number"
            raise SettingsError(
                f"{flag.name} {shorten(value)} is not {wanted}, such as {flag.name} {_example(flag)}"
            ) from None


def _example(flag: Flag) -> str:
    return flag.default_text if isinstance(flag.default, (int, float)) and not flag.shown.default else "1"


def _stray(word: str, by_name: dict[str, Flag]) -> str:
    name = flag_of(word)
    hint = f"did you mean {name}?" if name in by_name else "flags begin with --, and a path with spaces needs quotes"
    return f"{shorten(word)} belongs to no flag; {hint}"


def _unknown(name: str, flags: Sequence[Flag]) -> str:
    model = name.removeprefix("--").partition(".")[0].replace("-", "_")
    if "." in name and not any(flag.group.replace("-", "_") == model for flag in flags):
        from spasm.models.registry import MODELS  # here, since scripts without models need not load it

        if model in MODELS:
            return f"{name} belongs to {model}, which is not in --models; add it: --models {model}"
    found = suggestions(name, [(flag.name, flag.leaf) for flag in flags] + [(SETTINGS, "settings")])
    return f"{name} is unknown; did you mean {_or(found)}?" if found else f"{name} is unknown"


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
