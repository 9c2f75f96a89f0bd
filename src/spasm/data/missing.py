"""Messages for data that is not where a flag says, which name the data that there is."""

from pathlib import Path

from spasm.core.errors import DataError
from spasm.core.nearby import folders_with, listed, nearest, nearest_first, what_it_holds
from spasm.core.text import shell_words
from spasm.data.naming import list_segments
from spasm.data.pose_files.recognise import describe_poses

TABLE = "train_data.csv"
DEMO = "or try it on simulated data: make demo"


def no_training_data(data: Path) -> DataError:
    """The error for a folder that has neither train/ nor train_data.csv, or does not exist."""
    wrong = "no such folder" if not data.exists() else "is a file, not a folder" if not data.is_dir() else ""
    if not wrong and data.name in ("train", "test") and (data.parent / TABLE).is_file():
        return DataError(data, "holds segments of a data folder, one level too deep", _add("--data", data.parent))
    if (data / "run.json").exists():
        hint = f"name the folder that holds train/ and {TABLE}; this one is for --run"
        return DataError(data, "is a run, not a data folder", hint)
    poses = describe_poses(data) if data.is_dir() else ""
    if poses:
        return DataError(data, f"holds poses of another tool, no data folder: {poses}", import_hint(data))
    found = folders_with(TABLE, data) or nearest_first(data, folders_with(TABLE, data.parent, Path("input")))
    near = nearest(data, found) if wrong else None
    reason = wrong or "there is no training data in it"
    if near is not None:
        return DataError(data, reason, f"did you mean {near}? {_add('--data', near)}")
    if found:
        return DataError(data, reason, f"training data is in {listed(found)}: {_add('--data', found[0])}")
    return DataError(data, reason, f"put train/ and {TABLE} there, {DEMO}")


def list_test_segments(folder: Path, names: str) -> list[Path]:
    """The segments to predict, see `list_segments`. Raises DataError, naming others, where there is none."""
    paths = list_segments(folder, names) if folder.is_dir() else []
    if paths:
        return paths
    if folder.is_dir():
        reason = f"holds no segment ({what_it_holds(folder)})"
    else:
        reason = "is a file, not a folder" if folder.exists() else "there is no such folder"
    found = [folder / "test", folder.parent / "test", *(one / "test" for one in folders_with("test", Path("input")))]
    found = [one for one in dict.fromkeys(found) if one != folder and next(one.glob("*.npy"), None)]
    found = nearest_first(folder, found) if not folder.exists() else found
    if found:
        hint = f"segments to predict are in {listed(found)}: {_add('--test', found[0])}"
    else:
        hint = "--test names the folder with the .npy files to predict"
    raise DataError(folder, f"{reason}; nothing was written", hint)


def import_hint(data: Path) -> str:
    """How pose files of other tools become recordings and segments."""
    return f"python src/import_poses.py {shell_words(data)} --fps F --width W --height H makes segments of them"


def _add(flag: str, path: Path) -> str:
    return f"add {flag} {shell_words(path)}"
