"""Poses, segment files and data folders that several tests share."""

from pathlib import Path

import numpy as np
import pytest

from spasm.core.errors import DataError
from spasm.data.segments import inspect_pose, read_pose
from spasm.data.validation import check_folder

T = 16
SHAPE = (T, 33, 5)


def pose(seed: int = 0) -> np.ndarray:
    """A moving pose (T, 33, 5) float32 in 0..1, everything found."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, SHAPE).astype(np.float32)


def saved(folder: Path, array: np.ndarray, name: str = "child_1_1.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


def npy(header: str | bytes, values: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """The bytes of a .npy file with any header at all."""
    text = header.encode("latin-1") if isinstance(header, str) else header
    length = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + text + values


def header(descr: str = "'<f4'", fortran: str = "False", shape: object = SHAPE) -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read_pose(path, T, **options)
    assert caught.value.path == path
    assert caught.value.hint
    return caught.value.reason


def refused_bytes(folder: Path, content: bytes) -> str:
    path = folder / "child_1_1.npy"
    path.write_bytes(content)
    return refusal(path)


def warned(folder: Path, array: np.ndarray) -> list[str]:
    return list(inspect_pose(saved(folder, array), T).findings.sentences().values())


def make_data(folder: Path, children: int = 4, per_child: int = 2) -> Path:
    """A good data folder: child 0, 1, ... with `per_child` segments each, labels alternating by child."""
    (folder / "train").mkdir(parents=True)
    rows = ["segment_name,label"]
    for child in range(children):
        for number in range(per_child):
            name = f"child_{child}_{number}.npy"
            saved(folder / "train", pose(child * per_child + number), name)
            rows.append(f"{name},{child % 2}")
    (folder / "train_data.csv").write_text("\n".join(rows) + "\n")
    return folder


def add_to_test(data: Path, array: np.ndarray, name: str) -> None:
    (data / "test").mkdir(exist_ok=True)
    saved(data / "test", array, name)


def problems(data: Path, names: str = "challenge") -> list[str]:
    return [str(problem) for problem in check_folder(data, T, names).problems]


def warnings(data: Path) -> list[str]:
    report = check_folder(data, T, "challenge")
    return [*map(str, report.warnings), *report.findings]


def one(messages: list[str], *words: str) -> None:
    """There is exactly one message, and it holds all the words."""
    assert len(messages) == 1, messages
    for word in words:
        assert word in messages[0]
