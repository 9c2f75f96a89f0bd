"""The lock-box: a file that notes every evaluation before its metrics are shown, so that a result is the first one.

One JSON object a line. It holds digests of poses, but no id and no name; it stays where the data is.
"""

import contextlib
import datetime
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from spasm.core import files
from spasm.core.errors import DataError, printable
from spasm.core.files import open_regular
from spasm.runs.artefacts import Artefact, Sha256

DIGEST = re.compile("[0-9a-f]{16}")


class Entry(Artefact):
    """One evaluation."""

    number: Annotated[int, Field(ge=1)]
    """Counted from 1 in its file."""
    date: str
    runs: list[Sha256]
    data: Sha256
    """Of labels and poses."""
    code: Sha256
    poses: list[Annotated[str, Field(pattern=DIGEST.pattern)]]
    """A short digest of each segment's and each recording's poses."""


class Noted(NamedTuple):
    """What the lock-box says of an evaluation."""

    number: int
    """How many evaluations used this data or a part of it, this one included."""
    earlier: int
    """How many evaluations the file held before, of any data."""


def run_digest(run: Path) -> str:
    """The sha256 of a run's decision, which holds the sha256 of every file that it rests on."""
    return files.sha256(run / "decision.json")


def code_digest() -> str:
    """The sha256 of this library's source files."""
    digest, library = hashlib.sha256(), Path(__file__).parents[1]
    for source in sorted(library.rglob("*.py")):
        digest.update(source.relative_to(library).as_posix().encode() + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def check(path: Path, data: str, poses: Collection[str], again: bool) -> Noted:
    """Raises DataError where the data, or a part of it, was evaluated before, unless `again`."""
    entries = _read(path)
    wanted = set(poses)
    overlapping = [(one, len(wanted & set(one.poses))) for one in entries]
    overlapping = [(one, shared) for one, shared in overlapping if shared or one.data == data]
    if overlapping and not again:
        one, shared = max(overlapping, key=lambda pair: (pair[1], pair[0].number))
        what = "this data" if one.data == data else f"{shared} of these {len(wanted)} segments and recordings"
        reason = f"evaluation {one.number} of {one.date} used {what}; only a first result is free of earlier ones"
        number = len(overlapping) + 1
        hint = f"keep that result; to evaluate again give --again: the new result says that it is number {number}"
        raise DataError(path, reason, hint)
    return Noted(len(overlapping) + 1, len(entries))


def prepare(path: Path, data: str, poses: Collection[str], again: bool) -> Noted:
    """The same as `check`, and raises DataError now, and not after all predictions, where `note` could not write."""
    with _locked(path) as real:
        noted = check(path, data, poses, again)
        if real.exists():
            files.write_bytes(real, real.read_bytes())  # a folder can be written where a file mounted in it cannot
    return noted


def note(path: Path, runs: list[str], data: str, poses: list[str], again: bool) -> Noted:
    """Add an evaluation, whole or not at all, even when several processes do; raises as `check` does."""
    with _locked(path) as real:
        noted = check(path, data, poses, again)
        date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M UTC}"
        entries = _read(path)
        entries.append(Entry(number=len(entries) + 1, date=date, runs=runs, data=data, code=code_digest(), poses=poses))
        files.write_text(real, "".join(json.dumps(one.model_dump()) + "\n" for one in entries))
    return noted


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the lock on the file itself, to which `path` may be a link, and give its path. Raises DataError."""
    real = Path(os.path.realpath(path))
    try:
        files.check_writable(real.parent)  # waiting for a lock that cannot be made would look like another process
        with files.lock(real.with_name(f"{real.name}.lock"), "an evaluation is being noted"):
            yield real
    except OSError as error:
        where = "" if real == path else f", to which it is a link ({printable(real)})"
        reason = f"cannot be written{where}: {error.strerror or error}"
        hint = "name a --lock in a folder on a disk that can be written, or change the permissions of its folder"
        raise DataError(path, reason, hint) from error


def _read(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    with open_regular(path) as (file, _):
        lines = file.read().splitlines()
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(Entry.model_validate_json(line))
        except ValidationError as error:
            reason = f"line {number}: {error.errors()[0]['msg'].lower()}"
            raise DataError(path, f"is not a lock-box of this software, {reason}", "name another --lock") from error
    if [one.number for one in entries] != list(range(1, len(entries) + 1)):
        raise DataError(path, "has lost an entry: its numbers do not count from 1", "restore it from a copy")
    return entries
