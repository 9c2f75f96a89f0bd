"""Files that are whole or absent: atomic writes, digests and locks."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from spasm.core.errors import DataError, printable
from spasm.core.nearby import what_it_holds, where_missing
from spasm.core.text import utf8

TEMPORARY = ".tmp-"
# A process id is only valid on its own machine; another machine or container may share the disk.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
STALE_S = 3600  # a temporary file of another machine counts as abandoned after this time
TABLE_DIGITS = 6  # significant digits of floats in tables for people; tables for computing keep all
WINDOWS = os.name == "nt"
# Folders in which this process has written, as absolute paths. It is this module's only state: the disk cannot show
# whether a missing folder was deleted or never existed. Only `make_folder` reads it.
_written: set[str] = set()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises FileNotFoundError if this process wrote there before and it has vanished.

    If a vanished run folder were made again, it would hold only the later files and look complete. After the error
    the folder may be made again.
    """
    absolute = Path(os.path.abspath(folder))
    parts = [str(part) for part in (absolute, *absolute.parents)]
    gone = [part for part in parts if part in _written and not os.path.exists(part)]
    if gone:
        _written.difference_update(gone)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    _written.update(parts)


@contextlib.contextmanager
def with_path(path: Path) -> Iterator[None]:
    """Let disk errors inside name `path`, and not a temporary file, which the user does not know, or no file at all."""
    try:
        yield
    except OSError as error:
        if error.filename is None or TEMPORARY in str(error.filename):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` when the block ends.

    A power cut, a full disk, an error or a kill leaves the old file whole, or absent if there was none.
    """
    make_folder(path.parent)
    temporary = temporary_in(path.parent)
    try:
        with with_path(path):
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync(path.parent)  # without it a power cut can undo the rename
    finally:
        with contextlib.suppress(OSError):  # the first error matters more than a failed removal
            temporary.unlink()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a temporary folder that replaces `path`, absent or empty, when the block ends; see `atomic_write`."""
    path = Path(os.path.realpath(path))  # keep a link to an empty folder
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent, below=False)
    temporary = temporary_in(path.parent)
    try:
        with with_path(path):
            temporary.mkdir()
            yield temporary
            for made in [*temporary.rglob("*"), temporary]:
                sync(made)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    if WINDOWS and path.is_dir():  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write text as a whole file in UTF-8; names that UTF-8 cannot hold are escaped."""
    write_bytes(path, utf8(text))


def remove_stale(folder: Path, below: bool = True) -> None:
    """Remove temporary files and folders of killed writers from a folder and, with `below`, from its subfolders."""
    for path in folder.rglob(f"{TEMPORARY}*") if below else folder.glob(f"{TEMPORARY}*"):
        owner = re.fullmatch(rf"{re.escape(TEMPORARY)}([0-9]+)-([0-9a-f]+)-[0-9a-f]+", path.name)
        with contextlib.suppress(OSError):
            # Windows has no harmless signal: number 0 would be Ctrl-C.
            known = owner is not None and owner[2] == HOST and not WINDOWS
            if owner and known:
                abandoned = not _is_alive(int(owner[1]))
            else:
                abandoned = owner is not None and time.time() - path.stat().st_mtime > STALE_S
            if path.is_dir() and not path.is_symlink():
                if abandoned and known:  # a folder's age is no sign of the age of its files
                    shutil.rmtree(path)
            elif abandoned:
                path.unlink()


def temporary_in(folder: Path) -> Path:
    """An unused name in a folder; `remove_stale` removes the file once this process has ended."""
    return folder / f"{TEMPORARY}{os.getpid()}-{HOST}-{secrets.token_hex(4)}"


def check_writable(folder: Path) -> None:
    """Raise OSError now rather than after hours of training if a folder cannot be written."""
    probe = temporary_in(folder)
    try:
        with with_path(folder):
            write_bytes(probe, b"")
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def npy(array: np.ndarray) -> bytes:
    """The bytes that np.save writes. Writing them at once lets a full disk raise an error."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write JSON in UTF-8; NaN is refused, since other programs cannot read it."""
    text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A lone surrogate must be escaped twice: JSON's own escape of it is refused by strict readers.
    write_bytes(path, utf8(re.sub("[\ud800-\udfff]", lambda match: f"\\\\u{ord(match[0]):04x}", text)))


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object. Raises DataError for anything else."""
    hint = "restore it from a copy; decision.json may be deleted: train_folds.py writes it again"
    with open_regular(path) as (file, _):
        try:
            tree = json.loads(file.read())
        except (ValueError, RecursionError) as error:
            raise DataError(path, f"is not readable JSON: {error}", hint) from error
    if not isinstance(tree, dict):
        raise DataError(path, "does not hold one JSON object", hint)
    return tree


def read_text(path: Path, what: str, hint: str) -> str:
    """The text of a file in UTF-8. Raises DataError, with the hint, for anything else; what: the kind of file."""
    with open_regular(path) as (file, _):
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise DataError(path, f"is not {what}: it is not text in UTF-8", hint) from error


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], digits: int | None = None) -> None:
    """Write a CSV in UTF-8 with `\\n` at the end of every line.

    digits: significant ones of floats, in tables to read; without it they keep all, in tables to compute with.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.{digits}g}" if digits and isinstance(cell, float) else cell for cell in row])
    write_text(path, text.getvalue())


def sha256(path: Path) -> str:
    """Digest of a file, in hex."""
    with open_regular(path) as (file, _):
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: Path, holder: str, wait_s: float = 30.0) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system releases it when the process ends, however it ends.

    Raises DataError if another process or thread still holds it after `wait_s` seconds; `holder` describes that one.
    """
    make_folder(path.parent)
    held = file_lock(path, wait_s)
    with with_path(path):
        try:
            held.acquire()
        except Timeout as error:
            raise DataError(path, f"{holder} in another process", "wait for it, or stop it first") from error
    try:
        yield
    finally:
        held.release()


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock on `path`."""
    if not path.exists():  # acquiring would create the file
        return False
    try:
        with file_lock(path, wait_s=0):
            return False
    except FileNotFoundError:
        return False
    except Timeout:
        return True


def file_lock(path: Path, wait_s: float) -> FileLock:
    """The operating system's lock on a file, not acquired yet; a negative `wait_s` waits for ever.

    Acquiring raises OSError on a network drive without such locks: a lock file that counts by its presence would
    outlive a killed process. The file stays after the release: if it were removed, a waiting process and a later one
    would lock two different files.
    """
    return FileLock(path, wait_s, poll_interval=0.02, fallback_to_soft=False, preserve_lock_file=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def open_regular(path: Path, root: Path | None = None) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open a regular file for reading; gives the file and its size in bytes.

    With `root`, a link may point anywhere inside that folder and nowhere else. Raises DataError, also for an
    operating system error while the file is being read.
    """
    real = Path(os.path.realpath(path))
    if root is not None and not real.is_relative_to(os.path.realpath(root)):
        raise DataError(path, f"is a link that leaves the folder {printable(root)}", "put the file itself there")
    try:
        # Opening a FIFO waits for a writer, perhaps for ever, unless O_NONBLOCK is set. Regular files ignore the flag,
        # and Windows has neither.
        nonblocking = getattr(os, "O_NONBLOCK", 0)
        with open(real, "rb", opener=lambda name, flags: os.open(name, flags | nonblocking)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(path, "is a device, a pipe or a socket, not a regular file", "delete it")
            yield file, status.st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(path, f"cannot be read: {error.strerror}", where_missing(path)) from error
    except IsADirectoryError as error:
        raise DataError(path, f"cannot be read: {error.strerror}", what_it_holds(path)) from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}", "check its permissions") from error
