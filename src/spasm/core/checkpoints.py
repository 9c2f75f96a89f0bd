"""Named tensors on disk, as safetensors: no code inside, equal bytes for equal tensors, and a digest of every byte.

The format has no checksum of its own, so the file's `__metadata__` keeps the sha256 of the whole file, taken with zeros
in place of the digest. https://huggingface.co/docs/safetensors
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spasm.core.errors import DataError
from spasm.core.files import atomic_write, open_regular

if TYPE_CHECKING:
    import torch  # imported where it is used, since it is slow to load and reading a run's JSON does not need it

HEADER = b'{"__metadata__":{"sha256":"'  # how the header begins, after its length of 8 bytes
DIGEST = slice(8 + len(HEADER), 8 + len(HEADER) + 64)  # where the digest stands in the file, in hex
NO_DIGEST = "0" * 64


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"]) -> None:
    """Write named tensors; equal tensors give equal bytes."""
    import safetensors.torch

    content = memoryview(safetensors.torch.save(_separate(tensors), {"sha256": NO_DIGEST}))
    assert bytes(content[8 : DIGEST.stop]) == HEADER + NO_DIGEST.encode(), "the header begins with the digest"
    with atomic_write(path) as file:
        file.write(content[: DIGEST.start])
        file.write(hashlib.sha256(content).hexdigest().encode())
        file.write(content[DIGEST.stop :])


def read_tensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Tensors that `write_tensors` wrote. Raises DataError if a single bit differs; runs no code from the file."""
    import safetensors.torch

    hint = "delete it to train this fold again, or restore it from a copy"
    with open_regular(path) as (file, _):
        content = file.read()
    if content[8 : DIGEST.start] != HEADER:
        raise DataError(path, "is not a whole checkpoint of this software", hint)
    digest = hashlib.sha256(content[: DIGEST.start] + NO_DIGEST.encode())
    digest.update(memoryview(content)[DIGEST.stop :])
    if content[DIGEST] != digest.hexdigest().encode():
        raise DataError(path, "is damaged: its content does not match its sha256", hint)
    try:
        # Copy into memory that torch allocated: MKL's last digit can depend on the alignment.
        return {name: value.clone() for name, value in safetensors.torch.load(content).items()}
    except Exception as error:  # a file made on purpose can have the right digest: SafetensorError, KeyError, ...
        raise DataError(path, f"holds no tensors that can be read ({type(error).__name__})", hint) from error


def read_state_dict(path: Path) -> dict[str, "torch.Tensor"]:
    """Named tensors from a user's file, written by `torch.save`. Raises DataError; runs no code from the file."""
    import torch

    hint = "give a state dict, as torch.save(network.state_dict(), FILE) writes it"
    with open_regular(path) as (file, size):
        content = io.BytesIO(file.read())
    try:
        if _unpacks_to_more(content, size):
            raise DataError(path, "cannot be read as weights: it would unpack to more than its size", hint)
        tensors: Any = torch.load(content, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # unpickling untrusted bytes raises nearly anything
        raise DataError(path, f"cannot be read as weights ({type(error).__name__})", hint) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise DataError(path, "holds something else than named tensors", hint)
    return tensors


def _separate(tensors: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """The same tensors on the CPU, contiguous and in separate memory, as the format requires."""
    separate: dict[str, torch.Tensor] = {}
    stored: set[int] = set()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        storage = value.untyped_storage().data_ptr()
        separate[name] = value.clone() if storage in stored else value
        stored.add(storage)
    return separate


def _unpacks_to_more(content: io.BytesIO, size: int) -> bool:
    """Whether a file is a compressed archive, unlike those of torch, or claims more bytes than it has."""
    if not zipfile.is_zipfile(content):
        return False
    with zipfile.ZipFile(content) as archive:
        entries = archive.infolist()
    content.seek(0)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    return packed or sum(entry.file_size for entry in entries) > size
