"""What every script shares: flags from the settings, messages on stderr, exit codes, interrupts.

Exit codes: 0 done, 1 the data or the run failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.
"""

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

# Idle OpenMP threads that spin stall two-core machines for seconds when processes share them. OpenMP reads this
# when torch is imported, so it stands before any import that could bring torch in.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tyro

from spasm.cli.flags import check_given_once, check_words, flags_of, in_order
from spasm.cli.help_text import help_text
from spasm.config.fields import SettingsError, flag_of, to_tree
from spasm.core.errors import ClusterError, DataError, TrainingError, describe_os_error, printable
from spasm.core.files import open_regular
from spasm.core.text import escape_output

S = TypeVar("S")


class Terminated(BaseException):
    """SIGTERM arrived."""


def run(
    main: Callable[[S], int],
    settings_class: type[S] | Callable[[list[str]], type[S]],
    description: str,
    argv: list[str] | None = None,
    stopped: str = "what was finished is kept",
) -> int:
    """Parse the flags, call `main(settings)`, and turn what happens into an exit code.

    settings_class: the class of the flags, or what gives it for the words of a command line.
    stopped: what is printed after Ctrl-C: what becomes of the work.
    """
    signal.signal(signal.SIGTERM, _terminate)
    escape_output()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    words = sys.argv[1:] if argv is None else argv
    try:
        if {"-h", "--help"} & set(words):
            print(help_of(settings_class, description, words))
            return 0
        return main(parse(settings_class, words))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DataError, TrainingError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {describe_os_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {stopped}", file=sys.stderr)
        return 130
    except Terminated:
        print(f"terminated: {stopped}", file=sys.stderr)
        return 143


def warn(lines: Iterable[str]) -> None:
    """Print each line as a warning on stderr."""
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def help_of(settings_class: type[S] | Callable[[list[str]], type[S]], description: str, words: list[str]) -> str:
    """The help of a script. A model that `--models` names is shown with all that there is to say of its settings."""
    plain = isinstance(settings_class, type)
    flags: Any = settings_class if isinstance(settings_class, type) else settings_class(words)
    named = [name for value in values_of("--models", words) or [] for name in value.split(",")]
    return help_text(command(), description, *flags_of(flags(), plain), named)


def command() -> str:
    """How this script was called, without its flags."""
    return f"python {sys.argv[0]}"


def parse(settings_class: type[S] | Callable[[list[str]], type[S]], argv: list[str]) -> S:
    """Settings from flags; `--settings FILE` becomes flags placed before the user's own, checked the same way."""
    words = with_settings_file(argv)
    # The groups of a script's own flags have no prefix; where there are models, each has its own.
    plain = isinstance(settings_class, type)
    flags: Any = settings_class if isinstance(settings_class, type) else settings_class(words)
    known, _ = flags_of(flags(), plain)
    try:
        check_words(words, known)
        check_given_once(argv, known)  # a file's values may be replaced by those of the command line
    except SettingsError as error:
        raise SettingsError(f"{error} ({command()} --help lists the flags)") from error
    try:
        settings: S = tyro.cli(flags, args=in_order(words, known), config=(tyro.conf.OmitArgPrefixes,) if plain else ())
    except SettingsError as error:
        raise SettingsError(_as_given(str(error), words)) from error
    return settings


def _as_given(message: str, words: list[str]) -> str:
    """The message with its flag as the user wrote it: `--epochs` of a model was `--stgcn-mil.epochs`."""
    flag = message.split(" ", 1)[0].removeprefix("--")
    given = [word.split("=")[0] for word in words if re.match(rf"--[\w-]+\.{re.escape(flag)}(=|$)", word)]
    return message.replace(f"--{flag}", given[-1], 1) if given else message


def values_of(flag: str, words: list[str]) -> list[str] | None:
    """What a command line gives for a flag, its last occurrence; None where it does not name it."""
    values: list[str] | None = None
    taking = False
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            taking = name == flag
            if taking:
                values = [value] if value else []
        elif taking and values is not None:
            values.append(word)
    return values


def with_settings_file(argv: list[str]) -> list[str]:
    """The words of a command line in which `--settings FILE` is replaced by flags. Raises SettingsError."""
    argv = [part for flag in argv for part in (flag.split("=", 1) if flag.startswith("--settings=") else [flag])]
    if "--settings" not in argv:
        return argv
    at = argv.index("--settings")
    if at + 1 == len(argv):
        raise SettingsError("--settings needs a file")
    path, rest = Path(argv[at + 1]), [*argv[:at], *argv[at + 2 :]]
    try:
        with open_regular(path) as (file, _):
            tree = json.loads(file.read())
    except DataError as error:
        reason = f"not a readable JSON file; it {error.reason} ({error.hint})"
        raise SettingsError(f"--settings {printable(path)}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--settings {printable(path)}: not a readable JSON file ({error})") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"--settings {path}: must hold one JSON object of settings")
    if isinstance(tree.get("model"), str) and isinstance(tree.get("settings"), dict):  # a manifest, or of tune.py
        name = tree["model"]
        chosen = [] if values_of("--models", rest) is not None else ["--models", name]
        return [*chosen, *_flags({name: tree["settings"]}), *rest]
    # A repeated flag would add to the file's values instead of replacing them.
    replaced = [key for key, value in tree.items() if isinstance(value, list) and values_of(flag_of(key), rest)]
    return [*_flags({key: value for key, value in tree.items() if key not in replaced}), *rest]


def flags_given(values: Any) -> list[str]:
    """The flags of those settings of a group that are not the default, for a command to be typed."""
    default = to_tree(type(values)())
    return list(_flags({name: value for name, value in to_tree(values).items() if value != default[name]}))


def _flags(tree: dict[str, Any]) -> Iterator[str]:
    """The flags of a tree: a group's name, such as a model's, stands before those in it, that of a group in it not."""
    for key, value in tree.items():
        if isinstance(value, dict):
            for name, inner in _leaves(value):
                yield from _flag(f"{flag_of(key)}.{name.replace('_', '-')}", inner)
        else:
            yield from _flag(flag_of(key), value)


def _leaves(tree: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield key, value


def _flag(flag: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        name = flag.removeprefix("--")
        group, _, leaf = name.rpartition(".")
        yield flag if value else f"--{group}.no-{leaf}" if group else f"--no-{leaf}"
    else:
        yield from [flag, *map(str, value if isinstance(value, list) else [value])]


def _terminate(_signal: int, _frame: object) -> None:
    raise Terminated
