"""Reading .npy files: the header is parsed here and never executed."""

import ast
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from spasm.core.errors import DataError, shorten
from spasm.core.files import open_regular

Order: TypeAlias = Literal["C", "F"]
MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 4096  # bytes; a plain array needs 118, and short text keeps ast.literal_eval harmless
DTYPE = re.compile(r"[<>](f[248]|[iu][1248])|\|[iu]1")
OTHER_DTYPES = {
    "b": "booleans",
    "c": "complex numbers",
    "f": "long doubles",
    "S": "text",
    "a": "text",
    "U": "text",
    "O": "Python objects (a pickle, which is never loaded)",
    "V": "raw bytes",
    "M": "dates",
    "m": "times",
}


class NpyHeader(NamedTuple):
    """The values that a .npy file's header describes."""

    start: int
    """Offset of the values in bytes from the start of the file."""
    dtype: np.dtype
    order: Order
    shape: tuple[int, ...]


class NpyFile(NamedTuple):
    """The bytes of a whole .npy file; its header and size are checked."""

    raw: bytes
    header: NpyHeader

    def array(self) -> np.ndarray:
        """The values in the file's own type and order, read-only and not copied."""
        start, dtype, order, shape = self.header
        return np.frombuffer(self.raw, dtype, offset=start).reshape(shape, order=order)


def read_npy(path: Path, root: Path | None, what: str, most: int, check: Callable[[tuple[int, ...]], None]) -> NpyFile:
    """Read a .npy file.

    what: a word for such a file in messages. most: the most bytes that its values may take. check: raises DataError
    for a wrong shape. Raises DataError for everything else that is wrong.
    """
    with open_regular(path, root) as (file, size):
        head = file.read(12 + LONGEST_HEADER)
        header = parse_header(path, head, size, what, most)
        check(header.shape)
        raw = head + file.read(size - len(head))
        if len(raw) != size:
            raise DataError(path, "changed while it was read", "run again when nothing writes to it")
    return NpyFile(raw, header)


def parse_header(path: Path, head: bytes, size: int, what: str, most: int) -> NpyHeader:
    """The header of a file of `size` bytes that begins with `head`; raises DataError before anything is allocated."""
    copy_again = "copy or export it again"
    if not head:
        raise DataError(path, "empty file, 0 bytes", copy_again)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise DataError(path, "a zip (such as .npz) under the name .npy", "save the array alone with numpy.save")
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        reason = "a pickle under the name .npy, which can run any program and is never loaded"
        raise DataError(path, reason, "save the array alone with numpy.save")
    if not head.startswith(MAGIC):
        raise DataError(path, "not a .npy file: its first bytes are others", "save the array with numpy.save")
    version = tuple(head[6:8])
    if len(version) == 2 and version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(path, f"unknown .npy version {version[0]}.{version[1]}", "save the array with numpy.save")
    prefix = 10 if version == (1, 0) else 12
    length = int.from_bytes(head[8:prefix], "little")
    if length > LONGEST_HEADER:
        raise DataError(path, f"its header claims {length} bytes; a plain array needs 118", "save it with numpy.save")
    start = prefix + length
    if len(head) < start:
        raise DataError(path, "cut short inside its header", copy_again)
    descr, fortran, shape = _parse_fields(path, head[prefix:start], "utf-8" if version == (3, 0) else "latin-1")
    dtype = _check_dtype(path, descr)

    claimed, held = math.prod(shape) * dtype.itemsize, size - start
    if claimed > held and claimed > most:
        reason = (
            f"its header claims {shorten(claimed)} bytes of values, more than any {what} has; the file holds {held}"
        )
        raise DataError(path, reason, "the header is damaged: export it again")
    if claimed > held:
        raise DataError(path, f"cut short: {held} of {claimed} bytes of values are there", copy_again)
    if claimed < held:
        raise DataError(path, f"{held - claimed} bytes follow the array", "nothing may follow: export it again")
    return NpyHeader(start, dtype, "F" if fortran else "C", shape)


def _parse_fields(path: Path, text: bytes, encoding: str) -> tuple[Any, bool, tuple[int, ...]]:
    hint = "save the array with numpy.save"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes; such a text is refused anyway
            fields = ast.literal_eval(text.decode(encoding).strip())
    except Exception as error:  # also MemoryError, RecursionError, TypeError, ..., by chance or intent
        raise DataError(path, f"its header cannot be parsed ({type(error).__name__})", hint) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise DataError(path, "its header is not exactly descr, fortran_order and shape", hint)
    shape, fortran = fields["shape"], fields["fortran_order"]
    # type() and not isinstance(): True is an int to Python, but not a length.
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise DataError(path, f"its header has the impossible shape {shorten(shape)}", hint)
    if type(fortran) is not bool:
        raise DataError(path, f"its header has fortran_order {shorten(fortran)}", hint)
    return fields["descr"], fortran, shape


def _check_dtype(path: Path, descr: Any) -> np.dtype:
    if isinstance(descr, str) and DTYPE.fullmatch(descr):
        return np.dtype(descr)
    if isinstance(descr, str):
        what = f"{OTHER_DTYPES.get(descr.lstrip('<>|=')[:1], 'an unknown type')}, {shorten(descr)}"
    else:
        what = "structured records" if isinstance(descr, list) else f"an unknown type, {shorten(descr)}"
    raise DataError(path, f"holds {what}", "save floats of 16, 32 or 64 bits, or integers")
