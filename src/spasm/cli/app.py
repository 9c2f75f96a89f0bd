"""What every script shares: flags from the settings, messages and progress on stderr, exit codes, interrupts.

Exit codes: 0 done, 1 the data or the run failed, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import tyro

from spasm.config.fields import SettingsError
from spasm.config.models import MEMBERS
from spasm.core.errors import DataError, TrainingError, describe_os_error

# Idle OpenMP threads that spin stall two-core machines for seconds when processes share them. OpenMP reads this
# when torch is imported, so it stands before any import that could bring torch in.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
S = TypeVar("S")
T = TypeVar("T")
SETTINGS_HELP = "--settings FILE takes settings from a JSON file, such as a member's manifest.json; flags win over it."
# The beginning of the command that trains each member.
MEMBER_SCRIPTS = {name: ["train_folds.py", "--model", name] for name in MEMBERS} | {
    "lgbm": ["train_lgbm.py"],
    "rocket": ["train_rocket.py"],
}


class Terminated(BaseException):
    """SIGTERM arrived."""


def run(
    main: Callable[[S], int],
    settings_class: type[S],
    description: str,
    argv: list[str] | None = None,
    stopped: str = "what was finished is kept",
) -> int:
    """Parse the flags, call `main(settings)`, and turn what happens into an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        settings = parse(settings_class, description, sys.argv[1:] if argv is None else argv)
        return main(settings)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DataError, TrainingError) as error:
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


def parse(settings_class: type[S], description: str, argv: list[str]) -> S:
    """Settings from flags; `--settings FILE` becomes flags placed before the user's own, checked the same way."""
    words = _with_true(_with_settings_file(argv), _switches(settings_class))
    made_for: Any = getattr(settings_class, "default_for", None)
    settings: Any = tyro.cli(
        settings_class,
        args=words,
        default=made_for(words) if made_for else None,
        description=f"{description.rstrip()}\n\n{SETTINGS_HELP}",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagConversionOff),
    )
    return settings


def call(words: list[str]) -> None:
    """Run a script of src/, as a user would. Raises TrainingError with what it said if it fails."""
    script = Path(__file__).parents[2] / words[0]
    finished = subprocess.run([sys.executable, str(script), *words[1:]], capture_output=True, text=True)
    if finished.returncode:
        raise TrainingError(f"{words[0]} ended with {finished.returncode}: {finished.stderr.strip()}")


def check_members(names: tuple[str, ...], flag: str = "--members") -> None:
    """Raises SettingsError for a member that there is no script to train."""
    if not names:
        raise SettingsError(f"{flag} names none; there are {', '.join(MEMBER_SCRIPTS)}")
    for name in names:
        if name not in MEMBER_SCRIPTS:
            raise SettingsError(f"{flag} {name} is unknown; there are {', '.join(MEMBER_SCRIPTS)}")


def _with_settings_file(argv: list[str]) -> list[str]:
    argv = [part for flag in argv for part in (flag.split("=", 1) if flag.startswith("--settings=") else [flag])]
    if "--settings" not in argv:
        return argv
    at = argv.index("--settings")
    if at + 1 == len(argv):
        raise SettingsError("--settings needs a file")
    path = Path(argv[at + 1])
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"--settings {path}: not a readable JSON file ({error})") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"--settings {path}: must hold one JSON object of settings")
    if "member" in tree and isinstance(tree.get("settings"), dict):  # a manifest
        tree = tree["settings"]
    return [*_flags(tree), *argv[:at], *argv[at + 2 :]]


def _switches(settings_class: Any) -> set[str]:
    """The flags that take True or False."""
    hints = typing.get_type_hints(settings_class)
    inner = [hint for hint in hints.values() if dataclasses.is_dataclass(hint)]
    switches = {f"--{name.replace('_', '-')}" for name, hint in hints.items() if hint is bool}
    return switches.union(*map(_switches, inner))


def _with_true(words: list[str], switches: set[str]) -> list[str]:
    """A switch before another flag, or at the end, such as --report, means True."""
    following = [*words, "--"][1:]
    parts = ([word, "True"] if word.replace("_", "-") in switches and after.startswith("--") else [word]
             for word, after in zip(words, following, strict=True))  # fmt: skip
    return [word for part in parts for word in part]


def _flags(tree: dict[str, Any]) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flags(value)
        else:
            values = value if isinstance(value, list) else [value]
            yield from [f"--{key.replace('_', '-')}", *map(str, values)]


def _terminate(_signal: int, _frame: object) -> None:
    raise Terminated
