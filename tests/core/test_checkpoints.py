"""Tensors on disk: equal bytes for equal tensors, no code, and every changed bit is noticed."""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.repository import SOURCE
from spasm.core.checkpoints import DIGEST, NO_DIGEST, read_state_dict, read_tensors, write_tensors
from spasm.core.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, on files that are refused

SAMPLE = """
import torch
generator = torch.Generator().manual_seed(5)
SAMPLE = {
    "weight": torch.randn(3, 4, generator=generator),
    "half": torch.randn(5, generator=generator).bfloat16(),
    "count": torch.tensor(7),
    "offset": torch.tensor(-0.5, dtype=torch.float64),
    "none": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
}
"""
scope: dict = {}
exec(SAMPLE, scope)  # the same text makes the tensors in the other process
TENSORS = scope["SAMPLE"]


def equal(left: dict, right: dict) -> bool:
    return set(left) == set(right) and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left
    )


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "fold_0.safetensors"
    write_tensors(path, TENSORS)
    return path


def test_tensors_come_back_as_they_were_written(written):
    assert equal(read_tensors(written), TENSORS)


@pytest.mark.command
def test_equal_tensors_give_equal_bytes_at_any_path_and_in_any_process(written, tmp_path):
    write_tensors(
        tmp_path / "elsewhere/another_name.safetensors", {name: value.clone() for name, value in TENSORS.items()}
    )
    assert (tmp_path / "elsewhere/another_name.safetensors").read_bytes() == written.read_bytes()

    code = f"""
import sys; sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from spasm.core.checkpoints import write_tensors
{SAMPLE}
write_tensors(Path(sys.argv[1]), SAMPLE)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "third.safetensors")], check=True)
    assert (tmp_path / "third.safetensors").read_bytes() == written.read_bytes()


def test_a_copied_name_gives_the_bytes_of_the_name_itself(written, tmp_path):
    copied = {"".join(list(name)): value for name, value in TENSORS.items()}
    write_tensors(tmp_path / "copied.safetensors", copied)
    assert (tmp_path / "copied.safetensors").read_bytes() == written.read_bytes()


@pytest.mark.slow
def test_a_flipped_bit_is_noticed_wherever_it_is(written):
    content = written.read_bytes()
    random = np.random.default_rng(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << random.integers(8)
        written.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            read_tensors(written)
        assert caught.value.path == written
    written.write_bytes(content)
    assert equal(read_tensors(written), TENSORS)


def test_bytes_that_follow_are_noticed(written):
    for more in (b"\0", b"more", written.read_bytes()):
        written.write_bytes(written.read_bytes() + more)
        with pytest.raises(DataError, match="does not match its sha256"):
            read_tensors(written)


def test_tensors_that_share_memory_and_those_that_are_not_contiguous_come_back_each_by_itself(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"whole": whole, "same": whole, "row": whole[1], "turned": whole.T, "wide": torch.ones(1).expand(4)}
    write_tensors(tmp_path / "a.safetensors", tensors)
    assert equal(read_tensors(tmp_path / "a.safetensors"), tensors)
    apart = {name: value.clone() for name, value in tensors.items()}
    write_tensors(tmp_path / "b.safetensors", apart)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.command
def test_other_programs_read_a_checkpoint_as_plain_safetensors(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"w": torch.arange(3.0)})
    code = """
import sys
from safetensors.numpy import load_file
assert load_file(sys.argv[1])["w"].tolist() == [0, 1, 2]
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.safetensors")], check=True)


def test_a_checkpoint_that_was_cut_short_is_refused(written):
    content = written.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        written.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"fold_0\.safetensors"):
            read_tensors(written)


# ---- files made on purpose


