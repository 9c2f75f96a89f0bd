"""What lies near a path that was not found, for messages that say what to do."""

import difflib
from collections.abc import Iterable
from pathlib import Path


def nearest(path: Path, found: Iterable[Path]) -> Path | None:
    """The path whose name is spelt most like that of another; None where none is alike."""
    by_name = {one.name.lower(): one for one in found}
    names = difflib.get_close_matches(path.name.lower(), by_name, 1, 0.6)
    return by_name[names[0]] if names else None


def folders_with(name: str, *parents: Path) -> list[Path]:
    """The folders in some folders that hold an entry of this name, each once."""
    found: dict[Path, None] = {}
    for parent in parents:
        for path in sorted(parent.glob(f"*/{name}")):
            found[path.parent] = None
    return list(found)


def listed(paths: Iterable[Path]) -> str:
    """Paths one after the other, the first few of many."""
    names = list(map(str, paths))
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
