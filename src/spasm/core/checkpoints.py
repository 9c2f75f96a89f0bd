"""Named tensors on disk: no code inside, equal bytes for equal tensors, and a digest that tells every changed bit."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spasm.core.errors import DataError
from spasm.core.files import open_regular, write_bytes

DIGEST = "sha256"  # the name under which a file keeps the digest of all its other tensors


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write named tensors; equal tensors give equal bytes."""
    buffer = io.BytesIO()  # to memory first: torch.save writes the name of the file it is given into that file
    torch.save({**tensors, DIGEST: _digest(tensors)}, buffer)
    write_bytes(path, buffer.getvalue())


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors that `write_tensors` wrote. Raises DataError if a single bit differs; runs no code from the file."""
    hint = "delete it to train this fold again, or restore it from a copy"
    tensors, size = _loaded(path, "is not a whole checkpoint", hint)
    named = isinstance(tensors, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()
    )
    plain = named and all(value.layout == torch.strided and value.device.type == "cpu" for value in tensors.values())
    # A tensor can claim to be larger than the file by repeating what is there; its digest would need all that memory.
    if not plain or DIGEST not in tensors or sum(value.nbytes for value in tensors.values()) > size:
        raise DataError(path, "is not a checkpoint of this software", hint)
    digest = tensors.pop(DIGEST)
    if not torch.equal(digest, _digest(tensors)):
        raise DataError(path, "is damaged: its content does not match its sha256", hint)
    return tensors


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors that a user gives, as `torch.save` wrote them. Raises DataError; runs no code from the file."""
    hint = "give a state dict, as torch.save(network.state_dict(), FILE) writes it"
    tensors, _ = _loaded(path, "cannot be read as weights", hint)
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise DataError(path, "holds something else than named tensors", hint)
    return tensors


def _loaded(path: Path, refused: str, hint: str) -> tuple[Any, int]:
    """What torch reads from a file without running anything in it, and the file's size in bytes."""
    with open_regular(path) as (file, size):
        content = io.BytesIO(file.read())
    try:
        if _unpacks_to_more(content, size):
            raise DataError(path, f"{refused}: it would unpack to more than its size", hint)
        return torch.load(content, map_location="cpu", weights_only=True), size
    except DataError:
        raise
    except Exception as error:  # unpickling untrusted bytes raises nearly anything
        raise DataError(path, f"{refused} ({type(error).__name__})", hint) from error


def _unpacks_to_more(content: io.BytesIO, size: int) -> bool:
    """Whether a file is an archive that is compressed, which those of torch are not, or claims more than it has."""
    if not zipfile.is_zipfile(content):
        return False
    with zipfile.ZipFile(content) as archive:
        entries = archive.infolist()
    content.seek(0)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    return packed or sum(entry.file_size for entry in entries) > size


def _digest(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        if value.numel():
            digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