def sealed(path: Path, header: object, data: bytes = b"") -> Path:
    """A file whose digest is right, whatever its header."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    metadata = b'{"__metadata__":{"sha256":"' + NO_DIGEST.encode() + b'"}' + (b"," if len(text) > 2 else b"")
    text = metadata + text[1:]
    content = bytearray(len(text).to_bytes(8, "little") + text + data)
    content[DIGEST] = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content)
    return path


def of(dtype: object, shape: object, *offsets: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def test_a_file_made_like_those_below_is_read_if_nothing_is_wrong(tmp_path):
    made = sealed(tmp_path / "a.safetensors", {"w": of("I64", [2], 0, 16)}, (1 << 64).to_bytes(16, "little"))
    assert read_tensors(made)["w"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "header",
    [
        b"{not JSON}",
        b'{"w":' + b"[" * 5000,
        {"w": 7},
        {"w": {"below": of("F32", [2], 0, 8)}},
        {"w": of("F32", [2], 0, 8), "same": of("F32", [2], 0, 8)},
        {"w": of("F32", [1], 0, 4)},
        {"w": of("F32", [1], 4, 8)},
        {"w": of("F32", [2], 0, 9)},
        {"w": of("F32", [2], 8, 0)},
        {"w": of("F32", [-2], 0, 8)},
        {"w": of("F32", [3], 0, 8)},
        {"w": of("object", [2], 0, 8)},
        {"w": of(7, [2], 0, 8)},
        {"w": of("F32", [10**13], 0, 4 * 10**13)},
        {"w": of("F32", [2**62, 4], 0, 8)},
        {"w": of("F32", [2.5], 0, 8)},
    ],
    ids=["no-json", "deep", "number", "nested", "shared", "unused-end", "unused-start", "uneven", "backwards",
         "negative", "too-few", "objects", "type-number", "terabytes", "overflow", "fraction"],
)  # fmt: skip
def test_a_header_that_is_wrong_is_refused_though_the_digest_is_right(tmp_path, header):
    path = sealed(tmp_path / "a.safetensors", header, bytes(8))
    with pytest.raises(DataError, match="holds no tensors that can be read") as caught:
        read_tensors(path)
    assert caught.value.path == path
    assert caught.value.hint


def test_a_header_of_another_length_is_refused(tmp_path):
    path = sealed(tmp_path / "a.safetensors", {"w": of("F32", [2], 0, 8)}, bytes(8))
    for length in (0, 1, DIGEST.start, 10**6, 2**63, 2**64 - 1):
        content = bytearray(path.read_bytes())
        content[:8], content[DIGEST] = length.to_bytes(8, "little"), NO_DIGEST.encode()
        content[DIGEST] = hashlib.sha256(content).hexdigest().encode()
        path.write_bytes(content)
        with pytest.raises(DataError, match="holds no tensors that can be read"):
            read_tensors(path)


ONES = torch.ones(2)
OTHERS = {
    "list": [ONES],
    "tensor": ONES,
    "named-tensors": {"w": ONES},
    "numpys-number": {"w": np.float64(1)},
    "numpys-state": {"w": np.random.RandomState(0).get_state()},
    "sparse": {"w": torch.eye(2).to_sparse()},
    "terabytes": {"w": torch.ones(1).expand(10**13)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_anything_that_torch_saves_is_no_checkpoint_and_is_refused_by_name(tmp_path, name):
    torch.save(OTHERS[name], tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"a\.safetensors: is not a whole checkpoint of this software"):
        read_tensors(tmp_path / "a.safetensors")


def test_safetensors_of_another_program_are_no_checkpoint(tmp_path):
    save_file({"w": ONES}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="is not a whole checkpoint of this software"):
        read_tensors(tmp_path / "a.safetensors")


class Payload:
    """Pickled code: loading it makes a folder."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda tree, path: torch.save(tree, path, _use_new_zipfile_serialization=False),
     lambda tree, path: path.write_bytes(pickle.dumps(tree))],
    ids=["zip", "legacy", "pickle"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["value", "whole", "name"])
def test_a_checkpoint_with_code_is_refused_and_the_code_never_runs(tmp_path, save, place):
    trace = tmp_path / "it ran"
    payload = Payload(trace)
    save({"value": {"w": payload}, "whole": payload, "name": {payload: torch.ones(1)}}[place], tmp_path / "a.pt")
    for read in (read_tensors, read_state_dict):
        with pytest.raises(DataError, match=r"a\.pt: "):
            read(tmp_path / "a.pt")
        assert not trace.exists()
    with open(tmp_path / "control", "wb") as file:
        pickle.dump(payload, file)
    pickle.loads((tmp_path / "control").read_bytes())
    assert trace.exists(), "the test is void unless the payload works"


@pytest.mark.slow
def test_weights_that_would_unpack_to_gigabytes_are_refused_before_memory_is_taken(tmp_path):
    torch.save({"w": ONES}, tmp_path / "a.pt")
    assert read_state_dict(tmp_path / "a.pt")["w"].tolist() == [1, 1]
    for packed in ("data.pkl", "data/0"):
        with (
            zipfile.ZipFile(tmp_path / "a.pt") as whole,
            zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
        ):
            for name in whole.namelist():
                with bomb.open(name, "w") as file:
                    file.write(whole.read(name))
                    for _ in range(700 if name.endswith(packed) else 0):
                        file.write(bytes(1 << 20))
        assert (tmp_path / "bomb.pt").stat().st_size < 1 << 21
        with pytest.raises(DataError, match=r"bomb\.pt: .*: it would unpack to more than its size"):
            read_state_dict(tmp_path / "bomb.pt")


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.safetensors: cannot be read"):
        read_tensors(tmp_path / "absent.safetensors")


def test_the_required_torch_is_one_whose_safe_loading_has_no_known_hole():
    required = (Path(__file__).parents[2] / "requirements.txt").read_text()
    (exactly,) = re.findall(r"^torch==(\S+)$", required, re.MULTILINE)
    assert tuple(map(int, exactly.split(".")[:2])) >= (2, 10)
    assert version("torch").split("+")[0] == exactly
