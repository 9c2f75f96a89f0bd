"""The sha256 of a data folder's files, kept in the cache, so that a file is read again only after it changed.

A file counts as unchanged while its size, modification time and inode are what they were before it was read. A file
that was modified just before it was read could be modified once more within the same tick of the file system's clock
and show nothing of it. So a modification time that close to the reading is never trusted, and the file is read again.
(Git has the same problem and the same answer: https://git-scm.com/docs/racy-git.)
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from spasm.core.files import open_regular
from spasm.core.sealed import read_sealed, write_sealed

VERSION = "index 1"  # of what is written; another version reads everything once more
SETTLED_NS = 2_000_000_000  # FAT's clock ticks every 2 s; that of other file systems is faster


class FileState(NamedTuple):
    """What shows without reading a file that it is not the one it was."""

    size: int
    mtime_ns: int
    inode: int
    """0 where the file system has none."""

    @classmethod
    def of(cls, path: Path) -> "FileState | None":
        """The state of a file, or of what a link points to; None where there is none."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class FileIndex:
    """The sha256 of each file of one data folder. One file of the cache; the last of several writers wins."""

    def __init__(self, folder: Path, cache: Path, rehash: bool = False) -> None:
        """rehash: trust nothing of what is kept, so that every file is read."""
        self.folder = folder
        place = VERSION.encode() + os.fsencode(os.path.realpath(folder))
        self.path = cache / "index" / f"{hashlib.sha256(place).hexdigest()[:32]}.json"
        self.kept = {} if rehash else _read(self.path)
        self.current: dict[str, tuple[FileState | None, str]] = {}
        self.began_ns = time.time_ns()

    def has_seen(self, path: Path) -> bool:
        """Whether a file of this name was read before, changed since then or not."""
        return self._name(path) in self.kept

    def known(self, path: Path) -> str | None:
        """The sha256 of a file in hex, without reading it; None where it is new, or may have changed."""
        name = self._name(path)
        state, digest = self.current.get(name) or self.kept.get(name) or (None, "")
        if state is None or state != FileState.of(path):
            return None
        self.current[name] = state, digest
        return digest

    def sha256(self, path: Path) -> str:
        """The sha256 of a file in hex, which is read only where it is not known. Raises DataError."""
        digest = self.known(path)
        if digest is None:
            state = FileState.of(path)
            with open_regular(path, self.folder) as (file, _):
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.add(path, state, digest)
        return digest

    def add(self, path: Path, before: FileState | None, digest: str) -> None:
        """Keep what was read from a file; before: its state before that."""
        settled = before is not None and before.mtime_ns < self.began_ns - SETTLED_NS
        self.current[self._name(path)] = (before if settled else None), digest

    def save(self) -> None:
        """Write what is known of the files that were asked for since; the others are forgotten."""
        if self.current != self.kept:
            rows = {name: [*(state or (0, 0, 0)), digest] for name, (state, digest) in self.current.items()}
            write_sealed(self.path, json.dumps(rows, separators=(",", ":")).encode())
            self.kept = dict(self.current)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _read(path: Path) -> dict[str, tuple[FileState | None, str]]:
    """The index as it was saved; empty where there is none or it is damaged."""
    content = read_sealed(path)
    if content is None:
        return {}
    rows = json.loads(content)
    return {name: (FileState(*state) if any(state) else None, digest) for name, (*state, digest) in rows.items()}
