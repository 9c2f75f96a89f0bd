"""What lies near a path that was not found, for messages that say what to do."""

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from spasm.core.errors import printable


def nearest(path: Path, found: Iterable[Path]) -> Path | None:
    """The path whose name is spelt most like that of another; None where none is alike."""
    by_name = {one.name.lower(): one for one in found}
    names = difflib.get_close_matches(path.name.lower(), by_name, 1, 0.6)
    return by_name[names[0]] if names else None


def nearest_first(path: Path, found: Sequence[Path]) -> list[Path]:
    """The same paths, those first whose name is spelt most like that of `path`."""
    return sorted(found, key=lambda one: -difflib.SequenceMatcher(None, path.name.lower(), one.name.lower()).ratio())


def nearest_name(name: str, known: Iterable[str]) -> str:
    """A question that names the known name most like another one; empty where none is alike."""
    by_name = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_name, 1, 0.6)
    return f"did you mean {printable(by_name[found[0]])}?" if found else ""


def where_missing(path: Path) -> str:
    """What to do about a path that does not exist: the path that was probably meant, or what its folder holds."""
    parent, rest = path.parent, [path.name]
    while not os.path.lexists(parent) and parent != parent.parent:
        parent, rest = parent.parent, [parent.name, *rest]
    if not parent.is_dir():
        return f"{printable(parent)} is a file, not a folder; check the path"
    held = [parent / name for name in _entries(parent)]
    near = nearest(parent / rest[0], held)
    if near is not None:
        whole = near.joinpath(*rest[1:])
        return f"did you mean {printable(whole if whole.exists() else near)}?"
    return f"{what_it_holds(parent)}; check the path"


def what_it_holds(folder: Path) -> str:
    """The first entries of a folder."""
    names = _entries(folder)
    return f"{printable(folder)} holds {listed(names)}" if names else f"{printable(folder)} is empty"


def _entries(folder: Path) -> list[str]:
    """The names in a folder that are not hidden."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def folders_with(name: str, *parents: Path) -> list[Path]:
    """The folders in some folders that hold an entry of this name, each once."""
    found: dict[Path, None] = {}
    for parent in parents:
        for path in sorted(parent.glob(f"*/{name}")):
            found[path.parent] = None
    return list(found)


def listed(paths: Iterable[Path | str]) -> str:
    """Paths one after the other, the first few of many."""
    names = list(map(printable, paths))
    return ", ".join(names[:5]) + (f", ... ({len(names):,} in all)" if len(names) > 5 else "")
