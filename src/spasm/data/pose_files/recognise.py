"""Which tool wrote a pose file, from its content, and its poses.

A reader is a module with `recognised(path, head) -> bool`, cheap, from the first 64 KiB (b"" for a folder), and
`read(path, joints) -> PoseFile`, which raises DataError for everything that is wrong.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from spasm.core.errors import DataError
from spasm.core.files import open_regular
from spasm.data.pose_files.base import PoseFile

HEAD = 64 * 1024  # bytes
# Each reader in this package, the more particular first.
READERS: tuple[ModuleType, ...] = ()


def readers_of(path: Path) -> Sequence[ModuleType]:
    """The readers that recognise a file or folder. Raises DataError if it cannot be read."""
    head = b""
    if not path.is_dir():
        with open_regular(path) as (file, _):
            head = file.read(HEAD)
    return [reader for reader in READERS if reader.recognised(path, head)]


def read_pose_file(path: Path, joints: str | None) -> PoseFile:
    """The poses in a file or folder of another tool; joints: the layout that the user names. Raises DataError."""
    fitting = readers_of(path)
    if not fitting:
        raise DataError(path, "is no pose file of a known tool", "name one")
    return fitting[0].read(path, joints)
