"""The sha256 of a data folder's files, kept in the cache, so that a file is read again only after it changed.

A file counts as unchanged while its size, modification time and inode stay the same. If a file was modified just
before it was read, a second change within the same tick of the file system's clock would not show. So a modification
time close to the reading is never trusted, and the file is read again.
(Git has the same problem and the same solution: https://git-scm.com/docs/racy-git.)
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from spasm.core.files import open_regular
from spasm.core.sealed import read_sealed, write_sealed

VERSION = "index 1"  # of the index file; after a change of version every file is read again
SETTLED_NS = 2_000_000_000  # FAT's clock ticks every 2 s; other file systems tick faster


class FileState(NamedTuple):
    """File attributes that show a change without reading the file."""

    size: int
    mtime_ns: int
    inode: int
    """0 if the file system has none."""

    @classmethod
    def of(cls, path: Path) -> "FileState | None":
        """The state of a file, or of a link's target; None if it does not exist."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class FileIndex:
    """The sha256 of each file of one data folder, kept in one file of the cache; the last of several writers wins."""

    def __init__(self, folder: Path, cache: Path, rehash: bool = False) -> None:
        """rehash: ignore the saved index, so that every file is read."""
        self.folder = folder
        place = VERSION.encode() + os.fsencode(os.path.realpath(folder))
        self.path = cache / "index" / f"{hashlib.sha256(place).hexdigest()[:32]}.json"
        self.kept = {} if rehash else _read(self.path)
        self.current: dict[str, tuple[FileState | None, str]] = {}
        self.began_ns = time.time_ns()

    def has_seen(self, path: Path) -> bool:
        """Whether a file of this name was read before, even if it has changed since."""
        return self._name(path) in self.kept

    def known(self, path: Path) -> str | None:
        """The sha256 of a file in hex, without reading it; None if it is new or may have changed."""
        name = self._name(path)
        state, digest = self.current.get(name) or self.kept.get(name) or (None, "")
        if state is None or state != FileState.of(path):
            return None
        self.current[name] = state, digest
        return digest

    def sha256(self, path: Path) -> str:
        """The sha256 of a file in hex; the file is read only if its digest is unknown. Raises DataError."""
        digest = self.known(path)
        if digest is None:
            state = FileState.of(path)
            with open_regular(path, self.folder) as (file, _):
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.add(path, state, digest)
        return digest

    def add(self, path: Path, before: FileState | None, digest: str) -> None:
        """Keep the digest of a file; before: its state before it was read."""
        settled = before is not None and before.mtime_ns < self.began_ns - SETTLED_NS
        self.current[self._name(path)] = (before if settled else None), digest

    def save(self) -> None:
        """Write the digests of the files used since the index was opened; the others are dropped."""
        if self.current != self.kept:
            rows = {name: [*(state or (0, 0, 0)), digest] for name, (state, digest) in self.current.items()}
            write_sealed(self.path, json.dumps(rows, separators=(",", ":")).encode())
            self.kept = dict(self.current)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _read(path: Path) -> dict[str, tuple[FileState | None, str]]:
    """The saved index; empty if it is missing or damaged."""
    content = read_sealed(path)
    if content is None:
        return {}
    rows = json.loads(content)
    return {name: (FileState(*state) if any(state) else None, digest) for name, (*state, digest) in rows.items()}
