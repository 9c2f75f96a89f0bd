"""Files of the cache that show whether they are whole: their first line is the sha256 of all that follows."""

import hashlib
import math
from pathlib import Path

import numpy as np

from spasm.core.files import write_bytes


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file that is whole or absent, and its folder: a cache may be removed at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, _seal(content) + b"\n" + content)


def read_sealed(path: Path) -> bytes | None:
    """The content that `write_sealed` wrote; None if the file is missing or a single bit differs."""
    try:
        seal, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if seal == _seal(content) else None


def write_sealed_array(path: Path, values: np.ndarray) -> None:
    """Write only an array's values; the reader must know their type and shape."""
    write_sealed(path, np.ascontiguousarray(values).tobytes())


def read_sealed_array(path: Path, dtype: type[np.generic] | np.dtype, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array, read-only; None if it is missing, damaged, or of another size."""
    content = read_sealed(path)
    if content is None or len(content) != np.dtype(dtype).itemsize * math.prod(shape):
        return None
    return np.frombuffer(content, dtype).reshape(shape)


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
